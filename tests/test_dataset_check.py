import json
from datetime import date

import numpy as np
import pytest
import shapely
from affine import Affine

from rtsmap.dataset import Label
from rtsmap.dataset.checking import check_dataset
from rtsmap.dataset.writer import writing_dataset
from rtsmap.records import Pixels
from tests.datasets import SLUMPS, labelled_image, pixels_with, write_dataset, write_images
from tests.scenes import truncate, write_raster


def found(folder):
    return [" ".join(str(finding).split(maxsplit=1)) for finding in check_dataset(folder)]


def write_split(folder, **folds):
    rows = [f"{name.replace('_', '-')},here,{fold}" for name, fold in folds.items()]
    (folder / "split.csv").write_text("\n".join(["image,site,fold", *rows, ""]))


def test_a_sound_data_set_has_no_findings(tmp_path, rtsmap):
    folder = write_dataset(tmp_path / "set", empty=1, shard_size=2).folder
    assert rtsmap("dataset", "split", folder, "--folds", 2)[0] == 0
    code, out, err = rtsmap("dataset", "check", folder)
    assert (code, out, err) == (0, "", f"{folder}: 0 errors, 0 warnings, 0 infos\n")


def test_an_error_ends_with_exit_code_2_and_a_warning_does_not(tmp_path, rtsmap):
    images = [labelled_image(slumps=(Label(shapely.box(70, 70, 80, 80)),))]
    folder = write_images(tmp_path / "bad", images).folder
    code, out, err = rtsmap("dataset", "check", folder)
    assert code == 2
    assert out == "error    here-0: slump 1 lies outside the image; remove or move it\n"
    assert "1 error, 0 warnings, 0 infos\n" in err
    assert err.endswith("cannot be used for training as it is; correct the errors above and check again\n")
    folder = write_images(tmp_path / "odd", [labelled_image(slumps=(Label(shapely.box(50, 50, 70, 60)),))]).folder
    code, out, _ = rtsmap("dataset", "check", folder)
    assert code == 0
    assert out.startswith("warning  here-0: slump 1 reaches beyond the image")


@pytest.mark.parametrize(
    ("slumps", "finding"),
    [
        ([shapely.box(0, 0, 64, 64)], "warning here-0: slump 1 covers the whole image; check whether"),
        ([SLUMPS[0], SLUMPS[0].buffer(0.1)], "warning here-0: slumps 1 and 2 are the same outline; remove one"),
    ],
)
def test_odd_labels_are_warned_of(tmp_path, slumps, finding):
    folder = write_images(tmp_path / "set", [labelled_image(slumps=tuple(map(Label, slumps)))]).folder
    assert any(line.startswith(finding) for line in found(folder))


@pytest.mark.parametrize(
    ("rings", "finding"),
    [
        ([[10, 10, 20, 20, 20, 10, 10, 20]], "warning here-0: label 1 is not valid (Self-intersection"),
        ([], "error here-0: label 1 is empty; remove it"),
        ([[10, 10, 20, 20, 30, 30]], "error here-0: label 1 has no area; remove it"),
        ([[10, 10, 20]], "error here-0: label 1 is not a list of rings of at least three points, and cannot be read"),
    ],
)
def test_broken_outlines_are_named(tmp_path, rings, finding):
    folder = write_dataset(tmp_path / "set", ["here"]).folder
    table = json.loads((folder / "annotations.json").read_text())
    table["annotations"][0]["segmentation"] = rings
    (folder / "annotations.json").write_text(json.dumps(table))
    assert found(folder)[0].startswith(finding)


def test_labels_on_nodata_and_empty_images_are_errors(tmp_path):
    images = [labelled_image("here-0"), labelled_image("there-0", x=700_000, slumps=())]
    with writing_dataset(tmp_path / "set", "a test") as writer:
        for image in images:
            pixels = pixels_with(image)
            valid = pixels.valid.copy()
            valid[:36] = False  # all of the first slump
            valid[36:45] = bool(image.slumps)
            valid[:, 48:51] = False  # a part of the second
            valid &= bool(image.slumps)
            writer.add(image, Pixels(pixels.reflectance, valid, valid))
    assert found(tmp_path / "set") == [
        "error here-0: slump 1 lies on nodata; remove or move it",
        "warning here-0: slump 2 is 30% nodata; remove or move it",
        "error there-0: holds only nodata; leave it out",
    ]


