"""From masks to outlines: one polygon per mask, at sub-pixel positions, in pixel coordinates of the scene.

The iso-line is drawn on the mask head's own probability grid and then stretched over the box, so the cost does not
depend on the size of the slump, and no pixels are lost along the outline, as they are when a pasted mask is traced.
"""

from typing import cast

import numpy as np
import shapely
from contourpy import FillType, contour_generator
from numpy.typing import NDArray
from shapely import Polygon

from rtsmap.geometry import largest_polygon
from rtsmap.records import PRECISION_PX, ChipWindow, Detections, FloatArray, Instance

#: Of two outlines of one chip that share more than this of the smaller one, only the higher-scoring one is kept. The
#: network's non-maximum suppression compares boxes by IoU, and lets an outline within another one pass.
MAX_SHARED = 0.5

_ABOVE_ALL = 2.0  # above every probability: the upper end of the filled contour


def outlines(
    detections: Detections, window: ChipWindow, *, score: float, level: float = 0.5, min_area_px: float = 4.0
) -> list[Instance]:
    """Turn the detections of one chip into polygons.

    If a mask has several islands, only the largest is used, because an instance is one slump; holes are kept. Outlines
    are cut to the window of the chip, and may extend beyond the scene where the window does. An outline that shares
    more than `MAX_SHARED` of the smaller area with a higher-scoring one is dropped; neighbours that touch are kept.

    Args:
        detections: the detections of the chip.
        window: the window of the chip.
        score: detections below it are dropped, 0..1.
        level: the mask probability along the outline, 0..1.
        min_area_px: smaller outlines are dropped, in square pixels of the scene. Below the default, two by two
            pixels, an outline has no meaningful shape.

    Returns:
        Valid polygons, highest score first, with vertices on multiples of `PRECISION_PX`.
    """
    chosen = np.argsort(-detections.scores, kind="stable")
    chosen = chosen[detections.scores[chosen] >= score]
    owners, parts = _contours(detections.masks[chosen], level)
    owners, parts = _largest(owners, parts)
    boxes = detections.boxes[chosen].astype(np.float64)[owners]
    boxes += np.tile([window.extent.column, window.extent.row], 2)
    polygons = _snap(_stretch(parts, boxes), window)
    large_enough = np.flatnonzero(shapely.area(polygons) >= max(min_area_px, PRECISION_PX**2))
    kept = large_enough[_distinct(polygons[large_enough])]
    return [Instance(window, cast(Polygon, polygons[k]), float(detections.scores[chosen[owners[k]]])) for k in kept]


def _contours(masks: FloatArray, level: float) -> tuple[NDArray[np.intp], NDArray[np.object_]]:
    """Every island of every mask as a polygon in the unit square, and the index of its mask."""
    size = masks.shape[-1]
    positions = np.concatenate([[0.0], (np.arange(size) + 0.5) / size, [1.0]])
    owners: list[int] = []
    rings: list[NDArray[np.float64]] = []
    part_of_ring: list[int] = []
    for index, grid in enumerate(_to_box_edge(masks)):
        lines = contour_generator(positions, positions, grid, name="serial", fill_type=FillType.OuterOffset)
        for points, offsets in zip(*lines.filled(level, _ABOVE_ALL), strict=True):
            part_of_ring += [len(owners)] * (len(offsets) - 1)
            rings += np.split(points, offsets[1:-1])
            owners.append(index)
    return np.array(owners, dtype=np.intp), _polygons(rings, part_of_ring)


def _to_box_edge(masks: FloatArray) -> FloatArray:
    """Probabilities at the cell centres and, around them, on the edge of the box: `(n, m + 2, m + 2)`.

    A cell's value sits at its centre, half a cell inside the box. The slope of the two outermost cells continues to
    the edge, so that a mask that fills its box reaches it. A ring of zeros outside would pull the outline inwards by
    1.8 % of the area where the probability is 0.8; repeating the outermost value adds 0.7 % to a disc in its box.
    """
    grids = np.pad(masks, ((0, 0), (1, 1), (1, 1)), mode="edge")
    if masks.shape[-1] > 1:
        grids[:, [0, -1]] += (grids[:, [1, -2]] - grids[:, [2, -3]]) / 2
        grids[:, :, [0, -1]] += (grids[:, :, [1, -2]] - grids[:, :, [2, -3]]) / 2
    return cast(FloatArray, np.clip(grids, 0.0, 1.0))


def _polygons(rings: list[NDArray[np.float64]], part_of_ring: list[int]) -> NDArray[np.object_]:
    """Polygons out of rings, outer ring first; built all at once, which costs a tenth of one at a time."""
    if not rings:
        return np.empty(0, dtype=np.object_)
    ring_of_point = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    linear_rings = np.asarray(shapely.linearrings(np.concatenate(rings), indices=ring_of_point))
    return cast(NDArray[np.object_], shapely.polygons(linear_rings, indices=part_of_ring))


def _largest(owners: NDArray[np.intp], parts: NDArray[np.object_]) -> tuple[NDArray[np.intp], NDArray[np.object_]]:
    """The largest part of each owner, the first one where two are equal; `owners` ascends."""
    order = np.lexsort((np.arange(len(parts)), -shapely.area(parts), owners))
    unique, first = np.unique(owners[order], return_index=True)
    return unique, parts[order[first]]


def _stretch(parts: NDArray[np.object_], boxes: NDArray[np.float64]) -> NDArray[np.object_]:
    """From the unit square into a box `x0, y0, x1, y1` each, rounded to multiples of `PRECISION_PX`."""
    points, owner = shapely.get_coordinates(parts, return_index=True)
    corner, extent = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    points = corner[owner] + points * extent[owner]
    return shapely.set_coordinates(parts, np.round(points / PRECISION_PX) * PRECISION_PX)


def _snap(polygons: NDArray[np.object_], window: ChipWindow) -> NDArray[np.object_]:
    """Make polygons valid and cut them to the window where necessary, without moving other vertices."""
    left, top, right, bottom = window.extent.bounds
    bounds = shapely.bounds(polygons)
    outside = (bounds[:, :2] < [left, top]).any(axis=1) | (bounds[:, 2:] > [right, bottom]).any(axis=1)
    mend = outside | ~shapely.is_valid(polygons)
    limits = shapely.box(left, top, right, bottom)
    whole = shapely.make_valid(polygons[mend], method="structure", keep_collapsed=False)  # polygons only
    polygons[mend] = [largest_polygon(piece) for piece in shapely.intersection(whole, limits, grid_size=PRECISION_PX)]
    return polygons


def _distinct(polygons: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which polygons share little with those kept before them."""
    later, earlier = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    pairs = later > earlier
    later, earlier = later[pairs], earlier[pairs]
    area = shapely.area(polygons)
    shared = shapely.area(shapely.intersection(polygons[later], polygons[earlier]))
    same = shared > MAX_SHARED * np.minimum(area[later], area[earlier])
    kept = np.ones(len(polygons), dtype=np.bool_)
    for one, other in sorted(zip(later[same].tolist(), earlier[same].tolist(), strict=True)):
        kept[one] &= not kept[other]
    return kept
