"""The grid of overlapping chips, and the order in which its windows are read."""

from collections.abc import Iterator
from dataclasses import dataclass

from rtsmap.errors import InputError
from rtsmap.records import ChipWindow, Grid, Window

#: Width of a strip, px. The pixels that two rows of chips share are kept in memory over this width, as are the blocks
#: that GDAL decodes; the pixels that two strips share are read twice.
STRIP_PX = 6000


@dataclass(frozen=True)
class _Span:
    """One axis of a chip: where its extent starts, and its core from `start` to `stop`."""

    extent: int
    start: int
    stop: int


class ChipGrid:
    """A regular grid of overlapping chips over a scene.

    Neighbouring windows share `overlap` pixels. Each chip contributes only the objects of its core. The cores tile the
    scene, so that every outline is assigned to one chip by its position, and none is lost or counted twice. Around its
    core a window has a margin of `overlap / 2` px, because networks are unreliable near the border of their input. The
    first windows start at the edge of the scene. The last ones may extend beyond it, into pixels that are not valid, so
    that all windows have the full size. A scene no larger than a chip gives one chip.

    Windows start at multiples of `alignment`: a network with windowed attention then partitions the scene in the same
    way whatever the chip grid is. The overlap is increased until this holds.

    The chips are read strip by strip, each strip from north to south, and each of its rows from west to east. A strip
    has as many columns of chips as fit into `STRIP_PX`, so that memory does not grow with the width of a mosaic; if all
    columns fit, there is one strip.

    Args:
        grid: the grid of pixels to cover.
        chip_size: side of a window, px.
        overlap: smallest number of px that neighbouring windows share; even, and less than `chip_size`.
        alignment: px; even, or 1. It is ignored if the chip size less the overlap is smaller than the alignment.
        one_strip: put all columns into one strip, for files whose rows can only be decoded as a whole.

    Raises:
        InputError: chip size and overlap do not fit together.
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
        #: Columns of chips in each strip; the last strip may have fewer.
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
        """Width that the windows of a strip cover, px."""
        return self.strip_columns * self.stride + self.overlap

    def __len__(self) -> int:
        return len(self._down) * len(self._across)

    def windows(self, row: int, strip: int | None = None) -> list[ChipWindow]:
        """Return the windows of one row of chips, from west to east.

        Args:
            row: counted from 0 in the north.
            strip: return only the windows of this strip, counted from 0 in the west.
        """
        down = self._down[row]
        first, stop = (0, None) if strip is None else (strip * self.strip_columns, (strip + 1) * self.strip_columns)
        return [
            ChipWindow(
                row,
                column,
                Window(down.extent, across.extent, self.chip_size, self.chip_size),
                Window(down.start, across.start, down.stop - down.start, across.stop - across.start),
            )
            for column, across in enumerate(self._across[first:stop], start=first)
        ]

    def all_windows(self) -> Iterator[ChipWindow]:
        """Iterate over the windows of all chips in the order in which they are read."""
        strips = range(self.strips)
        return (window for strip in strips for row in range(self.rows) for window in self.windows(row, strip))

    def _spans(self, size: int) -> list[_Span]:
        starts = range(0, max(size - self.overlap, 1), self.stride)
        borders = [0, *(start + self.overlap // 2 for start in starts[1:]), size]
        return [_Span(*span) for span in zip(starts, borders, borders[1:], strict=False)]
