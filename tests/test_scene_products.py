"""Scenes as people have them: Sentinel-2, Landsat, STAC items, names of GDAL; their files and their pixels."""

import json
import shutil
import tarfile
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray

from rtsmap.errors import SceneError
from rtsmap.records import Pixels, Window
from rtsmap.scene import open_scene
from tests import products, scenes

ADDED = {1: -1000, 2: -1000, 3: -1000, 7: -1000}
KEYS = {"blue": "blue", "green": "green", "red": "red", "nir": "nir", "scl": "scl"}


def read_all(path: object, **options: Any) -> Pixels:
    with open_scene(str(path), **options) as scene:
        return scene.read(scene.grid.window)


def expected(scale: float, offset: float, base: int = 1500) -> NDArray[np.float32]:
    stored = np.stack([products.numbers(position, base) for position in range(4)])
    return (stored * scale + offset).astype(np.float32)


def some_classes() -> NDArray[np.uint8]:
    """A scene classification at 20 m, each class from 0 to 11 in one pixel of the first row, else vegetation."""
    classes = np.full((20, 30), 4, np.uint8)
    classes[0, :12] = range(12)
    return classes


# Sentinel-2


@pytest.mark.parametrize(
    ("name", "options", "offset"),
    [
        (products.SAFE, {"offsets": ADDED}, -0.1),
        (products.SAFE, {"offsets": {**ADDED, 7: -900}}, (-0.1, -0.1, -0.1, -0.09)),
        (products.SAFE, {"baseline": "05.10"}, -0.1),
        (products.SAFE, {"baseline": "02.14"}, 0.0),
        (products.SAFE, {"with_xml": False}, -0.1),
        (products.SAFE.replace("N0400", "N0301"), {"with_xml": False}, 0.0),
        (products.SAFE.replace("L2A", "L1C"), {"offsets": ADDED}, -0.1),
        ("renamed", {"offsets": ADDED}, -0.1),
    ],
)
def test_offset_of_sentinel2(tmp_path: Path, name: str, options: dict[str, Any], offset: Any) -> None:
    safe = products.write_safe(tmp_path, name, suffix="tif", **options)
    shift = np.asarray(offset, np.float32).reshape(-1, 1, 1)
    np.testing.assert_allclose(read_all(safe).reflectance, expected(1e-4, shift), atol=1e-6)


def test_scale_and_offset_that_are_given_hold_for_sentinel2(tmp_path: Path) -> None:
    safe = products.write_safe(tmp_path, offsets=ADDED, suffix="tif")
    np.testing.assert_allclose(read_all(safe, scale=2e-4).reflectance, expected(2e-4, -0.1), atol=1e-6)
    np.testing.assert_allclose(read_all(safe, offset=-0.05).reflectance, expected(1e-4, -0.05), atol=1e-6)


def test_bands_of_sentinel2_without_a_baseline_ask_for_the_offset(tmp_path: Path) -> None:
    safe = products.write_safe(tmp_path, "loose", with_xml=False, suffix="tif")
    with pytest.raises(
        SceneError, match=r"loose\.SAFE: neither an MTD_MSIL2A\.xml nor its name .*; give --offset -0\.1"
    ):
        open_scene(str(safe))
    np.testing.assert_allclose(read_all(safe, offset=-0.1).reflectance, expected(1e-4, -0.1), atol=1e-6)


@pytest.mark.parametrize(
    "address",
    [
        "{safe}",
        "{safe}/MTD_MSIL2A.xml",
        "{granule}/MTD_TL.xml",
        "SENTINEL2_L2A:{safe}/MTD_MSIL2A.xml:10m:EPSG_32607",
        "{zip}",
        "SENTINEL2_L2A:/vsizip/{zip}/{name}.SAFE/MTD_MSIL2A.xml:10m:EPSG_32607",
        "{folder}",
    ],
)
def test_ways_to_name_a_sentinel2_product(tmp_path: Path, address: str) -> None:
    safe = products.write_safe(tmp_path / "in", offsets=ADDED, classes=some_classes())
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "in")
    granule = next(safe.glob("GRANULE/*"))
    path = address.format(safe=safe, granule=granule, zip=archive, name=products.SAFE, folder=safe.parent)
    with open_scene(path) as scene:
        pixels = scene.read(scene.grid.window)
        assert (scene.info.scene_id, scene.info.product) == (products.SAFE, "Sentinel-2 L2A")
        assert scene.clouds_masked
    clear = expected(1e-4, -0.1) * pixels.valid
    np.testing.assert_allclose(pixels.reflectance, clear, atol=1e-6)


