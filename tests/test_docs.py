import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import click
import pytest
import yaml

import rtsmap as package
from rtsmap.cli import rtsmap
from rtsmap.cli.reference import reference
from rtsmap.layer import OBSERVED_FIELDS, SLUMP_FIELDS
from rtsmap.layer.reference import with_tables

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("models/**/*.md")]
)
GUIDE = ROOT / "docs" / "guide"
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def test_the_command_line_reference_is_that_of_the_code():
    assert (ROOT / "docs" / "cli.md").read_text() == reference(), "run: make docs"


def test_the_tables_of_the_layer_are_those_of_the_code():
    text = (GUIDE / "layer.md").read_text()
    assert text == with_tables(text), "run: make docs"
    assert [name for name in (*SLUMP_FIELDS, *OBSERVED_FIELDS) if f"| `{name}` |" not in text] == []


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Files and anchors that a page links to."""
    for target, anchor in LINK.findall(FENCE.sub("", page.read_text())):
        if ":" not in target:
            yield (page.parent / unquote(target)).resolve() if target else page, anchor


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_to_files_and_headings_that_exist(page):
    assert [str(target) for target, _ in links(page) if not target.exists()] == []
    wanted = [(target, anchor) for target, anchor in links(page) if anchor and target.suffix == ".md"]
    assert [f"{target.name}#{anchor}" for target, anchor in wanted if anchor not in anchors(target)] == []


def test_every_page_can_be_reached_from_the_readme():
    found, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in found and page.suffix == ".md":
            found.add(page)
            waiting += [target for target, _ in links(page) if target.exists()]
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in found] == []


@each_page
def test_files_and_benchmarks_that_a_page_names_exist(page):
    text = page.read_text()
    named = re.findall(r"`((?:rtsmap|tests|benchmarks|docs|models|examples)/[\w./\-]*)`", text)
    named += [f"benchmarks/{name}.py" for name in re.findall(r"python -m benchmarks\.([a-z]\w*)", text)]
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_pages_that_the_code_names_exist():
    files = [*ROOT.glob("rtsmap/**/*.py"), *ROOT.glob("benchmarks/**/*.py"), *ROOT.glob(".github/**/*.yml")]
    text = "\n".join(file.read_text() for file in [*files, ROOT / "pyproject.toml", ROOT / "Makefile"])
    assert [name for name in sorted(set(re.findall(r"docs/[\w/]+\.md", text))) if not (ROOT / name).exists()] == []


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every rtsmap command in the code blocks of a page."""
    text = page.read_text().replace("\\\n", " ")
    blocks = [*FENCE.findall(text), *re.findall(r"^ {4}rtsmap .*$", text, re.MULTILINE)]
    for line in "\n".join(blocks).splitlines():
        if line.strip().startswith("rtsmap "):
            yield shlex.split(line, comments=True)[1:]


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that words name, and its arguments."""
    command: click.Command = rtsmap
    rest = iter(words)
    while isinstance(command, click.Group) and (name := next(rest, None)) is not None:
        found = command.get_command(click.Context(command), name)
        assert found is not None or name.startswith("-"), f"rtsmap has no command {name}"
        command = found or command
    return command, list(rest)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "cli.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_commands_in_code_blocks_exist_with_their_options(page):
    for words in commands(page):
        command, arguments = command_of(words)
        known = {"-h", "--help", "-V", "--version"} | {option for one in command.params for option in one.opts}
        unknown = [word for word in arguments if re.match(r"--?[a-z]", word) and word not in known]
        assert unknown == [], f"rtsmap {' '.join(words)}"


@each_page
def test_names_of_the_package_in_python_blocks_exist(page):
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    names = {name for block in blocks for name in re.findall(r"\brtsmap\.(\w+)", block)}
    assert [name for name in sorted(names) if not hasattr(package, name)] == []


@cache
def strings_of_the_code() -> tuple[str, ...]:
    """Every text in the package; of one with values in it each piece between them."""
    trees = [ast.parse(file.read_text()) for file in ROOT.glob("rtsmap/**/*.py")]
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return tuple({re.sub(r"%[\w.]+", "...", node.value) for node in nodes if isinstance(node.value, str)})


def messages() -> list[str]:
    """The messages in the first column of the tables of the troubleshooting page."""
    text = (GUIDE / "troubleshooting.md").read_text()
    return re.findall(r"^\| (?:The summary says )?`([^`]*)` \|", text, re.MULTILINE)


@pytest.mark.parametrize("message", messages())
def test_messages_in_troubleshooting_are_those_of_the_code(message):
    pieces = [piece for piece in message.split("...") if re.search(r"\w{3}", piece)]
    assert pieces != []
    assert [piece for piece in pieces if not any(piece in text for text in strings_of_the_code())] == []


def test_issue_templates_are_forms():
    forms = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
    for path in forms:
        form = yaml.safe_load(path.read_text())
        assert {"name", "description", "body"} <= set(form)
        ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert len(ids) == len(set(ids)) > 0
    assert len(forms) > 2


def test_the_readme_names_the_two_commands_that_exist():
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert f"make {target}" in readme
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_lock_pins_every_package_by_hash_and_names_no_address():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    requirements = re.findall(r"^[a-z0-9][^ \n]*==[^\n]*\\\n +--hash=sha256:", lock, re.MULTILINE | re.IGNORECASE)
    assert len(requirements) == len(re.findall(r"^[a-z0-9][^ \n]*==", lock, re.MULTILINE | re.IGNORECASE)) > 50
