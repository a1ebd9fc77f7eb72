"""Parts of a series that can be followed by themselves, so that memory does not grow with the area."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pyproj import CRS, Transformer

from rtsmap.tracks.outlines import Floats, Ints, components, run_starts
from rtsmap.tracks.reading import PLANE

#: Outlines whose bounds touch the same cell of this size are followed together.
_CELL_M = 64.0
#: A tile holds the groups of a square of this side, whose plane is true to lengths within 2e-6.
_TILE_M = 50_000.0
#: And no more outlines than that, unless one group alone has more.
_MOST = 20_000


@dataclass(frozen=True)
class Tile:
    """Outlines that touch no outline of another tile in any epoch.

    Attributes:
        rows: numbers of the outlines, in order.
        crs: an equal-area plane around them, m.
    """

    rows: Ints
    crs: CRS


def tiles(bounds: Floats, margin_m: float) -> Iterator[Tile]:
    """Divide outlines into tiles.

    Which tile an outline is in does not change its track: outlines that may be linked are always together, and the
    plane is that of a fixed grid.

    Args:
        bounds: `(n, 4)` in `reading.PLANE`.
        margin_m: outlines that are this close may be linked.
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
        if is_last or (square[ordered[stop]] != here).any() or stops[number + 1] - begin > _MOST:
            yield Tile(np.sort(order[begin:stop]), _plane((here + 0.5) * _TILE_M))
            begin = stop


def groups(bounds: Floats, margin_m: float) -> Ints:
    """Number of the group of each outline: those that touch the same cells, directly or through others.

    Cells make this linear in the number of outlines, however often a place was mapped.
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
    """An equal-area plane around a point of `reading.PLANE`."""
    longitude, latitude = Transformer.from_crs(PLANE, "EPSG:4326", always_xy=True).transform(*point)
    return CRS.from_proj4(f"+proj=laea +lat_0={latitude:.5f} +lon_0={longitude:.5f} +datum=WGS84 +units=m +no_defs")
