"""The pixels of one outline, without the overhead of GDAL for each of thousands."""

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely import Polygon

from rtsmap.records import BoolArray


def rasterise(outline: Polygon, size: tuple[int, int], place: Affine) -> BoolArray:
    """Pixels whose centres lie in an outline.

    On its way along a row of centres a point is inside after every odd crossing of the outline, holes included.

    Args:
        outline: in the coordinates of `place`.
        size: rows and columns.
        place: north up.
    """
    height, width = size
    rows, at = _crossings(outline, height, place)
    columns = np.clip(np.ceil(at), 0, width).astype(np.int64)  # the first centre behind each
    counts = np.bincount(rows * (width + 1) + columns, minlength=height * (width + 1))
    odd = np.cumsum(counts.reshape(height, width + 1)[:, :width] & 1, axis=1, dtype=np.uint8) & 1
    return odd.astype(np.bool_)


def _crossings(outline: Polygon, height: int, place: Affine) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Where edges cross the rows of centres: the row, and the place along it in columns."""
    coordinates, ring = shapely.get_coordinates(shapely.get_rings(outline), return_index=True)
    x = (coordinates[:, 0] - place.c) / place.a - 0.5
    y = (coordinates[:, 1] - place.f) / place.e - 0.5
    edge = ring[1:] == ring[:-1]
    (x0, x1), (y0, y1) = ((values[:-1][edge], values[1:][edge]) for values in (x, y))
    # Each edge owns its upper end and not its lower one, so that a corner on a row counts once.
    first, last = (np.clip(np.ceil(end(y0, y1)), 0, height).astype(np.int64) for end in (np.minimum, np.maximum))
    count = last - first
    own = np.repeat(np.arange(len(count)), count)
    rows = np.arange(len(own)) - np.repeat(np.cumsum(count) - count, count) + first[own]
    return rows, x0[own] + (rows - y0[own]) * ((x1 - x0)[own] / (y1 - y0)[own])
