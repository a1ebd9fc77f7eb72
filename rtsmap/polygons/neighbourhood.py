"""The surroundings of a scene, as boxes in another CRS."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from rtsmap.errors import InputError
from rtsmap.polygons.longitudes import full_circle

#: `(left, bottom, right, top)`.
Bounds = tuple[float, float, float, float]

#: Polygons are kept complete up to at least this distance from a scene.
MARGIN_M = 20_000.0

_SIDE_POINTS = 33
_EARTH_M = 40_000_000.0  # circumference


@dataclass(frozen=True)
class Neighbourhood:
    """Boxes in the CRS of the source that together cover the surroundings of a scene.

    Attributes:
        boxes: one box for most scenes; several boxes, which overlap a little, if a scene is wider than a quarter of the
            globe or contains a pole. Their x may lie outside the range of the CRS.
        circle: the period of x, after which coordinates repeat; None if x is not periodic.
    """

    boxes: tuple[Bounds, ...]
    circle: float | None

    def cut(self, shapes: NDArray[Any]) -> Iterator[tuple[Bounds, NDArray[np.intp], NDArray[Any]]]:
        """Clip polygons to each box, for each shift by full circles with which they may reach it.

        Args:
            shapes: `(n,)` polygons in the CRS of the source.

        Yields:
            The box, the indices of the polygons that may touch it, and these polygons clipped to it; some may be empty.
        """
        bounds = shapely.bounds(shapes)
        known = np.isfinite(bounds).all(axis=1)
        for box in self.boxes:
            for turn in self._turns(bounds[known], box):
                left, bottom, right, top = box[0] - turn, box[1], box[2] - turn, box[3]
                touching = (bounds[:, 0] <= right) & (bounds[:, 2] >= left)
                which = np.flatnonzero(known & touching & (bounds[:, 1] <= top) & (bounds[:, 3] >= bottom))
                if len(which):
                    yield box, which, _moved(_clipped(shapes[which], (left, bottom, right, top)), turn)

    def _turns(self, bounds: NDArray[np.float64], box: Bounds) -> list[float]:
        if self.circle is None or not len(bounds):
            return [0.0]
        first = math.floor((box[0] - bounds[:, 2].max()) / self.circle)
        last = math.ceil((box[2] - bounds[:, 0].min()) / self.circle)
        return [number * self.circle for number in range(first, last + 1)]


def _clipped(shapes: NDArray[Any], box: Bounds) -> NDArray[Any]:
    """Clip polygons to a box; those that lie completely inside it are returned unchanged."""
    frame, result = shapely.box(*box), shapes.copy()
    crossing = ~shapely.within(shapely.envelope(shapes), frame)
    result[crossing] = shapely.intersection(shapes[crossing], frame)
    return result


def _moved(shapes: NDArray[Any], turn: float) -> NDArray[Any]:
    if not turn:
        return shapes
    moved: NDArray[Any] = shapely.transform(shapes, lambda points: points + np.array([turn, 0.0]))
    return moved


def neighbourhood(source: CRS, target: CRS, near: Bounds) -> Neighbourhood:
    """Find the surroundings of a scene in another CRS.

    Args:
        source: CRS of the result.
        target: CRS of the scene.
        near: bounds of the scene in `target`.

    Raises:
        InputError: no part of the scene can be transformed to the CRS of the source.
    """
    back = Transformer.from_crs(target, source, always_xy=True)
    x, y = (np.asarray(values) for values in back.transform(*_outline(near)))
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        raise InputError(f"{source.name}: the scene has no coordinates in it; give the polygons in another CRS")
    x, y, circle = x[known], y[known], circle_of(source)
    if circle is not None:  # x[0] is the centre of the scene if that can be transformed
        x = x[0] + np.remainder(x - x[0] + circle / 2, circle) - circle / 2
    left, bottom, right, top = x.min(), y.min(), x.max(), y.max()
    if not source.is_geographic:
        unit = source.axis_info[0].unit_conversion_factor if source.axis_info else 1.0
        margin = MARGIN_M / unit + 0.1 * max(right - left, top - bottom)
        wide = left - margin, bottom - margin, right + margin, top + margin
    else:
        wide = _degrees((left, bottom, right, top), x[0], full_circle(source), source, target, near)
    return Neighbourhood(tuple(_slices(wide, float(x[0]), circle)), circle)


def circle_of(crs: CRS) -> float | None:
    """The period of x in a CRS: of longitude, or of x in cylindrical projections such as Mercator; None in others."""
    if crs.is_geographic:
        return full_circle(crs)
    if not crs.is_projected or crs.geodetic_crs is None:
        return None
    onto = Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)
    x = np.asarray(onto.transform([20.0, 20.0, 80.0, 80.0], [0.0, 60.0, 0.0, 60.0])[0])
    if not np.isfinite(x).all() or x[2] <= x[0]:
        return None
    sixth = float(x[2] - x[0])
    upright = np.abs(x[[1, 3]] - x[[0, 2]]).max() < 1e-6 * sixth  # x is constant along a meridian
    return 6 * sixth if upright else None


def _outline(bounds: Bounds) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates x and y of the centre of a box, followed by points on its four sides."""
    left, bottom, right, top = bounds
    part = np.linspace(0.0, 1.0, _SIDE_POINTS)
    along_x, along_y = left + (right - left) * part, bottom + (top - bottom) * part
    sides = np.full_like(part, left), np.full_like(part, right), np.full_like(part, bottom), np.full_like(part, top)
    x = np.concatenate([[(left + right) / 2], along_x, along_x, sides[0], sides[1]])
    y = np.concatenate([[(bottom + top) / 2], sides[2], sides[3], along_y, along_y])
    return x, y


def _degrees(box: Bounds, middle: float, circle: float, source: CRS, target: CRS, near: Bounds) -> Bounds:
    """A box in longitude and latitude, extended by a margin; it spans a full circle if it reaches a pole."""
    left, bottom, right, top = box
    margin = MARGIN_M / _EARTH_M * circle + 0.1 * (top - bottom)
    onto = Transformer.from_crs(source, target, always_xy=True)
    bottom, top, whole = bottom - margin, top + margin, False
    for sign in (-1.0, 1.0):
        x, y = onto.transform(middle, sign * circle / 4)
        inside = near[0] <= x <= near[2] and near[1] <= y <= near[3]
        if inside or (top >= circle / 4 if sign > 0 else bottom <= -circle / 4):
            pole = sign * circle / 4 * (1.0 if math.isfinite(x) and math.isfinite(y) else 1.0 - 1e-9)
            bottom, top, whole = (bottom, pole, True) if sign > 0 else (pole, top, True)
    steepest = max(abs(bottom), abs(top)) / circle * 2 * math.pi
    wider = margin / max(math.cos(steepest), 1e-6) + 0.1 * (right - left)
    if whole or right - left + 2 * wider >= circle:
        return middle - circle / 2, bottom, middle + circle / 2, top
    return left - wider, bottom, right + wider, top


def _slices(box: Bounds, middle: float, circle: float | None) -> Iterator[Bounds]:
    """Divide a box into parts of at most a quarter of the globe, so that no edge in a part goes round the globe."""
    left, bottom, right, top = box
    if circle is None:
        yield box
        return
    if right - left >= circle:
        left, right = middle - circle / 2, middle + circle / 2
    number = math.ceil((right - left) / (circle / 4) - 1e-9)
    width = (right - left) / number
    overlap = 0.02 * width if number > 1 else 0.0
    for i in range(number):
        yield left + i * width - overlap, bottom, left + (i + 1) * width + overlap, top
