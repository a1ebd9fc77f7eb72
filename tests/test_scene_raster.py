"""Reading any raster by window: masks, scales, resampling, and the errors of bad files."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Geod
from rasterio._env import get_gdal_config
from rasterio.enums import ColorInterp, Resampling
from rasterio.vrt import WarpedVRT

from rtsmap.errors import SceneError
from rtsmap.records import Pixels, PixelSource, Window
from rtsmap.scene import open_scene
from tests import scenes

NUMBERS = {"blue": 1, "green": 2, "red": 3, "nir": 4}


def read_all(path: Path, **options: Any) -> Pixels:
    with open_scene(str(path), **options) as scene:
        return scene.read(scene.grid.window)


def floats(value: float = 0.25) -> np.ndarray:
    return np.full((4, 40, 60), value, dtype=np.float32)


# What is read


def test_bands_by_description_in_any_order_and_case(tmp_path: Path) -> None:
    path = scenes.write_raster(tmp_path / "plain.tif", descriptions=("NIR", "Red", "green", "Blue"))
    expected = scenes.ramp()[::-1] * np.float32(1e-4)
    np.testing.assert_allclose(read_all(path).reflectance, expected, rtol=1e-6)


def test_bands_and_scale_as_given(tmp_path: Path) -> None:
    path = scenes.write_raster(tmp_path / "plain.tif", scenes.ramp(5), descriptions=None)
    pixels = read_all(path, bands={"blue": 5, "green": 4, "red": 2, "nir": 1}, scale=2e-4)
    np.testing.assert_allclose(pixels.reflectance, scenes.ramp(5)[[4, 3, 1, 0]] * np.float32(2e-4), rtol=1e-6)


def test_scale_and_offset_of_the_file(tmp_path: Path) -> None:
    path = scenes.write_raster(tmp_path / "plain.tif", scales=(2e-4,) * 4, offsets=(-0.1,) * 4)
    expected = np.clip(scenes.ramp() * 2e-4 - 0.1, 0, 1)
    np.testing.assert_allclose(read_all(path).reflectance, expected, atol=1e-6)


def test_floating_point_numbers_are_reflectance(tmp_path: Path) -> None:
    path = scenes.write_raster(tmp_path / "plain.tif", floats(0.25))
    assert (read_all(path).reflectance == 0.25).all()


@pytest.mark.parametrize(
    ("name", "acquired"),
    [
        ("iultinsky_20180712T181352", datetime(2018, 7, 12, 18, 13, 52, tzinfo=UTC)),
        ("mosaic_20180712_v2", datetime(2018, 7, 12, tzinfo=UTC)),
        ("change_20180712_20190712", None),
        ("tile_12345678", None),
        ("tile_120180712", None),
    ],
)
def test_date_in_a_name(tmp_path: Path, name: str, acquired: datetime | None) -> None:
    with open_scene(str(scenes.write_raster(tmp_path / f"{name}.tif"))) as scene:
        assert scene.info.acquired == acquired
        assert (scene.info.scene_id, scene.info.product) == (name, "raster")


def test_windows_beyond_the_grid_are_padded_as_not_valid(tmp_path: Path) -> None:
    with open_scene(str(scenes.write_raster(tmp_path / "plain.tif"))) as scene:
        whole = scene.read(scene.grid.window)
        padded = scene.read(Window(-5, -7, 60, 80))
        nothing = scene.read(Window(100, 100, 4, 4))
    np.testing.assert_array_equal(padded.reflectance[:, 5:45, 7:67], whole.reflectance)
    assert padded.valid.sum() == whole.valid.sum() == 40 * 60
    assert padded.clear.sum() == 40 * 60
    assert nothing.reflectance.shape == (4, 4, 4)
    assert not nothing.valid.any()


def test_zero_in_all_bands_is_nodata_where_the_file_does_not_say(tmp_path: Path) -> None:
    numbers = scenes.ramp()
    numbers[:, 0, :] = 0
    numbers[3, 1, :] = 0  # black in the near infrared: water
    valid = read_all(scenes.write_raster(tmp_path / "plain.tif", numbers)).valid
    assert not valid[0].any()
    assert valid[1:].all()


def test_declared_nodata(tmp_path: Path) -> None:
    numbers = scenes.ramp()
    numbers[:, 0, :] = 65535
    numbers[:, 1, :] = 0  # nor is this ground, though the file says nothing of it
    numbers[3, 2, :] = 65535  # no spectral measure can be made of it
    pixels = read_all(scenes.write_raster(tmp_path / "plain.tif", numbers, nodata=65535))
    assert pixels.valid.any(axis=1).tolist() == [False, False, False] + [True] * 37
    assert not pixels.reflectance[:, 0].any()


@pytest.mark.parametrize("nodata", [None, np.nan, -9999.0])
def test_nan_and_nodata_of_floating_point_numbers(tmp_path: Path, nodata: float | None) -> None:
    numbers = floats()
    numbers[:, 0, :] = np.nan
    numbers[:, 1, :] = np.nan if nodata is None else nodata
    pixels = read_all(scenes.write_raster(tmp_path / "plain.tif", numbers, nodata=nodata))
    assert not pixels.valid[:2].any()
    assert pixels.valid[2:].all()
    assert np.isfinite(pixels.reflectance).all()


@pytest.mark.parametrize(
    ("dtype", "scale", "nodata", "fill", "ground"),
    [
        # what files hold where they saw nothing, without saying so, or beside the number that they declare
        ("float32", 1, None, -9999, False),
        ("float32", 1, np.nan, -32768, False),
        ("float64", 1, -9999, 0, False),
        ("float32", 1, None, -3.4028235e38, False),
        ("float32", 1, None, 1e38, False),
        ("int16", 1e-4, None, -9999, False),
        ("int16", 1e-4, -9999, -32768, False),
        ("int32", 1e-4, None, -99999, False),
        ("uint16", 1e-4, 0, 65535, False),
        ("uint16", 2.75e-5, 0, 65535, True),  # a cloud as bright as these numbers go
        ("uint8", 1 / 255, 0, 255, True),  # likewise
        ("int16", 1e-4, None, -1000, True),  # far too dark, yet somebody's idea of water
    ],
)  # fmt: skip
@pytest.mark.parametrize("bands", [4, 3])
def test_fill_that_nobody_declares_is_no_ground_where_all_bands_hold_it(
    tmp_path: Path, dtype: str, scale: float, nodata: float | None, fill: float, ground: bool, bands: int
) -> None:
    numbers = np.full((4, 40, 60), 0.2 / scale).astype(dtype)
    numbers[:, ::2] = (numbers[:, ::2] * 1.1).astype(dtype)
    numbers[:bands, :8] = fill
    path = scenes.write_raster(tmp_path / "plain.tif", numbers, nodata=nodata)
    valid = read_all(path, scale=scale, offset=0.0).valid
    assert valid[8:].all()
    assert valid[:8].all() == (ground or bands < 4)


def test_mask_band(tmp_path: Path) -> None:
    mask = np.ones((40, 60), dtype=np.bool_)
    mask[:, :11] = False
    np.testing.assert_array_equal(read_all(scenes.write_raster(tmp_path / "plain.tif", mask=mask)).valid, mask)


def test_alpha_band(tmp_path: Path) -> None:
    numbers = scenes.ramp(5)
    numbers[4], numbers[4, :, :11] = 65535, 0
    path = scenes.write_raster(tmp_path / "plain.tif", numbers, descriptions=None)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.undefined] * 4 + [ColorInterp.alpha]
    valid = read_all(path, bands=NUMBERS).valid
    assert not valid[:, :11].any()
    assert valid[:, 11:].all()


def test_near_infrared_tagged_as_alpha_is_no_mask(tmp_path: Path) -> None:
    numbers = scenes.ramp()
    numbers[3, 0], numbers[:, 1] = 0, 0
    path = scenes.write_raster(tmp_path / "plain.tif", numbers, photometric="RGB", alpha="YES")
    valid = read_all(path).valid
    assert valid.any(axis=1).tolist() == [True, False] + [True] * 38


@pytest.mark.parametrize("layout", [{"tiled": True, "blockxsize": 16, "blockysize": 16}, {"blockysize": 40}])
def test_layout_of_the_file_does_not_matter(tmp_path: Path, layout: dict[str, Any]) -> None:
    expected = read_all(scenes.write_raster(tmp_path / "striped.tif"))
    found = read_all(scenes.write_raster(tmp_path / "other.tif", **layout))
    np.testing.assert_array_equal(found.reflectance, expected.reflectance)


def test_decimated(tmp_path: Path) -> None:
    numbers = scenes.ramp()
    numbers[:, :, :30] = 0
    path = scenes.write_raster(tmp_path / "plain.tif", numbers)
    with open_scene(str(path)) as scene:
        small = scene.read_decimated(20)
        full = scene.read_decimated(1000)
    assert small.reflectance.shape == (4, 13, 20)
    assert not small.valid[:, :10].any()
    assert small.valid[:, 10:].all()
    assert full.valid.shape == (40, 60)


def test_block_cache_holds_a_stripe(tmp_path: Path) -> None:
    layout = {"tiled": True, "blockxsize": 256, "blockysize": 256, "interleave": "pixel", "sparse_ok": True}
    path = scenes.write_raster(tmp_path / "wide.tif", np.zeros((4, 1000, 9000), dtype=np.uint16), **layout)
    with open_scene(str(path)) as scene:
        needed = scene.read_cache_bytes(512)
        assert needed == (math.ceil(512 / 256) + 1) * 256 * math.ceil(9000 / 256) * 256 * 4 * 2
        assert scene.read_cache_bytes(10) == 36 * 256 * 256 * 2 * 4 * 2
        finer = scene.at_gsd(1.5, (1.4, 1.6)).grid
        assert scene.read_cache_bytes(1000, grid=finer) == needed
        assert scene.read_cache_bytes(512, 6000) == 3 * 256 * 25 * 256 * 4 * 2
        assert not scene.striped
        with scene.read_cache(512):
            assert get_gdal_config("GDAL_CACHEMAX") == needed


def test_a_file_without_tiles_is_striped(tmp_path: Path) -> None:
    path = scenes.write_raster(tmp_path / "striped.tif", np.zeros((4, 100, 300), dtype=np.uint16))
    with open_scene(str(path)) as scene:
        assert scene.striped


# Ground sampling distance


def ground_size(path: Path) -> float:
    with open_scene(str(path)) as scene:
        return scene.info.gsd_m


def test_gsd_of_metres_feet_and_degrees(tmp_path: Path) -> None:
    assert ground_size(scenes.write_raster(tmp_path / "utm.tif")) == pytest.approx(3.0)
    feet = scenes.write_raster(tmp_path / "feet.tif", crs="EPSG:2263", transform=Affine(10, 0, 9e5, 0, -10, 2e5))
    assert ground_size(feet) == pytest.approx(3.048, rel=1e-5)
    degrees = Affine(9e-5, 0, -139.0, 0, -3e-5, 69.6)
    path = scenes.write_raster(tmp_path / "degrees.tif", crs="EPSG:4326", transform=degrees)
    width, height = 9e-5 * 111_320 * math.cos(math.radians(69.6)), 3e-5 * 111_550
    assert ground_size(path) == pytest.approx(math.sqrt(width * height), rel=5e-3)


def test_scene_in_the_accepted_range_is_used_as_it_is(tmp_path: Path) -> None:
    with open_scene(str(scenes.write_raster(tmp_path / "plain.tif"))) as scene:
        assert scene.at_gsd(3.125, (2.5, 4.0)) is scene


def test_resampled_grid_keeps_the_corner(tmp_path: Path) -> None:
    with open_scene(str(scenes.write_raster(tmp_path / "plain.tif"))) as scene:
        grid = scene.at_gsd(10.0, (9.0, 11.0)).grid
    assert grid.transform.almost_equals(Affine(10, 0, scenes.TRANSFORM.c, 0, -10, scenes.TRANSFORM.f))
    assert (grid.height, grid.width) == (12, 18)


def test_resampled_degrees_are_square_on_the_ground(tmp_path: Path) -> None:
    path = scenes.write_raster(tmp_path / "d.tif", crs="EPSG:4326", transform=Affine(3e-5, 0, -139, 0, -3e-5, 69.6))
    with open_scene(str(path)) as scene:
        grid = scene.at_gsd(3.0, (2.5, 3.5)).grid
    longitude, latitude = -139.0, 69.6
    geod = Geod(ellps="WGS84")
    east = geod.inv(longitude, latitude, longitude + grid.transform.a, latitude)[2]
    south = geod.inv(longitude, latitude, longitude, latitude + grid.transform.e)[2]
    assert (east, south) == (pytest.approx(3.0, rel=1e-3), pytest.approx(3.0, rel=1e-3))


@pytest.mark.parametrize("gsd_m", [1.0, 2.2, 5.0, 9.0])
def test_resampling_equals_gdal_where_all_is_valid(tmp_path: Path, gsd_m: float) -> None:
    numbers = np.random.default_rng(3).random((4, 45, 63), dtype=np.float32)
    path = scenes.write_raster(tmp_path / "plain.tif", numbers)
    with open_scene(str(path)) as scene, rasterio.open(path) as dataset:
        source = scene.at_gsd(gsd_m, (gsd_m, gsd_m))
        found = source.read(source.grid.window)
        place = {"transform": source.grid.transform, "height": source.grid.height, "width": source.grid.width}
        kernel = Resampling.average if gsd_m > 3 else Resampling.bilinear
        with WarpedVRT(dataset, crs=dataset.crs, resampling=kernel, dtype="float32", **place) as warped:
            expected = warped.read()
    whole = np.s_[:-1, :-1]  # the last row and column may reach beyond the scene
    assert found.valid[whole].all()
    np.testing.assert_allclose(found.reflectance[:, *whole], expected[:, *whole], atol=2e-5)


@pytest.mark.parametrize("gsd_m", [1.0, 2.0, 5.0, 7.5])
def test_nodata_does_not_bleed(tmp_path: Path, gsd_m: float) -> None:
    numbers = np.full((4, 40, 60), 5000, dtype=np.uint16)
    hole = np.random.default_rng(1).random((40, 60)) < 0.4
    udm2 = scenes.clear_udm2()
    udm2[7] = hole  # blackfill, with numbers in the image that GDAL would take for data
    numbers[:, hole] = 60_000
    with open_scene(str(scenes.write_planetscope(tmp_path, numbers, udm2=udm2))) as scene:
        source = scene.at_gsd(gsd_m, (gsd_m, gsd_m))
        pixels = source.read(source.grid.window)
    assert 0.4 < pixels.valid.mean() < 0.8
    np.testing.assert_allclose(pixels.reflectance[:, pixels.valid], 0.5, rtol=1e-5)
    assert not pixels.reflectance[:, ~pixels.valid].any()


@pytest.mark.parametrize("gsd_m", [1.3, 8.0])
def test_resampled_windows_are_cut_from_one_image(
    tmp_path: Path, gsd_m: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = scenes.ramp()
    numbers[:, 10:14, 20:] = 0
    with open_scene(str(scenes.write_raster(tmp_path / "plain.tif", numbers))) as scene:
        source: PixelSource = scene.at_gsd(gsd_m, (gsd_m, gsd_m))
        whole = source.read(source.grid.window)
        monkeypatch.setattr("rtsmap.scene.resample._SOURCE_PIXELS", 100)
        part = source.read(Window(3, 5, 8, 9))
        beyond = source.read(Window(-2, -2, 6, 7))
    np.testing.assert_array_equal(part.reflectance, whole.reflectance[:, 3:11, 5:14])
    np.testing.assert_array_equal(part.valid, whole.valid[3:11, 5:14])
    np.testing.assert_array_equal(beyond.reflectance[:, 2:, 2:], whole.reflectance[:, :4, :5])
    assert not beyond.valid[:2].any()


# Bad input


def fails(path: Path, message: str, **options: Any) -> None:
    with pytest.raises(SceneError, match=message) as caught:
        open_scene(str(path), **options)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    fails(tmp_path / "none.tif", "no such file; check the path")


def test_file_that_is_no_raster(tmp_path: Path) -> None:
    (tmp_path / "notes.tif").write_text("hello")
    fails(tmp_path / "notes.tif", r"is not a raster that can be read \(.*\); give a GeoTIFF")


def test_address_that_cannot_be_reached(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="cannot be reached or is not a raster"):
        open_scene(f"file://{tmp_path}/none.tif")


def test_no_crs(tmp_path: Path) -> None:
    fails(scenes.write_raster(tmp_path / "a.tif", crs=None), "has no coordinate reference system; give it one with")


def test_no_position(tmp_path: Path) -> None:
    fails(scenes.write_raster(tmp_path / "a.tif", transform=None), r"has no position \(geotransform\); give it one")
    fails(scenes.write_raster(tmp_path / "b.tif", transform=None, crs=None), "has no coordinate reference system")


def test_rotated_and_south_up(tmp_path: Path) -> None:
    rotated = scenes.write_raster(tmp_path / "a.tif", transform=Affine(2.8, 1.0, 5e5, 1.0, -2.8, 7.7e6))
    fails(rotated, "is rotated; make it north-up with gdalwarp first")
    upside_down = scenes.write_raster(tmp_path / "b.tif", transform=Affine(3, 0, 5e5, 0, 3, 7.7e6))
    fails(upside_down, "is not north-up; make it north-up with gdalwarp first")


def test_bands_that_nobody_named(tmp_path: Path) -> None:
    path = scenes.write_raster(tmp_path / "a.tif", descriptions=("blue", "green", "", ""))
    fails(path, "none of its 4 bands is described as red, nir; say which they are with --bands blue=1,green=2")


def test_too_few_bands(tmp_path: Path) -> None:
    path = scenes.write_raster(tmp_path / "a.tif", scenes.ramp(3), descriptions=None)
    fails(path, "none of its 3 bands is described as blue, green, red, nir; give an image")
    fails(path, "has 3 bands, no band 4 for nir; correct --bands", bands=NUMBERS)


def test_bands_that_do_not_fit(tmp_path: Path) -> None:
    path = scenes.write_raster(tmp_path / "a.tif")
    fails(path, "has 4 bands, no band 0 for blue; correct --bands", bands={**NUMBERS, "blue": 0})
    fails(path, "the bands blue, green, red, nir are needed; say which", bands={"blue": 1})
    fails(path, "the bands blue, green, red, nir are needed", bands={**NUMBERS, "swir": 4})
    fails(path, "blue, green, red and nir must be four different bands; correct --bands", bands={**NUMBERS, "red": 4})


def test_eight_bit_numbers_need_a_scale(tmp_path: Path) -> None:
    path = scenes.write_raster(tmp_path / "a.tif", np.full((4, 40, 60), 51, dtype=np.uint8))
    fails(path, "has 8-bit numbers, which are no reflectance x 10000; give the reflectance of one unit with --scale")
    np.testing.assert_allclose(read_all(path, scale=1 / 255).reflectance, 0.2, rtol=1e-6)


def test_truncated_file_names_the_rows(tmp_path: Path) -> None:
    path = scenes.write_raster(tmp_path / "cut.tif", descriptions=None, blockysize=8)
    scenes.truncate(path)
    with open_scene(str(path), bands=NUMBERS) as scene:
        assert scene.read(Window(0, 0, 8, 60)).valid.all()
        with pytest.raises(SceneError, match=r"cut\.tif: rows 24 to 39 cannot be read, .*; fetch it again"):
            scene.read(Window(24, 0, 20, 60))