def test_files_that_are_missing_broken_or_others_are_errors(tmp_path):
    dataset = write_dataset(tmp_path / "set", per_site=2)
    first, second, third, _ = (dataset.folder / image.file for image in dataset.images)
    first.unlink()
    truncate(second)
    write_raster(third, np.ones((4, 64, 60), dtype=np.uint16))
    lines = found(dataset.folder)
    assert lines[0].startswith("error taimyr-0: images/taimyr-0.tif is missing or broken")
    assert lines[1].startswith("error taimyr-1: ")
    assert lines[2].startswith(
        "error yamal-0: has 60 x 64 px and 4 bands, but annotations.json states 64 x 64 px and 4"
    )
    assert len(lines) == 3


def test_a_band_of_one_value_is_warned_of(tmp_path):
    image = labelled_image(slumps=())
    pixels = pixels_with(image)
    pixels.reflectance[3] = 0.2
    with writing_dataset(tmp_path / "set", "a test") as writer:
        writer.add(image, pixels)
    assert found(tmp_path / "set") == ["warning here-0: its band nir has the same value in all pixels; check the image"]


def test_folds_that_share_ground_are_an_error(tmp_path):
    images = [labelled_image(f"here-{n}", x=500_000 + x) for n, x in enumerate((0, 1040, 20_000))]
    folder = write_images(tmp_path / "set", images).folder
    write_split(folder, here_0="train", here_1="test", here_2="test")
    (line,) = found(folder)
    assert line.startswith("error here-0: (train) is ")
    assert 390 < float(line.split("is ")[1].split(" m")[0]) < 410
    assert line.endswith(" m from here-1 (test); split again with --by site or --by block")


def test_the_gap_is_an_option(tmp_path, rtsmap):
    images = [labelled_image(f"here-{n}", x=500_000 + 1040 * n) for n in range(2)]
    folder = write_images(tmp_path / "set", images).folder
    write_split(folder, here_0="train", here_1="test")
    assert rtsmap("dataset", "check", folder)[0] == 2
    assert rtsmap("dataset", "check", folder, "--gap-m", 300)[0] == 0


@pytest.mark.parametrize(("place", "severity"), [({}, "warning"), ({"crs": None, "transform": None}, "error")])
def test_a_scene_in_two_folds_is_told(tmp_path, place, severity):
    images = [labelled_image(f"here-{n}", x=500_000 + 5_000 * n, scene="one") for n in range(2)]
    images = [labelled_image(image.name, **{"scene": "one", "transform": image.transform, **place}) for image in images]
    folder = write_images(tmp_path / "set", images).folder
    write_split(folder, here_0="train", here_1="test")
    assert f"{severity} here-0: its scene one is in the folds test, train; split with --by scene or --by site" in found(
        folder
    )


def test_a_split_of_another_data_set_is_an_error(tmp_path):
    folder = write_dataset(tmp_path / "set", ["here"]).folder
    write_split(folder, here_0="train", gone_0="test")
    assert found(folder) == [
        "error split.csv: has no fold for 1 images, such as here-1; run rtsmap dataset split again",
        "warning split.csv: names 1 unknown images, such as gone-0; run rtsmap dataset split again",
    ]


def test_the_same_slumps_in_two_scenes_of_near_dates_are_told(tmp_path):
    days = date(2021, 7, 14), date(2021, 8, 1), date(2024, 7, 1)
    images = [labelled_image(f"here-{n}", acquired=day) for n, day in enumerate(days)]
    assert found(write_images(tmp_path / "set", images).folder) == [
        "info here-0: 2 of its slumps are also in here-1, of another scene; keep both in one fold"
    ]


def test_mixtures_are_told(tmp_path):
    images = [
        labelled_image("here-0"),
        labelled_image("there-0", crs="EPSG:32607", transform=Affine(10, 0, 570_000, 0, -10, 7_720_000)),
        labelled_image("rgb-0", crs=None, transform=None, bands=("blue", "green", "red")),
    ]
    assert found(write_images(tmp_path / "set", images).folder) == [
        "info all images: have 2 CRS: EPSG:32651 (1), EPSG:32607 (1)",
        "info all images: 1 of 3 are not georeferenced; folds are judged by their scenes alone",
        "info all images: have different bands: blue+green+red+nir (2), blue+green+red (1); "
        "training can use only the modalities that all images have",
    ]


def test_a_folder_without_a_data_set_is_refused(tmp_path, rtsmap):
    code, _, err = rtsmap("dataset", "check", tmp_path)
    assert code == 2
    assert "annotations.json: cannot be read (No such file or directory); is" in err
    (tmp_path / "annotations.json").write_text("[]")
    code, _, err = rtsmap("dataset", "check", tmp_path)
    assert code == 2
    assert "is not a data set of rtsmap" in err
