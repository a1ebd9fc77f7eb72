"""The modality dem: the lie of the land from an elevation model, from the file to the map."""

import json
import logging
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer

from rtsmap import bands
from rtsmap.chips.grid import ChipGrid
from rtsmap.chips.reading import read_chips
from rtsmap.dataset import read_dataset
from rtsmap.dataset.checking import check_dataset
from rtsmap.dataset.pixels import pixels_of
from rtsmap.dataset.stats import channel_statistics, site_statistics
from rtsmap.dataset.terrain_encoding import TERRAIN_ENCODING
from rtsmap.dataset.writer import writing_dataset
from rtsmap.errors import InputError, SceneError
from rtsmap.records import Pixels, Window
from rtsmap.scene import open_scene
from rtsmap.scene.elevation import relative_elevation, slope
from rtsmap.settings.card import InputConfig, ModelCard
from rtsmap.settings.network import NetworkConfig
from rtsmap.training.paper import cells
from rtsmap.training.samples import Sampler
from tests.datasets import labelled_image, pixels_with, write_dataset
from tests.detectors import tundra
from tests.labels import write_polygons, write_scene
from tests.networks import MEAN, STD, TINY_TRAINING, write_model
from tests.scenes import TRANSFORM, UTM_7N, truncate, write_raster

LEFT, TOP = TRANSFORM.c, TRANSFORM.f  # of all scenes here
DEEP = 5.0  # of the pit, m
PIT = (60.0, 90.0, 24.0, 54.0)  # left, right, lower and upper distance from the scene's corner, m
ALL = Window(0, 0, 64, 64)
PLANE_DEG = np.degrees(np.arctan(np.hypot(0.1, 0.05)))


def plane_with_pit(x, y):
    """Heights in m: rising by 0.1 to the east and 0.05 to the south, with a pit."""
    east, south = x - LEFT, TOP - y
    pit = (east > PIT[0]) & (east < PIT[1]) & (south > PIT[2]) & (south < PIT[3])
    return 80 + 0.1 * east + 0.05 * south - DEEP * pit


def write_dem(path, heights=plane_with_pit, *, gsd=2.0, margin=400.0, side=300.0, nodata=-9999.0, **options):
    """An elevation model in the scene's CRS, of its first `side` m and `margin` m around."""
    transform = Affine(gsd, 0, LEFT - margin, 0, -gsd, TOP + margin)
    count = int((side + 2 * margin) / gsd)
    x, y = np.meshgrid(LEFT - margin + (np.arange(count) + 0.5) * gsd, TOP + margin - (np.arange(count) + 0.5) * gsd)
    numbers = heights(x, y).astype(np.float32)[None]
    options = {"descriptions": None, "transform": transform, "nodata": nodata, **options}
    return write_raster(path, options.pop("numbers", numbers), **options)


def warped_dem(path, crs, gsd, heights=plane_with_pit):
    """An elevation model in another CRS, of the scene and 600 m around."""
    to_crs, back = (Transformer.from_crs(*pair, always_xy=True) for pair in ((UTM_7N, crs), (crs, UTM_7N)))
    left, bottom, right, top = to_crs.transform_bounds(LEFT - 600, TOP - 900, LEFT + 900, TOP + 600)
    columns, rows = int((right - left) / gsd), int((top - bottom) / gsd)
    x, y = np.meshgrid(left + (np.arange(columns) + 0.5) * gsd, top - (np.arange(rows) + 0.5) * gsd)
    numbers = heights(*back.transform(x, y)).astype(np.float32)[None]
    transform = Affine(gsd, 0, left, 0, -gsd, top)
    return write_raster(path, numbers, descriptions=None, crs=crs, transform=transform, nodata=-9999)


def rough(x, y):
    """Hills of all sizes."""
    return 50 + 20 * np.sin(x / 97) * np.cos(y / 61) + 3 * np.sin(x / 7 + y / 5)


@pytest.fixture
def scene(tmp_path):
    return write_scene(tmp_path / "scene.tif")  # 64 x 64 px of 3 m


def terrain_of(scene, dem, window=ALL):
    with open_scene(str(scene), dem=str(dem)) as opened:
        terrain = opened.read(window).terrain
    assert terrain is not None
    return terrain


