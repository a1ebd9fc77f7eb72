"""Placement of slumps on the banks of lakes and streams, with the measured distances between neighbours."""

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

#: The exponent of the uniform share at which gaps are drawn. It makes gaps larger, because the nearest of several
#: neighbours is closer than the one beside which a slump was placed.
WIDER = 0.62
_ALONE = 0.93  # a gap beyond this quantile (about 800 m) means another bank instead of a neighbour
LEAST_AREA_M2, LARGEST_AREA_M2 = 150.0, 800_000.0
_LARGEST_SHARE = 0.03  # of the footprint of a small scene
_TRIES = 40
_TO_WATER_M = 260.0


@dataclass(frozen=True)
class Terrain:
    """Terrain attributes of a landscape that the placement of slumps depends on.

    Attributes:
        land: the landscape.
        slope: unit vectors `(2, rows, columns)` down the slope, east and north.
        steepness: the tangent of the slope.
        weight: the suitability of a point for a slump, 0 on flat ground and far from water.
        shore_m: the largest distance of slumps from lakes and the sea, m; None places no limit.
    """

    land: Landscape
    slope: FloatArray
    steepness: FloatArray
    weight: FloatArray
    shore_m: float | None = None

    def at(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows and columns of the grid points that are nearest to map coordinates."""
        land = self.land
        rows = np.clip(np.rint(-y / land.spacing_m).astype(int) - land.row, 0, land.height.shape[0] - 1)
        columns = np.clip(np.rint(x / land.spacing_m).astype(int) - land.column, 0, land.height.shape[1] - 1)
        return rows, columns

    def down(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the unit vector `(east, north)` down the slope at a location."""
        row, column = self.at(np.array([x]), np.array([y]))
        vector: NDArray[np.float64] = self.slope[:, row[0], column[0]].astype(np.float64)
        return vector

    def holds(self, outline: Polygon) -> bool:
        """Return whether an outline is close enough to the water."""
        return self.shore_m is None or float(self.shore(get_coordinates(outline.exterior)).min()) < self.shore_m

    def shore(self, coordinates: NDArray[np.float64]) -> FloatArray:
        """Return the distance (m) to the nearest shore at map coordinates `(n, 2)`, negative in water."""
        land = self.land
        rows = -coordinates[:, 1] / land.spacing_m - land.row
        columns = coordinates[:, 0] / land.spacing_m - land.column
        distance: FloatArray = ndimage.map_coordinates(land.shore, [rows, columns], order=1, mode="nearest")
        return distance


def analyse_terrain(land: Landscape, shore_m: float | None = None) -> Terrain:
    """Compute slopes and the suitability for slumps.

    Args:
        land: the landscape.
        shore_m: the largest distance of slumps from shores, m; by default, slumps may also lie near streams.
    """
    height = ndimage.gaussian_filter(land.height, 36 / land.spacing_m)
    north, eastward = np.gradient(
        height, land.spacing_m
    )  # rows run southward, so this already points down towards the north
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
    """Draw the number of slumps in a footprint from the measured counts per image; it is 0 in 15 % of all cases."""
    if rng.random() < EMPTY_IMAGES:
        return 0
    expected = float(quantile(LABELS_PER_IMAGE, rng.random(1))[0]) * area_km2 / IMAGE_KM2 * density
    return int(rng.poisson(expected)) if expected < 5 else round(expected)


def draw_area(rng: np.random.Generator, region: Region, footprint: Polygon) -> float:
    """Draw the area of one slump (m2) from a lognormal distribution, limited to mapped sizes and to the footprint."""
    largest = min(LARGEST_AREA_M2, _LARGEST_SHARE * footprint.area)
    while not LEAST_AREA_M2 <= (area := float(np.exp(rng.normal(*region.log_area)))) <= largest:
        pass
    return area


def place_slumps(
    rng: np.random.Generator, terrain: Terrain, region: Region, library: Library, footprint: Polygon, count: int
) -> list[Feature]:
    """Place slumps inside the footprint and outside lakes, without overlaps and with the measured gaps.

    Args:
        rng: draws sizes, outlines and locations.
        terrain: the result of `analyse_terrain`.
        region: sets sizes and activity.
        library: the outlines.
        footprint: the area that the sensor sees.
        count: the number of slumps; fewer are returned where there is no room for all of them.
    """
    inside = footprint.buffer(-25)
    prepare(inside)
    candidates, taken = _candidate_points(terrain, inside), Occupancy()
    placed: list[Feature] = []
    # The largest slumps are placed first, while there is room for them; the smallest fit anywhere.
    areas = sorted(
        (draw_area(rng, region, footprint) for _ in range(count if len(candidates.coordinates) else 0)), reverse=True
    )
    for area in areas:
        outline = library.draw(rng, area)
        for _ in range(_TRIES if terrain.shore_m is None else 4 * _TRIES):
            share = rng.random() ** WIDER
            if placed and share < _ALONE:
                gap = float(quantile(NEAREST_GAP, np.array([share]))[0])
                found = beside(rng, terrain, outline, placed, gap)
            else:
                found = _on_a_bank(rng, terrain, outline, candidates)
            if found is not None and inside.contains(found[0]) and terrain.holds(found[0]) and taken.is_free(found[0]):
                brightness = draw_brightness(rng)
                placed.append(Feature("slump", found[0], found[1], _activity(rng, region, area), brightness))
                taken.add(found[0])
                break
    return placed


def draw_brightness(rng: np.random.Generator) -> float:
    """Draw the brightness of a slump's bare ground, relative to the slumps of its region."""
    return float(np.exp(rng.normal(0, 0.16)))


def _activity(rng: np.random.Generator, region: Region, area: float) -> float:
    """Draw the activity of a slump, 0..1; larger slumps of a region are barer."""
    active = region.active * (area / np.exp(region.log_area[0])) ** 0.35
    return float(np.clip(rng.beta(2.2, 1.0) ** (1 / active), 0.05, 1))


class _CandidatePoints(NamedTuple):
    """Grid points where slumps may be placed: map coordinates `(n, 2)`, and the cumulative sum of their weights."""

    coordinates: NDArray[np.float64]
    weights: NDArray[np.float64]

    def draw(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw one of them with a probability proportional to its weight."""
        drawn = np.searchsorted(self.weights, rng.random() * self.weights[-1], side="right")
        point: NDArray[np.float64] = self.coordinates[min(drawn, len(self.coordinates) - 1)]
        return point


def _candidate_points(terrain: Terrain, inside: Polygon) -> _CandidatePoints:
    rows, columns = np.nonzero(terrain.weight)
    coordinates = terrain.land.coordinates(rows, columns)
    left, bottom, right, top = inside.bounds
    x, y = coordinates.T
    within = (x > left) & (x < right) & (y > bottom) & (y < top)
    return _CandidatePoints(coordinates[within], np.cumsum(terrain.weight[rows, columns][within], dtype=np.float64))


def _turned(rng: np.random.Generator, outline: Polygon, down: NDArray[np.float64]) -> Polygon:
    """Rotate the longer side down the slope or, as often, along it, as where a bank retreats on a broad front."""
    angle = float(np.degrees(np.arctan2(down[1], down[0])))
    across = 90.0 if rng.random() < 0.5 else 0.0
    return affinity.rotate(outline, angle + across + rng.normal(0, 15), origin=(0, 0))


def _on_a_bank(
    rng: np.random.Generator, terrain: Terrain, outline: Polygon, candidates: _CandidatePoints
) -> tuple[Polygon, tuple[float, float]] | None:
    x, y = candidates.draw(rng) + rng.uniform(-12, 12, 2)
    down = terrain.down(x, y)
    moved = affinity.translate(_turned(rng, outline, down), x, y)
    return _to_the_shore(rng, terrain, moved, down)


def _to_the_shore(
    rng: np.random.Generator, terrain: Terrain, outline: Polygon, down: NDArray[np.float64]
) -> tuple[Polygon, tuple[float, float]] | None:
    """Move an outline up the slope until its outlet is at the shore instead of in the lake."""
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
    """Place an outline beside an existing slump, along the slope and at a given distance.

    Args:
        rng: draws the slump and the direction.
        terrain: the result of `analyse_terrain`.
        outline: the outline to place, centred on the origin.
        placed: the existing slumps.
        gap: the distance, m.

    Returns:
        The outline at its location and the direction down the slope, or None if it would lie in a lake.
    """
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
