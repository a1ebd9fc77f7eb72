"""`rtsmap evaluate maps`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options
from rtsmap.cli.evaluate import shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtsmap.evaluation.map_scores import LabelledMap
    from rtsmap.evaluation.matching import Matching


@click.command()
@click.argument("predicted", type=options.input_path)
@click.argument("labels", type=options.input_path)
@click.option(
    "--iou",
    type=options.share,
    default=0.5,
    show_default=True,
    help="Least overlap (IoU) of a polygon and a label that match.",
)
@click.option(
    "--score",
    type=options.share,
    help="Count only polygons from this score on.  [default: all, with a table of other scores]",
)
@options.labels_layer
@click.option("--predicted-layer", metavar="NAME", help="Layer of the predicted slumps.  [default: thaw_slumps]")
@click.option("--by", metavar="FIELD", help="Field of the labels, such as a region, by which to group the scores.")
@click.option(
    "--matches",
    type=options.output_path,
    metavar="GPKG",
    help="Also write true positives, false positives and misses as a layer.",
)
@shared.output_folder
@options.overwrite
@shared.tune
@click.option("--model", metavar="NAME|DIR", help="Name of a model that comes with rtsmap, or folder of a model.")
def maps(
    predicted: Path,
    labels: Path,
    iou: float,
    score: float | None,
    layer: str | None,
    predicted_layer: str | None,
    by: str | None,
    matches: Path | None,
    output: Path | None,
    overwrite: bool,
    tune: bool,
    model: str | None,
) -> None:
    """Score a predicted layer against outlines drawn by people.

    Only labels inside the observed area count. Predict with a low --score for AP50, so that the precision-recall curve
    is complete, and also with --min-area 0 for --tune.

    \b
    Examples:
      rtsmap predict scene.tif -o slumps.gpkg --score 0.05
      rtsmap evaluate maps slumps.gpkg published_slumps.gpkg --score 0.5 --matches matches.gpkg
      rtsmap evaluate maps slumps.gpkg published_slumps.gpkg --tune --model runs/mine
    """
    from rtsmap.evaluation.map_scores import read_map, report_map
    from rtsmap.evaluation.match_layer import write_matches
    from rtsmap.evaluation.report_files import write_report
    from rtsmap.evaluation.report_text import headline, table
    from rtsmap.evaluation.tuning import check_tunable
    from rtsmap.files.outputs import check_outputs
    from rtsmap.models import find_model

    if tune and not model:
        raise click.UsageError("--tune needs --model, whose card it changes.")
    check_outputs(*shared.report_files(output), matches, overwrite=overwrite, inputs=[predicted, labels])
    tuned = find_model(model) if model and tune else None
    if tuned:
        check_tunable(tuned[0])
    layers = read_map(predicted, labels, predicted_layer=predicted_layer, layer=layer)
    threshold = score or 0.0
    report = report_map(layers, by=by, threshold=threshold, min_iou=iou)
    matching = layers.comparison.match(iou)
    click.echo("\n".join([*headline(report), *_outlines(layers, matching, threshold), "", *table(report)]))
    if score is None:
        click.echo("\n" + "\n".join(_thresholds(layers, matching)))
    if output:
        write_report(output, report, predicted.stem, overwrite=overwrite)
        click.echo(f"scores.csv, scores.md, precision_recall.csv, precision_recall.png -> {output}")
    if matches:
        write_matches(matches, layers, matching, threshold, overwrite=overwrite)
        click.echo(f"matches -> {matches}")
    if tuned:
        shared.write_best(layers.comparison, *tuned, min_iou=iou)


def _outlines(layers: "LabelledMap", matching: "Matching", threshold: float) -> "Iterator[str]":
    import numpy as np

    from rtsmap.evaluation.outline_agreement import area_score, boundary_errors

    area = area_score(layers, threshold)
    yield f"area IoU   {area.iou * 100:.1f} % ({area.shared / 1e6:.3f} km2 shared)"
    areas = f"{area.predicted / 1e6:.3f} km2 predicted, {area.labelled / 1e6:.3f} km2 drawn"
    yield f"area F1    {area.f1 * 100:.1f} % ({areas})"
    errors = boundary_errors(layers, matching, threshold)
    if len(errors):
        yield f"boundary   {np.median(errors):.1f} m median, {np.percentile(errors, 90):.1f} m at 90 %"


def _thresholds(layers: "LabelledMap", matching: "Matching") -> "Iterator[str]":
    import numpy as np

    yield f"{'from score':<12}{'polygons':>9}{'recall %':>10}{'precision %':>13}{'F1 %':>7}{'area F1 %':>11}"
    from rtsmap.evaluation.outline_agreement import area_score

    for threshold in np.arange(1, 10) / 10:
        kept = matching.counts & (layers.comparison.scores >= threshold)
        count, right = int(kept.sum()), int((kept & matching.correct).sum())
        recall, precision = right / max(matching.labels, 1), right / max(count, 1)
        f1 = 2 * right / max(count + matching.labels, 1)
        yield (
            f"{threshold:<12.1f}{count:>9}{recall * 100:>10.1f}{precision * 100:>13.1f}{f1 * 100:>7.1f}"
            f"{area_score(layers, threshold).f1 * 100:>11.1f}"
        )
