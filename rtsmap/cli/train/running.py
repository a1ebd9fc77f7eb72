"""Options, settings and progress that the training commands share."""

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

#: Number of steps between two lines of progress if the output is not a terminal.
STEPS_PER_LINE = 100


def training_options(command: Command) -> Command:
    """Add the options of every command that trains one network."""
    for decorate in reversed(
        (
            click.argument("dataset", type=options.input_path),
            click.option("-o", "--output", type=options.output_folder, required=True, help="Folder of the model."),
            click.option(
                "--without",
                multiple=True,
                metavar="SITE|FOLD",
                help="Leave this site or fold out, to test on it; repeatable.",
            ),
            click.option(
                "--validate",
                multiple=True,
                metavar="SITE|FOLD",
                help="Leave it out of the training, but publish the weights that score best on it; repeatable.",
            ),
            click.option(
                "--unlabelled",
                type=options.input_path,
                metavar="DATASET",
                help="Train on its images too, without labels; give DATASET again for those that training leaves out.",
            ),
            click.option(
                "--config", type=options.input_path, help="TOML file with settings; see rtsmap train template."
            ),
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
    """Return the settings of a file, or the defaults with an architecture, with single changes and fixed values."""
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
    """Train and show the progress; the arguments after the settings are those of `training_options`."""
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
    is_main_process = os.environ.get("RANK", "0") == "0"  # the first of several processes
    for role, one in (("training", learned), ("validation", held), ("unlabelled", unlabelled_data)):
        if one is not None and is_main_process:
            sites = ", ".join(one.sites)
            click.echo(f"{role}: {len(one.images)} images, {one.slumps} slumps, sites: {sites}", err=True)
    last: list[Progress] = []
    with progress_bar(is_main_process=is_main_process) as (_, progress):

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
def progress_bar(
    *, is_main_process: bool = True
) -> "Iterator[tuple[Callable[[str], None], Callable[[Progress], None]]]":
    """Show a progress bar on a terminal, and lines of progress elsewhere.

    Args:
        is_main_process: false for all but the first of several processes.

    Yields:
        A function that prints a line, and a function that shows the progress.
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
