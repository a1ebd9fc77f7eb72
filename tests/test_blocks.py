"""Reading chips gives every pixel once."""

import math
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from rtsmap.chips import grid as chips
from rtsmap.chips import reading as blocks
from rtsmap.chips.grid import ChipGrid
from rtsmap.chips.reading import ChipBlock, read_chips
from rtsmap.records import Chip, ChipWindow, Grid, Pixels, Window

SIZES = [(1, 1), (31, 500), (32, 32), (33, 32), (64, 64), (65, 90), (100, 257), (96, 128)]


class MemoryScene:
    """Pixels held in memory that count how often each was read."""

    def __init__(self, height: int, width: int, clear: np.ndarray | None = None) -> None:
        self.grid = Grid(CRS.from_epsg(32607), Affine(3, 0, 0, 0, -3, 0), height, width)
        self.reads = np.zeros((height, width), dtype=np.int64)
        self.valid = np.ones((height, width), dtype=np.bool_)
        self.clear = self.valid.copy() if clear is None else clear
        self.reflectance = np.random.default_rng(7).random((4, height, width), dtype=np.float32)

    def read(self, window: Window) -> Pixels:
        inside = window.intersection(self.grid.window)
        result = Pixels(
            np.zeros((4, window.height, window.width), dtype=np.float32),
            np.zeros((window.height, window.width), dtype=np.bool_),
            np.zeros((window.height, window.width), dtype=np.bool_),
        )
        here = np.s_[inside.row : inside.row + inside.height, inside.column : inside.column + inside.width]
        row, column = inside.row - window.row, inside.column - window.column
        there = np.s_[row : row + inside.height, column : column + inside.width]
        self.reads[here] += 1
        result.reflectance[:, *there] = self.reflectance[:, *here]
        result.valid[there], result.clear[there] = self.valid[here], self.clear[here]
        return result


def slices(window: Window) -> tuple[slice, slice]:
    return np.s_[window.row : window.row + window.height, window.column : window.column + window.width]


def kept(read: Iterator[ChipBlock]) -> list[ChipBlock]:
    """All blocks, their arrays copied."""
    return [
        ChipBlock(block.core, block.n_windows, block.valid.copy(), block.clear.copy(), tuple(map(copied, block.chips)))
        for block in read
    ]


def copied(chip: Chip) -> Chip:
    return Chip(chip.window, Pixels(chip.pixels.reflectance.copy(), chip.pixels.valid.copy(), chip.pixels.clear.copy()))


@pytest.mark.parametrize("overlap", [0, 8, 24])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_reading_gives_every_chip_from_every_pixel_once(
    height: int, width: int, overlap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_PIXELS", 32 * 80)  # so that rows are read in several blocks
    scene = MemoryScene(height, width)
    chip_grid = ChipGrid(scene.grid, 32, overlap)
    read = kept(read_chips(scene, chip_grid))
    assert (scene.reads == 1).all()
    whole = np.zeros((height, width), dtype=np.int64)
    for block in read:
        whole[slices(block.core)] += block.clear
    assert (whole == 1).all()
    found = [chip for block in read for chip in block.chips]
    assert [chip.window for chip in found] == list(chip_grid.all_windows())
    for chip in found:
        assert_same(chip, scene.read(chip.window.extent))


def assert_same(chip: Chip, expected: Pixels) -> None:
    np.testing.assert_array_equal(chip.pixels.reflectance, expected.reflectance)
    np.testing.assert_array_equal(chip.pixels.valid, expected.valid)
    np.testing.assert_array_equal(chip.pixels.clear, expected.clear)


def test_chips_without_a_clear_pixel_in_their_core_are_left_out_but_counted() -> None:
    clear = np.zeros((100, 100), dtype=np.bool_)
    clear[50, 60] = True
    scene = MemoryScene(100, 100, clear)
    read = kept(read_chips(scene, ChipGrid(scene.grid, 32, 8)))
    [chip] = [chip for block in read for chip in block.chips]
    assert (chip.window.row, chip.window.column) == (1, 2)
    assert sum(int(block.valid.sum()) for block in read) == 100 * 100
    assert sum(int(block.clear.sum()) for block in read) == 1


@pytest.mark.parametrize("seed", range(5))
def test_chips_that_are_not_wanted_are_not_read(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_PIXELS", 32 * 80)
    scene = MemoryScene(150, 260)
    chip_grid = ChipGrid(scene.grid, 32, 8)
    chosen = np.random.default_rng(seed).random((chip_grid.rows, len(chip_grid) // chip_grid.rows)) < 0.4

    def wanted(window: ChipWindow) -> bool:
        return bool(chosen[window.row, window.column])

    read = kept(read_chips(scene, chip_grid, wanted=wanted))
    needed = np.zeros_like(scene.valid)
    for row in range(chip_grid.rows):
        for window in filter(wanted, chip_grid.windows(row)):
            needed[slices(window.extent.intersection(scene.grid.window))] = True
    assert not scene.reads[~needed].any()
    found = [chip for block in read for chip in block.chips]
    assert len(found) == chosen.sum()
    for chip in found:
        assert_same(chip, scene.read(chip.window.extent))


def test_strips_share_the_overlap_and_nothing_else_is_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chips, "STRIP_PX", 80)
    scene = MemoryScene(70, 170)
    chip_grid = ChipGrid(scene.grid, 32, 8)
    found = [chip for block in kept(read_chips(scene, chip_grid)) for chip in block.chips]
    twice = np.zeros_like(scene.valid)
    twice[:, 72:80] = twice[:, 144:152] = True
    np.testing.assert_array_equal(scene.reads, np.where(twice, 2, 1))
    assert [chip.window for chip in found] == list(chip_grid.all_windows())
    for chip in found:
        assert_same(chip, scene.read(chip.window.extent))


def test_memory_is_that_of_a_strip() -> None:
    class Bright:
        grid = Grid(CRS.from_epsg(32607), Affine(3, 0, 0, 0, -3, 0), 1_300, 20_000)

        def read(self, window: Window) -> Pixels:
            shape = window.height, window.width
            mask = np.ones(shape, dtype=np.bool_)
            return Pixels(np.ones((4, *shape), dtype=np.float32), mask, mask)

    tracemalloc.start()
    try:
        number = sum(len(block.chips) for block in read_chips(Bright(), ChipGrid(Bright.grid, 512, 64)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert number == math.ceil((1_300 - 64) / 448) * math.ceil((20_000 - 64) / 448)
    assert peak < 100e6
