import geopandas
import numpy as np
import pytest
import rasterio
import shapely

from rtsmap import bands
from rtsmap.config import ModelCard, TrainConfig
from rtsmap.errors import DatasetError, InputError
from rtsmap.files import sha256
from rtsmap.training.cutting import cut
from rtsmap.training.labels import LabelledScene, read_table
from rtsmap.training.loop import train
from rtsmap.training.paste import paste
from rtsmap.training.samples import Sampler, channel_statistics, jitter
from tests.networks import TINY_TRAINING

TRANSFORM = rasterio.Affine(10, 0, 500_000, 0, -10, 7_500_000)


def labelled_scene(site: str = "here", size: int = 96) -> LabelledScene:
    """Tundra with two bare, bright slumps."""
    rng = np.random.default_rng(0)
    reflectance = rng.normal([[[0.04]], [[0.06]], [[0.06]], [[0.26]]], 0.002, (4, size, size)).astype(np.float32)
    slumps = (shapely.box(20, 20, 36, 32), shapely.box(60, 50, 70, 70))
    for slump in slumps:
        left, top, right, bottom = (int(value) for value in slump.bounds)
        reflectance[:, top:bottom, left:right] = np.array([0.09, 0.1, 0.12, 0.13]).reshape(4, 1, 1)
    return LabelledScene("scene", site, 10.0, reflectance, np.ones((size, size), dtype=bool), slumps)


def write_table(folder, labels="labels.gpkg", crs="EPSG:32651"):
    scene = labelled_scene()
    profile = {"driver": "GTiff", "height": 96, "width": 96, "dtype": "uint16", "crs": "EPSG:32651", "nodata": 0}
    with rasterio.open(folder / "image.tif", "w", count=4, transform=TRANSFORM, **profile) as dataset:
        dataset.write((scene.reflectance * 1e4).round().astype(np.uint16))
        dataset.descriptions = bands.BANDS
    world = [shapely.affinity.affine_transform(slump, TRANSFORM.to_shapely()) for slump in scene.slumps]
    geopandas.GeoDataFrame(geometry=world, crs=crs).to_file(folder / "labels.gpkg", layer="labels")
    with rasterio.open(folder / "mask.tif", "w", count=1, transform=TRANSFORM, **profile) as dataset:
        dataset.write(rasterio.features.rasterize(scene.slumps, (96, 96)).astype(np.uint16), 1)
    (folder / "scenes.csv").write_text(f"image,labels,site\nimage.tif,{labels},here\n")
    return folder / "scenes.csv"


