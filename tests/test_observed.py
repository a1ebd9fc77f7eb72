"""What was really looked at, added up window by window."""

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from rtsmap.observed import ObservedArea
from rtsmap.records import Grid, Window

GRID = Grid(CRS.from_epsg(32608), Affine(3.0, 0.0, 500_000.0, 0.0, -3.0, 8_000_000.0), height=205, width=303)
TRUE_PIXEL_M2 = 9.0 / 0.9996**2  # on the central meridian


def full(value: bool = True) -> np.ndarray:
    return np.full((GRID.height, GRID.width), value)


def whole_scene(valid: np.ndarray, clear: np.ndarray, aoi: shapely.Geometry | None = None) -> ObservedArea:
    area = ObservedArea(GRID, aoi)
    area.add(GRID.window, valid, clear)
    return area


def test_a_clear_scene_is_observed_to_its_last_pixel():
    area = whole_scene(full(), full())
    assert area.observed_km2 == pytest.approx(303 * 205 * TRUE_PIXEL_M2 / 1e6, rel=1e-6)
    assert area.cloud_fraction == 0.0
    # 303 and 205 are no multiples of the 10 pixels of a cell: the outline still ends with the grid.
    assert area.polygon().bounds == (500_000.0, 8_000_000.0 - 615, 500_909.0, 8_000_000.0)
    assert area.polygon().area == 303 * 205 * 9


def test_counts_are_exact_whatever_the_windows():
    rng = np.random.default_rng(7)
    valid = rng.random((GRID.height, GRID.width)) < 0.9
    clear = valid & (rng.random(valid.shape) < 0.6)
    once = whole_scene(valid, clear)
    pieces = ObservedArea(GRID)
    cuts = [Window(r, c, min(77, 205 - r), min(64, 303 - c)) for r in range(0, 205, 77) for c in range(0, 303, 64)]
    for cut in reversed(cuts):
        rows_columns = np.s_[cut.row : cut.row + cut.height, cut.column : cut.column + cut.width]
        pieces.add(cut, valid[rows_columns], clear[rows_columns])
    assert once.valid_pixels == pieces.valid_pixels == valid.sum()
    assert once.clear_pixels == pieces.clear_pixels == clear.sum()
    assert once.cloud_fraction == pytest.approx(1 - clear.sum() / valid.sum())
    assert once.observed_km2 == pieces.observed_km2 == pytest.approx(clear.sum() * TRUE_PIXEL_M2 / 1e6, rel=1e-6)
    assert once.polygon().equals(pieces.polygon())


def test_a_cell_is_drawn_when_half_of_it_is_clear():
    clear = full(False)
    clear[:5, :10] = True  # half of the first cell
    clear[:5, 20:29] = True  # less than half of the third
    area = whole_scene(full(), clear)
    assert area.polygon().bounds == (500_000.0, 8_000_000.0 - 30, 500_030.0, 8_000_000.0)
    assert area.observed_km2 == pytest.approx(95 * TRUE_PIXEL_M2 / 1e6, rel=1e-6)


def test_a_cloud_leaves_a_hole_and_the_outline_is_valid():
    clear = full()
    clear[50:100, 100:200] = False
    clear[100:150, 200:250] = False  # touches the other only at a corner
    polygon = whole_scene(full(), clear).polygon()
    assert polygon.is_valid
    assert polygon.area == clear.sum() * 9


def test_scattered_clouds_give_a_valid_outline():
    cells = np.random.default_rng(5).random((21, 31)) < 0.5
    clear = np.repeat(np.repeat(cells, 10, axis=0), 10, axis=1)[:205, :303]
    polygon = whole_scene(full(), clear).polygon()
    assert polygon.is_valid
    assert polygon.area == clear.sum() * 9


def test_masked_pixels_that_are_not_valid_are_no_cloud():
    valid = full()
    valid[:100] = False
    area = whole_scene(valid, full())  # clear is believed only where valid
    assert area.cloud_fraction == 0.0
    assert area.clear_pixels == 105 * 303


def test_nothing_valid_is_an_empty_outline():
    area = whole_scene(full(False), full(False))
    assert area.polygon().is_empty
    assert area.polygon().geom_type == "MultiPolygon"
    assert (area.observed_km2, area.cloud_fraction) == (0.0, 0.0)


def test_what_lies_beyond_the_grid_does_not_count():
    area = ObservedArea(GRID)
    core = Window(-10, -10, 300, 400)
    area.add(core, np.ones((300, 400), bool), np.ones((300, 400), bool))
    area.add(Window(300, 0, 10, 10), np.ones((10, 10), bool), np.ones((10, 10), bool))
    assert area.clear_pixels == 205 * 303


def test_an_area_of_interest_limits_counts_and_outline():
    aoi = shapely.box(500_090, 7_999_700, 500_300, 9_000_000)  # 70 columns, 100 rows
    clear = full()
    clear[:50] = False
    area = whole_scene(full(), clear, aoi)
    assert (area.valid_pixels, area.clear_pixels) == (7_000, 3_500)
    assert area.polygon().bounds == pytest.approx((500_090, 7_999_700, 500_300, 7_999_850))


def test_area_in_degrees_shrinks_with_latitude():
    grid = Grid(CRS.from_epsg(4326), Affine(0.001, 0, 100, 0, -0.001, 73), height=1_000, width=100)
    area = ObservedArea(grid)
    area.add(grid.window, np.ones((1_000, 100), bool), np.arange(1_000)[:, None] < np.full(100, 500))
    northern_half = area.observed_km2
    assert area.cloud_fraction == 0.5
    whole = ObservedArea(grid)
    whole.add(grid.window, np.ones((1_000, 100), bool), np.ones((1_000, 100), bool))
    assert northern_half < whole.observed_km2 / 2
    # A degree of latitude is 111.592 km here, a tenth of a degree of longitude 11.1660 km x cos(72.5 N).
    assert whole.observed_km2 == pytest.approx(111.592 * 11.1660 * np.cos(np.radians(72.5)), rel=1e-4)
