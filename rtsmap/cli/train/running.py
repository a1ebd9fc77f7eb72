"""What the commands that train share: options, settings, progress."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rtsmap.cli import options

if TYPE_CHECKING:
    from rtsmap.settings.training import TrainConfig
    from rtsmap.training.loop import Progress

Command = TypeVar("Command", bound=Callable[..., Any])

#: Steps between two lines where the output is no terminal.
STEPS_PER_LINE = 100


def training_options(command: Command) -> Command:
    """Those of every command that trains one network."""
    for decorate in reversed(
        (
            click.argument("dataset", type=options.input_path),
            click.option("-o", "--output", type=options.output_folder, required=True, help="Of the model."),
            click.option(
                "--without", multiple=True, metavar="SITE|FOLD", help="Leave it out, to test on it; repeatable."
            ),
            click.option(
                "--validate",
                multiple=True,
                metavar="SITE|FOLD",
                help="Do not learn from it, but publish the weights that are best there; repeatable.",
            ),
            click.option(
                "--unlabelled",
                type=options.input_path,
                metavar="DATASET",
                help="Learn from its images too, not from its labels; the same one again for what is left out of it.",
            ),
            click.option("--config", type=options.input_path, help="Settings in TOML; see rtsmap train template."),
            set_,
            options.device,
        )
    ):
        command = decorate(command)
    return command


set_ = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one setting, such as iterations=500 or network.fusion=cross; repeatable.",
)


def settings_of(config: Path | None, network: str | None, changes: Sequence[str], **fixed: object) -> "TrainConfig":
    """The settings of a file, or the defaults with an architecture; then single changes; then what a command fixes."""
    from rtsmap.settings.network import PRESETS
    from rtsmap.settings.training import TrainConfig

    if config and network:
        raise click.UsageError("--network and --config exclude each other; set the network in the file")
    settings = TrainConfig.from_toml(config) if config else TrainConfig(network=PRESETS[network or "mini"])
    return settings.changed(changes).updated(**fixed)


def run(
    settings: "TrainConfig",
    *,
    dataset: Path,
    output: Path,
    without: Sequence[str],
    validate: Sequence[str],
    unlabelled: Path | None,
    device: str,
) -> None:
    """Train, telling how far it is; arguments other than the settings are those of `training_options`."""
    from rtsmap.dataset import read_dataset
    from rtsmap.errors import INSTALL_TORCH, ModelError

    try:
        from rtsmap.training.loop import train
        from rtsmap.training.teacher import unlabelled_part
    except ImportError as error:
        raise ModelError(f"training needs torch and detectron2 ({error}); {INSTALL_TORCH}") from error
    whole = read_dataset(dataset).without(without)
    held = whole.subset(validate) if validate else None
    learned = whole.without(validate)
    unlabelled_data = unlabelled_part(read_dataset(unlabelled), learned) if unlabelled else None
    is_main_process = os.environ.get("RANK", "0") == "0"  # of several processes the first
    for role, one in (("training", learned), ("validation", held), ("without labels", unlabelled_data)):
        if one is not None and is_main_process:
            sites = ", ".join(one.sites)
            click.echo(f"{role}: {len(one.images)} images, {one.slumps} slumps, sites: {sites}", err=True)
    last: list[Progress] = []
    with bar_of(is_main_process=is_main_process) as (_, progress):

        def remember(now: "Progress") -> None:
            last[:] = [now]
            progress(now)

        card = train(
            learned, settings, output, validation=held, unlabelled=unlabelled_data, device=device, progress=remember
        )
    if not is_main_process:
        return
    if last:
        click.echo(f"the network waited for chips {last[0].waiting_s / last[0].seconds:.1%} of the time", err=True)
    click.echo(f"{output}  SHA-256 {card.sha256}")
    click.echo(f"Next: rtsmap predict SCENE -o slumps.gpkg --model {output}", err=True)


@contextmanager
def bar_of(*, is_main_process: bool = True) -> "Iterator[tuple[Callable[[str], None], Callable[[Progress], None]]]":
    """A progress bar on a terminal, a line now and then elsewhere.

    Args:
        is_main_process: false for all but the first of several processes.

    Yields:
        What tells a line, and what tells the progress.
    """
    from tqdm import tqdm

    with tqdm(unit="it", disable=None if is_main_process else True) as bar:

        def announce(line: str) -> None:
            bar.write(line, file=sys.stderr)

        def progress(now: "Progress") -> None:
            loss = f"loss {sum(now.losses.values()):.3f}"
            bar.total, bar.n = now.steps, now.step
            bar.set_postfix_str(loss)
            if now.validation_ap50 is not None:
                announce(f"iteration {now.step}: validation AP50 {now.validation_ap50:.1%}")
            elif bar.disable and now.step % STEPS_PER_LINE == 0:
                announce(f"iteration {now.step} of {now.steps}: {loss}")

        yield announce, progress
