"""`rtsmap evaluate maps`."""

from pathlib import Path

import click

from rtsmap.cli import options


@click.command()
@click.argument("predicted", type=options.input_path)
@click.argument("labels", type=options.input_path)
@click.option("--iou", default=0.5, show_default=True, help="Overlap that counts as found; 0.5 gives AP50.")
@click.option("--score", default=0.0, show_default=True, help="Recall and precision count polygons from this score on.")
def maps(predicted: Path, labels: Path, iou: float, score: float) -> None:
    """Score a predicted layer against outlines drawn by people.

    Only labels inside the observed area count. For AP50 predict with a low --score, so that the whole
    precision-recall curve is there.

    \b
    Example:
      rtsmap predict scene.tif -o slumps.gpkg --score 0.05
      rtsmap evaluate maps slumps.gpkg published_slumps.gpkg --score 0.5
    """
    from rtsmap.evaluation.maps import evaluate_files

    result = evaluate_files(predicted, labels, min_iou=iou, score=score)
    low, high = result.interval
    interval = f"(95 % interval {low * 100:.1f} to {high * 100:.1f})"
    click.echo(f"AP{iou * 100:.0f}       {result.average_precision * 100:.1f} % {interval}")
    click.echo(f"recall     {result.recall * 100:.1f} % ({result.matched} of {result.labels} labels)")
    click.echo(f"precision  {result.precision * 100:.1f} % ({result.matched} of {result.predictions} polygons)")
    click.echo(f"F1         {result.f1 * 100:.1f} %")
