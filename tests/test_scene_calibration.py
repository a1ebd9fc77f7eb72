"""From numbers to reflectance: what is stated where, what cannot be, and what it is refused for."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from rtsmap.errors import InputError, SceneError
from rtsmap.records import Pixels
from rtsmap.scene import open_scene
from rtsmap.scene.calibration import sentinel2, sentinel2_added
from tests import scenes

SHAPE = 160, 200
SPECTRA = {  # blue, green, red, nir
    "tundra": (0.03, 0.05, 0.06, 0.24),
    "bare": (0.06, 0.08, 0.11, 0.16),
    "water": (0.04, 0.035, 0.02, 0.006),
    "snow": (0.93, 0.92, 0.91, 0.84),
    "cloud": (1.02, 1.01, 1.01, 1.04),
    "shade": (0.02, 0.014, 0.012, 0.018),
    "hazy": (0.215, 0.15, 0.13, 0.21),
    "gravel": (0.13, 0.16, 0.19, 0.23),
    "glint": (1.5, 1.5, 1.5, 1.5),
}


def ground(**shares: float) -> NDArray[np.float64]:
    """Reflectance of columns of these covers with 7 % noise; without any, tundra with lakes and bare slopes."""
    shares = shares or {"tundra": 0.7, "bare": 0.15, "water": 0.15}
    height, width = SHAPE
    covers = np.repeat(list(shares), np.round(np.array(list(shares.values())) * width).astype(int))
    spectra = np.array([SPECTRA[cover] for cover in covers]).T[:, None, :]
    noise = np.random.default_rng(6).normal(1, 0.07, (1, height, width))
    result: NDArray[np.float64] = spectra * noise
    return result


def integers(reflectance: NDArray[np.float64], scale: float = 1e-4, offset: float = 0.0, dtype: str = "uint16") -> Any:
    return np.round((reflectance - offset) / scale).astype(dtype)


def read(path: Path, **options: Any) -> Pixels:
    with open_scene(str(path), **options) as scene:
        return scene.read(scene.grid.window)


# What is stated, and by whom

STATED: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    # name of the file, how the numbers were made, what the file says, what the user says
    ("plain", {}, {}, {}),
    ("the file says both", {"offset": -0.15}, {"scales": (1e-4,) * 4, "offsets": (-0.15,) * 4}, {}),
    ("a scale drops no offset", {"offset": -0.1}, {"scales": (1e-4,) * 4, "offsets": (-0.1,) * 4}, {"scale": 1e-4}),
    ("a scale of 1 has an offset", {"offset": -0.1}, {"offsets": (-0.1,) * 4}, {}),
    ("an offset of numbers", {"offset": -0.2}, {"offsets": (-2000.0,) * 4}, {}),
    (
        "an offset of numbers and a scale",
        {"offset": -0.06, "scale": 2e-5},
        {"offsets": (-3000.0,) * 4},
        {"scale": 2e-5},
    ),
    ("the user knows better", {"offset": -0.05}, {"scales": (3e-4,) * 4, "offsets": (2.0,) * 4}, "both"),
    ("an offset alone", {"offset": -0.3}, {}, {"offset": -0.3}),
    ("S2A_MSIL2A_20230803T201851_N0509_R071_T08WNB_20230804T001901", {"offset": -0.1}, {}, {}),
    ("clip_S2B_MSIL2A_20220125T201851_N0400_R071_T08WNB_20230804T001901_10m", {"offset": -0.1}, {}, {}),
    ("S2A_MSIL1C_20230803T201851_N0509_R071_T08WNB_20230804T001901", {"offset": -0.1}, {}, {"scale": 1e-4}),
    ("S2A_MSIL2A_20210803T201851_N0301_R071_T08WNB_20210804T001901", {}, {}, {}),
    ("S2A_MSIL2A_20230803T201851_N0509_R071_T08WNB_harmonised", {}, {}, {"offset": 0.0}),
    ("LC08_L2SP_066011_20210718_20210729_02_T1", {"scale": 2.75e-5, "offset": -0.2}, {}, {}),
    ("LE07_L2SR_066011_20030718_20210729_02_T2_clip", {"scale": 2.75e-5, "offset": -0.2}, {}, {}),
]


@pytest.mark.parametrize(("name", "made", "file", "user"), STATED, ids=[case[0] for case in STATED])
def test_scale_and_offset_as_stated(
    tmp_path: Path, name: str, made: dict[str, Any], file: dict[str, Any], user: dict[str, Any] | str
) -> None:
    truth = ground()
    path = scenes.write_raster(tmp_path / f"{name}.tif", integers(truth, **made), **file)
    options = {"scale": 1e-4, "offset": made["offset"]} if isinstance(user, str) else user
    np.testing.assert_allclose(read(path, **options).reflectance, truth, atol=1e-4)


@pytest.mark.parametrize(
    ("tags", "offset"),
    [
        ({"BOA_ADD_OFFSET": "-1000"}, -0.1),
        ({"BOA_ADD_OFFSET": "-500", "BOA_QUANTIFICATION_VALUE": "10000"}, -0.05),
        ({"boa_add_offset": "0"}, 0.0),
        ({"BOA_ADD_OFFSET": "see the XML"}, 0.0),
    ],
)
def test_offset_of_the_tags(tmp_path: Path, tags: dict[str, str], offset: float) -> None:
    truth = ground()
    path = scenes.write_raster(tmp_path / "tagged.tif", integers(truth, offset=offset))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(**tags)
    np.testing.assert_allclose(read(path).reflectance, truth, atol=1e-4)


def test_reals_are_reflectance_whatever_the_name_says(tmp_path: Path) -> None:
    truth = ground().astype(np.float32)
    path = scenes.write_raster(tmp_path / f"{STATED[8][0]}.tif", truth)
    np.testing.assert_array_equal(read(path).reflectance, truth)


def test_what_metadata_of_sentinel2_say() -> None:
    assert sentinel2([-1000] * 4).offset == [-0.1] * 4
    assert sentinel2([0.0, -2000.0], 20_000).offset == [0.0, -0.1]
    assert sentinel2_added("/data/S2C_MSIL2A_20250101T000000_N0511_R001_T01WAA_20250101T000000.SAFE") == -1000
    assert sentinel2_added("S2A_MSIL2A_20180101T000000_N0206_R001_T01WAA_20180101T000000.SAFE") == 0
    assert sentinel2_added("mosaic_N0400.tif") is None


# What cannot be


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"scales": (0.0,) * 4}, "states a scale of 0, which is not valid; give --scale and --offset"),
        ({"scales": (1e-4, 1e-4, float("nan"), 1e-4)}, "states a scale of 0.0001, nan, which is not valid"),
        ({"scales": (-1e-4,) * 4}, "states a scale of -0.0001, which"),
        ({"scales": (float("inf"),) * 4}, "states a scale of inf, which"),
        ({"offsets": (float("nan"),) * 4}, "states an offset of nan, which"),
    ],
)
def test_stored_scale_that_is_none(tmp_path: Path, stored: dict[str, Any], message: str) -> None:
    truth = ground()
    path = scenes.write_raster(tmp_path / "a.tif", integers(truth), **stored)
    with pytest.raises(SceneError, match=message):
        open_scene(str(path))
    np.testing.assert_allclose(read(path, scale=1e-4, offset=0.0).reflectance, truth, atol=1e-4)


@pytest.mark.parametrize("given", [{"scale": 0.0}, {"scale": -2.0}, {"scale": float("nan")}, {"offset": float("inf")}])
def test_given_numbers_that_are_none(tmp_path: Path, given: dict[str, float]) -> None:
    path = scenes.write_raster(tmp_path / "a.tif")
    with pytest.raises(InputError, match="must be"):
        open_scene(str(path), **given)


WRONG: list[tuple[str, Any, dict[str, Any], str, str]] = [
    # what is wrong, numbers, what the user says, the fault, what fits
    ("reals x 10000", ground() * 10_000, {}, "most pixels are above 1", "--scale 0.0001 --offset 0"),
    ("percent", ground() * 100, {}, "most pixels are above 1", "--scale 0.01 --offset 0"),
    ("percent of water", ground(water=1) * 100, {}, "most pixels are above 1", "--scale 0.01 --offset 0"),
    ("scale left out", integers(ground()), {"scale": 1.0}, "above 1", "--scale 0.0001 --offset 0"),
    ("Landsat", integers(ground(), 2.75e-5, -0.2), {}, "above 1", "--scale 2.75e-05 --offset -0.2"),
    (
        "Landsat, half",
        integers(ground(), 2.75e-5, -0.2),
        {"scale": 2.75e-5},
        "than 0.2",
        "--scale 2.75e-05 --offset -0.2",
    ),
    ("Sentinel-2", integers(ground(), offset=-0.1), {}, "no pixel is darker than 0.1", "--scale 0.0001 --offset -0.1"),
    ("Sentinel-2 sea", integers(ground(water=1), offset=-0.1), {}, "than 0.1", "--scale 0.0001 --offset -0.1"),
    ("Sentinel-2 reals", ground() + 0.1, {}, "than 0.1", "--scale 1 --offset -0.1"),
    ("offset twice", integers(ground()), {"offset": -0.1}, "most pixels are below 0", "--scale 0.0001 --offset 0"),
    ("offset twice, stored", integers(ground() - 0.1, dtype="int16"), {}, "below 0", "--scale 0.0001 --offset 0.1"),
    ("scaled twice", ground() * 1e-4, {}, "hardly any pixel reflects", "--scale"),
    ("reals with a scale", ground(), {"scale": 1e-4}, "hardly any pixel reflects", "--scale 1 --offset 0"),
    ("8 bit as 16", integers(ground(), 0.01), {}, "hardly any pixel reflects", "--scale 0.01 --offset 0"),
]


@pytest.mark.parametrize(
    ("numbers", "user", "fault", "advice"), [case[1:] for case in WRONG], ids=[c[0] for c in WRONG]
)
def test_numbers_that_are_no_reflectance(
    tmp_path: Path, numbers: Any, user: dict[str, Any], fault: str, advice: str
) -> None:
    numbers = numbers.astype(np.float32) if numbers.dtype.kind == "f" else numbers
    path = scenes.write_raster(tmp_path / "odd.tif", numbers, nodata=-32768 if numbers.dtype == np.int16 else None)
    with pytest.raises(SceneError) as caught:
        open_scene(str(path), **user)
    message = str(caught.value)
    assert message.startswith(f"{path}: its numbers are no reflectance with --scale")
    assert fault in message
    medians = re.findall(r"(?:blue|green|red|nir) (-?[\d.e-]+)", message)
    np.testing.assert_allclose([float(value) for value in medians], np.median(numbers, axis=(1, 2)), rtol=0.06)
    assert advice in message.rsplit("; ", maxsplit=1)[-1]
    assert "\n" not in message


@pytest.mark.parametrize("value", [np.uint16(700), np.float32(0.25)])
def test_pixels_that_are_all_equal(tmp_path: Path, value: Any) -> None:
    path = scenes.write_raster(tmp_path / "flat.tif", np.full((4, 160, 200), value))
    with pytest.raises(SceneError, match=rf"all its numbers are {value:g}; give a scene, or the right --bands"):
        open_scene(str(path))


def test_one_pixel_that_differs_is_found(tmp_path: Path) -> None:
    numbers = np.full((4, 160, 200), 700, dtype=np.uint16)
    numbers[2, 77, 133] = 900
    assert read(scenes.write_raster(tmp_path / "flat.tif", numbers)).valid.all()


PLAUSIBLE: list[tuple[str, NDArray[np.float64]]] = [
    ("sea", ground(water=1)),
    ("snow", ground(snow=1)),
    ("cloud", ground(cloud=0.9, tundra=0.1)),
    ("half in glint", ground(glint=0.4, water=0.6)),
    ("deep shade", ground(shade=1)),
    ("radiance through haze", ground(hazy=1)),
    ("polar desert", ground(gravel=1)),
    ("a little below 0", ground(water=0.6, tundra=0.4) - 0.015),
]


@pytest.mark.parametrize("truth", [case[1] for case in PLAUSIBLE], ids=[case[0] for case in PLAUSIBLE])
def test_odd_scenes_that_are_real(tmp_path: Path, truth: NDArray[np.float64]) -> None:
    path = scenes.write_raster(tmp_path / "real.tif", truth.astype(np.float32))
    np.testing.assert_allclose(read(path).reflectance, truth.clip(0, 1), atol=1e-6)


def test_clouds_that_a_mask_knows_are_not_looked_at(tmp_path: Path) -> None:
    numbers = integers(ground(glint=0.8, tundra=0.2))
    udm2 = scenes.clear_udm2(*SHAPE)
    udm2[5, :, :160] = 1
    assert read(scenes.write_planetscope(tmp_path, numbers, udm2=udm2)).valid.all()


@pytest.mark.parametrize(
    "layout",
    [{"blockysize": 1}, {"blockysize": 160}, {"tiled": True, "blockxsize": 32, "blockysize": 48}],
    ids=["rows", "one strip", "tiles"],
)
def test_the_look_finds_the_fault_in_any_layout_beside_nodata(tmp_path: Path, layout: dict[str, Any]) -> None:
    numbers = (ground() * 10_000).astype(np.float32)
    numbers[:, :, :90] = 0
    path = scenes.write_raster(tmp_path / "a.tif", numbers, **layout)
    with pytest.raises(SceneError, match="most pixels are above 1"):
        open_scene(str(path))


# Ground that is none


@pytest.mark.parametrize("nodata", [None, float("nan"), float("-inf"), 0.0])
@pytest.mark.parametrize("blank", [0.0, float("nan")])
def test_blank_reals_are_no_ground(tmp_path: Path, nodata: float | None, blank: float) -> None:
    numbers = ground().astype(np.float32)
    numbers[:, :55] = blank
    numbers[3, 60] = 0.0  # black in the near infrared alone
    pixels = read(scenes.write_raster(tmp_path / "a.tif", numbers, nodata=nodata))
    assert not pixels.valid[:55].any()
    assert pixels.valid[55:].all()


# From the command line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scale", "0"], "Invalid value for '--scale': 0.0 is not in the range x>0"),
        (["--scale", "-0.5"], "-0.5 is not in the range x>0"),
        (["--scale", "nan"], "'nan' is not a finite number"),
        (["--scale", "inf"], "'inf' is not a finite number"),
        (["--scale", "1e-4x"], "'1e-4x' is not a valid float"),
        (["--offset", "nan"], "Invalid value for '--offset': 'nan' is not a finite number"),
        (
            ["--scale", "3.5"],
            "its numbers are no reflectance with --scale 3.5 and --offset 0, for most pixels are above 1",
        ),
        (["--offset", "-0.4"], "for most pixels are below 0; their medians are blue 3"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "build"])
def test_commands_refuse_them(rtsmap: Any, tmp_path: Path, command: str, words: list[str], message: str) -> None:
    scene = scenes.write_raster(tmp_path / "a.tif", integers(ground()))
    labels = tmp_path / "labels.geojson"
    labels.write_text('{"type": "FeatureCollection", "features": []}')
    before = {
        "predict": ["predict", scene, "--dry-run"],
        "build": ["dataset", "build", scene, "--labels", labels, "--site", "s", "--dry-run"],
    }
    code, _, said = rtsmap(*before[command], *words)
    assert code == 2
    assert message in " ".join(said.split())


def test_a_table_has_scale_and_offset_of_each_scene(tmp_path: Path) -> None:
    from rtsmap.dataset.labelled_scenes import Inputs
    from rtsmap.dataset.sources import read_table
    from rtsmap.errors import DatasetError

    truth = ground()
    scenes.write_raster(tmp_path / "a.tif", integers(truth, 2e-4, -0.3))
    scenes.write_raster(tmp_path / "b.tif", integers(truth, offset=-0.12))
    table = tmp_path / "scenes.csv"
    table.write_text("image,labels,site,scale,offset\na.tif,,s,2e-4,-0.3\nb.tif,,s,,\n")
    for source in read_table(table):
        with Inputs(scale=1e-4, offset=-0.12).open(source) as scene:
            np.testing.assert_allclose(scene.read(scene.grid.window).reflectance, truth, atol=2e-4)
    for scale, offset, message in [("0", "", "the scale 0 is not a number above 0"), ("", "x", "the offset x is not")]:
        table.write_text(f"image,labels,site,scale,offset\na.tif,,s,{scale},{offset}\n")
        with pytest.raises(DatasetError, match=f"line 2: {message}"):
            read_table(table)