# what is computed


def test_slope_of_a_plane_is_that_of_its_steepest_line():
    down, across = np.mgrid[0:5, 0:6].astype(np.float32)
    heights = 7 + 0.3 * across * 3 + 0.4 * down * 2  # pixels of 3 x 2 m
    np.testing.assert_allclose(slope(heights, 3.0, 2.0), np.full((3, 4), np.degrees(np.arctan(0.5))), rtol=1e-5)


def test_elevation_is_relative_to_the_mean_of_the_heights_around():
    heights = np.zeros((5, 7), dtype=np.float32)
    heights[2, 3] = 9  # one of 5 x 7 px
    heights[0, 0] = np.nan
    assert relative_elevation(heights, 2, 3)[0, 0] == pytest.approx(9 - 9 / 34, abs=1e-3)


def test_where_no_height_is_known_the_land_is_level():
    heights = np.full((7, 7), 50, dtype=np.float32)
    heights[3, 3], heights[3, 4] = np.nan, 90
    assert relative_elevation(heights, 2, 2)[1, 1] == 0
    steep = slope(heights, 1.0, 1.0)
    assert steep[2, 3] == steep[2, 1] == 0  # both beside the gap


def test_a_pit_in_a_tilted_plane(scene, tmp_path):
    elevation, steepness = terrain_of(scene, write_dem(tmp_path / "dem.tif"))
    floor = -DEEP + DEEP * 30**2 / 303**2  # the mean of 101 x 101 px counts the pit too
    assert elevation[13, 25] == pytest.approx(floor, abs=0.015)
    assert elevation[50, 10] == pytest.approx(DEEP * 30**2 / 303**2, abs=0.015)
    assert steepness[13, 25] == pytest.approx(PLANE_DEG, abs=0.02)
    assert steepness[50, 10] == pytest.approx(PLANE_DEG, abs=0.02)
    assert steepness[7:19, 19:31].max() > 35  # its walls: 5 m over about 6 m
    assert elevation.dtype == np.float32


@pytest.mark.parametrize(("crs", "gsd"), [("EPSG:3413", 2.0), ("EPSG:4326", 2e-5), ("EPSG:32608", 2.0)])
def test_an_elevation_model_in_another_crs_says_the_same(scene, tmp_path, crs, gsd):
    elevation, steepness = terrain_of(scene, warped_dem(tmp_path / "dem.tif", crs, gsd))
    np.testing.assert_allclose(steepness[30:60, 5:60], PLANE_DEG, atol=0.5)
    assert elevation[13, 25] == pytest.approx(-DEEP, abs=0.1)
    np.testing.assert_allclose(elevation[30:60, 5:60], 0, atol=0.1)


def test_heights_over_the_ellipsoid_and_in_other_steps_give_the_same(scene, tmp_path):
    plain = terrain_of(scene, write_dem(tmp_path / "dem.tif"))
    higher = terrain_of(scene, write_dem(tmp_path / "geoid.tif", lambda x, y: plane_with_pit(x, y) + 20))
    np.testing.assert_allclose(higher, plain, atol=0.01)
    steps = write_dem(tmp_path / "cm.tif", lambda x, y: plane_with_pit(x, y) * 100, scales=(0.01,), offsets=(0.0,))
    np.testing.assert_allclose(terrain_of(scene, steps), plain, atol=0.01)


@pytest.mark.parametrize("crs", [UTM_7N, "EPSG:3413"])
def test_a_window_gives_the_same_as_a_part_of_a_larger_one(tmp_path, crs):
    scene = write_scene(tmp_path / "scene.tif", size=700)  # several of the tiles that are warped at a time
    dem = warped_dem(tmp_path / "dem.tif", crs, 5.0, rough)  # covers half of it
    whole = terrain_of(scene, dem, Window(0, 0, 700, 700))
    assert np.abs(whole).max() > 5
    for window in (Window(0, 0, 64, 64), Window(333, 471, 100, 229), Window(460, 1, 240, 120)):
        rows, columns = (slice(window.row, window.row + window.height), slice(window.column, window.bounds[2]))
        np.testing.assert_array_equal(terrain_of(scene, dem, window), whole[:, rows, columns])
    beyond = terrain_of(scene, dem, Window(-20, 650, 60, 100))
    np.testing.assert_array_equal(beyond[:, 20:, :50], whole[:, :40, 650:])
    assert not beyond[:, :20].any()
    assert not beyond[:, :, 50:].any()


