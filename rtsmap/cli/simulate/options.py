"""The options that all simulations share, and the scene that they describe."""

from collections.abc import Callable
from datetime import date, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from rtsmap.cli import options

if TYPE_CHECKING:
    from rtsmap.simulate.scene import SceneOptions

_YEARS = (1900, 2100)

# The names in rtsmap.simulate.terrain.regions.REGIONS; a test compares both lists.
REGIONS = ("banks-island", "taimyr", "chukotka", "lena", "tuktoyaktuk", "herschel", "west-siberia")


class LonLat(click.ParamType[tuple[float, float]]):
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
            self.fail(f"{value!r} is not a longitude and a latitude such as -119.5,72.8", param, ctx)
        return lon, lat


class Day(click.ParamType[date]):
    """`YYYY-MM-DD`."""

    name = "YYYY-MM-DD"

    def convert(self, value: str | date, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Parse a date."""
        if isinstance(value, date):
            return value
        try:
            day = datetime.strptime(value, "%Y-%m-%d").date()
        except ValueError:
            self.fail(f"{value!r} is not a date such as 2021-07-14", param, ctx)
        if not _YEARS[0] <= day.year <= _YEARS[1]:
            self.fail(f"{value}: give a date in the years {_YEARS[0]} to {_YEARS[1]}", param, ctx)
        return day


class Years(click.ParamType[tuple[int, ...]]):
    """`2018,2019,2021`."""

    name = "YEAR,YEAR[,...]"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Parse whole numbers; their order is checked where they are used."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of years such as 2018,2019,2021", param, ctx)


_SIDE_KM = options.Real(0, 10_000, min_open=True)

_SCENE = (
    click.option(
        "-o", "--output", type=options.input_path, required=True, metavar="FOLDER", help="Folder of the files."
    ),
    click.option(
        "--region", type=click.Choice(REGIONS), default="banks-island", show_default=True, help="Region to simulate."
    ),
    click.option(
        "--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed gives the same scene."
    ),
    click.option(
        "--size-km",
        type=(_SIDE_KM, _SIDE_KM),
        metavar="L W",
        help="Length and width of the footprint, km.  [default: 25 11.5]",
    ),
    click.option(
        "--pixels",
        type=(click.IntRange(1), click.IntRange(1)),
        metavar="W H",
        help="Width and height of the raster instead.",
    ),
    click.option(
        "--gsd", type=options.Real(0.5, 30), default=3.0, show_default=True, metavar="M", help="Size of a pixel, m."
    ),
    click.option(
        "--bands",
        type=click.Choice(["4", "8"]),
        default="4",
        show_default=True,
        help="Number of bands; SuperDoves have 8.",
    ),
    click.option("--at", type=LonLat(), help="Centre of the scene.  [default: set by the region]"),
    click.option(
        "--clouds",
        type=options.Real(0, 0.9),
        metavar="SHARE",
        help="Share of the scene under clouds.  [default: random]",
    ),
    click.option("--no-clouds", is_flag=True, help="Simulate no clouds."),
    click.option(
        "--slumps", type=click.IntRange(0), metavar="N", help="Number of slumps.  [default: random, as many as mapped]"
    ),
    click.option(
        "--density",
        type=options.Real(0, 100),
        default=1.0,
        show_default=True,
        help="Factor applied to the number of slumps per area.",
    ),
    options.overwrite,
)


def scene_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a scene to a command, which receives `settings` (`SceneOptions`), output and overwrite."""

    @wraps(command)
    def called(**given: Any) -> None:
        command(settings=_settings(given), **given)

    for option in reversed(_SCENE):
        called = option(called)
    return called


def _settings(given: dict[str, Any]) -> "SceneOptions":
    """Remove the options of a scene from a command's arguments, and return them as `SceneOptions`."""
    from rtsmap.runtime.machine import share_cores

    share_cores()  # before numpy counts them: tiles are rendered in parallel, so threads of BLAS would only compete
    from rtsmap.simulate.scene import SceneOptions

    size_km, pixels, clouds = given.pop("size_km"), given.pop("pixels"), given.pop("clouds")
    if (is_clear := given.pop("no_clouds")) and clouds:
        raise click.UsageError("--no-clouds and --clouds contradict each other; give only one of them.")
    if size_km is not None and pixels is not None:
        raise click.UsageError("--size-km and --pixels both set the size of the scene; give only one of them.")
    return SceneOptions(
        region=given.pop("region"),
        seed=given.pop("seed"),
        at=given.pop("at"),
        gsd_m=given.pop("gsd"),
        size_km=size_km,
        pixels=pixels,
        bands=int(given.pop("bands")),
        clouds=0.0 if is_clear else clouds,
        density=given.pop("density"),
        slumps=given.pop("slumps"),
    )