@pytest.mark.parametrize("labels", ["labels.gpkg", "mask.tif"])
def test_a_table_gives_scenes_with_outlines_in_pixels(tmp_path, labels):
    (scene,) = read_table(write_table(tmp_path, labels))
    assert (scene.name, scene.site, scene.gsd_m) == ("image", "here", 10.0)
    assert sorted(slump.area for slump in scene.slumps) == [192, 200]
    assert scene.reflectance[3, 26, 28] == pytest.approx(0.13, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,mask\na,b\n", "needs a header and the columns image, labels, site"),
        ("image,labels,site\nimage.tif,missing.gpkg,here\n", r"missing\.gpkg: cannot be read as a layer"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, text, message):
    table = write_table(tmp_path)
    table.write_text(text)
    with pytest.raises(InputError, match=message):
        read_table(table)


def test_leaving_out_an_unknown_or_the_only_site_is_refused(tmp_path):
    table = write_table(tmp_path)
    with pytest.raises(DatasetError, match="has no site there; it has here"):
        read_table(table, without=["there"])
    with pytest.raises(DatasetError, match="no slump is left"):
        read_table(table, without=["here"])


def test_a_cut_at_the_scene_s_own_scale_is_the_scene():
    scene = labelled_scene()
    reflectance, valid = cut(scene, np.array([10.0, 5.0]), 1.0, 32)
    np.testing.assert_array_equal(reflectance, scene.reflectance[:, 5:37, 10:42])
    assert valid.all()


def test_a_cut_beyond_the_edge_is_not_valid_there():
    reflectance, valid = cut(labelled_scene(), np.array([-16.0, 0.0]), 1.0, 32)
    assert not valid[:, :16].any()
    assert valid[:, 16:].all()
    assert not reflectance[:, ~valid].any()


def test_samples_depend_on_their_number_alone():
    sampler, again = (Sampler([labelled_scene()], TINY_TRAINING) for _ in range(2))
    first = sampler.sample(3)
    again.sample(1)
    np.testing.assert_array_equal(again.sample(3).reflectance, first.reflectance)
    assert not np.array_equal(sampler.sample(4).reflectance, first.reflectance)


def test_masks_lie_on_the_slumps_however_a_chip_is_turned():
    sampler = Sampler([labelled_scene()], TINY_TRAINING)
    checked = 0
    for number in range(20):
        sample = sampler.sample(number)
        index = bands.ndvi(sample.reflectance)
        for mask in sample.masks:
            assert index[mask].mean() < 0.25 < np.median(index[sample.valid & ~sample.masks.any(axis=0)])
            checked += 1
    assert checked > 20


def test_jitter_keeps_vegetation_green():
    jittered = jitter(labelled_scene().reflectance, np.random.default_rng(1))
    index = bands.ndvi(jittered)
    assert index[0, 0] > 0.4 > index[26, 28]


def test_a_pasted_slump_keeps_its_contrast_in_darker_surroundings():
    scene = labelled_scene()
    dark = scene.reflectance[:, :64, 36:100][:, :50, :50] * 0.7
    empty = np.zeros((0, 50, 50), dtype=bool)
    rng = np.random.default_rng(0)
    pasted, masks = paste(dark, np.ones((50, 50), bool), empty, [(scene, 0)], scene.gsd_m, rng)
    assert len(masks) == 1
    contrast = pasted[3][masks[0]].mean() / dark[3].mean()
    assert contrast == pytest.approx(0.13 / 0.26, abs=0.12)


def test_a_pasted_slump_has_its_size_on_the_ground_whatever_its_scene_s_distance():
    fine = labelled_scene()
    coarse = LabelledScene("coarse", "there", 20.0, fine.reflectance, fine.valid, fine.slumps)
    ground = fine.reflectance[:, 64:66, :2].repeat(40, axis=1).repeat(40, axis=2)
    for scene in (fine, coarse):
        empty, valid = np.zeros((0, 80, 80), dtype=bool), np.ones((80, 80), dtype=bool)
        _, masks = paste(ground, valid, empty, [(scene, 0)], 10.0, np.random.default_rng(0))
        assert masks.sum() == pytest.approx(192 * (scene.gsd_m / 10) ** 2, rel=0.02)


def test_statistics_count_every_site_alike():
    bright = labelled_scene("there")
    bright = LabelledScene("b", "there", 10.0, bright.reflectance * 2, bright.valid, bright.slumps)
    mean, deviation = channel_statistics([labelled_scene(), labelled_scene(), bright], ("rgb", "nir"))
    assert mean["nir"] == pytest.approx(1.5 * labelled_scene().reflectance[3].mean(), abs=1e-3)
    assert set(deviation) == {"red", "green", "blue", "nir"}


def test_a_run_that_is_stopped_goes_on_to_the_same_weights(tmp_path):
    scenes = [labelled_scene()]

    class StopError(Exception):
        """The run is killed."""

    def stop_at_three(iteration, _losses):
        if iteration == 3:  # one after the checkpoint
            raise StopError

    train(scenes, TINY_TRAINING, tmp_path / "whole")
    with pytest.raises(StopError):
        train(scenes, TINY_TRAINING, tmp_path / "stopped", progress=stop_at_three)
    train(scenes, TINY_TRAINING, tmp_path / "stopped")
    whole, stopped = (sha256(tmp_path / name / "weights.safetensors") for name in ("whole", "stopped"))
    assert whole == stopped
    card = ModelCard.from_toml(tmp_path / "stopped" / "model.toml")
    assert card.sha256 == stopped
    assert card.sites_trained_on == ("here",)
    assert not (tmp_path / "stopped" / "checkpoint.pt").exists()
    tables = [(tmp_path / name / "losses.csv").read_text() for name in ("whole", "stopped")]
    assert tables[0] == tables[1]  # no iteration twice
    assert [row.split(",")[0] for row in tables[0].splitlines()] == ["iteration", "1", "2", "3", "4"]


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    def stop(iteration, _losses):
        if iteration == 2:
            raise KeyboardInterrupt

    longer = TINY_TRAINING.model_copy(update={"iterations": 6, "checkpoint_every": 1})
    with pytest.raises(KeyboardInterrupt):
        train([labelled_scene()], longer, tmp_path, progress=stop)
    with pytest.raises(InputError, match=r"checkpoint\.pt: is of another configuration"):
        train([labelled_scene()], longer.model_copy(update={"seed": 1}), tmp_path)


def test_the_command_trains_a_model_that_predict_takes(rtsmap, tmp_path):
    table = write_table(tmp_path)
    TINY_TRAINING.to_toml(tmp_path / "train.toml")
    code, out, err = rtsmap("train", table, "-o", tmp_path / "model", "--config", tmp_path / "train.toml")
    assert code == 0
    assert "1 scenes, 2 slumps, sites: here" in err
    assert sha256(tmp_path / "model" / "weights.safetensors") in out
    code, out, _ = rtsmap(
        "predict", tmp_path / "image.tif", "-o", tmp_path / "slumps.gpkg", "--model", tmp_path / "model"
    )
    assert code == 0
    assert "0.9 km2 observed" in out


def test_the_template_can_be_read_back(rtsmap, tmp_path):
    code, out, _ = rtsmap("train", "--template")
    assert code == 0
    (tmp_path / "train.toml").write_text(out)
    assert TrainConfig.from_toml(tmp_path / "train.toml") == TrainConfig()


def test_training_needs_a_table_and_a_folder(rtsmap):
    code, _, err = rtsmap("train")
    assert code == 2
    assert "needs TABLE and --output" in err
