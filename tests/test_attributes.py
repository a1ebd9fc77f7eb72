"""From an outline in pixels to a slump with measures, spectra and flags."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS, Geod, Transformer
from shapely import MultiPolygon
from shapely.affinity import rotate, translate

from rtsmap.attributes import RING_M, AttributeComputer
from rtsmap.fields import Slump, layer_row
from rtsmap.records import Grid, MergedInstance, Pixels, SceneInfo, Window

UTM = CRS.from_epsg(32608)  # zone 8 N; its scale factor is 0.9996 on the central meridian, at 500 km east
GRID = Grid(UTM, Affine(3.0, 0.0, 500_000.0, 0.0, -3.0, 8_000_000.0), height=500, width=500)
INFO = SceneInfo("20200701_200102_1001", "scene.tif", "planetscope", 3.0, acquired=datetime(2020, 7, 1, 20, 1, 2))


def computer(grid: Grid = GRID, info: SceneInfo = INFO, model_sha256: str = "ab12") -> AttributeComputer:
    return AttributeComputer(grid, info, model="arctic", model_sha256=model_sha256)


def pixels_of(window: Window, grid: Grid = GRID) -> Pixels:
    """Even tundra (NDVI 0.5); valid and clear on the whole grid, not valid beyond it."""
    rows = np.arange(window.row, window.row + window.height)[:, None]
    columns = np.arange(window.column, window.column + window.width)[None, :]
    valid = (rows >= 0) & (rows < grid.height) & (columns >= 0) & (columns < grid.width)
    reflectance = np.full((4, *valid.shape), 0.1, dtype=np.float32)
    reflectance[3] = 0.3
    return Pixels(reflectance * valid, valid, valid.copy())


def described(geometry: shapely.Geometry, grid: Grid = GRID, **changes: object) -> Slump:
    merged = MergedInstance(geometry, 0.87654321, 3)
    one = computer(grid, **changes)
    window = one.buffer_window(merged)
    return one.compute(merged, window, pixels_of(window, grid))


def test_area_and_perimeter_are_geodesic():
    slump = described(shapely.box(200, 200, 300, 300))  # 300 m on the map, at 500.6 to 500.9 km east
    assert slump.area_m2 == pytest.approx(90_000 / 0.9996**2, rel=1e-5)
    assert slump.perimeter_m == pytest.approx(1_200 / 0.9996, rel=1e-4)


def test_measures_on_a_grid_in_degrees():
    grid = Grid(CRS.from_epsg(4326), Affine(1e-4, 0, -135, 0, -1e-4, 72), height=300, width=300)
    slump = described(shapely.box(100, 100, 200, 200), grid)  # 0.01 x 0.01 degrees
    # Radii of curvature on WGS 84 at 71.985 N: 6 393 411 m along the meridian, 6 397 532 m across it.
    high, wide = np.radians(0.01) * 6_393_411, np.radians(0.01) * 6_397_532 * np.cos(np.radians(71.985))
    assert slump.length_m == pytest.approx(high, rel=1e-4)
    assert slump.width_m == pytest.approx(wide, rel=3e-4)
    assert slump.area_m2 == pytest.approx(high * wide, rel=1e-4)


def test_a_hole_takes_area_and_adds_perimeter():
    outer, inner = shapely.box(100, 100, 200, 200), shapely.box(140, 140, 160, 160)
    whole, holed = described(outer), described(outer.difference(inner))
    assert whole.area_m2 - holed.area_m2 == pytest.approx(60 * 60 / 0.9996**2, abs=0.2)
    assert holed.perimeter_m - whole.perimeter_m == pytest.approx(240 / 0.9996, abs=0.2)


def test_compactness_of_a_circle_and_a_square():
    assert described(shapely.Point(250, 250).buffer(40, quad_segs=64)).compactness == 1.0
    assert described(shapely.box(200, 200, 220, 220)).compactness == pytest.approx(np.pi / 4, abs=1e-3)


@pytest.mark.parametrize("azimuth", [0, 30, 90, 150])
def test_orientation_is_the_azimuth_of_the_long_axis(azimuth):
    upright = shapely.box(240, 200, 260, 300)
    # In pixel coordinates rows grow downwards, so that a positive angle of shapely turns clockwise on the map.
    attributes = described(rotate(upright, azimuth))
    off = (attributes.orientation_deg - azimuth + 90) % 180 - 90
    assert abs(off) < 0.2  # of which 0.02 degrees are meridian convergence
    assert attributes.length_m == pytest.approx(300 / 0.9996, rel=1e-4)
    assert attributes.width_m == pytest.approx(60 / 0.9996, abs=0.06)  # to a decimal


def test_orientation_counts_from_true_north_not_from_the_grid():
    grid = Grid(UTM, Affine(3.0, 0.0, 700_000.0, 0.0, -3.0, 8_000_000.0), height=500, width=500)
    to_degrees = Transformer.from_crs(UTM, 4326, always_xy=True)
    south, north = to_degrees.transform(700_750, 7_999_100), to_degrees.transform(700_750, 7_999_400)
    azimuth, _, _ = Geod(ellps="WGS84").inv(*south, *north)
    assert azimuth > 5  # degrees of convergence
    attributes = described(shapely.box(240, 200, 260, 300), grid)
    assert attributes.orientation_deg == pytest.approx(azimuth, abs=0.1)


def test_geometry_is_a_multipolygon_in_the_scenes_crs():
    two = MultiPolygon([shapely.box(100, 100, 110, 120), shapely.box(130, 100, 140, 120)])
    slump = described(two)
    assert isinstance(slump.geometry, MultiPolygon)
    assert slump.geometry.bounds == (500_300.0, 7_999_640.0, 500_420.0, 7_999_700.0)
    assert all(part.exterior.is_ccw for part in slump.geometry.geoms)


def test_centroid_in_degrees():
    attributes = described(shapely.box(0, 100, 2, 102))
    to_map = Transformer.from_crs(4326, UTM, always_xy=True)
    x, y = to_map.transform(attributes.centroid_lon, attributes.centroid_lat)
    assert (x, y) == pytest.approx((500_003, 7_999_697), abs=0.1)


@pytest.mark.parametrize(("left", "longitude"), [(179.99, 179.9901), (180.02, -179.9799), (-180.05, 179.9501)])
def test_centroids_lie_between_minus_180_and_180_also_where_the_grid_goes_on(left, longitude):
    grid = Grid(CRS.from_epsg(4326), Affine(1e-5, 0, left, 0, -1e-5, 66.0), height=500, width=500)
    attributes = described(shapely.box(5, 100, 15, 110), grid)
    assert attributes.centroid_lon == pytest.approx(longitude, abs=1e-6)
    assert attributes.area_m2 == pytest.approx(4.54 * 11.15, rel=0.01)


def test_spectra_of_the_slump_and_of_its_ring():
    merged = MergedInstance(shapely.box(200, 200, 210, 210), 0.9, 1)
    one = computer()
    window = one.buffer_window(merged)
    pixels = pixels_of(window)
    inside = np.s_[200 - window.row : 210 - window.row, 200 - window.column : 210 - window.column]
    pixels.reflectance[3][inside] = 0.15  # bare soil: NDVI 0.2 among 0.5
    attributes = one.compute(merged, window, pixels)
    assert attributes.ndvi_mean == 0.2
    assert attributes.ndvi_contrast == -0.3
    assert attributes.nir_mean == 0.15
    assert attributes.clear_fraction == 1.0


def test_means_leave_masked_pixels_out():
    merged = MergedInstance(shapely.box(200, 200, 210, 210), 0.9, 1)
    one = computer()
    window = one.buffer_window(merged)
    pixels = pixels_of(window)
    cloud = np.s_[200 - window.row : 205 - window.row, 200 - window.column : 210 - window.column]
    pixels.reflectance[:, *cloud] = 0.8
    pixels.clear[cloud] = False
    attributes = one.compute(merged, window, pixels)
    assert attributes.ndvi_mean == 0.5
    assert attributes.clear_fraction == 0.5
    assert attributes.touches_mask is True
    assert attributes.touches_edge is False


def test_spectra_are_none_where_nothing_is_clear():
    merged = MergedInstance(shapely.box(200, 200, 210, 210), 0.9, 1)
    one = computer()
    window = one.buffer_window(merged)
    pixels = pixels_of(window)
    pixels.clear[:] = False
    attributes = one.compute(merged, window, pixels)
    assert [getattr(attributes, name) for name in ("ndvi_mean", "ndvi_contrast", "nir_mean")] == [None, None, None]
    assert attributes.clear_fraction == 0.0


def test_a_sliver_between_pixel_centres_takes_the_pixels_it_touches():
    attributes = described(shapely.box(200.6, 200.0, 200.9, 210.0))
    assert attributes.ndvi_mean == 0.5


@pytest.mark.parametrize(
    ("outline", "at_edge"),
    [
        (shapely.box(0, 100, 10, 110), True),
        (shapely.box(490, 100, 500, 110), True),
        (shapely.box(100, 0.6, 110, 10), True),  # less than a pixel away
        (shapely.box(100, 3, 110, 10), False),
    ],
)
def test_a_slump_cut_by_the_edge_is_flagged(outline, at_edge):
    assert described(outline).touches_edge is at_edge


def test_buffer_window_reach_the_ring_and_may_leave_the_grid():
    window = computer().buffer_window(MergedInstance(shapely.box(0, 200, 10, 210), 0.9, 1))
    left, top, right, bottom = window.bounds
    assert left <= -RING_M / 3 < 0
    assert right >= 10 + RING_M / 3
    assert top <= 200 - RING_M / 3
    assert bottom >= 210 + RING_M / 3
    assert window.width < 60  # and not much more


def test_identity_is_stable_for_scene_model_and_place():
    outline = shapely.box(100, 100, 120, 130)
    first = described(outline).slump_id
    assert uuid.UUID(first).version == 5
    assert described(outline).slump_id == first
    assert described(outline, model_sha256="cd34").slump_id != first
    assert described(outline, info=SceneInfo("other", "o.tif", "planetscope", 3.0)).slump_id != first
    assert described(translate(outline, 1)).slump_id != first
    cropped = Grid(UTM, Affine(3.0, 0.0, 500_150.0, 0.0, -3.0, 7_999_850.0), height=300, width=300)
    assert described(translate(outline, -50, -50), cropped).slump_id == first


def test_scene_and_model_travel_along():
    local = datetime(2020, 7, 1, 13, 1, 2, tzinfo=timezone(timedelta(hours=-7)))
    info = SceneInfo("s", "s.tif", "planetscope", 3.0, acquired=local, satellite_id="1001", view_angle_deg=2.5)
    attributes = described(shapely.box(100, 100, 110, 110), info=info)
    assert attributes.scene.acquired == datetime(2020, 7, 1, 20, 1, 2, tzinfo=UTC)
    assert attributes.scene.satellite_id == "1001"
    assert attributes.scene.view_angle_deg == 2.5
    assert attributes.scene.instrument is None
    assert attributes.model == "arctic"
    assert attributes.score == 0.8765
    assert attributes.n_chips == 3


def test_values_are_plain_python():
    values = layer_row(described(shapely.box(100, 100, 110, 110))).values()
    assert {type(value) for value in values} <= {str, float, int, bool, datetime, type(None)}


def test_small_instances_are_dropped_by_geodesic_area():
    small = MergedInstance(shapely.box(0, 0, 10, 10), 0.9, 1)  # 900 m2 on the map, 900.7 m2 on the ground
    large = MergedInstance(shapely.box(50, 0, 70, 10), 0.9, 1)
    assert list(computer().at_least([small, large], 1_000)) == [large]
    assert list(computer().at_least([small, large], 900.5)) == [small, large]
