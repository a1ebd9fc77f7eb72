"""`rtsmap evaluate chips`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options
from rtsmap.cli.evaluate import shared
from rtsmap.cli.progress import progress_bar

if TYPE_CHECKING:
    from rtsmap.dataset.images import Dataset
    from rtsmap.evaluation.predictions import Predictions
    from rtsmap.settings.card import ModelCard


@click.command()
@click.argument("dataset", type=options.input_path)
@options.model
@click.option(
    "--only", multiple=True, metavar="SITE|FOLD", help="Score only images of this site or fold; may be repeated."
)
@click.option(
    "--detections",
    multiple=True,
    type=options.input_path,
    metavar="FILE",
    help="Score the detections.json of an earlier run instead of running a model; may be repeated, as for folds.",
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
    """Score a model on the images of a data set, or score predictions of an earlier run.

    Outlines are scored by COCO's rules. The command prints AP50 with its 95 % interval, AP and AR, and, at the
    threshold of the model, precision, recall, F1 and the number of false slumps per 100 km2, for all images, by site
    and by size class. With -o it also writes the predictions (detections.json, with uncalibrated scores), the scores
    and the precision-recall curve.

    --tune writes the threshold and the smallest area of the highest F1 on these images to the model's card. --calibrate
    writes a calibration to the card: from then on, a score is the probability that an outline matches a slump
    (IoU 0.5). Both need images on which the networks were not trained, such as the folds of a cross-validation.

    \b
    Examples:
      rtsmap evaluate chips dataset --model runs/mine --only fold-0 -o scores
      rtsmap evaluate chips dataset --detections fold-0/detections.json --detections fold-1/detections.json
      rtsmap evaluate chips dataset --model runs/mine --only validation --tune
      rtsmap evaluate chips dataset --detections fold-0/detections.json --detections fold-1/detections.json \\
          --model runs/mine --calibrate --tune --reliability reliability.png
    """
    from rtsmap.dataset.folder_contents import dataset_files
    from rtsmap.dataset.images import read_dataset
    from rtsmap.errors import DatasetError
    from rtsmap.evaluation.image_scores import compare_images, covered, score_images
    from rtsmap.evaluation.predictions import read_all, write_predictions
    from rtsmap.evaluation.report_files import write_report
    from rtsmap.evaluation.report_text import headline, table
    from rtsmap.evaluation.score_calibration import with_probabilities
    from rtsmap.evaluation.tuning import check_tunable
    from rtsmap.files.outputs import check_outputs
    from rtsmap.models import find_model, model_files
    from rtsmap.predict.options import Options

    # the predictions of a file may be of any model, so the card of a model is used only if --model is given
    named = not detections or context.get_parameter_source("model") != click.core.ParameterSource.DEFAULT
    if (tune or calibrate) and not named:
        raise click.UsageError(f"--{'tune' if tune else 'calibrate'} needs --model, whose card it changes.")
    folder, card = find_model(model) if named else (None, None)
    inputs = [*dataset_files(dataset), *detections, *(model_files(folder, card) if folder and card else [])]
    files = shared.report_files(output, "detections.json")
    check_outputs(*files, reliability, overwrite=overwrite, inputs=inputs)
    if folder and (tune or calibrate):
        check_tunable(folder)
    images = read_dataset(dataset)
    images = images.subset(only) if only else images
    predictions = read_all(detections, images) if detections else _predict(folder, card, images, device, tta)
    chosen = covered(images, predictions, partly=bool(only))
    if not chosen.slumps:
        raise DatasetError(f"{dataset}: the chosen images hold no slump, so that there is nothing to score")
    lines: list[str] = []
    if calibrate or reliability:
        card, lines = _calibrate(chosen, predictions, folder if calibrate else None, card, reliability, tta, overwrite)
    scored = with_probabilities(predictions, card.calibration if card else None)
    limits = Options().for_model(card) if card else None
    report = score_images(
        chosen,
        scored,
        threshold=limits.score if limits else None,
        min_area_m2=limits.min_area_m2 if limits else 0.0,
        measure_area=True,
    )
    left_out = (
        f", {len(images.images) - len(chosen.images)} left out" if len(chosen.images) < len(images.images) else ""
    )
    by = f"{card.name} {card.version}, from {limits.min_area_m2:g} m2 on" if card and limits else "threshold of best F1"
    click.echo(f"{len(chosen.images)} images{left_out}, {chosen.slumps} slumps; {by}")
    click.echo("\n".join([*headline(report), "", *table(report)]))
    if output:
        of_chosen = {image.name: predictions[image.name] for image in chosen.images}
        write_predictions(output / "detections.json", chosen, of_chosen, overwrite=overwrite)
        write_report(output, report, card.name if card else dataset.name, overwrite=overwrite)
        click.echo(f"scores.csv, scores.md, precision_recall.csv, precision_recall.png, detections.json -> {output}")
    click.echo("".join(f"{line}\n" for line in lines), nl=False)
    if tune and folder and card:
        shared.write_best(compare_images(chosen, scored), folder, card)


def _calibrate(
    images: "Dataset",
    predictions: "Predictions",
    folder: Path | None,
    card: "ModelCard | None",
    reliability: Path | None,
    views: int,
    overwrite: bool,
) -> "tuple[ModelCard | None, list[str]]":
    """Fit and draw a calibration, and write it to the card if a folder is given; return the card and lines of text."""
    from rtsmap.evaluation.reliability import curves_of, reliability_lines, write_reliability
    from rtsmap.evaluation.score_calibration import evidence_of, fit, write_calibrated
    from rtsmap.predict.options import Options

    evidence = evidence_of(images, predictions, Options().for_model(card).min_area_m2 if card else 0.0)
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


def _predict(folder: Path | None, card: "ModelCard | None", images: "Dataset", device: str, tta: int) -> "Predictions":
    """Return the predictions of a model, with uncalibrated scores."""
    from rtsmap.detector import build_detector
    from rtsmap.evaluation.predictions import LOWEST_SCORE, predict_images
    from rtsmap.models import verify

    assert folder is not None
    assert card is not None
    verify(folder, card)
    raw = card.model_copy(update={"calibration": None})
    detector = build_detector(folder, raw, device, min_score=LOWEST_SCORE, tta=tta)
    with progress_bar("image", total=len(images.images)) as progress:
        return predict_images(images, raw, detector, progress=progress)