def test_what_is_known_of_a_sentinel2_product(tmp_path: Path) -> None:
    with open_scene(str(products.write_safe(tmp_path, offsets=ADDED))) as scene:
        info = scene.info
    assert info.acquired == datetime(2022, 7, 16, 20, 18, 49, 24000, tzinfo=UTC)
    assert (info.satellite_id, info.instrument, info.gsd_m) == ("Sentinel-2B", "MSI", pytest.approx(10, rel=2e-3))
    assert (info.sun_elevation_deg, info.sun_azimuth_deg, info.view_angle_deg) == (40.5, 171.25, 4.5)
    assert info.cloud_fraction == 0.125


@pytest.mark.parametrize(
    ("mask", "hidden"),
    [
        (("cloud", "heavy_haze", "shadow"), {3, 8, 9}),
        (("snow",), {11}),
        (("light_haze",), {10}),
        ((), set()),
    ],
)
def test_scene_classification_is_the_mask(tmp_path: Path, mask: tuple[str, ...], hidden: set[int]) -> None:
    pixels = read_all(products.write_safe(tmp_path, offsets=ADDED, classes=some_classes()), mask=mask)
    classes = some_classes().repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(pixels.valid, ~np.isin(classes, [0, 1]))
    np.testing.assert_array_equal(pixels.clear, pixels.valid & ~np.isin(classes, list(hidden)))


@pytest.mark.parametrize("window", [Window(0, 0, 7, 9), Window(3, 5, 13, 22), Window(1, 1, 1, 1), Window(39, 59, 4, 4)])
def test_windows_of_a_mask_with_larger_pixels(tmp_path: Path, window: Window) -> None:
    rng = np.random.default_rng(4)
    classes = rng.choice(np.array([4, 9], np.uint8), (20, 30))
    with open_scene(str(products.write_safe(tmp_path, offsets=ADDED, classes=classes, suffix="tif"))) as scene:
        clear = scene.read(window).clear
    rows, columns = slice(window.row, window.row + window.height), slice(window.column, window.column + window.width)
    shown = (classes.repeat(2, axis=0).repeat(2, axis=1) == 4)[rows, columns]
    np.testing.assert_array_equal(clear[: len(shown), : shown.shape[1]], shown)
    assert not clear[len(shown) :].any()


# Landsat


@pytest.mark.parametrize(
    ("name", "first"),
    [
        (products.LANDSAT, 2),
        ("LC09_L2SP_066011_20220714_20220721_02_T1", 2),
        ("LE07_L2SP_066011_20010714_20210721_02_T1", 1),
        ("LT05_L2SP_066011_19980714_20210721_02_T2", 1),
    ],
)
def test_bands_of_landsat(tmp_path: Path, name: str, first: int) -> None:
    scene = products.write_landsat(tmp_path, name, first=first)
    products.write_band(scene / f"{name}_SR_B{first + 4}.TIF", products.numbers(0), Affine.scale(7))
    pixels = read_all(scene)
    np.testing.assert_allclose(pixels.reflectance, expected(2.75e-5, -0.2, 9000), atol=1e-6)
    assert pixels.valid.all()


@pytest.mark.parametrize("form", ["folder", "tar", "MTL"])
def test_ways_to_name_a_landsat_scene(tmp_path: Path, form: str) -> None:
    quality = np.full(products.SHAPE, 1 << 6, np.uint16)
    scene = products.write_landsat(tmp_path, quality=quality)
    packed = tmp_path / f"{products.LANDSAT}.tar"
    with tarfile.open(packed, "w") as archive:
        for file in sorted(scene.iterdir()):
            archive.add(file, file.name)
    with open_scene(
        str({"folder": scene, "tar": packed, "MTL": scene / f"{products.LANDSAT}_MTL.txt"}[form])
    ) as opened:
        info, pixels = opened.info, opened.read(opened.grid.window)
        assert opened.mask_path is not None
    assert (info.scene_id, info.satellite_id, info.instrument) == (products.LANDSAT, "LANDSAT_8", "OLI_TIRS")
    assert info.acquired == datetime(2021, 7, 14, 20, 57, 26, 401231, tzinfo=UTC)
    assert (info.sun_elevation_deg, info.sun_azimuth_deg) == (41.25, 169.5)
    assert info.cloud_fraction == pytest.approx(0.0321)
    np.testing.assert_allclose(pixels.reflectance, expected(2.75e-5, -0.2, 9000), atol=1e-6)