@pytest.mark.parametrize("nodata", [-9999.0, None])
def test_gaps_of_the_elevation_model_are_level_and_stay_valid(scene, tmp_path, caplog, nodata):
    def half(x, y):
        return np.where(x < LEFT + 96, plane_with_pit(x, y), -9999.0)

    dem = write_dem(tmp_path / "dem.tif", half, nodata=nodata)
    with caplog.at_level(logging.WARNING), open_scene(str(scene), dem=str(dem)) as opened:
        pixels = opened.read(Window(0, 0, 64, 64))
        opened.read(Window(0, 0, 8, 8))
    assert pixels.valid.all()
    assert pixels.clear.all()
    assert not pixels.terrain[:, :, 34:].any()
    np.testing.assert_allclose(pixels.terrain[1, 30:60, 5:28], PLANE_DEG, atol=0.02)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{dem}: has no height on about 50 % of {scene}")


@pytest.mark.parametrize(("dtype", "nodata"), [("uint16", None), ("uint16", 65535), ("int16", -32768)])
def test_heights_in_whole_metres(scene, tmp_path, dtype, nodata):
    numbers = np.fromfunction(lambda _, row, column: 30 + column // 10, (1, 550, 550)).astype(dtype)
    numbers[0, :60] = numbers[0, :60] if nodata is None else nodata
    terrain = terrain_of(scene, write_dem(tmp_path / "dem.tif", numbers=numbers, nodata=nodata))
    assert terrain[1].mean() == pytest.approx(np.degrees(np.arctan(1 / 20)), abs=0.3)
    np.testing.assert_allclose(terrain[0], 0, atol=0.6)


def test_the_terrain_is_none_without_an_elevation_model_and_zero_where_nothing_was_seen(tmp_path):
    numbers = np.full((4, 64, 64), 1000, dtype=np.uint16)
    numbers[:, :, 40:] = 0
    path = write_scene(tmp_path / "scene.tif", numbers=numbers)
    with open_scene(str(path)) as opened:
        assert opened.read(Window(0, 0, 64, 64)).terrain is None
        assert opened.dem_path is None
    terrain = terrain_of(path, write_dem(tmp_path / "dem.tif"))
    assert terrain[1, :, :40].all()
    assert not terrain[:, :, 40:].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crs": None}, "has no coordinate reference system; give it one"),
        ({"numbers": np.ones((2, 9, 9), np.float32)}, "has 2 bands where an elevation model has 1"),
        ({"transform": Affine(2, 0, LEFT + 90_000, 0, -2, TOP)}, "does not cover .*scene.tif; give an elevation model"),
        ({"crs": "EPSG:32655"}, "does not cover .*scene.tif"),
    ],
)
def test_what_is_no_elevation_model_of_the_scene_is_refused(scene, tmp_path, options, message):
    dem = write_dem(tmp_path / "dem.tif", **options)
    with pytest.raises(SceneError, match=rf"dem\.tif: {message}"):
        open_scene(str(scene), dem=str(dem))


def test_scenes_of_very_small_pixels_are_refused(tmp_path):
    scene = write_scene(tmp_path / "scene.tif", transform=Affine(0.1, 0, LEFT, 0, -0.1, TOP))
    with pytest.raises(SceneError, match=r"scene\.tif: its pixels of 0\.10 m are too fine .* resample it to 0\.3 m"):
        open_scene(str(scene), dem=str(write_dem(tmp_path / "dem.tif")))


def test_an_elevation_model_that_is_missing_or_broken_is_named(scene, tmp_path):
    with pytest.raises(SceneError, match=r"none\.tif: is not a raster that can be read"):
        open_scene(str(scene), dem=str(tmp_path / "none.tif"))
    dem = write_dem(tmp_path / "dem.tif", rough)
    truncate(dem)
    with pytest.raises(SceneError, match=r"dem\.tif: cannot be read, it is truncated or damaged"):
        terrain_of(scene, dem)


