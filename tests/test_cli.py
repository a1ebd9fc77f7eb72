import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from rtsmap.cli import rtsmap as group


def all_commands(command, words=()):
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from all_commands(command.get_command(context, name), (*words, name))


@pytest.mark.parametrize("command", list(all_commands(group)), ids=" ".join)
def test_every_command_has_help_with_an_example(rtsmap, command):
    code, out, _ = rtsmap(*command, "-h")
    assert code == 0
    assert "Example" in out or "Start here" in out
    _, _, text = out.partition("\n\n")  # after the usage
    assert len(text.splitlines()[0]) > 20  # says what it is for


def test_help_imports_nothing_heavy():
    heavy = "numpy|torch|rasterio|geopandas|shapely|pydantic|onnxruntime"
    code = f"import sys, rtsmap.cli as c; c.rtsmap(['predict', '-h'], standalone_mode=False); import re; \
sys.exit(' '.join(m for m in sys.modules if re.fullmatch('{heavy}', m)) or 0)"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_an_unknown_command_is_a_usage_error(rtsmap):
    code, _, err = rtsmap("predikt")
    assert code == 2
    assert "No such command 'predikt'" in err


def test_version(rtsmap):
    code, out, _ = rtsmap("--version")
    assert code == 0
    assert re.fullmatch(r"rtsmap, version \d+\.\d+\.\d+\n", out)


def test_options_are_dashed_and_mean_the_same_everywhere():
    seen: dict[str, str | None] = {}
    for words in all_commands(group):
        command = group
        for word in words:
            command = command.get_command(click.Context(command), word)
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert not any("_" in option for option in parameter.opts)
                if parameter.name in {"model", "device", "overwrite"}:
                    assert seen.setdefault(parameter.name, parameter.help) == parameter.help


def test_the_mask_s_classes_and_default_are_those_of_the_udm2():
    # written twice, because importing the scene room is too slow for --help
    from rtsmap.cli.options import MASK_CLASSES
    from rtsmap.cli.predict import predict
    from rtsmap.scene import CLASSES, DEFAULT_MASK

    assert set(MASK_CLASSES) == set(CLASSES)
    (mask,) = (parameter for parameter in predict.params if parameter.name == "mask")
    assert mask.default == DEFAULT_MASK


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("words", [words for words in all_commands(group) if len(words) < 2], ids=" ".join)
def test_summaries_of_commands_are_whole_sentences(rtsmap, monkeypatch, words, width):
    monkeypatch.setenv("COLUMNS", str(width))
    _, out, _ = rtsmap(*words, "-h")
    _, _, listed = out.partition("Commands:\n")
    assert "..." not in listed
    assert all(len(line) <= width for line in listed.splitlines())
    if listed:
        assert len(re.findall(r"\.$", listed, re.MULTILINE)) >= len(re.findall(r"^  \w", listed, re.MULTILINE))


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("rtsmap pre", ["predict"]),
        ("rtsmap evaluate m", ["maps"]),
        ("rtsmap predict --over", ["--overlap", "--overwrite"]),
    ],
)
def test_the_shell_completes_commands_and_options(typed, completed):
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    environment = {**os.environ, **words, "_RTSMAP_COMPLETE": "bash_complete"}
    code = "from rtsmap.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == completed


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_guide_s_line_for_each_shell_is_right(shell):
    guide = (Path(__file__).parents[1] / "docs" / "guide" / "install.md").read_text()
    (line,) = (line for line in guide.splitlines() if f"_RTSMAP_COMPLETE={shell}_source" in line)
    environment = {**os.environ, "_RTSMAP_COMPLETE": f"{shell}_source"}
    code = "from rtsmap.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "_rtsmap_completion" in done.stdout
    assert "rtsmap" in line
