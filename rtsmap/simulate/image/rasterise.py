"""Rasterising of single outlines, without the overhead of GDAL that adds up over thousands of them."""

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely import Polygon

from rtsmap.records import BoolArray


def rasterise(outline: Polygon, size: tuple[int, int], transform: Affine) -> BoolArray:
    """Return the pixels whose centres lie inside an outline.

    Along a row of pixel centres, a point is inside after an odd number of crossings of the outline and its holes.

    Args:
        outline: the outline, in the CRS of `transform`.
        size: the numbers of rows and columns.
        transform: the geotransform, north up.

    Returns:
        `(rows, columns)`, True inside.
    """
    height, width = size
    rows, at = _crossings(outline, height, transform)
    columns = np.clip(np.ceil(at), 0, width).astype(np.int64)  # the first pixel centre after each crossing
    counts = np.bincount(rows * (width + 1) + columns, minlength=height * (width + 1))
    odd = np.cumsum(counts.reshape(height, width + 1)[:, :width] & 1, axis=1, dtype=np.uint8) & 1
    return odd.astype(np.bool_)


def _crossings(outline: Polygon, height: int, transform: Affine) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return where edges cross the rows of pixel centres: the row and the position along it in columns."""
    coordinates, ring = shapely.get_coordinates(shapely.get_rings(outline), return_index=True)
    x = (coordinates[:, 0] - transform.c) / transform.a - 0.5
    y = (coordinates[:, 1] - transform.f) / transform.e - 0.5
    edge = ring[1:] == ring[:-1]
    (x0, x1), (y0, y1) = ((values[:-1][edge], values[1:][edge]) for values in (x, y))
    # Each edge includes its upper end but not its lower one, so that a corner on a row counts once.
    first, last = (np.clip(np.ceil(end(y0, y1)), 0, height).astype(np.int64) for end in (np.minimum, np.maximum))
    count = last - first
    own = np.repeat(np.arange(len(count)), count)
    rows = np.arange(len(own)) - np.repeat(np.cumsum(count) - count, count) + first[own]
    return rows, x0[own] + (rows - y0[own]) * ((x1 - x0)[own] / (y1 - y0)[own])
