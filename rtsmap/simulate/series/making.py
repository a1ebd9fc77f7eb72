"""The same place in several years."""

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
from rtsmap.simulate.series.phenology import calibration, scenery_of, with_phenology
from rtsmap.simulate.series.year import State
from rtsmap.simulate.slumps.features import Scenery
from rtsmap.simulate.slumps.library import load_library
from rtsmap.simulate.slumps.placement import Terrain, analyse_terrain
from rtsmap.simulate.terrain.landscape import Landscape, make_landscape
from rtsmap.simulate.terrain.noise import make_tile
from rtsmap.simulate.terrain.regions import region_named

#: By how much footprints lie apart, as shares of the raster's sides: standard deviation and limit. Chosen.
_SHIFT, _FARTHEST = 0.04, 0.08
_YEARS = (1900, 2100)


@dataclass(frozen=True)
class Series:
    """A place through the years; its scenes are rendered one after the other.

    Attributes:
        options: of all scenes; `day` is not used.
        study_area: all ground that a footprint may show; slumps live here.
        acquisitions: what is seen, by year.
        base: what lies on the ground in the first year.
        most_snow: how much of it is snow.
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
        """One year's scene: the same ground under another sun, clouds and phenology."""
        options, acquisition = self.options, self.acquisitions[epoch.year]
        rng = stream(options, "look", epoch.year)
        region = with_phenology(rng, region_named(options.region), acquisition.acquired.date())
        scenery = scenery_of(rng, self.base, epoch.state, acquisition, self.most_snow)
        background = BackgroundRenderer(stream(options, "background"), self.land, region, acquisition)
        background.grain = make_tile(
            rng, np.ones_like, fields=4, size=700, spacing_m=acquisition.gsd_m
        )  # noise of this year
        clouds = clouds_of(options, stream(options, "clouds", epoch.year), acquisition)
        renderer = Renderer(acquisition, region, background, scenery, clouds, calibration(rng))
        day = acquisition.acquired.date()
        return SimulatedScene(
            replace(options, day=day), region, acquisition, self.land, scenery, renderer, (epoch.year,)
        )


def make_series(options: SceneOptions, years: Sequence[int]) -> Series:
    """Lay out a place and let its slumps live.

    Years between those that are shown pass as well: a year looks the same whatever others are shown after the first.

    Args:
        options: of every scene, but for the day.
        years: to be shown, two or more, in order.

    Raises:
        InputError: the years are not in order, an unknown region, or a place or size out of range.
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
        raise InputError(f"--years {named}: give two or more, the earliest first")
    if not _YEARS[0] <= years[0] <= years[-1] <= _YEARS[1]:
        raise InputError(f"--years {named}: must lie between {_YEARS[0]} and {_YEARS[1]}")


def _states(
    options: SceneOptions, base: Scenery, terrain: Terrain, study_area: Polygon, years: Sequence[int]
) -> Iterator[tuple[int, State]]:
    """The slumps, year by year."""
    region, library = region_named(options.region), load_library()
    state = first_state(stream(options, "dynamics", years[0]), base.slumps)
    yield years[0], state
    for year in years[1:]:
        state = next_state(stream(options, "dynamics", year), state, terrain, region, library, study_area)
        yield year, state


def _acquisition_in(options: SceneOptions, year: int) -> Acquisition:
    """One year's acquisition: a day of July or August, and a footprint a little beside that of other years."""
    rng = stream(options, "acquisition", year)
    day = date(year, 7, 1) + timedelta(days=int(rng.integers(62)))
    acquisition = acquisition_of(replace(options, day=day), rng)
    shares = np.clip(rng.normal(0, _SHIFT, 2), -_FARTHEST, _FARTHEST)
    return shifted(acquisition, int(shares[0] * acquisition.grid.width), int(shares[1] * acquisition.grid.height))


def _surroundings(middle: Acquisition) -> tuple[Polygon, Acquisition]:
    """All ground that a shifted footprint may show, and an acquisition whose raster holds it."""
    columns, rows = (math.ceil(_FARTHEST * side) for side in (middle.grid.width, middle.grid.height))
    corners = [shifted(middle, x, y).footprint for x in (-columns, columns) for y in (-rows, rows)]
    study_area = shapely.union_all(corners).convex_hull
    transform = middle.grid.transform @ Affine.translation(-columns, -rows)
    height, width = middle.grid.height + 2 * rows, middle.grid.width + 2 * columns
    grid = replace(middle.grid, transform=transform, height=height, width=width)
    return cast(Polygon, study_area), replace(middle, grid=grid)