# where it goes


def test_resampling_and_chips_carry_the_terrain(tmp_path):
    scene, dem = write_scene(tmp_path / "scene.tif", size=100), write_dem(tmp_path / "dem.tif", rough)
    with open_scene(str(scene), dem=str(dem)) as opened:
        whole = opened.read(opened.grid.window).terrain
        coarse = opened.at_gsd(6.0, (5.9, 6.1))
        half = coarse.read(coarse.grid.window).terrain
        np.testing.assert_allclose(half, whole.reshape(2, 50, 2, 50, 2).mean(axis=(2, 4)), atol=1e-3)
        for block in read_chips(opened, ChipGrid(opened.grid, 64, 16)):
            for chip in block.chips:
                terrain = opened.read(chip.window.extent).terrain
                np.testing.assert_array_equal(chip.pixels.terrain, terrain)


def test_the_channels_of_dem_are_elevation_and_slope():
    assert bands.channels(("rgb", "dem"))[3:] == ("elevation", "slope")
    reflectance, terrain = np.zeros((4, 1, 1), np.float32), np.array([3.0, 20.0], np.float32).reshape(2, 1, 1)
    valid = np.ones((1, 1), dtype=bool)
    mean, std = {"elevation": 1.0, "slope": 5.0}, {"elevation": 2.0, "slope": 10.0}
    stacked = bands.network_input(reflectance, valid, ("dem",), mean, std, terrain)
    np.testing.assert_allclose(stacked[:, 0, 0], [1.0, 1.5])
    with pytest.raises(InputError, match="the modality dem needs elevation"):
        bands.network_input(reflectance, valid, ("dem",), mean, std)


def with_terrain(image, seed=0) -> Pixels:
    """Pixels of an image whose slumps are pits of 5 m with a slope of 10 degrees, in level land."""
    pixels = pixels_with(image, seed)
    terrain = np.zeros((2, *pixels.valid.shape), dtype=np.float32)
    for slump in image.slumps:
        left, top, right, bottom = map(int, slump.outline.bounds)
        terrain[:, top:bottom, left:right] = np.reshape([-5.0, 10.0], (2, 1, 1))
    return replace(pixels, terrain=terrain)


@pytest.fixture
def dataset(tmp_path):
    """Two images of 96 px with terrain."""
    with writing_dataset(tmp_path / "dataset", "a test") as writer:
        for number, site in enumerate(("taimyr", "yamal")):
            image = labelled_image(f"{site}-0", size=96, x=300_000 + 100_000 * number)
            writer.add(replace(image, bands=(*bands.BANDS, *bands.TERRAIN)), with_terrain(image, number))
    return read_dataset(tmp_path / "dataset")


def test_a_data_set_keeps_the_terrain(dataset):
    assert dataset.modalities == ("rgb", "ndvi", "nir", "dem")
    image = dataset.images[0]
    np.testing.assert_allclose(pixels_of(dataset.folder, image).terrain, with_terrain(image).terrain, atol=0.051)
    with rasterio.open(dataset.folder / image.file) as file:
        assert file.descriptions == ("blue", "green", "red", "nir", "elevation", "slope")
        assert (file.scales[4:], file.offsets[4:]) == tuple(zip(*TERRAIN_ENCODING.values(), strict=True))
        assert file.units[4:] == ("m", "degree")
        assert file.read([5, 6]).all()  # 0 is nodata
    assert [finding.what for finding in check_dataset(dataset.folder) if finding.level != "info"] == []


def test_an_image_without_terrain_takes_dem_from_the_whole_data_set(dataset):
    bare = replace(dataset.images[0], bands=bands.BANDS)
    assert replace(dataset, images=(bare, dataset.images[1])).modalities == ("rgb", "ndvi", "nir")


