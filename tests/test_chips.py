"""The chip grid tiles the grid of pixels."""

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from rtsmap.chips import grid as chips
from rtsmap.chips.grid import ChipGrid
from rtsmap.errors import InputError
from rtsmap.records import Grid, Window


def grid(height: int, width: int) -> Grid:
    return Grid(CRS.from_epsg(32607), Affine(3, 0, 0, 0, -3, 0), height, width)


def slices(window: Window) -> tuple[slice, slice]:
    return np.s_[window.row : window.row + window.height, window.column : window.column + window.width]


SIZES = [(1, 1), (31, 500), (32, 32), (33, 32), (64, 64), (65, 90), (100, 257), (96, 128)]


@pytest.mark.parametrize("overlap", [0, 2, 8, 24])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_cores_tile_the_grid_and_keep_their_margin(height: int, width: int, overlap: int) -> None:
    chip_grid = ChipGrid(grid(height, width), 32, overlap)
    covered = np.zeros((height, width), dtype=np.int64)
    windows = list(chip_grid.all_windows())
    assert len(windows) == len(chip_grid)
    for window in windows:
        covered[slices(window.core)] += 1
        assert (window.extent.height, window.extent.width) == (32, 32)
        seen = Window(  # the core with its margin, as far as the grid reaches
            window.core.row - overlap // 2,
            window.core.column - overlap // 2,
            window.core.height + overlap,
            window.core.width + overlap,
        ).intersection(chip_grid.grid.window)
        assert window.extent.intersection(seen) == seen
    assert (covered == 1).all()


def test_a_scene_no_larger_than_a_chip_gives_one_chip() -> None:
    for height, width in [(1, 1), (20, 32), (32, 32), (30, 31)]:
        chip_grid = ChipGrid(grid(height, width), 32, 8)
        assert len(chip_grid) == 1
        [window] = chip_grid.windows(0)
        assert window.core == chip_grid.grid.window
        assert window.extent.intersection(chip_grid.grid.window) == chip_grid.grid.window


def test_neighbouring_windows_share_the_overlap() -> None:
    first, second = ChipGrid(grid(30, 60), 32, 8).windows(0)[:2]
    assert first.extent.column == first.core.column == 0
    assert second.extent.column - first.extent.column == 32 - 8
    assert first.core.column + first.core.width == second.core.column


@pytest.mark.parametrize(("chip_size", "overlap", "shared"), [(128, 32, 64), (128, 64, 64), (160, 32, 32), (96, 0, 32)])
def test_aligned_windows_start_at_multiples_and_share_at_least_the_overlap(
    chip_size: int, overlap: int, shared: int
) -> None:
    chip_grid = ChipGrid(grid(500, 500), chip_size, overlap, alignment=64)
    assert all(window.extent.column % 64 == 0 for window in chip_grid.windows(0))
    assert chip_grid.overlap == shared


def test_chips_too_small_to_be_aligned_keep_their_overlap() -> None:
    assert ChipGrid(grid(500, 500), 64, 16, alignment=64).overlap == 16


@pytest.mark.parametrize("overlap", [-2, 3, 32, 40])
def test_an_overlap_that_makes_no_lattice_is_an_error(overlap: int) -> None:
    with pytest.raises(InputError, match=f"cannot overlap by {overlap} px; give an even, smaller overlap"):
        ChipGrid(grid(100, 100), 32, overlap)


def test_a_wide_lattice_is_worked_through_strip_by_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chips, "STRIP_PX", 80)  # three columns of chips
    chip_grid = ChipGrid(grid(70, 170), 32, 8)
    assert (chip_grid.strip_columns, chip_grid.strips, chip_grid.strip_px) == (3, 3, 80)
    windows = list(chip_grid.all_windows())
    assert sorted(windows, key=lambda window: (window.column // 3, window.row, window.column)) == windows
    assert {window.column for window in chip_grid.windows(0, 2)} == {6}
    assert {(window.row, window.column) for window in windows} == {
        (row, column) for row in range(3) for column in range(7)
    }


@pytest.mark.parametrize(("width", "one_strip"), [(20, False), (32, False), (80, False), (170, True)])
def test_a_narrow_lattice_is_one_strip(width: int, one_strip: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chips, "STRIP_PX", 80)
    chip_grid = ChipGrid(grid(70, width), 32, 8, one_strip=one_strip)
    assert chip_grid.strips == 1
    assert chip_grid.windows(1, 0) == chip_grid.windows(1)
