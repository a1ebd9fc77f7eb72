"""Making of a series: scenes of the same area in several years."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import cast

import numpy as np
import shapely
from affine import Affine
from shapely import Polygon

from rtsmap.errors import InputError
from rtsmap.simulate.acquisition import Acquisition, shifted
from rtsmap.simulate.image.background import BackgroundRenderer
from rtsmap.simulate.image.renderer import Renderer
from rtsmap.simulate.scene import (
    SceneOptions,
    SimulatedScene,
    acquisition_of,
    clouds_of,
    late_snow,
    make_scenery,
    stream,
)
from rtsmap.simulate.series.dynamics import first_state, next_state
from rtsmap.simulate.series.lineage import Epoch, epochs
from rtsmap.simulate.series.phenology import band_gains, scenery_of, with_phenology
from rtsmap.simulate.series.year import State
from rtsmap.simulate.slumps.features import Scenery
from rtsmap.simulate.slumps.library import load_library
from rtsmap.simulate.slumps.placement import Terrain, analyse_terrain
from rtsmap.simulate.terrain.landscape import Landscape, make_landscape
from rtsmap.simulate.terrain.noise import make_tile
from rtsmap.simulate.terrain.regions import region_named

#: The shift of footprints as a share of the raster's sides: standard deviation and limit. They are chosen.
_SHIFT, _FARTHEST = 0.04, 0.08
_YEARS = (1900, 2100)


@dataclass(frozen=True)
class Series:
    """The same area in several years. Its scenes are rendered one after the other.

    Attributes:
        options: the options of all scenes; `day` is not used.
        study_area: all ground that a footprint may show and in which slumps lie.
        acquisitions: the acquisitions by year.
        land: the height of the ground, the lakes and the drainage.
        base: the scenery of the first year.
        most_snow: the amount of snow in it, see `late_snow`.
        epochs: the slumps of each year that is shown.
    """

    options: SceneOptions
    study_area: Polygon
    acquisitions: Mapping[int, Acquisition]
    land: Landscape
    base: Scenery
    most_snow: float
    epochs: Sequence[Epoch]

    def scene(self, epoch: Epoch) -> SimulatedScene:
        """Make the scene of one year: the same ground with another sun, other clouds and another phenology."""
        options, acquisition = self.options, self.acquisitions[epoch.year]
        rng = stream(options, "look", epoch.year)
        region = with_phenology(rng, region_named(options.region), acquisition.acquired.date())
        scenery = scenery_of(rng, self.base, epoch.state, acquisition, self.most_snow)
        background = BackgroundRenderer(stream(options, "background"), self.land, region, acquisition)
        # The sensor noise differs between years.
        background.grain = make_tile(rng, np.ones_like, fields=4, size=700, spacing_m=acquisition.gsd_m)
        clouds = clouds_of(options, stream(options, "clouds", epoch.year), acquisition)
        renderer = Renderer(acquisition, region, background, scenery, clouds, band_gains(rng))
        day = acquisition.acquired.date()
        return SimulatedScene(
            replace(options, day=day), region, acquisition, self.land, scenery, renderer, (epoch.year,)
        )


def make_series(options: SceneOptions, years: Sequence[int]) -> Series:
    """Lay out an area and simulate its slumps over the years.

    The years between those that are shown are simulated as well. A year is therefore the same whatever other years are
    shown after the first.

    Args:
        options: the options of every scene, except for the day.
        years: the years that are shown, two or more, in ascending order.

    Raises:
        InputError: the years are not in order, the region is unknown, or the location or the size is out of range.
    """
    _check(years)
    region = region_named(options.region)
    middle = acquisition_of(replace(options, day=date(years[0], 7, 1)), stream(options, "acquisition"))
    study_area, wide = _surroundings(middle)
    land = make_landscape(stream(options, "land"), wide.grid, region)
    terrain = analyse_terrain(land)
    most_snow = late_snow(middle)
    base = make_scenery(options, terrain, study_area, most_snow)
    passing = _states(options, base, terrain, study_area, range(years[0], years[-1] + 1))
    acquisitions = {year: _acquisition_in(options, year) for year in years}
    return Series(options, study_area, acquisitions, land, base, most_snow, epochs(passing, years))


def _check(years: Sequence[int]) -> None:
    named = ",".join(str(year) for year in years)
    if len(years) < 2 or any(later <= earlier for earlier, later in pairwise(years)):
        raise InputError(f"--years {named}: give two or more years, the earliest first")
    if not _YEARS[0] <= years[0] <= years[-1] <= _YEARS[1]:
        raise InputError(f"--years {named}: years must lie between {_YEARS[0]} and {_YEARS[1]}")


def _states(
    options: SceneOptions, base: Scenery, terrain: Terrain, study_area: Polygon, years: Sequence[int]
) -> Iterator[tuple[int, State]]:
    """Yield the years and the states of the slumps, year by year."""
    region, library = region_named(options.region), load_library()
    state = first_state(stream(options, "dynamics", years[0]), base.slumps)
    yield years[0], state
    for year in years[1:]:
        state = next_state(stream(options, "dynamics", year), state, terrain, region, library, study_area)
        yield year, state


def _acquisition_in(options: SceneOptions, year: int) -> Acquisition:
    """Make the acquisition of one year: on a day in July or August, and with a slightly shifted footprint."""
    rng = stream(options, "acquisition", year)
    day = date(year, 7, 1) + timedelta(days=int(rng.integers(62)))
    acquisition = acquisition_of(replace(options, day=day), rng)
    shares = np.clip(rng.normal(0, _SHIFT, 2), -_FARTHEST, _FARTHEST)
    return shifted(acquisition, int(shares[0] * acquisition.grid.width), int(shares[1] * acquisition.grid.height))


def _surroundings(middle: Acquisition) -> tuple[Polygon, Acquisition]:
    """Return all ground that a shifted footprint may show, and an acquisition whose raster contains it."""
    columns, rows = (math.ceil(_FARTHEST * side) for side in (middle.grid.width, middle.grid.height))
    corners = [shifted(middle, x, y).footprint for x in (-columns, columns) for y in (-rows, rows)]
    study_area = shapely.union_all(corners).convex_hull
    transform = middle.grid.transform @ Affine.translation(-columns, -rows)
    height, width = middle.grid.height + 2 * rows, middle.grid.width + 2 * columns
    grid = replace(middle.grid, transform=transform, height=height, width=width)
    return cast(Polygon, study_area), replace(middle, grid=grid)
