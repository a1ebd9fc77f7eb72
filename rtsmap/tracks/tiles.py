"""Division of a series into tiles that are tracked independently, so that memory does not grow with the area."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pyproj import CRS, Transformer

from rtsmap.tracks.outlines import Floats, Ints, components, run_starts
from rtsmap.tracks.reading import PLANE

#: Outlines whose bounds touch the same cell of this size are in the same tile.
_CELL_M = 64.0
#: A tile holds the groups within a square of this side, in whose projection lengths are true within 2e-6.
_TILE_M = 50_000.0
#: Largest number of outlines of a tile, unless a single group has more.
_MAX_OUTLINES = 20_000


@dataclass(frozen=True)
class Tile:
    """A set of outlines that cannot be linked to the outlines of another tile in any epoch.

    Attributes:
        rows: numbers of the outlines, in order.
        crs: equal-area projection around the outlines, m.
    """

    rows: Ints
    crs: CRS


def tiles(bounds: Floats, margin_m: float) -> Iterator[Tile]:
    """Divide outlines into tiles.

    The division does not change the tracks: outlines that may be linked are always in the same tile, and the projection
    of a tile depends only on a fixed grid.

    Args:
        bounds: `(n, 4)` bounds of the outlines in `reading.PLANE`, m.
        margin_m: outlines that are closer to each other may be linked, m.
    """
    group = groups(bounds, margin_m)
    count = int(group.max()) + 1
    middle = np.column_stack([bounds[:, [0, 2]].mean(axis=1), bounds[:, [1, 3]].mean(axis=1)])
    size = np.bincount(group, minlength=count)
    centre = np.column_stack([np.bincount(group, middle[:, axis], count) / size for axis in (0, 1)])
    square = np.floor(centre / _TILE_M).astype(np.int64)
    order = np.lexsort((group, square[group, 0], square[group, 1]))
    ordered = group[order]
    starts = np.flatnonzero(run_starts(ordered))
    stops = np.append(starts[1:], len(order))
    begin = 0
    for number, stop in enumerate(stops.tolist()):
        here = square[ordered[starts[number]]]
        is_last = number + 1 == len(starts)
        if is_last or (square[ordered[stop]] != here).any() or stops[number + 1] - begin > _MAX_OUTLINES:
            yield Tile(np.sort(order[begin:stop]), _plane((here + 0.5) * _TILE_M))
            begin = stop


def groups(bounds: Floats, margin_m: float) -> Ints:
    """The number of the group of each outline: a group holds outlines that share cells, directly or through others.

    With cells the time is linear in the number of outlines, however often the same area was mapped.

    Args:
        bounds: `(n, 4)` bounds of the outlines in `reading.PLANE`, m.
        margin_m: distance by which the bounds are widened, m.

    Returns:
        `(n,)` numbers from 0.
    """
    wide = bounds + margin_m * np.array([-1, -1, 1, 1])
    low = np.floor(wide[:, :2] / _CELL_M).astype(np.int64)
    across, down = (np.floor(wide[:, 2:] / _CELL_M).astype(np.int64) - low + 1).T
    outline = np.repeat(np.arange(len(bounds)), across * down)
    number = np.arange(len(outline)) - np.repeat(np.cumsum(across * down) - across * down, across * down)
    column, row = low[outline, 0] + number % across[outline], low[outline, 1] + number // across[outline]
    cells, cell = np.unique(column * (1 << 24) + row, return_inverse=True)
    total = len(bounds) + len(cells)
    found = components((outline, cell + len(bounds)), total)[: len(bounds)]
    labels: Ints = np.unique(found, return_inverse=True)[1].astype(np.int64)
    return labels


def _plane(point: Floats) -> CRS:
    """The equal-area projection around a point of `reading.PLANE`."""
    longitude, latitude = Transformer.from_crs(PLANE, "EPSG:4326", always_xy=True).transform(*point)
    return CRS.from_proj4(f"+proj=laea +lat_0={latitude:.5f} +lon_0={longitude:.5f} +datum=WGS84 +units=m +no_defs")
