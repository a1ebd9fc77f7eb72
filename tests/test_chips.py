"""The lattice of chips tiles the grid, and reading it gives every pixel once."""

import math
import tracemalloc

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from rtsmap import chips
from rtsmap.chips import ChipBlock, ChipGrid, read_chips
from rtsmap.errors import InputError
from rtsmap.records import Chip, ChipWindow, Grid, Pixels, Window


def grid(height: int, width: int) -> Grid:
    return Grid(CRS.from_epsg(32607), Affine(3, 0, 0, 0, -3, 0), height, width)


class MemoryScene:
    """Pixels held in memory that count how often each was read."""

    def __init__(self, height: int, width: int, clear: np.ndarray | None = None) -> None:
        self.grid = grid(height, width)
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


SIZES = [(1, 1), (31, 500), (32, 32), (33, 32), (64, 64), (65, 90), (100, 257), (96, 128)]


@pytest.mark.parametrize("overlap", [0, 2, 8, 24])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_cores_tile_the_grid_and_keep_their_margin(height: int, width: int, overlap: int) -> None:
    lattice = ChipGrid(grid(height, width), 32, overlap)
    covered = np.zeros((height, width), dtype=np.int64)
    places = [place for row in range(lattice.rows) for place in lattice.places(row)]
    assert len(places) == len(lattice)
    for place in places:
        covered[slices(place.core)] += 1
        assert (place.window.height, place.window.width) == (32, 32)
        seen = Window(  # the core with its margin, as far as the grid reaches
            place.core.row - overlap // 2,
            place.core.column - overlap // 2,
            place.core.height + overlap,
            place.core.width + overlap,
        ).intersection(lattice.grid.window)
        assert place.window.intersection(seen) == seen
    assert (covered == 1).all()


def test_a_scene_no_larger_than_a_chip_gives_one_chip() -> None:
    for height, width in [(1, 1), (20, 32), (32, 32), (30, 31)]:
        lattice = ChipGrid(grid(height, width), 32, 8)
        assert len(lattice) == 1
        [place] = lattice.places(0)
        assert place.core == lattice.grid.window
        assert place.window.intersection(lattice.grid.window) == lattice.grid.window


def test_neighbouring_windows_share_the_overlap() -> None:
    first, second = ChipGrid(grid(30, 60), 32, 8).places(0)[:2]
    assert first.window.column == first.core.column == 0
    assert second.window.column - first.window.column == 32 - 8
    assert first.core.column + first.core.width == second.core.column


@pytest.mark.parametrize(("chip_size", "overlap", "shared"), [(128, 32, 64), (128, 64, 64), (160, 32, 32), (96, 0, 32)])
def test_aligned_windows_start_at_multiples_and_share_at_least_the_overlap(
    chip_size: int, overlap: int, shared: int
) -> None:
    lattice = ChipGrid(grid(500, 500), chip_size, overlap, alignment=64)
    assert all(place.window.column % 64 == 0 for place in lattice.places(0))
    assert lattice.overlap == shared


def test_chips_too_small_to_be_aligned_keep_their_overlap() -> None:
    assert ChipGrid(grid(500, 500), 64, 16, alignment=64).overlap == 16


@pytest.mark.parametrize("overlap", [-2, 3, 32, 40])
def test_an_overlap_that_makes_no_lattice_is_an_error(overlap: int) -> None:
    with pytest.raises(InputError, match=f"cannot overlap by {overlap} px; give an even, smaller overlap"):
        ChipGrid(grid(100, 100), 32, overlap)


@pytest.mark.parametrize("overlap", [0, 8, 24])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_reading_gives_every_chip_from_every_pixel_once(
    height: int, width: int, overlap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chips, "BLOCK_PIXELS", 32 * 80)  # so that rows are read in several blocks
    scene = MemoryScene(height, width)
    lattice = ChipGrid(scene.grid, 32, overlap)
    blocks = list(read_chips(scene, lattice))
    assert (scene.reads == 1).all()
    whole = np.zeros((height, width), dtype=np.int64)
    for block in blocks:
        whole[slices(block.core)] += block.clear
    assert (whole == 1).all()
    found = [chip for block in blocks for chip in block.chips]
    assert [chip.place for chip in found] == [place for row in range(lattice.rows) for place in lattice.places(row)]
    for chip in found:
        assert_same(chip, scene.read(chip.place.window))


def assert_same(chip: Chip, expected: Pixels) -> None:
    np.testing.assert_array_equal(chip.pixels.reflectance, expected.reflectance)
    np.testing.assert_array_equal(chip.pixels.valid, expected.valid)
    np.testing.assert_array_equal(chip.pixels.clear, expected.clear)


def test_chips_without_a_clear_pixel_in_their_core_are_left_out_but_counted() -> None:
    clear = np.zeros((100, 100), dtype=np.bool_)
    clear[50, 60] = True
    scene = MemoryScene(100, 100, clear)
    blocks = list(read_chips(scene, ChipGrid(scene.grid, 32, 8)))
    [chip] = [chip for block in blocks for chip in block.chips]
    assert (chip.place.row, chip.place.column) == (1, 2)
    assert sum(int(block.valid.sum()) for block in blocks) == 100 * 100
    assert sum(int(block.clear.sum()) for block in blocks) == 1


@pytest.mark.parametrize("seed", range(5))
def test_chips_that_are_not_wanted_are_not_read(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chips, "BLOCK_PIXELS", 32 * 80)
    scene = MemoryScene(150, 260)
    lattice = ChipGrid(scene.grid, 32, 8)
    chosen = np.random.default_rng(seed).random((lattice.rows, len(lattice) // lattice.rows)) < 0.4

    def wanted(place: ChipWindow) -> bool:
        return bool(chosen[place.row, place.column])

    blocks: list[ChipBlock] = list(read_chips(scene, lattice, wanted=wanted))
    needed = np.zeros_like(scene.valid)
    for row in range(lattice.rows):
        for place in filter(wanted, lattice.places(row)):
            needed[slices(place.window.intersection(scene.grid.window))] = True
    assert not scene.reads[~needed].any()
    found = [chip for block in blocks for chip in block.chips]
    assert len(found) == chosen.sum()
    for chip in found:
        assert_same(chip, scene.read(chip.place.window))


def test_memory_is_that_of_one_row_of_chips() -> None:
    class Bright:
        grid = grid(1_300, 20_000)

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
    assert peak < 180e6
