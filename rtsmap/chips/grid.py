"""The lattice of overlapping chips, and the order in which a scene is worked through."""

from collections.abc import Iterator
from dataclasses import dataclass

from rtsmap.errors import InputError
from rtsmap.records import ChipWindow, Grid, Window

#: Width of a strip, px. What two rows of chips share is kept in memory for as many columns, and GDAL's blocks too; what
#: two strips share is read twice.
STRIP_PX = 6000


@dataclass(frozen=True)
class _Span:
    """One axis of a chip: where its window starts, and its core from `start` to `stop`."""

    window: int
    start: int
    stop: int


class ChipGrid:
    """A regular lattice of chips over a grid.

    Neighbouring windows share `overlap` pixels. Each chip answers for its core alone: cores tile the grid, so that an
    outline belongs to one chip by its place and nothing is lost or counted twice, and each has `overlap / 2` px of
    surroundings in its window, because a network sees badly where the image is cut. The first windows start with the
    grid, where there is nothing more to see, and the last ones may reach beyond it, into pixels that are not valid:
    windows always have the full size. A grid no larger than a chip gives one chip.

    Windows start at multiples of `alignment`, so that a network that attends within windows of its own has them at the
    same places of the scene whatever the lattice. The overlap grows until they do.

    The lattice is worked through strip by strip, each strip from north to south, and each of its rows from west to
    east. A strip is as many columns of chips as fit into `STRIP_PX`, so that memory does not grow with the width of a
    mosaic; the whole lattice where they all do.

    Args:
        grid: the lattice of pixels to cover.
        chip_size: side of a window, px.
        overlap: px shared by neighbouring windows at least, even and less than `chip_size`.
        alignment: px; even, or 1. Chips that are smaller than it, or than it and the overlap, are not aligned.
        one_strip: make all columns one strip, for files whose rows can only be decoded as a whole.

    Raises:
        InputError: the sizes do not make a lattice.
    """

    def __init__(
        self, grid: Grid, chip_size: int, overlap: int, alignment: int = 1, *, one_strip: bool = False
    ) -> None:
        if chip_size <= 0 or overlap % 2 or not 0 <= overlap < chip_size:
            raise InputError(f"chips of {chip_size} px cannot overlap by {overlap} px; give an even, smaller overlap")
        self.grid = grid
        self.chip_size = chip_size
        self.stride = chip_size - overlap
        if self.stride >= alignment:
            self.stride -= self.stride % alignment
        self.overlap = chip_size - self.stride
        self._down = self._spans(grid.height)
        self._across = self._spans(grid.width)
        fitting = max(1, (STRIP_PX - self.overlap) // self.stride)
        #: Columns of chips in each strip; the last one may have fewer.
        self.strip_columns = len(self._across) if one_strip else min(fitting, len(self._across))

    @property
    def rows(self) -> int:
        """Number of rows of chips."""
        return len(self._down)

    @property
    def strips(self) -> int:
        """Number of strips."""
        return -(-len(self._across) // self.strip_columns)

    @property
    def strip_px(self) -> int:
        """Width of a strip's windows together, px."""
        return self.strip_columns * self.stride + self.overlap

    def __len__(self) -> int:
        return len(self._down) * len(self._across)

    def places(self, row: int, strip: int | None = None) -> list[ChipWindow]:
        """The chips of a row, from west to east: all, or those of one strip."""
        down = self._down[row]
        first, stop = (0, None) if strip is None else (strip * self.strip_columns, (strip + 1) * self.strip_columns)
        return [
            ChipWindow(
                row,
                column,
                Window(down.window, across.window, self.chip_size, self.chip_size),
                Window(down.start, across.start, down.stop - down.start, across.stop - across.start),
            )
            for column, across in enumerate(self._across[first:stop], start=first)
        ]

    def all_places(self) -> Iterator[ChipWindow]:
        """All chips in the order of the work."""
        strips = range(self.strips)
        return (place for strip in strips for row in range(self.rows) for place in self.places(row, strip))

    def _spans(self, size: int) -> list[_Span]:
        starts = range(0, max(size - self.overlap, 1), self.stride)
        borders = [0, *(start + self.overlap // 2 for start in starts[1:]), size]
        return [_Span(*span) for span in zip(starts, borders, borders[1:], strict=False)]
