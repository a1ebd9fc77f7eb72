"""`rtsmap simulate scene`."""

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options

if TYPE_CHECKING:
    from rtsmap.simulate.product import Written
    from rtsmap.simulate.world import World

# The names of rtsmap.simulate.regions.REGIONS; a test compares them.
REGIONS = ("banks-island", "taimyr", "chukotka", "lena", "tuktoyaktuk", "herschel", "west-siberia")


class Place(click.ParamType[tuple[float, float]]):
    """`LON,LAT` in degrees."""

    name = "LON,LAT"

    def convert(
        self, value: str | tuple[float, float], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        """Parse two numbers."""
        if isinstance(value, tuple):
            return value
        try:
            lon, lat = (float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} does not look like -119.5,72.8", param, ctx)
        return lon, lat


class Day(click.ParamType[date]):
    """`YYYY-MM-DD`."""

    name = "YYYY-MM-DD"

    def convert(self, value: str | date, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Parse a date."""
        if isinstance(value, date):
            return value
        try:
            return datetime.strptime(value, "%Y-%m-%d").date()
        except ValueError:
            self.fail(f"{value!r} is no date such as 2021-07-14", param, ctx)


@click.command()
@click.option("-o", "--output", type=options.input_path, required=True, metavar="FOLDER", help="Where the files go.")
@click.option("--region", type=click.Choice(REGIONS), default="banks-island", show_default=True, help="Its look.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed, the same scene.")
@click.option(
    "--size-km",
    type=(click.FloatRange(0, min_open=True), click.FloatRange(0, min_open=True)),
    metavar="L W",
    help="Length and width of the footprint.  [default: 25 11.5]",
)
@click.option(
    "--pixels", type=(click.IntRange(1), click.IntRange(1)), metavar="W H", help="Size of the raster instead."
)
@click.option("--gsd", type=click.FloatRange(0.5, 30), default=3.0, show_default=True, metavar="M", help="Pixel, m.")
@click.option("--bands", type=click.Choice(["4", "8"]), default="4", show_default=True, help="8: as of SuperDoves.")
@click.option("--at", type=Place(), help="Middle of the scene.  [default: a place in the region]")
@click.option("--date", "day", type=Day(), help="Day of the acquisition.  [default: in July or August]")
@click.option("--clouds", type=click.FloatRange(0, 0.9), metavar="SHARE", help="Under clouds.  [default: drawn]")
@click.option("--no-clouds", is_flag=True, help="A clear sky.")
@click.option("--slumps", type=click.IntRange(0), metavar="N", help="How many.  [default: drawn, as often as mapped]")
@click.option(
    "--density", type=click.FloatRange(0), default=1.0, show_default=True, help="Factor of the slumps per area."
)
@options.overwrite
def scene(
    output: Path,
    region: str,
    seed: int,
    size_km: tuple[float, float] | None,
    pixels: tuple[int, int] | None,
    gsd: float,
    bands: str,
    at: tuple[float, float] | None,
    day: date | None,
    clouds: float | None,
    no_clouds: bool,
    slumps: int | None,
    density: float,
    overwrite: bool,
) -> None:
    """Simulate a PlanetScope scene with known slumps.

    Writes the surface reflectance (<id>_3B_AnalyticMS_SR.tif), the usable data mask (_3B_udm2.tif) and the metadata as
    of a real product, and <id>_truth.gpkg: the slumps as painted (rts), as a person would have drawn them (labels),
    ground that only looks like slumps (lookalikes), and the footprint. docs/simulation.md tells what is measured.

    \b
    Examples:
      rtsmap simulate scene -o simulated --region west-siberia --seed 7
      rtsmap simulate scene -o small --pixels 1024 1024 --slumps 5 --no-clouds
      rtsmap predict small/*_SR.tif -o slumps.gpkg
    """
    from rtsmap.simulate.world import SceneOptions, make_world

    if no_clouds and clouds:
        raise click.UsageError("--no-clouds and --clouds contradict each other; give one of them.")
    if size_km is not None and pixels is not None:
        raise click.UsageError("--size-km and --pixels both say how large the scene is; give one of them.")
    settings = SceneOptions(
        region, seed, at, day, gsd, size_km, pixels, int(bands), 0.0 if no_clouds else clouds, density, slumps
    )
    world = make_world(settings)
    written = _write(world, output, overwrite=overwrite)
    grid = world.frame.grid
    click.echo(
        f"{written.image}: {grid.width} x {grid.height} pixels, {written.n_slumps} slumps, "
        f"{written.clear_fraction:.0%} clear; truth: {written.truth}"
    )


def _write(world: "World", folder: Path, *, overwrite: bool) -> "Written":
    from tqdm import tqdm

    from rtsmap.simulate.product import write_product

    with tqdm(unit="tile", disable=None, desc=world.frame.item_id) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return write_product(world, folder, overwrite=overwrite, progress=progress)
