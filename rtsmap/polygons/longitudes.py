"""Unwrapping of polygons that cross the antimeridian, so that their longitudes do not jump there."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

#: An edge longer than this fraction of a full circle is taken as the short way round the globe. The limit is above one
#: half because people draw boxes over more than half of the globe, while areas that software wraps at the antimeridian
#: are seldom wider than a quarter of it.
SHORT_WAY = 0.75

_SAME = 1e-9  # degrees


def full_circle(crs: CRS) -> float:
    """A full circle of longitude (360 degrees) in the unit of a geographic CRS, which is not always the degree."""
    return 2 * math.pi / float(crs.axis_info[0].unit_conversion_factor)


def unwrapped(shapes: NDArray[Any], circle: float = 360.0) -> NDArray[Any]:
    """Make longitudes continuous; they may then exceed 180 degrees.

    A ring that jumps from 179 to -179 continues to 181. A ring that ends a full circle from its start encloses a pole,
    and is closed along it. Parts that meet at the antimeridian, where RFC 7946 cuts them, are joined.

    Args:
        shapes: `(n,)` polygons and multipolygons, valid or not.
        circle: a full circle of longitude in their unit.

    Returns:
        `(n,)` the same areas.
    """
    bounds = shapely.bounds(shapes)
    wide = np.flatnonzero(bounds[:, 2] - bounds[:, 0] > SHORT_WAY * circle)
    result = shapes.copy()
    for number in wide:
        polygons = [_polygon(part, circle) for part in shapely.get_parts(shapes[number])]
        result[number] = _joined(polygons, circle) if len(polygons) > 1 else polygons[0]
    return result


def _polygon(polygon: Polygon, circle: float) -> Polygon:
    shell, *holes = (_ring(shapely.get_coordinates(ring), circle) for ring in (polygon.exterior, *polygon.interiors))
    middle = np.ptp(shell[:, 0]) / 2 + shell[:, 0].min()
    for hole in holes:
        hole[:, 0] += circle * np.round((middle - hole[:, 0].mean()) / circle)
    return Polygon(shell, holes)


def _ring(points: NDArray[np.float64], circle: float) -> NDArray[np.float64]:
    steps = np.diff(points[:, 0])
    jumps = np.where(np.abs(steps) > SHORT_WAY * circle, -np.sign(steps) * circle, 0.0)
    around = np.abs(np.abs(steps) - circle) < _SAME  # an edge of a box round the globe, or from 180 to -180
    if around.any() and Polygon(points).is_valid:
        jumps[around] = 0.0
    moved = points.copy()
    moved[1:, 0] += np.cumsum(jumps)
    if abs(jumps.sum()) > _SAME:
        pole = math.copysign(circle / 4, points[:, 1].mean())
        moved = np.vstack([moved, [moved[-1, 0], pole], [moved[0, 0], pole], moved[:1]])
    return moved


def _joined(polygons: Sequence[Polygon], circle: float) -> BaseGeometry:
    """Join parts at the antimeridian: if some touch it on either side, those east of it are moved by a full circle."""
    west, _, east, _ = shapely.bounds(np.array(polygons, dtype=object)).T
    eastern, western = np.abs(west + circle / 2) < _SAME, np.abs(east - circle / 2) < _SAME
    if not (eastern.any() and western.any() and not (eastern & western).any()):
        return MultiPolygon(polygons)
    near = [
        shapely.affinity.translate(polygon, circle) if right <= 0 else polygon
        for polygon, right in zip(polygons, east, strict=True)
    ]
    parts = shapely.make_valid(np.array(near, dtype=object), method="structure", keep_collapsed=False)
    joined: BaseGeometry = shapely.union_all(parts)
    return joined
