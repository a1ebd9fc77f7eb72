"""The ground that slumps have gained, and the retreat of their headwalls."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import shapely

from rtsmap.tracks.outlines import Bools, Floats, Ints, Objects, areas_of, shapes_of

#: The headwall is the part of the outline that faces the direction of growth, or uphill, within this angle.
_FACING_DEG = 45.0
_MAX_POINTS = 64  # largest number along an outline
_STEP_M = 3.0
_DIRECTION_M = 5.0  # half length over which the direction of an outline is averaged, so that single edges do not count


class Uphill(Protocol):
    """Gives the uphill direction at points."""

    def directions(self, points: Floats) -> Floats:
        """The unit vectors uphill, `(n, 2)`, at points `(n, 2)`; NaN where the height is unknown or the ground flat."""


@dataclass(frozen=True)
class Growth:
    """The growth between pairs of an earlier and a later outline.

    Attributes:
        shapes: ground gained, without slivers narrower than the placement error; empty if nothing was gained.
        gained_m2: area of the ground gained, m2.
        lost_m2: area that belonged to the earlier outline only, m2.
        median_m: median retreat of the headwall, m; NaN if no ground wider than the placement error was gained.
        p95_m: 95th percentile of the retreat, m.
        max_m: largest retreat, m.
        azimuth_deg: direction of the retreat in the plane, degrees clockwise from the y axis.
        by_dem: whether the headwall was identified by the elevation model.
    """

    shapes: Objects
    gained_m2: Floats
    lost_m2: Floats
    median_m: Floats
    p95_m: Floats
    max_m: Floats
    azimuth_deg: Floats
    by_dem: Bools


def measure(earlier: Objects, later: Objects, placement_error_m: float, uphill: Uphill | None = None) -> Growth:
    """Measure the growth between pairs of outlines.

    Retreat is the distance of the later headwall from the earlier outline, measured at points every 3 m (at most 64
    points). The headwall is the part of the later outline beyond the earlier one that faces the direction of growth
    within 45 degrees. The direction of growth points from the centroid of the earlier outline to that of the gained
    ground; with an elevation model, it is the uphill direction.

    Args:
        earlier: `(n,)` polygons, m, in a plane in which lengths are true.
        later: `(n,)` polygons in the same plane.
        placement_error_m: parts of the gained ground with a smaller mean width are slivers and are left out, m.
        uphill: uphill directions from an elevation model.
    """
    beyond = np.asarray(shapely.difference(later, earlier), dtype=np.object_)
    gained = _without_slivers(beyond, placement_error_m)
    lost = np.maximum(areas_of(earlier) + areas_of(beyond) - areas_of(later), 0.0)
    has_gained = np.flatnonzero(~shapely.is_empty(gained))
    nan = np.full(len(earlier), np.nan)
    growth = Growth(gained, areas_of(gained), lost, nan.copy(), nan.copy(), nan.copy(), nan.copy(), nan.copy() > 0)
    if len(has_gained):
        _retreat(growth, has_gained, earlier, later, uphill)
    return growth


def _without_slivers(shapes: Objects, width_m: float) -> Objects:
    """The parts whose mean width, twice the area divided by the perimeter, is at least `width_m`."""
    parts, row = shapely.get_parts(shapes, return_index=True)
    perimeter = np.asarray(shapely.length(parts), dtype=np.float64)
    wide = (shapely.get_dimensions(parts) == 2) & (2 * areas_of(parts) >= width_m * perimeter)
    kept, row = parts[wide], row[wide]
    result = shapes_of([shapely.MultiPolygon()] * len(shapes))
    if len(kept):
        numbers = np.unique(row)
        result[numbers] = shapely.multipolygons(kept, indices=np.searchsorted(numbers, row))
    return result


def _retreat(growth: Growth, rows: Ints, earlier: Objects, later: Objects, uphill: Uphill | None) -> None:
    """Fill in the retreat of the pairs that have gained ground, given by their rows."""
    points, facing, owner = _outline_points(later[rows])
    old = earlier[rows]
    towards = _centroids(growth.shapes[rows]) - _centroids(old)
    wanted = _unit(towards)[owner]
    by_dem = np.zeros(len(rows), dtype=np.bool_)
    if uphill is not None:
        up = uphill.directions(points)
        known = np.isfinite(up).all(axis=1)
        by_dem = np.bincount(owner, known, len(rows)) > np.bincount(owner, minlength=len(rows)) / 2
        wanted = np.where((known & by_dem[owner])[:, None], up, wanted)
    at_headwall = np.einsum("ij,ij->i", facing, wanted) >= np.cos(np.radians(_FACING_DEG))
    points, facing, owner = points[at_headwall], facing[at_headwall], owner[at_headwall]
    apart = np.asarray(shapely.distance(shapely.points(points), old[owner]), dtype=np.float64)
    beyond = apart > 0
    facing, owner, apart = facing[beyond], owner[beyond], apart[beyond]
    order = np.lexsort((apart, owner))
    owner, apart, facing = owner[order], apart[order], facing[order]
    count = np.bincount(owner, minlength=len(rows))
    start = np.cumsum(count) - count
    has = np.flatnonzero(count)
    growth.median_m[rows[has]] = _quantiles(apart, start[has], count[has], 0.5)
    growth.p95_m[rows[has]] = _quantiles(apart, start[has], count[has], 0.95)
    growth.max_m[rows[has]] = _quantiles(apart, start[has], count[has], 1.0)
    east, north = (np.bincount(owner, apart * facing[:, axis], len(rows)) for axis in (0, 1))
    growth.azimuth_deg[rows[has]] = np.degrees(np.arctan2(east, north))[has] % 360
    growth.by_dem[rows[has]] = by_dem[has]


def _outline_points(shapes: Objects) -> tuple[Floats, Floats, Ints]:
    """Points along the outer rings, the outward unit vectors at these points, and the numbers of their polygons."""
    parts, shape_of_part = shapely.get_parts(shapes, return_index=True)
    rings = shapely.get_exterior_ring(shapely.orient_polygons(parts))
    points, ring_of_point = shapely.get_coordinates(rings, return_index=True)
    steps = np.hypot(*np.diff(points, axis=0).T)
    steps[np.diff(ring_of_point) > 0] = 0
    walked = np.concatenate([[0.0], np.cumsum(steps)])  # along all rings, one after the other
    first = np.searchsorted(ring_of_point, np.arange(len(rings)))
    length = np.bincount(ring_of_point[1:], steps, minlength=len(rings))
    count = np.clip((length / _STEP_M).astype(np.int64), 8, _MAX_POINTS)
    ring = np.repeat(np.arange(len(rings)), count)
    number = np.arange(len(ring)) - np.repeat(np.cumsum(count) - count, count)
    at = (number + 0.5) * (length / count)[ring]
    half = np.minimum(length / count, 2 * _DIRECTION_M)[ring] / 2

    def along(distance: Floats) -> Floats:
        total = walked[first][ring] + distance % length[ring]
        return np.column_stack([np.interp(total, walked, points[:, axis]) for axis in (0, 1)])

    direction = along(at + half) - along(at - half)
    outward = np.column_stack([direction[:, 1], -direction[:, 0]])  # the interior lies to the left of these rings
    return along(at), _unit(outward), shape_of_part[ring].astype(np.int64)


def _quantiles(values: Floats, start: Ints, count: Ints, share: float) -> Floats:
    """The quantiles of sorted groups, with linear interpolation between values."""
    at = share * (count - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, count - 1)
    fraction = at - low
    result: Floats = values[start + low] * (1 - fraction) + values[start + high] * fraction
    return result


def _centroids(shapes: Objects) -> Floats:
    return shapely.get_coordinates(shapely.centroid(shapes))


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.maximum(np.hypot(vectors[:, 0], vectors[:, 1]), 1e-9)[:, None]
    return unit
