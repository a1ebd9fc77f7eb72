"""`rtsmap track`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options
from rtsmap.cli.progress import progress_bar
from rtsmap.cli.simulate.options import LonLat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtsmap.tracks import Summary


@click.command()
@click.argument("layers", nargs=-1, required=True, type=options.input_path, metavar="LAYER...")
@click.option(
    "-o", "--output", type=options.output_path, required=True, metavar="GPKG", help="GeoPackage of the tracks."
)
@click.option("--date-field", metavar="FIELD", help="Field with the dates.  [default: the usual names are tried]")
@click.option("--layer", metavar="NAME", help="Name of the layer in files with several layers.  [default: thaw_slumps]")
@click.option(
    "--observed",
    type=options.input_path,
    multiple=True,
    metavar="FILE",
    help="Observed areas (polygons with dates), for layers without them; may be repeated.",
)
@click.option(
    "--min-score", type=options.share, default=0.0, show_default=True, help="Leave out outlines with a lower score."
)
@click.option(
    "--placement-error",
    type=options.positive,
    default=6.0,
    show_default=True,
    metavar="M",
    help="Largest displacement between two images, m.",
)
@click.option(
    "--boundary-error",
    type=options.positive,
    metavar="M",
    help="Standard error of the position of outlines, m.  [default: estimated from the tracks]",
)
@click.option(
    "--correlation-length",
    type=options.positive,
    default=30.0,
    show_default=True,
    metavar="M",
    help="Distance along an outline over which its errors are correlated, m.",
)
@click.option(
    "--min-overlap",
    type=options.share,
    default=0.3,
    show_default=True,
    help="Smallest common share of the smaller outline, after a buffer of the placement error, for one slump.",
)
@click.option(
    "--min-part",
    type=options.share,
    default=0.5,
    show_default=True,
    help="Smallest common share of the smaller outline, without a buffer, for merges and splits.",
)
@click.option(
    "--bridge",
    type=click.IntRange(0),
    default=2,
    show_default=True,
    help="Epochs in which a slump may be observed and not found before its track ends.",
)
@click.option("--monotone", is_flag=True, help="Also compute areas that never shrink (isotonic regression).")
@click.option("--dem", metavar="FILE", help="Elevation model, m, which identifies headwalls: they face uphill.")
@click.option(
    "--scenes",
    type=options.input_path,
    multiple=True,
    metavar="FILE",
    help="Scene for pictures and --align; may be repeated.",
)
@click.option("--align", is_flag=True, help="Correct the displacement of each epoch from the first one, by --scenes.")
@click.option(
    "--plots", type=options.output_folder, metavar="FOLDER", help="Folder for plots of the fastest-growing tracks."
)
@click.option("--most-plots", type=click.IntRange(1), default=20, show_default=True, help="Largest number of plots.")
@click.option(
    "--animation",
    type=options.output_path,
    metavar="GIF|WEBP",
    help="Animation of a site through the years, made from --scenes.",
)
@click.option("--site", type=LonLat(), help="Centre of the animation.  [default: the slump that grows fastest]")
@click.option(
    "--site-km",
    type=options.positive,
    default=1.0,
    show_default=True,
    metavar="KM",
    help="Width of the animation, km.",
)
@options.overwrite
def track(
    layers: tuple[Path, ...],
    output: Path,
    date_field: str | None,
    layer: str | None,
    observed: tuple[Path, ...],
    min_score: float,
    placement_error: float,
    boundary_error: float | None,
    correlation_length: float,
    min_overlap: float,
    min_part: float,
    bridge: int,
    monotone: bool,
    dem: str | None,
    scenes: tuple[Path, ...],
    align: bool,
    plots: Path | None,
    most_plots: int,
    animation: Path | None,
    site: tuple[float, float] | None,
    site_km: float,
    overwrite: bool,
) -> None:
    """Follow slumps through the years.

    LAYERs are maps of rtsmap, or published outlines with dates, of two or more years and in any order. The outlines of
    one year are one epoch. The output is a GeoPackage with four layers: the slumps (tracks), their outlines in each
    epoch (outlines), their events (events) and the ground that they gained (growth). The Temporal Controller of QGIS
    animates the layers.

    \b
    Examples:
      rtsmap track 2019.gpkg 2020.gpkg 2021.gpkg -o tracks.gpkg
      rtsmap track published.gpkg --date-field year -o tracks.gpkg --plots plots
      rtsmap track 20*.gpkg -o tracks.gpkg --scenes 2019.tif --scenes 2021.tif --animation site.gif
    """
    import shlex
    import sys

    from rtsmap.files.outputs import check_outputs
    from rtsmap.tracks import TrackOptions, track_layers
    from rtsmap.tracks.animation import check_animation, write_animation
    from rtsmap.tracks.plotting import write_plots

    if output.suffix.lower() != ".gpkg":
        raise click.UsageError(f"{output}: end the name in .gpkg; tracks are written as a GeoPackage.")
    if animation and not scenes:
        raise click.UsageError("--animation needs --scenes, from which it is made.")
    if align and len(scenes) < 2:
        raise click.UsageError("--align needs two or more --scenes, between which it measures the displacement.")
    check_outputs(output, animation, overwrite=overwrite, inputs=[*layers, *observed, *scenes, dem])
    if animation:
        check_animation(animation)
    chosen = TrackOptions(
        date_field=date_field,
        layer=layer,
        observed=observed,
        min_score=min_score,
        placement_error_m=placement_error,
        boundary_error_m=boundary_error,
        correlation_m=correlation_length,
        min_overlap=min_overlap,
        min_part=min_part,
        bridge=bridge,
        monotone=monotone,
        align=scenes if align else (),
        dem=dem,
    )
    with progress_bar("outline") as progress:
        summary = track_layers(layers, output, chosen, command=shlex.join(sys.argv), progress=progress)
    click.echo("\n".join([*_summary_lines(summary), f"tracks -> {output}"]))
    if plots:
        drawn = write_plots(output, plots, most=most_plots, scenes=scenes)
        click.echo(f"{drawn} plots -> {plots}")
    if animation:
        write_animation(output, animation, scenes, site=site, width_m=1000 * site_km)
        click.echo(f"animation -> {animation}")


def _summary_lines(summary: "Summary") -> "Iterator[str]":
    model = summary.model
    origin = f"estimated from {model.n_tracks} tracks" if model.n_tracks else "stated"
    yield f"{summary.n_tracks} slumps, {summary.n_outlines} outlines, epochs {', '.join(map(str, summary.epochs))}"
    yield ", ".join(f"{summary.trends[trend]} {trend or 'without a rate'}" for trend in _TRENDS)
    yield "events: " + ", ".join(f"{count} {kind}" for kind, count in sorted(summary.events.items()))
    yield f"boundary error {model.boundary_error_m:.1f} m for a slump 80 m across, {origin}"
    for shift in summary.shifts:
        moved = f"{shift.east_m:.1f} m east, {shift.north_m:.1f} m north of the first scene"
        yield f"{shift.scene}: {moved} (+- {shift.spread_m:.1f} m, {shift.windows} windows); moved back"
    changed, same = summary.between_models
    if not math.isnan(changed):  # NaN if no track has outlines of two models
        yield f"median ratio of areas {changed:.2f} where the model changes, {same:.2f} where it does not"


_TRENDS = ("growing", "stable", "shrinking", None)