def test_day_and_satellite_of_a_landsat_id(tmp_path: Path) -> None:
    with open_scene(str(products.write_landsat(tmp_path, with_mtl=False))) as scene:
        assert scene.info.acquired == datetime(2021, 7, 14, tzinfo=UTC)
        assert scene.info.satellite_id == "LANDSAT_8"


@pytest.mark.parametrize(
    ("bit", "hiding"),
    [(1, {"cloud"}), (2, {"light_haze"}), (3, {"cloud"}), (4, {"shadow"}), (5, {"snow"}), (6, set()), (7, set())],
)
def test_bits_of_landsat_quality(tmp_path: Path, bit: int, hiding: set[str]) -> None:
    quality = np.full(products.SHAPE, 1 << 6, np.uint16)
    quality[0, 0], quality[1, 1] = 1 << bit, 1
    scene = products.write_landsat(tmp_path, quality=quality)
    for name in ("cloud", "light_haze", "shadow", "snow"):
        pixels = read_all(scene, mask=(name,))
        assert np.argwhere(~pixels.valid).tolist() == [[1, 1]]
        assert (not pixels.clear[0, 0]) == (name in hiding)


# STAC items


@pytest.mark.parametrize(
    ("keys", "properties", "raster", "scale", "offset"),
    [
        (KEYS, {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True},
         {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}, 1e-4, 0.0),
        (KEYS, {"earthsearch:boa_offset_applied": False}, {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]},
         1e-4, -0.1),
        ({"blue": "B02_10m", "green": "B03_10m", "red": "B04_10m", "nir": "B08_10m", "scl": "SCL_20m"},
         {"processing:version": "05.11"}, {"raster:scale": 1e-4, "raster:offset": -0.1}, 1e-4, -0.1),
        ({"blue": "B02", "green": "B03", "red": "B04", "nir": "B08", "scl": "SCL"}, {"s2:processing_baseline": "04.00"},
         None, 1e-4, -0.1),
        ({"blue": "B02", "green": "B03", "red": "B04", "nir": "B08", "scl": "SCL"}, {"s2:processing_baseline": "02.12"},
         None, 1e-4, 0.0),
        (KEYS, {}, {"bands": [{"raster:scale": 2e-4, "raster:offset": -0.2}]}, 2e-4, -0.2),
    ],
)  # fmt: skip
def test_scale_and_offset_of_items(
    tmp_path: Path, keys: dict[str, str], properties: dict[str, Any], raster: Any, scale: float, offset: float
) -> None:
    item = products.write_item(
        tmp_path / "item.json", keys, properties=properties, raster=raster, classes=some_classes()
    )
    with open_scene(str(item)) as scene:
        pixels, info = scene.read(scene.grid.window), scene.info
        assert scene.clouds_masked
    np.testing.assert_allclose(pixels.reflectance, expected(scale, offset) * pixels.valid, atol=1e-6)
    assert (~pixels.clear & pixels.valid).sum() == 4 * 3  # shadow and two kinds of clouds
    assert (info.scene_id, info.satellite_id, info.instrument) == ("S2B_7WFR_20220716_0_L2A", "sentinel-2b", "msi")
    assert info.acquired == datetime(2022, 7, 16, 20, 29, 37, 24000, tzinfo=UTC)
    assert (info.sun_elevation_deg, info.cloud_fraction) == (40.5, 0.125)


