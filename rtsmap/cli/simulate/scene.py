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
    from rtsmap.simulate.scene import SceneOptions, SimulatedScene


@click.command()
@scene_options
@click.option("--date", "day", type=Day(), help="Day of the acquisition.  [default: random, in July or August]")
@click.option("--lowland", is_flag=True, help="Flat ground with lakes, ponds, drained basins and polygon nets.")
@click.option("--coast", is_flag=True, help="Sea on one side, with beaches, beach ridges and spits.")
@click.option(
    "--thin-clouds",
    type=options.Real(0, 0.9),
    default=0.0,
    metavar="SHARE",
    help="Share under thin clouds.  [default: 0]",
)
@click.option(
    "--vary",
    type=options.Real(0, 2),
    default=0.0,
    metavar="FACTOR",
    help="Let colours, contrast, texture, phenology and haze vary more than measured; 1 is much more.  [default: 0]",
)
@click.option("--upright", is_flag=True, help="Let the footprint fill the raster, as in a tile of a mosaic.")
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

    The command writes the files of a real product: the surface reflectance (<id>_3B_AnalyticMS_SR.tif), the usable data
    mask (<id>_3B_udm2.tif) and the metadata. It also writes <id>_truth.gpkg, which holds the slumps as rendered (rts),
    the slumps as a person would have drawn them (labels), ground that looks like slumps but is not (lookalikes), and
    the footprint. docs/simulation.md describes what is measured. What --lowland, --coast, --thin-clouds and --vary add
    is chosen, not measured, and meant for training on more kinds of ground; they do not change scenes without them.

    \b
    Examples:
      rtsmap simulate scene -o simulated --region west-siberia --seed 7
      rtsmap simulate scene -o small --pixels 1024 1024 --slumps 5 --no-clouds
      rtsmap simulate scene -o coast --region chukotka --lowland --coast --thin-clouds 0.2 --vary 1
      rtsmap predict small/*_SR.tif -o slumps.gpkg
    """
    from rtsmap.simulate.scene import make_scene

    chosen = replace(
        settings, day=day, lowland=lowland, coast=coast, thin_clouds=thin_clouds, vary=vary, upright=upright
    )
    scene = make_scene(chosen)
    written = _write(scene, output, overwrite=overwrite)
    grid = scene.acquisition.grid
    click.echo(
        f"{written.image}: {grid.width} x {grid.height} pixels, {written.n_slumps} slumps, "
        f"{written.clear_fraction:.0%} clear; truth: {written.truth}"
    )


def _write(scene: "SimulatedScene", folder: Path, *, overwrite: bool) -> "Written":
    from rtsmap.simulate.product.writing import write_product

    with progress_bar("tile", scene.acquisition.item_id) as progress:
        return write_product(scene, folder, overwrite=overwrite, progress=progress)
