import json
from dataclasses import replace

import numpy as np
import pytest
import shapely

from rtsmap.dataset import Label, read_dataset
from rtsmap.dataset.pixels import ImagePixels, pixels_of
from rtsmap.dataset.segmentation import segmentation_of
from rtsmap.dataset.writer import writing_dataset
from rtsmap.errors import DatasetError, InputError
from rtsmap.records import Pixels, Window
from tests.datasets import SLUMPS, labelled_image, pixels_with, write_dataset, write_images

HOLED = shapely.box(10, 10, 40, 30).difference(shapely.box(15, 15, 20, 25)).difference(shapely.box(30, 12, 33, 20))


@pytest.mark.parametrize("shard_size", [0, 2])
def test_a_data_set_is_read_as_it_was_written(tmp_path, shard_size):
    ignored, points = (shapely.box(0, 0, 5, 5),), ((3.5, 4.0),)
    image = labelled_image(slumps=(Label(SLUMPS[0], 0.5, "an-id"),), ignored=ignored, hard_negatives=points)
    others = [labelled_image(f"there-{number}", x=600_000, acquired=None) for number in range(3)]
    dataset = write_images(tmp_path / "set", [image, *others], shard_size=shard_size)
    assert [one.name for one in dataset.images] == ["here-0", "there-0", "there-1", "there-2"]
    (slump,) = dataset.images[0].slumps
    assert slump.outline.equals(SLUMPS[0])
    assert dataset.images[0] == replace(image, file=dataset.images[0].file, slumps=(replace(slump, outline=SLUMPS[0]),))
    for number, read in enumerate(dataset.images):
        pixels = pixels_of(dataset.folder, read)
        np.testing.assert_allclose(pixels.reflectance, pixels_with(read, number).reflectance, atol=0.6e-4)
        assert pixels.valid.all()
    assert len(list(dataset.folder.glob("*.tar"))) == (2 if shard_size else 0)


def test_a_shard_holds_each_image_beside_its_labels(tmp_path):
    import tarfile

    write_dataset(tmp_path / "set", ["here"], shard_size=8)
    with tarfile.open(tmp_path / "set" / "images-0000.tar") as shard:
        assert shard.getnames() == ["here-0.tif", "here-0.json", "here-1.tif", "here-1.json"]
        entry, annotations = json.load(shard.extractfile("here-0.json"))
    assert entry["site"] == "here"
    assert [annotation["iscrowd"] for annotation in annotations] == [0, 0]


def test_holes_and_parts_survive_coco_s_rings(tmp_path):
    outlines = HOLED, shapely.MultiPolygon([shapely.box(45, 5, 50, 10), shapely.box(52, 5, 60, 10)])
    image = labelled_image(slumps=tuple(map(Label, outlines)))
    (read,) = write_images(tmp_path / "set", [image]).images
    for slump, outline in zip(read.slumps, outlines, strict=True):
        assert slump.outline.symmetric_difference(outline).area < 1e-6
    assert len(segmentation_of(HOLED)) > 1
    assert all(len(ring) >= 6 for ring in segmentation_of(HOLED))


def test_what_is_not_clear_is_nodata_and_black_is_not(tmp_path):
    image = labelled_image(slumps=())
    valid = np.ones((64, 64), dtype=bool)
    clear = valid.copy()
    clear[:8] = False
    with writing_dataset(tmp_path / "set", "a test") as writer:
        writer.add(image, Pixels(np.zeros((4, 64, 64), dtype=np.float32), valid, clear))
    dataset = read_dataset(tmp_path / "set")
    np.testing.assert_array_equal(pixels_of(dataset.folder, dataset.images[0]).valid, clear)


def test_a_window_beyond_the_image_is_not_valid_there(tmp_path):
    dataset = write_dataset(tmp_path / "set", ["here"])
    pixels = ImagePixels(dataset.folder, dataset.images[0]).read(Window(-4, 60, 8, 8))
    assert pixels.valid.sum() == 16
    assert pixels.valid[4:, :4].all()


def test_images_without_infrared_train_rgb_alone(tmp_path):
    dataset = write_dataset(tmp_path / "set", ["here"], bands=("blue", "green", "red"), crs=None, transform=None)
    assert dataset.modalities == ("rgb",)
    pixels = pixels_of(dataset.folder, dataset.images[0])
    assert pixels.valid.all()
    assert not pixels.reflectance[3].any()
    assert dataset.images[0].grid.transform.a == 10


def test_sites_and_folds_choose_images(tmp_path):
    dataset = write_dataset(tmp_path / "set")
    rows = [f"{image.name},{image.site},{fold}" for image, fold in zip(dataset.images, "abab", strict=True)]
    (dataset.folder / "split.csv").write_text("\n".join(["image,site,fold", *rows, ""]))
    dataset = read_dataset(dataset.folder)
    assert [image.name for image in dataset.subset(["a"]).images] == ["taimyr-0", "yamal-0"]
    assert [image.name for image in dataset.without(["a", "yamal"]).images] == ["taimyr-1"]
    assert dataset.slumps == 8
    with pytest.raises(DatasetError, match="has no site or fold lena; it has a, b, taimyr, yamal"):
        dataset.subset(["lena"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"annotations\.json: cannot be read .*; is .* a data set\?"),
        ("{", r"annotations\.json: is not JSON .*; is .* a data set\?"),
        ('{"images": [], "annotations": []}', r"annotations\.json: has no image"),
        ('{"images": [{"id": 1, "file_name": "a.tif"}], "annotations": []}', "KeyError"),
    ],
)
def test_what_is_no_data_set_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "annotations.json").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_dataset(tmp_path)


def test_an_image_that_is_gone_or_another_is_named(tmp_path):
    dataset = write_dataset(tmp_path / "set", ["here"])
    with pytest.raises(DatasetError, match=r"here-0\.tif: does not have the size and bands of annotations\.json"):
        pixels_of(dataset.folder, replace(dataset.images[0], height=80))
    (dataset.folder / dataset.images[0].file).unlink()
    with pytest.raises(DatasetError, match=r"here-0\.tif: cannot be read .*build the data set again"):
        pixels_of(dataset.folder, dataset.images[0])


def test_nothing_is_written_where_writing_fails(tmp_path):
    with pytest.raises(DatasetError, match="two images are called here-0"):
        write_images(tmp_path / "set", [labelled_image(), labelled_image()])
    with pytest.raises(DatasetError, match="would have no image"):
        write_images(tmp_path / "set", [])
    assert list(tmp_path.iterdir()) == []
    write_dataset(tmp_path / "set", ["here"])
    with pytest.raises(InputError, match="exists already"):
        write_dataset(tmp_path / "set", ["here"])
