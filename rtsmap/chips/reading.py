"""Reading a scene chip by chip: every pixel once, in the memory that one row of chips of a strip takes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rtsmap.bands import BANDS, TERRAIN
from rtsmap.chips.grid import ChipGrid
from rtsmap.records import BoolArray, Chip, ChipWindow, Pixels, PixelSource, Window

#: Pixels of a block; as float32 reflectance 24 MB.
BLOCK_PIXELS = 1_500_000

#: Pixels read at a time: few enough to stay in the processor's cache from decoding until they are in their block.
SLAB_PIXELS = 200_000


@dataclass(frozen=True)
class ChipBlock:
    """Neighbouring chips of one row, and the pixels of their cores.

    The arrays are overwritten when the next block is read; copy what is to be kept. Allocating new memory for each
    block would add a third to the time of reading.

    Attributes:
        core: the rectangle of the chips' cores; the cores of all blocks tile the scene.
        n_windows: number of windows of the chip grid that the block covers.
        valid: `(rows, columns)` of `core`, as in `Pixels`.
        clear: `(rows, columns)` of `core`, as in `Pixels`.
        chips: the chips whose core has at least one clear pixel.
    """

    core: Window
    n_windows: int
    valid: BoolArray
    clear: BoolArray
    chips: tuple[Chip, ...]


def read_chips(
    source: PixelSource, chip_grid: ChipGrid, *, wanted: Callable[[ChipWindow], bool] | None = None
) -> Iterator[ChipBlock]:
    """Read a scene in the order of the chip grid.

    Pixels shared by neighbouring chips are kept in memory, so that every pixel of a strip is read once.

    Args:
        source: the pixels; its grid is that of `chip_grid`.
        chip_grid: the windows to read.
        wanted: returns whether to read a chip; all chips are read without it. The cores of chips that are not read are
            not part of any block.

    Yields:
        Blocks of chips; use each before the next one is requested. Their order depends on nothing but the chip grid and
        `wanted`.
    """
    longest = max(1, (BLOCK_PIXELS // chip_grid.chip_size - chip_grid.overlap) // chip_grid.stride)
    for strip in range(chip_grid.strips):
        reader = _BlockReader(source, chip_grid, strip, longest)
        for row in range(chip_grid.rows):
            for run in _runs(chip_grid.windows(row, strip), longest, wanted):
                extent = _rectangle([window.extent for window in run])
                yield _block(run, extent, reader.read(extent))


def _runs(
    windows: Sequence[ChipWindow], longest: int, wanted: Callable[[ChipWindow], bool] | None
) -> Iterator[Sequence[ChipWindow]]:
    """Group the wanted chips of a row into runs of neighbours that are short enough to read at once."""
    run: list[ChipWindow] = []
    for window in windows:
        take = wanted is None or wanted(window)
        if run and (not take or len(run) == longest):
            yield run
            run = []
        if take:
            run.append(window)
    if run:
        yield run


class _BlockReader:
    """Reads windows row by row, and keeps the pixels that the next window to the east and the next row share."""

    def __init__(self, source: PixelSource, chip_grid: ChipGrid, strip: int, longest: int) -> None:
        self._source = source
        self._overlap = chip_grid.overlap
        first_row = _rectangle([window.extent for window in chip_grid.windows(0, strip)])
        self._west = first_row.column
        self._above = _blank(self._overlap, first_row.width)
        self._above_row = np.full(
            first_row.width, first_row.row - 1
        )  # row of the grid where `_above` starts, by column
        self._left = _blank(chip_grid.chip_size, self._overlap)
        widest = min(longest * chip_grid.stride + self._overlap, first_row.width)
        self._block = _blank(chip_grid.chip_size, widest)
        self._left_corner: tuple[int, int] | None = None

    def read(self, window: Window) -> Pixels:
        """Read the pixels of a window of the strip; the next call overwrites them."""
        left = self._overlap if self._left_corner == (window.row, window.column) else 0
        begin = window.column - self._west
        fresh = slice(begin + left, begin + window.width)
        top = self._overlap if np.all(self._above_row[fresh] == window.row) else 0
        known = _cut(self._block, window, window)
        _paste(self._left, (slice(None), slice(left)), known, (slice(None), slice(left)))
        _paste(self._above, (slice(top), fresh), known, (slice(top), slice(left, None)))
        while top < window.height:
            rows = slice(top, min(top + self._slab_rows(window.width - left), window.height))
            part = Window(window.row + top, window.column + left, rows.stop - top, window.width - left)
            self._take(self._source.read(part), window, (rows, slice(left, None)))
            top = rows.stop
        pixels = _cut(self._block, window, window)  # cut again: the first read may have added the terrain
        self._remember(window, pixels)
        return pixels

    def _slab_rows(self, width: int) -> int:
        """Number of rows to read at a time; all rows if there is terrain, which needs a wide neighbourhood."""
        return max(1, SLAB_PIXELS // width) if self._left.terrain is None else self._block.valid.shape[0]

    def _take(self, new: Pixels, window: Window, slices: tuple[slice, slice]) -> None:
        if new.terrain is not None and self._left.terrain is None:  # only the first read shows whether there is terrain
            self._left, self._above = _with_terrain(self._left), _with_terrain(self._above)
            self._block = _with_terrain(self._block)
        _paste(new, (slice(None), slice(None)), _cut(self._block, window, window), slices)

    def _remember(self, window: Window, pixels: Pixels) -> None:
        last_row, last_column = window.height - self._overlap, window.width - self._overlap
        columns = slice(window.column - self._west, window.column - self._west + window.width)
        _paste(pixels, (slice(last_row, None), slice(None)), self._above, (slice(None), columns))
        self._above_row[columns] = window.row + last_row
        _paste(pixels, (slice(None), slice(last_column, None)), self._left, (slice(None), slice(None)))
        self._left_corner = window.row, window.column + last_column


def _block(windows: Sequence[ChipWindow], extent: Window, pixels: Pixels) -> ChipBlock:
    core = _rectangle([window.core for window in windows])
    chips = [
        Chip(window, _cut(pixels, extent, window.extent))
        for window in windows
        if _cut(pixels, extent, window.core).clear.any()
    ]
    inner = _cut(pixels, extent, core)
    return ChipBlock(core, len(windows), inner.valid, inner.clear, tuple(chips))


def _cut(pixels: Pixels, window: Window, part: Window) -> Pixels:
    """A view of the part `part` of `pixels`, which cover `window`."""
    row, column = part.row - window.row, part.column - window.column
    rows, columns = slice(row, row + part.height), slice(column, column + part.width)
    terrain = None if pixels.terrain is None else pixels.terrain[:, rows, columns]
    masks = pixels.valid[rows, columns], pixels.clear[rows, columns]
    return Pixels(pixels.reflectance[:, rows, columns], *masks, terrain)


def _blank(height: int, width: int) -> Pixels:
    return Pixels(
        np.zeros((len(BANDS), height, width), dtype=np.float32),
        np.zeros((height, width), dtype=np.bool_),
        np.zeros((height, width), dtype=np.bool_),
    )


def _with_terrain(pixels: Pixels) -> Pixels:
    return replace(pixels, terrain=np.zeros((len(TERRAIN), *pixels.valid.shape), dtype=np.float32))


def _paste(origin: Pixels, part: tuple[slice, slice], target: Pixels, slices: tuple[slice, slice]) -> None:
    target.reflectance[:, *slices] = origin.reflectance[:, *part]
    target.valid[slices] = origin.valid[part]
    target.clear[slices] = origin.clear[part]
    if origin.terrain is not None and target.terrain is not None:
        target.terrain[:, *slices] = origin.terrain[:, *part]


def _rectangle(windows: Sequence[Window]) -> Window:
    """The rectangle from the first to the last of several windows in reading order."""
    first, last = windows[0], windows[-1]
    return Window(first.row, first.column, last.row + last.height - first.row, last.column + last.width - first.column)
