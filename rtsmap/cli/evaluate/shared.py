"""Options and steps that the commands of `rtsmap evaluate` share."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options

if TYPE_CHECKING:
    from rtsmap.evaluation.matching import Comparison
    from rtsmap.settings.card import ModelCard

output_folder = click.option(
    "-o",
    "--output",
    type=options.output_folder,
    metavar="FOLDER",
    help="Also write scores and the precision-recall curve to this folder.",
)
tune = click.option(
    "--tune", is_flag=True, help="Write the threshold and the smallest area of the highest F1 to the model's card."
)


calibrate = click.option(
    "--calibrate", is_flag=True, help="Write the calibration of scores to probabilities to the model's card."
)
reliability = click.option(
    "--reliability",
    type=options.output_path,
    metavar="PNG",
    help="Draw how often predictions of each score are slumps; with --calibrate, before and after calibration.",
)


def report_files(folder: Path | None, *others: str) -> list[Path]:
    """Return the files that will be written to the output folder, if there is one."""
    from rtsmap.evaluation.report_files import REPORT_FILES

    return [folder / name for name in (*REPORT_FILES, *others)] if folder else []


def write_best(comparison: "Comparison", folder: Path, card: "ModelCard", min_iou: float = 0.5) -> None:
    """Tune the card of a model, and print what changed."""
    from rtsmap.evaluation.tuning import tune, write_tuned
    from rtsmap.predict.options import Options

    best, before = tune(comparison, min_iou), Options().for_model(card)
    write_tuned(folder, card, best)
    click.echo(
        f"tuned {folder}: score_threshold {before.score:g} -> {best.score_threshold:g}, "
        f"min_area_m2 {before.min_area_m2:g} -> {best.min_area_m2:g}, F1 {best.f1 * 100:.1f} % here"
    )
