"""The lattice of chips tiles the grid."""

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
    lattice = ChipGrid(grid(height, width), 32, overlap)
    covered = np.zeros((height, width), dtype=np.int64)
    places = list(lattice.all_places())
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


def test_a_wide_lattice_is_worked_through_strip_by_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chips, "STRIP_PX", 80)  # three columns of chips
    lattice = ChipGrid(grid(70, 170), 32, 8)
    assert (lattice.strip_columns, lattice.strips, lattice.strip_px) == (3, 3, 80)
    places = list(lattice.all_places())
    assert sorted(places, key=lambda place: (place.column // 3, place.row, place.column)) == places
    assert {place.column for place in lattice.places(0, 2)} == {6}
    assert {(place.row, place.column) for place in places} == {(row, column) for row in range(3) for column in range(7)}


@pytest.mark.parametrize(("width", "one_strip"), [(20, False), (32, False), (80, False), (170, True)])
def test_a_narrow_lattice_is_one_strip(width: int, one_strip: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chips, "STRIP_PX", 80)
    lattice = ChipGrid(grid(70, width), 32, 8, one_strip=one_strip)
    assert lattice.strips == 1
    assert lattice.places(1, 0) == lattice.places(1)