def test_statistics_of_elevation_and_slope(dataset):
    mean, std = channel_statistics(dataset, ("dem",))
    truth = with_terrain(dataset.images[0]).terrain
    assert mean == pytest.approx({"elevation": truth[0].mean(), "slope": truth[1].mean()}, abs=1e-3)
    assert std == pytest.approx({"elevation": truth[0].std(), "slope": truth[1].std()}, abs=1e-3)
    counts = site_statistics(dataset)[0].histograms
    assert counts.slump["elevation"].sum() == counts.background["slope"].sum() + counts.slump["slope"].sum() - 96**2 + (
        counts.slump["red"].sum()
    )
    assert counts.slump["elevation"].argmax() == int((64 - 5) / 128 * 256)


@pytest.mark.parametrize("pasted", [0, 4])
def test_the_terrain_goes_with_the_slumps_however_a_chip_is_cut_and_turned(dataset, pasted):
    settings = TINY_TRAINING.updated(modalities=("rgb", "dem"), pasted_slumps=pasted)
    sampler, checked = Sampler(dataset, settings), 0
    for number in range(12):
        sample = sampler.sample(number)
        elevation, steepness = sample.terrain
        assert not sample.terrain[:, ~sample.valid].any()
        for mask in sample.masks:
            assert elevation[mask].mean() < -3
            assert steepness[mask].mean() > 6
            checked += 1
        around = sample.valid & ~sample.masks.any(axis=0)
        assert abs(np.median(elevation[around])) < 0.2
    assert checked > 12


def test_the_terrain_changes_nothing_for_those_who_do_not_see_it(dataset):
    with_dem = Sampler(dataset, TINY_TRAINING.updated(modalities=("rgb", "dem"))).sample(5)
    without = Sampler(dataset, TINY_TRAINING).sample(5)
    assert without.terrain is None
    np.testing.assert_array_equal(with_dem.reflectance, without.reflectance)


def test_table5_sees_elevation_where_the_data_set_has_it():
    with_dem = cells("table5", NetworkConfig(), ("rgb", "ndvi", "nir", "dem"))
    assert {cell.column for cell in with_dem} == {"RGB+DEM, boxes"}
    assert with_dem[-1].model.modalities == ("rgb", "dem")
    assert {cell.column for cell in cells("table5", NetworkConfig())} == {"RGB+NDVI, boxes"}


@pytest.mark.parametrize("fusion", ["channels", "residual_cross"])
def test_networks_take_two_channels_of_dem(fusion):
    import torch

    from rtsmap.network.cascade import build_network
    from tests.networks import TINY

    network = build_network(TINY.model_copy(update={"fusion": fusion}), ("ndvi", "dem")).eval()
    with torch.no_grad():
        assert network.backbone(torch.zeros(1, 3, 64, 64))["p2"].shape == (1, 16, 16, 16)


# the commands


def words_to_build(tmp_path, *, dem):
    labels = write_polygons(tmp_path / "labels.gpkg")
    options = ("--labels", labels, "--any-date", "--site", "here", "--chip-size", 64, "-o", tmp_path / "set")
    return "dataset", "build", write_scene(tmp_path / "scene.tif"), *options, *(("--dem", dem) if dem else ())


def test_from_a_scene_and_an_elevation_model_to_a_map(rtsmap, tmp_path):
    def run(*words):
        code, out, err = rtsmap(*words)
        assert code == 0, err
        return out

    dem = write_dem(tmp_path / "dem.tif", rough)
    run(*words_to_build(tmp_path, dem=dem), "--modality-files")
    with rasterio.open(tmp_path / "set" / "modalities" / "scene_r000_c000_dem.tif") as file:
        np.testing.assert_array_equal(file.read(), terrain_of(tmp_path / "scene.tif", dem))
    assert "elevation = " in run("dataset", "stats", tmp_path / "set", "--png", tmp_path / "stats.png")
    settings = TINY_TRAINING.updated(gsd_m=3.0, gsd_range_m=(2.5, 4.0), iterations=1)
    settings.to_toml(tmp_path / "train.toml")
    how = ("--config", tmp_path / "train.toml")
    for modality in ("rgb", "dem"):
        run("train", "unimodal", tmp_path / "set", "--modality", modality, "-o", tmp_path / modality, *how)
    backbones = ("--backbones", tmp_path / "rgb", tmp_path / "dem")
    run("train", "fusion", tmp_path / "set", *backbones, "-o", tmp_path / "fused", *how)
    card = ModelCard.from_toml(tmp_path / "fused" / "model.toml")
    assert card.input.modalities == ("rgb", "dem")
    assert set(card.input.mean) == {"red", "green", "blue", "elevation", "slope"}
    run("evaluate", "chips", tmp_path / "set", "--model", tmp_path / "fused", "-o", tmp_path / "scores")
    output = tmp_path / "map.gpkg"
    words = ("predict", tmp_path / "scene.tif", "-o", output, "--model", tmp_path / "fused", "--dem", dem)
    run(*words)
    with sqlite3.connect(output) as connection:
        (said,) = connection.execute("SELECT metadata FROM gpkg_metadata").fetchone()
    connection.close()
    said = json.loads(said)
    assert said["options"]["dem"] == str(dem)
    assert f"--dem {dem}" in said["command"]
    code, _, err = rtsmap("predict", tmp_path / "scene.tif", "--dry-run", "--model", tmp_path / "fused")
    assert (code, err) == (2, "rtsmap: fused: uses the terrain; give an elevation model of the scene with --dem FILE\n")


