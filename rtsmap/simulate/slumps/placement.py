"""Where slumps lie: on banks of lakes and streams, side by side, as far apart as measured."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from shapely import Polygon, affinity, get_coordinates, prepare

from rtsmap.records import FloatArray
from rtsmap.simulate.slumps.features import Feature
from rtsmap.simulate.slumps.library import Library
from rtsmap.simulate.slumps.occupancy import Occupancy
from rtsmap.simulate.statistics import EMPTY_IMAGES, IMAGE_KM2, LABELS_PER_IMAGE, NEAREST_GAP, quantile
from rtsmap.simulate.terrain.landscape import STREAM_CATCHMENT_M2, Landscape
from rtsmap.simulate.terrain.regions import Region

#: The nearest of several neighbours is nearer than each: gaps are drawn at this power of an even share, so larger.
WIDER = 0.62
_ALONE = 0.93  # gaps of this quantile (some 800 m) and beyond are new places rather than neighbours
LEAST_AREA_M2, LARGEST_AREA_M2 = 150.0, 800_000.0
_LARGEST_SHARE = 0.03  # of a small scene's footprint
_TRIES = 40
_TO_WATER_M = 260.0


@dataclass(frozen=True)
class Terrain:
    """What placing needs to know of a landscape.

    Attributes:
        slope: unit vectors `(2, rows, columns)` east and north, down the slope.
        steepness: tangent of the slope.
        weight: how apt a point is for a slump, 0 on flats and far from water.
        shore_m: slumps lie no farther from lakes and the sea; None: also elsewhere.
    """

    land: Landscape
    slope: FloatArray
    steepness: FloatArray
    weight: FloatArray
    shore_m: float | None = None

    def at(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of the grid points nearest to map coordinates."""
        land = self.land
        rows = np.clip(np.rint(-y / land.spacing_m).astype(int) - land.row, 0, land.height.shape[0] - 1)
        columns = np.clip(np.rint(x / land.spacing_m).astype(int) - land.column, 0, land.height.shape[1] - 1)
        return rows, columns

    def down(self, x: float, y: float) -> NDArray[np.float64]:
        """Unit vector down the slope at a place."""
        row, column = self.at(np.array([x]), np.array([y]))
        vector: NDArray[np.float64] = self.slope[:, row[0], column[0]].astype(np.float64)
        return vector

    def holds(self, outline: Polygon) -> bool:
        """Whether an outline is near enough to the water."""
        return self.shore_m is None or float(self.shore(get_coordinates(outline.exterior)).min()) < self.shore_m

    def shore(self, coordinates: NDArray[np.float64]) -> FloatArray:
        """Distance to the nearest shore at places `(n, 2)`, m."""
        land = self.land
        rows = -coordinates[:, 1] / land.spacing_m - land.row
        columns = coordinates[:, 0] / land.spacing_m - land.column
        distance: FloatArray = ndimage.map_coordinates(land.shore, [rows, columns], order=1, mode="nearest")
        return distance


def analyse_terrain(land: Landscape, shore_m: float | None = None) -> Terrain:
    """Slopes of a landscape, and where slumps may start: near lakes and streams, or on shores up to that far inland."""
    height = ndimage.gaussian_filter(land.height, 36 / land.spacing_m)
    north, eastward = np.gradient(height, land.spacing_m)  # rows run southward, so this is down to the north already
    east = -eastward
    steepness = np.hypot(east, north)
    slope = np.stack([east, north]) / np.maximum(steepness, 1e-6)
    streams = (land.catchment > STREAM_CATCHMENT_M2) & (land.shore > 0)
    to_stream = ndimage.distance_transform_edt(~streams) * land.spacing_m
    near = np.minimum(land.shore, to_stream) < _TO_WATER_M if shore_m is None else land.shore < shore_m
    floor = np.quantile(steepness[near & (land.shore > 15)], 0.5) if near.any() else 0.0
    weight = np.where(near & (land.shore > 15), np.maximum(steepness - floor, 0), 0)
    return Terrain(land, slope.astype(np.float32), steepness, weight.astype(np.float32), shore_m)


def number_of_slumps(rng: np.random.Generator, area_km2: float, density: float) -> int:
    """How many slumps a footprint holds, by the measured counts per image; none in 15 % of all."""
    if rng.random() < EMPTY_IMAGES:
        return 0
    expected = float(quantile(LABELS_PER_IMAGE, rng.random(1))[0]) * area_km2 / IMAGE_KM2 * density
    return int(rng.poisson(expected)) if expected < 5 else round(expected)


def draw_area(rng: np.random.Generator, region: Region, footprint: Polygon) -> float:
    """Area of one slump, m2: lognormal, within what is mapped and what the footprint holds."""
    largest = min(LARGEST_AREA_M2, _LARGEST_SHARE * footprint.area)
    while not LEAST_AREA_M2 <= (area := float(np.exp(rng.normal(*region.log_area)))) <= largest:
        pass
    return area


