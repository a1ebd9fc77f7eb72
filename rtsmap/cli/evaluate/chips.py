"""`rtsmap evaluate chips`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options
from rtsmap.cli.evaluate import shared

if TYPE_CHECKING:
    from rtsmap.config import ModelCard
    from rtsmap.dataset.images import Dataset
    from rtsmap.evaluation.detections import Found


@click.command()
@click.argument("dataset", type=options.input_path)
@options.model
@click.option("--only", multiple=True, metavar="SITE|FOLD", help="Only images of this site or fold; may be repeated.")
@click.option(
    "--detections",
    multiple=True,
    type=options.input_path,
    metavar="FILE",
    help="Score this file of an earlier run instead of running a model; may be repeated, such as one for each fold.",
)
@shared.output_folder
@options.overwrite
@shared.tune
@options.device
@click.pass_context
def chips(
    context: click.Context,
    dataset: Path,
    model: str,
    only: tuple[str, ...],
    detections: tuple[Path, ...],
    output: Path | None,
    overwrite: bool,
    tune: bool,
    device: str,
) -> None:
    """Score a model on the images of a data set, or detections that it made before.

    By COCO's rules, on outlines: AP50 with its 95 % interval, AP, AR, and precision, recall and F1 at the threshold of
    the model, all together, by site and by size. With -o the detections, the scores and the precision-recall curve are
    written. --tune puts the threshold and the smallest area of best F1 on these images into the model's card.

    \b
    Example:
      rtsmap evaluate chips dataset --model runs/mine --only fold-0 -o scores
      rtsmap evaluate chips dataset --detections fold-0/detections.json --detections fold-1/detections.json
      rtsmap evaluate chips dataset --model runs/mine --only validation --tune
    """
    from rtsmap.dataset.images import read_dataset
    from rtsmap.errors import DatasetError
    from rtsmap.evaluation.chips import compare_images, covered, score_chips
    from rtsmap.evaluation.detections import read_all, write_detections
    from rtsmap.evaluation.report import headline, table, write_report
    from rtsmap.evaluation.tuning import check_tunable
    from rtsmap.models import find_model
    from rtsmap.predict import Options

    # detections of a file may be of any model: its threshold counts only where it is named
    named = not detections or context.get_parameter_source("model") != click.core.ParameterSource.DEFAULT
    if tune and not named:
        raise click.UsageError("--tune needs --model, whose card is to be changed.")
    shared.check_output(output, overwrite=overwrite)
    folder, card = find_model(model) if named else (None, None)
    if folder and tune:
        check_tunable(folder)
    images = read_dataset(dataset)
    images = images.subset(only) if only else images
    found = read_all(detections, images) if detections else _detect(folder, card, images, device)
    chosen = covered(images, found, partly=bool(only))
    if not chosen.slumps:
        raise DatasetError(f"{dataset}: the images chosen hold no slump, so there is nothing to find")
    limits = Options().for_model(card) if card else None
    report = score_chips(
        chosen,
        found,
        threshold=limits.score if limits else None,
        min_area_m2=limits.min_area_m2 if limits else 0.0,
    )
    left_out = (
        f", {len(images.images) - len(chosen.images)} left out" if len(chosen.images) < len(images.images) else ""
    )
    by = f"{card.name} {card.version}, from {limits.min_area_m2:g} m2 on" if card and limits else "threshold of best F1"
    click.echo(f"{len(chosen.images)} images{left_out}, {chosen.slumps} slumps; {by}")
    click.echo("\n".join([*headline(report), "", *table(report)]))
    if output:
        write_detections(output / "detections.json", chosen, {image.name: found[image.name] for image in chosen.images})
        write_report(output, report, card.name if card else dataset.name)
        click.echo(f"scores.csv, precision_recall.csv, precision_recall.png, detections.json -> {output}")
    if tune and folder and card:
        shared.write_best(compare_images(chosen, found), folder, card)


def _detect(folder: Path | None, card: "ModelCard | None", images: "Dataset", device: str) -> "Found":
    from tqdm import tqdm

    from rtsmap.detector import load_detector
    from rtsmap.evaluation.detections import LOWEST_SCORE, detect_images
    from rtsmap.models import verify

    assert folder is not None
    assert card is not None
    verify(folder, card)
    detector = load_detector(folder, card, device, min_score=LOWEST_SCORE)
    with tqdm(total=len(images.images), unit="image", disable=None) as bar:

        def progress(done: int, _total: int) -> None:
            bar.update(done - bar.n)

        return detect_images(images, card, detector, progress=progress)