def test_bands_of_an_item_by_their_common_names(tmp_path: Path) -> None:
    """One file with several bands, and Sentinel-2's narrow near infrared beside the wide one."""
    image = scenes.write_raster(tmp_path / "image.tif", descriptions=None)
    names = ("nir", "red", "green", "blue")
    item = {
        "id": "one", "properties": {"datetime": "2021-07-14T22:13:20Z"},
        "assets": {"image": {"href": image.name, "eo:bands": [{"common_name": name} for name in names]}},
    }  # fmt: skip
    (tmp_path / "one.json").write_text(json.dumps(item))
    np.testing.assert_allclose(read_all(tmp_path / "one.json").reflectance, scenes.ramp()[::-1] * 1e-4, rtol=1e-5)


def test_an_item_of_landsat(tmp_path: Path) -> None:
    keys = {"blue": "blue", "green": "green", "red": "red", "nir": "nir08"}
    raster = {"raster:bands": [{"scale": 2.75e-5, "offset": -0.02}]}
    item = products.write_item(
        tmp_path / "l.json", keys, raster=raster, scene_id="LC08_L2SP_1", properties={"platform": "landsat-8"}
    )
    np.testing.assert_allclose(read_all(item).reflectance, expected(2.75e-5, -0.02), atol=1e-6)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.mark.parametrize(
    "properties", [{"s2:processing_baseline": "05.11"}, {"s2:product_uri": "S2B_MSIL2A_20220716T201849_N0400_R071"}]
)
def test_an_item_is_known_as_sentinel_2_without_its_satellite(tmp_path: Path, properties: dict[str, Any]) -> None:
    item = products.write_item(
        tmp_path / "item.json", KEYS, properties={"platform": None, **properties}, scene_id="a", classes=some_classes()
    )
    with open_scene(str(item)) as scene:
        assert set(scene.calibration.offset) == {-0.1}


def test_an_item_by_its_address(tmp_path: Path) -> None:
    items = tmp_path / "items"
    products.write_item(
        items / "S2B_7WFR", KEYS, properties={"s2:processing_baseline": "05.09"}, classes=some_classes()
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/items/"
        pixels = read_all(f"{address}S2B_7WFR")
        with pytest.raises(SceneError, match=r"items/none: cannot be read \(.*404.*\); check the path"):
            open_scene(f"{address}none")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    np.testing.assert_allclose(pixels.reflectance, expected(1e-4, -0.1) * pixels.valid, atol=1e-6)
    assert not pixels.clear.all()


# Names that are no paths


def test_pages_of_a_tiff_by_gdals_name(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    for numbers, append in ((scenes.ramp(), "NO"), (scenes.ramp() + 500, "YES")):
        profile = {"count": 4, "height": 40, "width": 60, "dtype": "uint16"}
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            crs=scenes.UTM_7N,
            transform=scenes.TRANSFORM,
            APPEND_SUBDATASET=append,
            **profile,
        ) as dataset:
            dataset.write(numbers.astype(np.uint16))
    numbers = {"blue": 1, "green": 2, "red": 3, "nir": 4}
    for page, name, added in (("1", "pages", 0), ("2", "pages_2", 500)):
        with open_scene(f"GTIFF_DIR:{page}:{path}", bands=numbers) as scene:
            assert scene.info.scene_id == name
            reflectance = scene.read(scene.grid.window).reflectance
        np.testing.assert_allclose(reflectance, (scenes.ramp() + added) * 1e-4, rtol=1e-5)


# What is wrong, in one line


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: products.write_safe(folder, bands=("B02", "B04")), r"lacks B03, B08 at 10 m; fetch"),
        (lambda folder: products.write_landsat(folder, bands=(0, 1, 3)), r"lacks SR_B4; fetch"),
        (lambda folder: products.write_landsat(folder, bands=()), r"holds no PlanetScope image .*, and no Sentinel-2"),
        (lambda folder: f"{folder}/none.SAFE", r"none\.SAFE: no such file; check the path"),
        (lambda folder: f"GTIFF_DIR:1:{folder}/none.tif", r"none\.tif: is not a raster that can be read"),
        (lambda folder: f"SENTINEL2_L2A:{folder}/MTD_MSIL2A.xml:20m:EPSG_32607", r"have 10 m; name the product's"),
        (lambda folder: f"SENTINEL2_L2A:{folder}/x.SAFE/MTD_MSIL2A.xml:10m:EPSG_32607", r"x\.SAFE: no such file"),
        (lambda folder: products.write_item(folder / "a.json", {"blue": "blue", "red": "red"}), r"is the band green;"),
    ],
)
def test_incomplete_products(tmp_path: Path, make: Any, message: str) -> None:
    with pytest.raises(SceneError, match=message) as raised:
        open_scene(str(make(tmp_path)))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("MTD_MSIL2A.xml", "<a", r"MTD_MSIL2A\.xml: is not valid metadata"),
        ("MTD_MSIL2A.xml", "<a><PRODUCT_START_TIME>soon</PRODUCT_START_TIME></a>", "its metadata are not valid .*soon"),
        ("MTD_MSIL2A.xml", "<a><PROCESSING_BASELINE>new</PROCESSING_BASELINE></a>", "its metadata are not valid .*new"),
    ],
)
def test_malformed_metadata_of_sentinel2(tmp_path: Path, name: str, content: str, message: str) -> None:
    safe = products.write_safe(tmp_path, suffix="tif")
    (safe / name).write_text(content)
    with pytest.raises(SceneError, match=message):
        open_scene(str(safe))