def place_slumps(
    rng: np.random.Generator, terrain: Terrain, region: Region, library: Library, footprint: Polygon, count: int
) -> list[Feature]:
    """Slumps that don't overlap, inside the footprint and out of the lakes, with the measured gaps between them."""
    inside = footprint.buffer(-25)
    prepare(inside)
    apt, taken = _apt_points(terrain, inside), Occupancy()
    placed: list[Feature] = []
    # The largest first: later there would be no bank left that holds them, and the smallest fit anywhere.
    areas = sorted((draw_area(rng, region, footprint) for _ in range(count if len(apt.places) else 0)), reverse=True)
    for area in areas:
        outline = library.draw(rng, area)
        for _ in range(_TRIES if terrain.shore_m is None else 4 * _TRIES):
            share = rng.random() ** WIDER
            if placed and share < _ALONE:
                gap = float(quantile(NEAREST_GAP, np.array([share]))[0])
                found = beside(rng, terrain, outline, placed, gap)
            else:
                found = _on_a_bank(rng, terrain, outline, apt)
            if found is not None and inside.contains(found[0]) and terrain.holds(found[0]) and taken.is_free(found[0]):
                brightness = draw_brightness(rng)
                placed.append(Feature("slump", found[0], found[1], _activity(rng, region, area), brightness))
                taken.add(found[0])
                break
    return placed


def draw_brightness(rng: np.random.Generator) -> float:
    """Of a slump's bare ground, over that of its region's slumps."""
    return float(np.exp(rng.normal(0, 0.16)))


def _activity(rng: np.random.Generator, region: Region, area: float) -> float:
    """How active a slump is: the larger among those of its region, the barer."""
    active = region.active * (area / np.exp(region.log_area[0])) ** 0.35
    return float(np.clip(rng.beta(2.2, 1.0) ** (1 / active), 0.05, 1))


class _AptPoints(NamedTuple):
    """Lattice points where slumps may start: map coordinates `(n, 2)`, and the running sum of their weights."""

    places: NDArray[np.float64]
    weights: NDArray[np.float64]

    def draw(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """One of them, by its weight."""
        drawn = np.searchsorted(self.weights, rng.random() * self.weights[-1], side="right")
        place: NDArray[np.float64] = self.places[min(drawn, len(self.places) - 1)]
        return place


def _apt_points(terrain: Terrain, inside: Polygon) -> _AptPoints:
    rows, columns = np.nonzero(terrain.weight)
    places = terrain.land.coordinates(rows, columns)
    left, bottom, right, top = inside.bounds
    x, y = places.T
    within = (x > left) & (x < right) & (y > bottom) & (y < top)
    return _AptPoints(places[within], np.cumsum(terrain.weight[rows, columns][within], dtype=np.float64))


def _turned(rng: np.random.Generator, outline: Polygon, down: NDArray[np.float64]) -> Polygon:
    """Longer side down the slope, or as often along it, as where a bank retreats on a broad front."""
    angle = float(np.degrees(np.arctan2(down[1], down[0])))
    across = 90.0 if rng.random() < 0.5 else 0.0
    return affinity.rotate(outline, angle + across + rng.normal(0, 15), origin=(0, 0))


def _on_a_bank(
    rng: np.random.Generator, terrain: Terrain, outline: Polygon, apt: _AptPoints
) -> tuple[Polygon, tuple[float, float]] | None:
    x, y = apt.draw(rng) + rng.uniform(-12, 12, 2)
    down = terrain.down(x, y)
    moved = affinity.translate(_turned(rng, outline, down), x, y)
    return _to_the_shore(rng, terrain, moved, down)


def _to_the_shore(
    rng: np.random.Generator, terrain: Terrain, outline: Polygon, down: NDArray[np.float64]
) -> tuple[Polygon, tuple[float, float]] | None:
    """Push an outline up the slope until its outlet stands at the shore rather than in the lake."""
    for _ in range(6):
        depth = float(terrain.shore(get_coordinates(outline.exterior)).min())
        if depth > 0:
            return outline, (float(down[0]), float(down[1]))
        step = -depth + rng.uniform(3, 15)
        outline = affinity.translate(outline, -down[0] * step, -down[1] * step)
    return None


def beside(
    rng: np.random.Generator, terrain: Terrain, outline: Polygon, placed: list[Feature], gap: float
) -> tuple[Polygon, tuple[float, float]] | None:
    """Along the slope from a slump that stands already, at a distance from it."""
    other = placed[int(rng.integers(len(placed)))]
    along = np.array([-other.down[1], other.down[0]]) * rng.choice([-1, 1])
    along = along + rng.normal(0, 0.35) * np.array(other.down)
    along /= np.hypot(*along)
    centre = other.outline.centroid
    reach = np.sqrt(outline.area) + np.sqrt(other.outline.area) + gap
    down = terrain.down(centre.x + along[0] * reach / 2, centre.y + along[1] * reach / 2)
    outline = _turned(rng, outline, down)
    near, far = 0.0, 4 * reach
    gap = max(gap, 0.4)
    for _ in range(18):  # to a few centimetres
        middle = (near + far) / 2
        moved = affinity.translate(outline, centre.x + along[0] * middle, centre.y + along[1] * middle)
        near, far = (middle, far) if moved.distance(other.outline) < gap else (near, middle)
    moved = affinity.translate(outline, centre.x + along[0] * far, centre.y + along[1] * far)
    in_lake = float(terrain.shore(get_coordinates(moved.exterior)).min()) < 0
    return None if in_lake else (moved, (float(down[0]), float(down[1])))
