"""`rtsmap simulate scene`."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options
from rtsmap.cli.progress import progress_bar
from rtsmap.cli.simulate.options import Day, scene_options

if TYPE_CHECKING:
    from rtsmap.simulate.product.writing import Written
    from rtsmap.simulate.scene import SceneOptions, World


@click.command()
@scene_options
@click.option("--date", "day", type=Day(), help="Day of the acquisition.  [default: in July or August]")
@click.option("--lowland", is_flag=True, help="Flat ground full of lakes, ponds, drained lakes and polygon nets.")
@click.option("--coast", is_flag=True, help="The sea on one side, with beaches, beach ridges and spits.")
@click.option(
    "--thin-clouds", type=options.Real(0, 0.9), default=0.0, metavar="SHARE", help="Under thin cloud.  [default: 0]"
)
@click.option(
    "--vary",
    type=options.Real(0, 2),
    default=0.0,
    metavar="FACTOR",
    help="How much wider than measured colours, contrast, texture, season and haze are drawn; 1 is wide.  [default: 0]",
)
@click.option("--upright", is_flag=True, help="A footprint that fills the raster, as a tile of a mosaic does.")
def scene(
    output: Path,
    settings: "SceneOptions",
    day: date | None,
    lowland: bool,
    coast: bool,
    thin_clouds: float,
    vary: float,
    upright: bool,
    overwrite: bool,
) -> None:
    """Simulate a PlanetScope scene with known slumps.

    Writes the surface reflectance (<id>_3B_AnalyticMS_SR.tif), the usable data mask (_3B_udm2.tif) and the metadata as
    of a real product, and <id>_truth.gpkg: the slumps as painted (rts), as a person would have drawn them (labels),
    ground that only looks like slumps (lookalikes), and the footprint. docs/simulation.md tells what is measured.
    --lowland, --coast, --thin-clouds and --vary are chosen rather than measured, for networks that shall learn from
    more than one kind of ground; without them a seed gives the scene that it always gave.

    \b
    Examples:
      rtsmap simulate scene -o simulated --region west-siberia --seed 7
      rtsmap simulate scene -o small --pixels 1024 1024 --slumps 5 --no-clouds
      rtsmap simulate scene -o coast --region chukotka --lowland --coast --thin-clouds 0.2 --vary 1
      rtsmap predict small/*_SR.tif -o slumps.gpkg
    """
    from rtsmap.simulate.scene import make_world

    chosen = replace(
        settings, day=day, lowland=lowland, coast=coast, thin_clouds=thin_clouds, vary=vary, upright=upright
    )
    world = make_world(chosen)
    written = _write(world, output, overwrite=overwrite)
    grid = world.frame.grid
    click.echo(
        f"{written.image}: {grid.width} x {grid.height} pixels, {written.n_slumps} slumps, "
        f"{written.clear_fraction:.0%} clear; truth: {written.truth}"
    )


def _write(world: "World", folder: Path, *, overwrite: bool) -> "Written":
    from rtsmap.simulate.product.writing import write_product

    with progress_bar("tile", world.frame.item_id) as progress:
        return write_product(world, folder, overwrite=overwrite, progress=progress)
