"""An index of occupied ground, to which outlines are added one after the other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from shapely import Polygon

_CELL_M = 500.0  # most slumps lie in one cell, the largest in about ten


class Occupancy:
    """Outlines indexed by square cells. A spatial tree would have to be rebuilt for each outline that is added."""

    def __init__(self, outlines: Iterable[Polygon] = ()) -> None:
        self._cells: defaultdict[tuple[int, int], list[Polygon]] = defaultdict(list)
        for outline in outlines:
            self.add(outline)

    def add(self, outline: Polygon) -> None:
        """Mark the ground of an outline (m) as occupied."""
        for cell in _cells(outline):
            self._cells[cell].append(outline)

    def is_free(self, outline: Polygon) -> bool:
        """Return whether an outline intersects none of the outlines that were added."""
        near = (other for cell in _cells(outline) for other in self._cells.get(cell, ()))
        return not any(outline.intersects(other) for other in near)


def _cells(outline: Polygon) -> Iterator[tuple[int, int]]:
    """Yield the cells that the bounds of an outline intersect."""
    left, bottom, right, top = (int(bound // _CELL_M) for bound in outline.bounds)
    return ((column, row) for column in range(left, right + 1) for row in range(bottom, top + 1))
