"""PlanetScope products: names, sibling files, metadata, UDM2 and the errors of each."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from rtsmap.errors import InputError, SceneError
from rtsmap.records import Pixels
from rtsmap.scene import CLASSES, open_scene, planetscope
from tests import scenes

ALL_DATA = ("AnalyticMS_SR", "AnalyticMS_SR_8b", "AnalyticMS_SR_8b_harmonized_clip", "AnalyticMS_SR_clip")


def read_all(path: Path, **options: object) -> Pixels:
    with open_scene(str(path), **options) as scene:  # type: ignore[arg-type]
        return scene.read(scene.grid.window)


@pytest.mark.parametrize(
    ("name", "item_id", "product", "surface_reflectance"),
    [
        ("20190704_201010_1032_3B_AnalyticMS_SR.tif", "20190704_201010_1032", "PSScene AnalyticMS_SR", True),
        (
            "20210714_221320_10_2413_3B_AnalyticMS_SR_8b_harmonized_clip.tif",
            "20210714_221320_10_2413",
            "PSScene AnalyticMS_SR_8b_harmonized_clip",
            True,
        ),
        ("20170915_020728_103d_3B_AnalyticMS.tif", "20170915_020728_103d", "PSScene AnalyticMS", False),
        ("20170915_020728_103d_3B_AnalyticMS_8b.tif", "20170915_020728_103d", "PSScene AnalyticMS_8b", False),
        ("4763421_0870512_2021-07-14_1032_BGRN_SR.tif", "4763421_0870512_2021-07-14_1032", "PSOrthoTile BGRN_SR", True),
        (
            "20230716_201512_45_2461_3B_AnalyticMS_SR_8b_harmonized_clip_reproject_file_format.tif",
            "20230716_201512_45_2461",
            "PSScene AnalyticMS_SR_8b_harmonized_clip_reproject_file_format",
            True,
        ),
        (
            "20230716_201512_45_2461_3B_AnalyticMS_SR_reproject_harmonize.tif",
            "20230716_201512_45_2461",
            "PSScene AnalyticMS_SR_reproject_harmonize",
            True,
        ),
        (
            "20200603_203636_82_1068_3B_AnalyticMS_toar_clip.tif",
            "20200603_203636_82_1068",
            "PSScene AnalyticMS_toar_clip",
            False,
        ),
        ("20210714_221320_10_2413__3B__AnalyticMS_SR.tif", "20210714_221320_10_2413", "PSScene AnalyticMS_SR", True),
        (
            "20210714_221320_10_2413__ortho_analytic_8b_sr.tif",
            "20210714_221320_10_2413",
            "PSScene ortho_analytic_8b_sr",
            True,
        ),
    ],
)
def test_names_of_images(name: str, item_id: str, product: str, surface_reflectance: bool) -> None:
    parsed = planetscope.parse(name)
    assert parsed is not None
    assert (parsed.item_id, parsed.name, parsed.surface_reflectance) == (item_id, product, surface_reflectance)


@pytest.mark.parametrize(
    "name",
    [
        "20190704_201010_1032_3B_udm2.tif",
        "20190704_201010_1032_3B_AnalyticMS_DN_udm.tif",
        "20190704_201010_1032_3B_AnalyticMS_metadata.xml",
        "20190704_201010_1032_3B_Visual.tif",
        "20191332_201010_1032_3B_AnalyticMS_SR.tif",
        "iultinsky_20180712T181352.tif",
    ],
)
def test_names_of_other_files(name: str) -> None:
    assert planetscope.parse(name) is None


@pytest.mark.parametrize("asset", ALL_DATA)
def test_bands_by_their_place_in_the_product(tmp_path: Path, asset: str) -> None:
    path = scenes.write_planetscope(tmp_path, asset=asset)
    numbers = scenes.ramp(8 if "8b" in asset else 4)
    chosen = [1, 3, 5, 7] if "8b" in asset else [0, 1, 2, 3]
    pixels = read_all(path)
    np.testing.assert_allclose(pixels.reflectance, numbers[chosen] * np.float32(1e-4), rtol=1e-6)
    assert pixels.valid.all()
    assert pixels.clear.all()


def test_what_is_known_of_a_scene(tmp_path: Path) -> None:
    path = scenes.write_planetscope(tmp_path)
    with open_scene(str(path)) as scene:
        info = scene.info
    assert info.scene_id == scenes.ITEM_ID
    assert info.path == str(path)
    assert info.product == "PSScene AnalyticMS_SR"
    assert info.gsd_m == pytest.approx(3.0)
    assert info.acquired == datetime(2021, 7, 14, 22, 13, 20, 123456, tzinfo=UTC)
    assert (info.satellite_id, info.instrument) == ("2413", "PSB.SD")
    assert (info.view_angle_deg, info.sun_azimuth_deg, info.sun_elevation_deg) == (4.1, 171.5, 42.2)
    assert info.cloud_fraction == pytest.approx(0.07)


def test_flat_json_and_cloud_cover_as_fraction(tmp_path: Path) -> None:
    path = scenes.write_planetscope(tmp_path, with_json=False, with_xml=False)
    flat = {"acquired": "2021-07-14T22:13:20Z", "cloud_cover": 0.25, "satellite_id": "abcd"}
    (tmp_path / f"{scenes.ITEM_ID}_metadata.json").write_text(json.dumps(flat))
    with open_scene(str(path)) as scene:
        assert scene.info.cloud_fraction == 0.25
        assert scene.info.satellite_id == "abcd"


def test_xml_fills_what_the_json_lacks(tmp_path: Path) -> None:
    path = scenes.write_planetscope(tmp_path, properties={"acquired": None, "view_angle": 1.5})
    with open_scene(str(path)) as scene:
        info = scene.info
    assert info.view_angle_deg == 1.5
    assert info.acquired == datetime(2021, 7, 14, 22, 13, 21, tzinfo=UTC)
    assert (info.satellite_id, info.instrument, info.sun_elevation_deg) == ("2413", "PS2", 41.0)
    assert info.cloud_fraction == pytest.approx(0.12)


def test_the_id_gives_date_and_satellite_without_metadata(tmp_path: Path) -> None:
    path = scenes.write_planetscope(tmp_path, with_json=False, with_xml=False, with_udm2=False)
    with open_scene(str(path)) as scene:
        info = scene.info
        assert scene.mask_path is None
    assert info.acquired == datetime(2021, 7, 14, 22, 13, 20, tzinfo=UTC)
    assert info.satellite_id == "2413"
    assert info.cloud_fraction is None


def test_ortho_tile(tmp_path: Path) -> None:
    path = scenes.write_raster(tmp_path / "4763421_0870512_2021-07-14_1032_BGRN_SR.tif", descriptions=None)
    scenes.write_raster(tmp_path / "4763421_0870512_2021-07-14_1032_udm2.tif", scenes.clear_udm2(), descriptions=None)
    with open_scene(str(path)) as scene:
        assert scene.info.acquired == datetime(2021, 7, 14, tzinfo=UTC)
        assert scene.info.satellite_id == "1032"
        assert scene.mask_path is not None


@pytest.mark.parametrize(
    ("asset", "coefficients"),
    [("AnalyticMS", scenes.COEFFICIENTS_4), ("AnalyticMS_8b", scenes.COEFFICIENTS_8[1::2])],
)
def test_radiance_becomes_reflectance_by_the_coefficients_of_the_xml(
    tmp_path: Path, asset: str, coefficients: tuple[float, ...]
) -> None:
    scenes.write_xml(tmp_path / f"{scenes.ITEM_ID}_3B_AnalyticMS_metadata.xml", (9, 9, 9, 9))
    scenes.write_xml(tmp_path / f"{scenes.ITEM_ID}_3B_AnalyticMS_8b_metadata.xml", (9,) * 8)
    path = scenes.write_planetscope(tmp_path, asset=asset)
    numbers = scenes.ramp(8)[1::2] if "8b" in asset else scenes.ramp(4)
    expected = numbers * np.float32(coefficients)[:, None, None]
    np.testing.assert_allclose(read_all(path).reflectance, expected, rtol=1e-5)


@pytest.mark.parametrize("other_kind", [False, True])
def test_radiance_without_its_xml_is_an_error(tmp_path: Path, other_kind: bool) -> None:
    path = scenes.write_planetscope(tmp_path, asset="AnalyticMS", with_xml=False)
    if other_kind:  # its first four bands are other bands
        scenes.write_xml(tmp_path / f"{scenes.ITEM_ID}_3B_AnalyticMS_8b_metadata.xml", scenes.COEFFICIENTS_8)
    with pytest.raises(SceneError, match=r"AnalyticMS.tif: is a radiance product.*; add its \.\.\._metadata\.xml"):
        open_scene(str(path))


def test_udm2_blackfill_is_not_valid_and_masked_classes_are_not_clear(tmp_path: Path) -> None:
    udm2 = scenes.clear_udm2()
    for column, band in enumerate(CLASSES.values()):
        udm2[0, 0, column], udm2[band - 1, 0, column] = 0, 1
    udm2[7, 1, :10] = 1  # blackfill
    udm2[7, 2, :10] = 0b110  # old cloud and a suspect band: the ground was seen
    pixels = read_all(scenes.write_planetscope(tmp_path, udm2=udm2))
    assert not pixels.valid[1, :10].any()
    assert not pixels.reflectance[:, 1, :10].any()
    assert pixels.valid.sum() == pixels.valid.size - 10
    assert dict(zip(CLASSES, pixels.clear[0].tolist(), strict=False)) == {
        "snow": True,
        "shadow": False,
        "light_haze": True,
        "heavy_haze": False,
        "cloud": False,
    }
    assert pixels.clear[2].all()
    assert not (pixels.clear & ~pixels.valid).any()


@pytest.mark.parametrize("name", CLASSES)
def test_any_class_can_be_the_only_one_masked(tmp_path: Path, name: str) -> None:
    udm2 = scenes.clear_udm2()
    for column, band in enumerate(CLASSES.values()):
        udm2[band - 1, 0, column] = 1
    path = scenes.write_planetscope(tmp_path, udm2=udm2)
    clear = read_all(path, mask=(name,)).clear
    assert np.argwhere(~clear).tolist() == [[0, list(CLASSES).index(name)]]
    assert read_all(path, mask=()).clear.all()


def test_an_unknown_class_to_mask_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="--mask haze: is no class of a cloud mask; choose from snow, shadow, light_haze"
    ):
        open_scene(str(scenes.write_planetscope(tmp_path)), mask=("cloud", "haze"))


def test_clipped_image_takes_the_clipped_udm2(tmp_path: Path) -> None:
    scenes.write_raster(tmp_path / f"{scenes.ITEM_ID}_3B_udm2.tif", scenes.clear_udm2(90, 90), descriptions=None)
    path = scenes.write_planetscope(tmp_path, asset="AnalyticMS_SR_clip")
    with open_scene(str(path)) as scene:
        assert scene.mask_path is not None
        assert scene.mask_path.endswith("_3B_udm2_clip.tif")


@pytest.mark.parametrize(
    ("image", "beside", "taken"),
    [
        ("AnalyticMS_SR_file_format", ["3B_udm2_file_format", "3B_udm2_clip"], "3B_udm2_file_format"),
        ("AnalyticMS_SR_8b_clip_reproject", ["3B_udm2", "3B_udm2_clip", "3B_udm2_clip_reproject"],
         "3B_udm2_clip_reproject"),
        ("AnalyticMS_SR_reproject_clip", ["3B_udm2_clip_reproject", "3B_udm2"], "3B_udm2_clip_reproject"),
        ("AnalyticMS_SR_harmonized", ["3B_udm2_clip", "3B_udm2"], "3B_udm2"),
        ("AnalyticMS_SR", ["3B_udm2", "3B_AnalyticMS_DN_udm"], "3B_udm2"),
        ("AnalyticMS_SR_clip", ["3B_AnalyticMS_DN_udm", "3B_AnalyticMS_DN_udm_clip"], "3B_AnalyticMS_DN_udm_clip"),
        ("_ortho_analytic_4b_sr", ["_ortho_udm2"], "_ortho_udm2"),
    ],
)  # fmt: skip
def test_masks_by_the_tools_of_an_order(tmp_path: Path, image: str, beside: list[str], taken: str) -> None:
    for name in beside:
        classes = scenes.clear_udm2() if "udm2" in name else np.zeros((1, 40, 60), np.uint8)
        scenes.write_raster(tmp_path / f"{scenes.ITEM_ID}_{name}.tif", classes, descriptions=None)
    prefix = "" if image.startswith("_") else "3B_"
    numbers = scenes.ramp(8 if "_8b" in image else 4)
    path = scenes.write_raster(tmp_path / f"{scenes.ITEM_ID}_{prefix}{image}.tif", numbers, descriptions=None)
    with open_scene(str(path)) as scene:
        assert scene.mask_path == str(tmp_path / f"{scenes.ITEM_ID}_{taken}.tif")
        assert scene.clouds_masked


def test_udm_of_version_1(tmp_path: Path) -> None:
    """Bit 0 blackfill, bit 1 cloud, the others bands that are missing or suspect."""
    bits = np.zeros((1, 40, 60), np.uint8)
    bits[0, 0, :9] = [0, *(1 << bit for bit in range(8))]
    path = scenes.write_planetscope(tmp_path, with_udm2=False)
    scenes.write_raster(tmp_path / f"{scenes.ITEM_ID}_3B_AnalyticMS_DN_udm.tif", bits, descriptions=None)
    pixels = read_all(path)
    assert np.argwhere(~pixels.valid).tolist() == [[0, 1]]
    assert np.argwhere(~pixels.clear)[:, 1].tolist() == list(range(1, 9))
    assert np.argwhere(~read_all(path, mask=("shadow",)).clear)[:, 1].tolist() == [1, *range(3, 9)]


@pytest.mark.parametrize("xml", ["metadata", "metadata_clip", "metadata_clip_reproject"])
@pytest.mark.parametrize("asset", ["AnalyticMS_clip", "AnalyticMS"])
def test_radiance_takes_its_xml_whatever_tools_it_names(tmp_path: Path, asset: str, xml: str) -> None:
    scenes.write_xml(tmp_path / f"{scenes.ITEM_ID}_3B_AnalyticMS_{xml}.xml")
    path = scenes.write_planetscope(tmp_path, asset=asset, with_xml=False)
    expected = scenes.ramp() * np.float32(scenes.COEFFICIENTS_4)[:, None, None]
    np.testing.assert_allclose(read_all(path).reflectance, expected, rtol=1e-5)


@pytest.mark.parametrize("asset", ["AnalyticMS_toar", "AnalyticMS_clip_toar", "AnalyticMS_toar_reproject_file_format"])
def test_radiance_that_an_order_made_reflectance(tmp_path: Path, asset: str) -> None:
    path = scenes.write_planetscope(tmp_path, asset=asset, with_xml=False, with_udm2=False)
    np.testing.assert_allclose(read_all(path).reflectance, scenes.ramp() * 1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ("asset", "message"),
    [
        ("AnalyticMS_SR_bandmath", "none of its 4 bands is described as blue, green, red, nir; say which"),
        ("AnalyticMS_SR_8b_bandmath", r"say which they are with --bands blue=2,green=4,red=6,nir=8"),
    ],
)
def test_bands_made_by_bandmath_may_be_anything(tmp_path: Path, asset: str, message: str) -> None:
    path = scenes.write_planetscope(tmp_path, asset=asset)
    with pytest.raises(SceneError, match=message):
        open_scene(str(path))
    with open_scene(str(path), bands={"blue": 1, "green": 2, "red": 3, "nir": 4}) as scene:
        assert scene.clouds_masked
        assert scene.info.satellite_id == "2413"


def test_numbers_made_of_radiance_ask_for_a_scale(tmp_path: Path) -> None:
    path = scenes.write_planetscope(tmp_path, asset="AnalyticMS_bandmath")
    numbers = {"blue": 1, "green": 2, "red": 3, "nir": 4}
    with pytest.raises(SceneError, match="so that its scale is unknown; give --scale"):
        open_scene(str(path), bands=numbers)
    np.testing.assert_allclose(read_all(path, bands=numbers, scale=2e-5).reflectance, scenes.ramp() * 2e-5, rtol=1e-5)


# Composites


def write_composite(folder: Path, name: str = "composite", tools: str = "", bands: int = 4) -> Path:
    scenes.write_raster(folder / f"{name}_udm2{tools}.tif", scenes.clear_udm2(), descriptions=None)
    return scenes.write_raster(folder / f"{name}{tools}.tif", scenes.ramp(bands), descriptions=None)


@pytest.mark.parametrize(
    ("name", "tools", "bands", "scene_id"),
    [
        ("composite", "", 4, "yukon_composite"),
        ("composite", "_file_format", 8, "yukon_composite"),
        ("2021-07-14_strip_4763421_composite", "_reproject", 8, "2021-07-14_strip_4763421_composite"),
    ],
)
def test_composites(tmp_path: Path, name: str, tools: str, bands: int, scene_id: str) -> None:
    path = write_composite(tmp_path / "yukon" / "files", name, tools, bands)
    scenes.write_xml(path.parent / f"{scenes.ITEM_ID}_3B_AnalyticMS_metadata_clip.xml")
    for place in (path, tmp_path / "yukon"):
        with open_scene(str(place)) as scene:
            assert (scene.info.scene_id, scene.clouds_masked) == (scene_id, True)
            assert scene.info.acquired == datetime(2021, 7, 14, 22, 13, 20, tzinfo=UTC)
            reflectance = scene.read(scene.grid.window).reflectance
        chosen = [1, 3, 5, 7] if bands == 8 else [0, 1, 2, 3]
        np.testing.assert_allclose(reflectance, scenes.ramp(bands)[chosen] * 1e-4, rtol=1e-5)


def test_a_composite_of_radiance_is_an_error(tmp_path: Path) -> None:
    path = write_composite(tmp_path)
    manifest = {"files": [{"annotations": {"planet/bundle_type": "analytic_udm2"}}]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SceneError, match=r"composite\.tif: is a composite of radiance products.*; order surface"):
        open_scene(str(path))
    assert read_all(path, scale=2e-5).valid.all()


def test_a_composite_that_nothing_shows_to_be_of_planet(tmp_path: Path) -> None:
    path = scenes.write_raster(tmp_path / "composite.tif", descriptions=None)
    with pytest.raises(SceneError, match="none of its 4 bands is described"):
        open_scene(str(path))


@pytest.mark.parametrize(
    "change",
    [
        {"numbers": scenes.clear_udm2(40, 61)},
        {"numbers": scenes.clear_udm2(), "transform": Affine(3.0, 0.0, 570_003.0, 0.0, -3.0, 7_720_000.0)},
        {"numbers": scenes.clear_udm2(), "crs": "EPSG:32608"},
    ],
)
def test_udm2_of_another_grid_is_an_error(tmp_path: Path, change: dict[str, object]) -> None:
    path = scenes.write_planetscope(tmp_path, with_udm2=False)
    scenes.write_raster(tmp_path / f"{scenes.ITEM_ID}_3B_udm2.tif", descriptions=None, **change)  # type: ignore[arg-type]
    with pytest.raises(SceneError, match=r"_udm2\.tif: does not lie on the grid of its image .*; order image and mask"):
        open_scene(str(path))


def test_udm2_with_other_bands_is_an_error(tmp_path: Path) -> None:
    path = scenes.write_planetscope(tmp_path, with_udm2=False)
    scenes.write_raster(tmp_path / f"{scenes.ITEM_ID}_3B_udm2.tif", scenes.clear_udm2()[:1], descriptions=None)
    with pytest.raises(SceneError, match=r"_udm2\.tif: has 1 band where a UDM2 has 8; fetch it again"):
        open_scene(str(path))


def test_folder_of_an_order(tmp_path: Path) -> None:
    path = scenes.write_planetscope(tmp_path / "order" / "PSScene", asset="AnalyticMS_SR_8b_harmonized_clip")
    with open_scene(str(tmp_path / "order")) as scene:
        assert scene.info.path == str(path)
        assert scene.mask_path is not None


def test_folder_of_several_images_lists_them(tmp_path: Path) -> None:
    scenes.write_planetscope(tmp_path / "PSScene")
    scenes.write_planetscope(tmp_path / "PSScene", item_id="20220714_221320_10_2413")
    with pytest.raises(SceneError, match=r"holds 2 images \(PSScene/20210714\S+, PSScene/20220714\S+\); name one"):
        open_scene(str(tmp_path))


def test_folder_without_image(tmp_path: Path) -> None:
    with pytest.raises(
        SceneError, match=r"holds no PlanetScope image \(.*\), and no Sentinel-2 .*; name the image file itself"
    ):
        open_scene(str(tmp_path))


def test_planetscope_image_with_other_bands(tmp_path: Path) -> None:
    path = scenes.write_planetscope(tmp_path, scenes.ramp(3))
    with pytest.raises(SceneError, match=r"_SR\.tif: has 3 bands where a PlanetScope image has 4 or 8; give an image"):
        open_scene(str(path))


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        ("_metadata.json", "{"),
        ("_metadata.json", "[]"),
        ("_metadata.json", '{"acquired": "last summer"}'),
        ("_metadata.json", '{"properties": {"view_angle": "steep"}}'),
        ("_3B_AnalyticMS_metadata.xml", "<ps"),
        ("_3B_AnalyticMS_metadata.xml", "<a><acquisitionDateTime>last summer</acquisitionDateTime></a>"),
    ],
)
def test_malformed_metadata_is_an_error(tmp_path: Path, suffix: str, content: str) -> None:
    path = scenes.write_planetscope(tmp_path)
    (tmp_path / f"{scenes.ITEM_ID}{suffix}").write_text(content)
    with pytest.raises(
        SceneError, match=rf"{suffix}: is not (JSON|valid metadata) \(.*\); fetch it again or remove it"
    ):
        open_scene(str(path))


def test_truncated_udm2_names_the_file(tmp_path: Path) -> None:
    path = scenes.write_planetscope(tmp_path)
    scenes.truncate(tmp_path / f"{scenes.ITEM_ID}_3B_udm2.tif")
    with open_scene(str(path)) as scene, pytest.raises(SceneError, match=r"_udm2\.tif: rows 0 to 39 cannot be read"):
        scene.read(scene.grid.window)


def test_remote_image_finds_its_udm2_by_name(tmp_path: Path) -> None:
    udm2 = scenes.clear_udm2()
    udm2[5, 0, 0] = 1
    path = scenes.write_planetscope(tmp_path, udm2=udm2)
    with open_scene(f"file://{path}") as scene:  # any address that only GDAL opens takes this way
        assert not scene.read(scene.grid.window).clear[0, 0]
        assert scene.info.scene_id == scenes.ITEM_ID


def test_remote_image_without_udm2(tmp_path: Path) -> None:
    path = scenes.write_planetscope(tmp_path, with_udm2=False)
    with open_scene(f"file://{path}") as scene:
        assert scene.mask_path is None
        assert not scene.clouds_masked
