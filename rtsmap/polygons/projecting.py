"""Transformation of polygons to another CRS that preserves the course of every edge on the Earth, not only its ends."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from rtsmap.geometry import polygon_parts
from rtsmap.polygons.neighbourhood import Bounds, circle_of, neighbourhood

#: The largest deviation of an edge from its true course, as a fraction of the longer side of the scene: a hundredth of
#: a pixel in 10,000.
TOLERANCE = 1e-6

_ROUNDS = 12  # the most rounds of densification; three are enough for most polygons
_Points = NDArray[np.float64]


def project(shapes: NDArray[Any], source: CRS, target: CRS, near: Bounds) -> NDArray[Any]:
    """Transform polygons to another CRS, exactly in the surroundings of a scene.

    Edges are densified until they follow their course in the CRS of the source, so that the edge of an area in
    longitude and latitude stays on its parallel. Parts farther from the scene than `neighbourhood.MARGIN_M` are cut
    off, because they may have no coordinates in the target CRS.

    Args:
        shapes: `(n,)` valid polygons and multipolygons, with the longitudes that `longitudes.unwrapped` returns.
        source: CRS of the polygons.
        target: CRS of the scene.
        near: bounds of the scene in `target`.

    Returns:
        `(n,)` valid polygons and multipolygons; those outside the surroundings of the scene are empty.

    Raises:
        InputError: no part of the scene can be transformed to the CRS of the source.
    """
    circle = circle_of(target)
    if source == target and circle is None:
        return shapes
    around = neighbourhood(source, target, near)
    parts: list[list[BaseGeometry]] = [[] for _ in shapes]
    tolerance = TOLERANCE * max(near[2] - near[0], near[3] - near[1])
    onto = Transformer.from_crs(source, target, always_xy=True)
    for box, which, cut in around.cut(shapes):
        to_target = partial(_transformed, onto, _middle(onto, box, circle, near), circle)
        moved = shapely.transform(_densified(cut, to_target, tolerance), to_target)
        valid = shapely.make_valid(moved, method="structure", keep_collapsed=False)
        for number, part in zip(which, valid, strict=True):
            parts[number].append(united_polygons(part))
    return np.array([_union(pieces) for pieces in parts], dtype=object)


def project_frame(frame: geopandas.GeoDataFrame, crs: object, near: Bounds | None = None) -> geopandas.GeoDataFrame:
    """Transform a layer of polygons to another CRS; see `project`.

    Args:
        frame: the layer.
        crs: the target CRS.
        near: bounds of a scene in the target CRS; polygons outside its surroundings are dropped. If None, the bounds of
            the layer are used.

    Returns:
        The rows whose polygons are not empty, with their index unchanged.
    """
    target = CRS.from_user_input(crs)
    shapes = frame.geometry.to_numpy()
    if len(frame) and near is None:
        near = tuple(frame.to_crs(target).total_bounds.tolist())
    if len(frame) and near is not None:
        shapes = project(shapes, CRS.from_user_input(frame.crs), target, near)
    there = ~shapely.is_empty(shapes)
    return frame[there].set_geometry(geopandas.GeoSeries(shapes[there], index=frame.index[there], crs=target))


def utm_of(frame: geopandas.GeoDataFrame) -> CRS:
    """The UTM zone of the centre of a layer; beyond 84 N and 80 S, the polar stereographic projection."""
    lon, lat = np.radians(shapely.get_coordinates(frame.to_crs("EPSG:4326").geometry.to_numpy())).T
    east, north, up = (np.cos(lat) * np.cos(lon)).mean(), (np.cos(lat) * np.sin(lon)).mean(), np.sin(lat).mean()
    longitude, latitude = np.degrees(np.arctan2(north, east)), np.degrees(np.arctan2(up, np.hypot(east, north)))
    south = latitude < 0
    zone = int((longitude + 180) // 6) % 60 + 1 if -80 <= latitude <= 84 else 61
    return CRS.from_epsg((32700 if south else 32600) + zone)


def united_polygons(shape: BaseGeometry) -> BaseGeometry:
    """The union of the polygons of a geometry, without the points and lines that a collection may contain."""
    if isinstance(shape, Polygon | MultiPolygon):
        return shape
    return _union(polygon_parts(shape))


def _union(parts: Sequence[BaseGeometry]) -> BaseGeometry:
    full = [part for part in parts if not part.is_empty]
    if len(full) < 2:
        return full[0] if full else Polygon()
    united: BaseGeometry = shapely.union_all(full)
    return united


def _middle(onto: Transformer, box: Bounds, circle: float | None, near: Bounds) -> float:
    """The x of the middle of a box in the target CRS, shifted by full circles to lie nearest to the scene."""
    middle = (near[0] + near[2]) / 2
    x = float(onto.transform((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)[0])
    return middle if circle is None or not np.isfinite(x) else x + circle * round((middle - x) / circle)


def _transformed(onto: Transformer, middle: float, circle: float | None, points: _Points) -> _Points:
    x, y = onto.transform(points[:, 0], points[:, 1])
    if circle is not None:
        x = middle + np.remainder(np.asarray(x) - middle + circle / 2, circle) - circle / 2
    return np.column_stack([x, y])


def _densified(shapes: NDArray[Any], to_target: Callable[[_Points], _Points], tolerance: float) -> NDArray[Any]:
    """Insert vertices until straight edges between the transformed vertices deviate by no more than the tolerance."""
    dense = shapes.copy()
    for _ in range(_ROUNDS):
        longest, bend = _bends(dense, to_target)
        bent = bend > tolerance
        if not bent.any():
            break
        shorter = 0.9 * np.sqrt(tolerance / bend[bent])  # the deviation grows with the square of the edge length
        dense[bent] = shapely.segmentize(dense[bent], longest[bent] * np.clip(shorter, 1e-3, 0.5))
    return dense


def _bends(shapes: NDArray[Any], to_target: Callable[[_Points], _Points]) -> tuple[_Points, _Points]:
    """For each polygon, the length of its longest edge and the largest deviation of an edge from a straight line."""
    parts, of_shape = shapely.get_parts(shapes, return_index=True)
    rings, of_part = shapely.get_rings(parts, return_index=True)
    points, of_ring = shapely.get_coordinates(rings, return_index=True)
    edges = np.flatnonzero(of_ring[1:] == of_ring[:-1])
    start, end = points[edges], points[edges + 1]
    first, last = to_target(start), to_target(end)
    chord = last - first
    length = np.hypot(*chord.T)
    bend = np.zeros(len(edges))
    for share in (0.25, 0.5, 0.75):
        away = to_target(start + share * (end - start)) - first
        across = np.abs(chord[:, 0] * away[:, 1] - chord[:, 1] * away[:, 0]) / np.maximum(length, 1e-12)
        bend = np.fmax(bend, np.where(length > 0, across, np.hypot(*away.T)))
    owner = of_shape[of_part[of_ring[edges]]]
    longest, most = np.zeros(len(shapes)), np.zeros(len(shapes))
    np.maximum.at(longest, owner, np.hypot(*(end - start).T))
    np.maximum.at(most, owner, np.where(np.isfinite(bend), bend, 0.0))
    return longest, most
