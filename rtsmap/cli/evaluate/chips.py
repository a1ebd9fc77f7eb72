"""`rtsmap evaluate chips`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options
from rtsmap.cli.evaluate import shared
from rtsmap.cli.progress import progress_bar

if TYPE_CHECKING:
    from rtsmap.dataset.images import Dataset
    from rtsmap.evaluation.detections import Found
    from rtsmap.settings.card import ModelCard


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
@shared.calibrate
@shared.reliability
@options.tta
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
    calibrate: bool,
    reliability: Path | None,
    tta: int,
    device: str,
) -> None:
    """Score a model on the images of a data set, or detections that it made before.

    By COCO's rules, on outlines: AP50 with its 95 % interval, AP, AR, and precision, recall, F1 and false slumps on
    100 km2 at the threshold of the model, all together, by site and by size. With -o the detections (with the network's
    own scores), the scores and the precision-recall curve are written.

    --tune puts the threshold and the smallest area of best F1 on these images into the model's card. --calibrate puts
    what turns scores into probabilities there: from then on a score says how likely an outline is to be that of a slump
    (IoU 0.5). Both need images that the networks were not trained on, such as the folds of a cross-validation.

    \b
    Example:
      rtsmap evaluate chips dataset --model runs/mine --only fold-0 -o scores
      rtsmap evaluate chips dataset --detections fold-0/detections.json --detections fold-1/detections.json
      rtsmap evaluate chips dataset --model runs/mine --only validation --tune
      rtsmap evaluate chips dataset --detections fold-0/detections.json --detections fold-1/detections.json \\
          --model runs/mine --calibrate --tune --reliability reliability.png
    """
    from rtsmap.dataset.images import read_dataset
    from rtsmap.dataset.recognising import dataset_files
    from rtsmap.errors import DatasetError
    from rtsmap.evaluation.calibration import with_probabilities
    from rtsmap.evaluation.chips import compare_images, covered, score_chips
    from rtsmap.evaluation.detections import read_all, write_detections
    from rtsmap.evaluation.tables import headline, table
    from rtsmap.evaluation.tuning import check_tunable
    from rtsmap.evaluation.writing import write_report
    from rtsmap.files.outputs import check_outputs
    from rtsmap.models import find_model, model_files
    from rtsmap.predict.options import Options

    # detections of a file may be of any model: its threshold and calibration count only where it is named
    named = not detections or context.get_parameter_source("model") != click.core.ParameterSource.DEFAULT
    if (tune or calibrate) and not named:
        raise click.UsageError(f"--{'tune' if tune else 'calibrate'} needs --model, whose card is to be changed.")
    folder, card = find_model(model) if named else (None, None)
    inputs = [*dataset_files(dataset), *detections, *(model_files(folder, card) if folder and card else [])]
    files = shared.report_files(output, "detections.json")
    check_outputs(*files, reliability, overwrite=overwrite, inputs=inputs)
    if folder and (tune or calibrate):
        check_tunable(folder)
    images = read_dataset(dataset)
    images = images.subset(only) if only else images
    found = read_all(detections, images) if detections else _detect(folder, card, images, device, tta)
    chosen = covered(images, found, partly=bool(only))
    if not chosen.slumps:
        raise DatasetError(f"{dataset}: the images chosen hold no slump, so there is nothing to find")
    lines: list[str] = []
    if calibrate or reliability:
        card, lines = _calibrate(chosen, found, folder if calibrate else None, card, reliability, tta, overwrite)
    scored = with_probabilities(found, card.calibration if card else None)
    limits = Options().for_model(card) if card else None
    report = score_chips(
        chosen,
        scored,
        threshold=limits.score if limits else None,
        min_area_m2=limits.min_area_m2 if limits else 0.0,
        ground=True,
    )
    left_out = (
        f", {len(images.images) - len(chosen.images)} left out" if len(chosen.images) < len(images.images) else ""
    )
    by = f"{card.name} {card.version}, from {limits.min_area_m2:g} m2 on" if card and limits else "threshold of best F1"
    click.echo(f"{len(chosen.images)} images{left_out}, {chosen.slumps} slumps; {by}")
    click.echo("\n".join([*headline(report), "", *table(report)]))
    if output:
        of_chosen = {image.name: found[image.name] for image in chosen.images}
        write_detections(output / "detections.json", chosen, of_chosen, overwrite=overwrite)
        write_report(output, report, card.name if card else dataset.name, overwrite=overwrite)
        click.echo(f"scores.csv, scores.md, precision_recall.csv, precision_recall.png, detections.json -> {output}")
    click.echo("".join(f"{line}\n" for line in lines), nl=False)
    if tune and folder and card:
        shared.write_best(compare_images(chosen, scored), folder, card)


def _calibrate(
    images: "Dataset",
    found: "Found",
    folder: Path | None,
    card: "ModelCard | None",
    reliability: Path | None,
    views: int,
    overwrite: bool,
) -> "tuple[ModelCard | None, list[str]]":
    """Draw, and change the card of a model if its folder is given; the card as it is then, and what to say."""
    from rtsmap.evaluation.calibration import evidence_of, fit, write_calibrated
    from rtsmap.evaluation.reliability import curves_of, reliability_lines, write_reliability
    from rtsmap.predict.options import Options

    evidence = evidence_of(images, found, Options().for_model(card).min_area_m2 if card else 0.0)
    before = card.calibration if card else None
    after = fit(evidence, views) if folder else None
    curves = curves_of(evidence, before, after)
    lines = ["", *reliability_lines(evidence, curves)]
    if reliability:
        write_reliability(reliability, curves, card.name if card else images.folder.name, overwrite=overwrite)
        lines.append(f"reliability -> {reliability}")
    if folder and card and after:
        changed = write_calibrated(folder, card, after)
        lines.append(
            f"calibrated {folder}: slope {after.slope:.3f}, intercept {after.intercept:.3f}, "
            f"score_threshold {card.score_threshold:.4g} -> {changed.score_threshold:.4g}"
        )
        card = changed
    return card, lines


def _detect(folder: Path | None, card: "ModelCard | None", images: "Dataset", device: str, tta: int) -> "Found":
    """What a model finds, with the network's own scores."""
    from rtsmap.detector import build_detector
    from rtsmap.evaluation.detections import LOWEST_SCORE, detect_images
    from rtsmap.models import verify

    assert folder is not None
    assert card is not None
    verify(folder, card)
    raw = card.model_copy(update={"calibration": None})
    detector = build_detector(folder, raw, device, min_score=LOWEST_SCORE, tta=tta)
    with progress_bar("image", total=len(images.images)) as progress:
        return detect_images(images, raw, detector, progress=progress)