@pytest.mark.parametrize("name", ["scene.zip", "scene.tar"])
def test_broken_archive_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no archive" * 100)
    with pytest.raises(SceneError, match=rf"{name}: cannot be read \(.*\); check its permissions, or fetch") as raised:
        open_scene(str(tmp_path / name))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not usable JSON"),
        ("[]", "is not a STAC item"),
        ('{"type": "FeatureCollection", "features": []}', "holds 0 items"),
        ('{"properties": {}, "assets": {"blue": 1, "green": 1, "red": 1, "nir": 1}}', "is not a valid STAC item"),
        ('{"type": "Feature", "properties": {}}', "is not a STAC item"),
    ],
)
def test_json_that_is_no_item(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(SceneError, match=rf"a\.json: {message}"):
        open_scene(str(tmp_path / "a.json"))


def test_folder_of_several_products_lists_them(tmp_path: Path) -> None:
    products.write_safe(tmp_path, suffix="tif")
    products.write_safe(tmp_path, products.SAFE.replace("20220716T201849", "20220719T202849"), suffix="tif")
    with pytest.raises(SceneError, match=r"holds 2 Sentinel-2 scenes \(S2B_MSIL2A_20220716\S+, S2B_\S+\); name one"):
        open_scene(str(tmp_path))


def test_band_of_another_grid_names_both_files(tmp_path: Path) -> None:
    scene = products.write_landsat(tmp_path)
    products.write_band(scene / f"{products.LANDSAT}_SR_B4.TIF", products.numbers(2), products.GRID_10M)
    with pytest.raises(SceneError, match=r"_SR_B4\.TIF: does not lie on the grid of \S+_SR_B2\.TIF"):
        open_scene(str(scene))


def test_truncated_band_names_the_scene(tmp_path: Path) -> None:
    scene = products.write_landsat(tmp_path)
    scenes.truncate(scene / f"{products.LANDSAT}_SR_B4.TIF")
    with open_scene(str(scene)) as opened, pytest.raises(SceneError, match=rf"{products.LANDSAT}: rows 0 to 39 cannot"):
        opened.read(opened.grid.window)


def test_band_numbers_are_refused_where_bands_are_files(tmp_path: Path) -> None:
    numbers = {"blue": 1, "green": 2, "red": 3, "nir": 4}
    with pytest.raises(SceneError, match="files of their own, known by their names; leave out --bands"):
        open_scene(str(products.write_landsat(tmp_path)), bands=numbers)


@pytest.mark.parametrize(
    ("count", "advice"),
    [
        (8, r"--bands blue=2,green=4,red=6,nir=8 \(of PlanetScope's 8 bands\)"),
        (4, "--bands blue=1,green=2,red=3,nir=4$"),
        (13, "--bands blue=1,green=2,red=3,nir=4$"),
        (1, "has 1 band|none of its 1 band .*; give an image .* or the folder of a Sentinel-2 or Landsat scene"),
    ],
)
def test_advice_about_bands(tmp_path: Path, count: int, advice: str) -> None:
    path = scenes.write_raster(tmp_path / "a.tif", scenes.ramp(count, 20, 20), descriptions=None)
    with pytest.raises(SceneError, match=advice):
        open_scene(str(path))
