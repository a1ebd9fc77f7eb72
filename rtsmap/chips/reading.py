"""Reading a scene chip by chip: every pixel once, in the memory of one strip's row of chips."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rtsmap.bands import BANDS, TERRAIN
from rtsmap.chips.grid import ChipGrid
from rtsmap.records import BoolArray, Chip, ChipWindow, Pixels, PixelSource, Window

#: Pixels of a block, in float32 reflectance 24 MB.
BLOCK_PIXELS = 1_500_000

#: Pixels read at a time: few enough to stay in the processor's cache from decoding until they are in their block.
SLAB_PIXELS = 200_000


@dataclass(frozen=True)
class ChipBlock:
    """Neighbouring chips of one row, and what their cores hold together.

    Its arrays are those of the next block too: copy what is to be kept. Fresh memory for each would take a third of the
    time of reading.

    Attributes:
        core: the rectangle of their cores; the cores of all blocks tile the grid.
        places: how many chips of the lattice these are.
        valid: `(rows, columns)` of `core`.
        clear: likewise.
        chips: those whose own core has a clear pixel.
    """

    core: Window
    places: int
    valid: BoolArray
    clear: BoolArray
    chips: tuple[Chip, ...]


def read_chips(
    source: PixelSource, chip_grid: ChipGrid, *, wanted: Callable[[ChipWindow], bool] | None = None
) -> Iterator[ChipBlock]:
    """Read a scene in the order of the lattice's work.

    Pixels shared by neighbouring chips are kept rather than read again, so that every pixel of a strip is read once.

    Args:
        source: the pixels; its grid is that of `chip_grid`.
        chip_grid: the lattice.
        wanted: says which chips to read, all without it. The cores of others are not part of any block.

    Yields:
        Blocks of chips, each to be used before the next is asked for. The order does not depend on anything but the
        grid and `wanted`.
    """
    longest = max(1, (BLOCK_PIXELS // chip_grid.chip_size - chip_grid.overlap) // chip_grid.stride)
    for strip in range(chip_grid.strips):
        reader = _BlockReader(source, chip_grid, strip, longest)
        for row in range(chip_grid.rows):
            for places in _runs(chip_grid.places(row, strip), longest, wanted):
                window = _rectangle([place.window for place in places])
                yield _block(places, window, reader.read(window))


def _runs(
    places: Sequence[ChipWindow], longest: int, wanted: Callable[[ChipWindow], bool] | None
) -> Iterator[Sequence[ChipWindow]]:
    """Wanted chips of a row, in runs of neighbours that are short enough to read at once."""
    run: list[ChipWindow] = []
    for place in places:
        take = wanted is None or wanted(place)
        if run and (not take or len(run) == longest):
            yield run
            run = []
        if take:
            run.append(place)
    if run:
        yield run


class _BlockReader:
    """Reads windows row by row and remembers what the next window to the east and the next row share with them."""

    def __init__(self, source: PixelSource, chip_grid: ChipGrid, strip: int, longest: int) -> None:
        self._source = source
        self._overlap = chip_grid.overlap
        lattice = _rectangle([place.window for place in chip_grid.places(0, strip)])
        self._west = lattice.column
        self._above = _blank(self._overlap, lattice.width)
        self._above_row = np.full(lattice.width, lattice.row - 1)  # of the grid, where `_above` starts, by column
        self._left = _blank(chip_grid.chip_size, self._overlap)
        widest = min(longest * chip_grid.stride + self._overlap, lattice.width)
        self._block = _blank(chip_grid.chip_size, widest)
        self._left_corner: tuple[int, int] | None = None

    def read(self, window: Window) -> Pixels:
        """The pixels of a window of the strip; the next call overwrites them."""
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
        pixels = _cut(self._block, window, window)  # anew, for the first pixels may have brought the terrain
        self._remember(window, pixels)
        return pixels

    def _slab_rows(self, width: int) -> int:
        """Rows to read at a time; all where there is terrain, which is computed from wide surroundings."""
        return max(1, SLAB_PIXELS // width) if self._left.terrain is None else self._block.valid.shape[0]

    def _take(self, new: Pixels, window: Window, place: tuple[slice, slice]) -> None:
        if new.terrain is not None and self._left.terrain is None:  # the first pixels say what a source holds
            self._left, self._above = _with_terrain(self._left), _with_terrain(self._above)
            self._block = _with_terrain(self._block)
        _paste(new, (slice(None), slice(None)), _cut(self._block, window, window), place)

    def _remember(self, window: Window, pixels: Pixels) -> None:
        last_row, last_column = window.height - self._overlap, window.width - self._overlap
        columns = slice(window.column - self._west, window.column - self._west + window.width)
        _paste(pixels, (slice(last_row, None), slice(None)), self._above, (slice(None), columns))
        self._above_row[columns] = window.row + last_row
        _paste(pixels, (slice(None), slice(last_column, None)), self._left, (slice(None), slice(None)))
        self._left_corner = window.row, window.column + last_column


def _block(places: Sequence[ChipWindow], window: Window, pixels: Pixels) -> ChipBlock:
    core = _rectangle([place.core for place in places])
    chips = [
        Chip(place, _cut(pixels, window, place.window))
        for place in places
        if _cut(pixels, window, place.core).clear.any()
    ]
    inner = _cut(pixels, window, core)
    return ChipBlock(core, len(places), inner.valid, inner.clear, tuple(chips))


def _cut(pixels: Pixels, window: Window, part: Window) -> Pixels:
    """A view of the part of `pixels`, which are those of `window`."""
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


def _paste(origin: Pixels, part: tuple[slice, slice], target: Pixels, place: tuple[slice, slice]) -> None:
    target.reflectance[:, *place] = origin.reflectance[:, *part]
    target.valid[place] = origin.valid[part]
    target.clear[place] = origin.clear[part]
    if origin.terrain is not None and target.terrain is not None:
        target.terrain[:, *place] = origin.terrain[:, *part]


def _rectangle(windows: Sequence[Window]) -> Window:
    """From the first window to the last, of windows in reading order."""
    first, last = windows[0], windows[-1]
    return Window(first.row, first.column, last.row + last.height - first.row, last.column + last.width - first.column)
