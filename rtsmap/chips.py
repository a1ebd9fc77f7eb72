"""The lattice of overlapping chips, and reading it: every pixel once, in the memory of one row of chips."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rtsmap.bands import BANDS, TERRAIN
from rtsmap.errors import InputError
from rtsmap.records import BoolArray, Chip, ChipWindow, Grid, Pixels, PixelSource, Window

#: Pixels read at a time. A wide row of chips is read in blocks of columns of about this size, because a whole row of
#: float32 reflectance of a 20 000 px wide mosaic is already 330 MB.
BLOCK_PIXELS = 3_000_000


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

    Args:
        grid: the lattice of pixels to cover.
        chip_size: side of a window, px.
        overlap: px shared by neighbouring windows at least, even and less than `chip_size`.
        alignment: px; even, or 1. Chips that are smaller than it, or than it and the overlap, are not aligned.

    Raises:
        InputError: the sizes do not make a lattice.
    """

    def __init__(self, grid: Grid, chip_size: int, overlap: int, alignment: int = 1) -> None:
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

    @property
    def rows(self) -> int:
        """Number of rows of chips."""
        return len(self._down)

    def __len__(self) -> int:
        return len(self._down) * len(self._across)

    def places(self, row: int) -> list[ChipWindow]:
        """The chips of a row, from west to east."""
        down = self._down[row]
        return [
            ChipWindow(
                row,
                column,
                Window(down.window, across.window, self.chip_size, self.chip_size),
                Window(down.start, across.start, down.stop - down.start, across.stop - across.start),
            )
            for column, across in enumerate(self._across)
        ]

    def all_places(self) -> Iterator[ChipWindow]:
        """All chips, row by row."""
        return (place for row in range(self.rows) for place in self.places(row))

    def _spans(self, size: int) -> list[_Span]:
        starts = range(0, max(size - self.overlap, 1), self.stride)
        borders = [0, *(start + self.overlap // 2 for start in starts[1:]), size]
        return [_Span(*span) for span in zip(starts, borders, borders[1:], strict=False)]


@dataclass(frozen=True)
class ChipBlock:
    """Neighbouring chips of one row, and what their cores hold together.

    Attributes:
        core: the rectangle of their cores; the cores of all blocks tile the grid.
        places: how many chips of the lattice these are.
        valid: `(rows, columns)` of `core`.
        clear: likewise.
        chips: those whose own core has a clear pixel; they share one array, so copy a chip that is to be kept long.
    """

    core: Window
    places: int
    valid: BoolArray
    clear: BoolArray
    chips: tuple[Chip, ...]


def read_chips(
    source: PixelSource, chip_grid: ChipGrid, *, wanted: Callable[[ChipWindow], bool] | None = None
) -> Iterator[ChipBlock]:
    """Read a scene chip row by chip row, each row from west to east.

    Pixels shared by neighbouring chips are kept rather than read again, so that every pixel is read once.

    Args:
        source: the pixels; its grid is that of `chip_grid`.
        chip_grid: the lattice.
        wanted: says which chips to read, all without it. The cores of others are not part of any block.

    Yields:
        Blocks of chips. The order does not depend on anything but the grid and `wanted`.
    """
    reader = _BlockReader(source, chip_grid)
    for row in range(chip_grid.rows):
        for places in _runs(chip_grid, row, wanted):
            window = _rectangle([place.window for place in places])
            yield _block(places, window, reader.read(window))


def _runs(chip_grid: ChipGrid, row: int, wanted: Callable[[ChipWindow], bool] | None) -> Iterator[Sequence[ChipWindow]]:
    """Wanted chips of a row, in runs of neighbours that are short enough to read at once."""
    longest = max(1, (BLOCK_PIXELS // chip_grid.chip_size - chip_grid.overlap) // chip_grid.stride)
    run: list[ChipWindow] = []
    for place in chip_grid.places(row):
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

    def __init__(self, source: PixelSource, chip_grid: ChipGrid) -> None:
        self._source = source
        self._overlap = chip_grid.overlap
        lattice = _rectangle([place.window for place in chip_grid.places(0)])
        self._west = lattice.column
        self._above = _blank(self._overlap, lattice.width)
        self._above_row = np.full(lattice.width, lattice.row - 1)  # of the grid, where `_above` starts, by column
        self._left = _blank(chip_grid.chip_size, self._overlap)
        self._left_corner: tuple[int, int] | None = None

    def read(self, window: Window) -> Pixels:
        """The pixels of a window of the lattice."""
        left = self._overlap if self._left_corner == (window.row, window.column) else 0
        begin = window.column - self._west
        fresh = slice(begin + left, begin + window.width)
        top = self._overlap if np.all(self._above_row[fresh] == window.row) else 0
        rest = Window(window.row + top, window.column + left, window.height - top, window.width - left)
        new = self._source.read(rest)
        if new.terrain is not None and self._left.terrain is None:  # the first pixels say what a source holds
            self._left, self._above = _with_terrain(self._left), _with_terrain(self._above)
        pixels = _blank(window.height, window.width)
        pixels = pixels if self._left.terrain is None else _with_terrain(pixels)
        _paste(self._left, (slice(None), slice(left)), pixels, (slice(None), slice(left)))
        _paste(self._above, (slice(top), fresh), pixels, (slice(top), slice(left, None)))
        whole = (slice(None), slice(None))
        _paste(new, whole, pixels, (slice(top, None), slice(left, None)))
        self._remember(window, pixels)
        return pixels

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