def test_an_elevation_model_that_a_model_does_not_see_changes_nothing(rtsmap, tmp_path):
    scene = write_raster(tmp_path / "scene.tif", tundra(80, 80, [(20, 20, 20, 20)]), nodata=0)
    model, dem = write_model(tmp_path / "blind"), tmp_path / "none.tif"
    words = ("predict", scene, "--model", model, "--score", 0.6, "-o")
    assert rtsmap(*words, tmp_path / "without.gpkg")[0] == 0
    code, _, err = rtsmap(*words, tmp_path / "with.gpkg", "--dem", dem)
    assert code == 0
    assert "rtsmap: blind does not use the terrain; --dem has no effect" in err
    said = []
    for name in ("with", "without"):
        with sqlite3.connect(tmp_path / f"{name}.gpkg") as connection:
            said.append(connection.execute("SELECT metadata FROM gpkg_metadata").fetchone()[0])
        connection.close()
    assert said[0] == said[1]
    assert "dem" not in json.loads(said[0])["options"]


def test_a_table_may_name_elevation_models(rtsmap, tmp_path):
    write_scene(tmp_path / "a.tif")
    write_dem(tmp_path / "dem.tif")
    write_polygons(tmp_path / "labels.gpkg")
    table = tmp_path / "scenes.csv"
    table.write_text("image,labels,site,dem\na.tif,labels.gpkg,here,dem.tif\n")
    words = ("dataset", "build", "--table", table, "--chip-size", 64, "-o", tmp_path / "set")
    assert rtsmap(*words)[0] == 0
    assert "dem" in read_dataset(tmp_path / "set").modalities
    table.write_text("image,labels,site,dem\na.tif,labels.gpkg,here,lost.tif\n")
    code, _, err = rtsmap(*words, "--overwrite")
    assert code == 2
    assert f"line 2: dem {tmp_path / 'lost.tif'} does not exist; correct the path" in err


def test_what_lacks_an_elevation_model_is_said_in_one_line(rtsmap, tmp_path):
    write_dem(tmp_path / "elsewhere.tif", transform=Affine(2, 0, LEFT + 90_000, 0, -2, TOP))
    code, _, err = rtsmap(*words_to_build(tmp_path, dem=tmp_path / "elsewhere.tif"))
    assert (code, err.count("\n")) == (2, 1)
    assert "elsewhere.tif: does not cover" in err
    assert not (tmp_path / "set").exists()
    folder = write_dataset(tmp_path / "plain").folder
    code, _, err = rtsmap("train", "unimodal", folder, "--modality", "dem", "-o", tmp_path / "model")
    assert code == 2
    assert f"{folder}: its images have no bands for dem" in err


def test_a_card_needs_the_statistics_of_both_channels():
    limits = {"gsd_m": 3.0, "gsd_range_m": (2.5, 4.0), "chip_size": 64, "overlap": 16}
    with pytest.raises(ValueError, match="elevation, slope"):
        InputConfig(modalities=("dem",), mean=MEAN, std=STD, **limits)
