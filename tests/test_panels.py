"""`rtsmap evaluate panels`."""

import numpy as np
import pytest
from PIL import Image

from rtsmap.evaluation.panels import choose_images
from rtsmap.evaluation.predictions import Prediction, write_predictions
from tests.datasets import write_dataset


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "dataset", sites=("north", "south", "west"), per_site=3, empty=1)


@pytest.fixture
def detections(dataset, tmp_path):
    def write(name, score):
        found = {
            image.name: [Prediction(slump.outline.buffer(2), score) for slump in image.slumps]
            for image in dataset.images
        }
        write_predictions(tmp_path / f"{name}.json", dataset, found)
        return tmp_path / f"{name}.json"

    return write


def pixels_of_colour(path, colour, tolerance=40):
    with Image.open(path) as image:
        picture = np.asarray(image.convert("RGB")).astype(int)
    return int((np.abs(picture - colour).max(axis=-1) < tolerance).sum())


def test_samples_hold_slumps_and_come_from_all_sites(dataset):
    chosen = choose_images(dataset, 4, seed=1)
    assert [image.site for image in chosen].count("north") == 2
    assert {image.site for image in chosen} == {"north", "south", "west"}
    assert all(image.slumps for image in chosen)
    assert chosen == choose_images(dataset, 4, seed=1)


def test_a_row_for_each_image_and_a_column_for_each_model(rtsmap, dataset, detections, tmp_path):
    good, weak = detections("good", 0.9), detections("weak", 0.2)
    words = ("evaluate", "panels", dataset.folder, "--detections", f"RGB={good}", "--score", 0.5, "-o")
    code, out, err = rtsmap(*words, tmp_path / "one.png", "--images", "north-0")
    assert code == 0, err
    assert "1 images, 1 models" in out
    code, out, err = rtsmap(*words, tmp_path / "more.png", "--detections", f"weak={weak}", "--count", 3)
    assert code == 0, err
    assert "3 images, 2 models" in out
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "more.png") as more:
        assert more.width > 1.7 * one.width
        assert more.height > 2 * one.height
    red, blue = (255, 32, 32), (32, 144, 255)
    assert pixels_of_colour(tmp_path / "one.png", red) > 200
    assert pixels_of_colour(tmp_path / "one.png", blue) > 200
    # the weak model's outlines lie below the score from which on they are drawn: three images with, three without
    ratio = pixels_of_colour(tmp_path / "more.png", blue) / pixels_of_colour(tmp_path / "one.png", blue)
    assert 2 < ratio < 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--detections", "no-sign", "-o", "x.png"), "does not look like NAME=FILE"),
        (("--detections", "a=none.json", "-o", "x.png"), "none.json: cannot be read"),
        (("-o", "x.png"), "Missing option '--detections'"),
    ],
)
def test_bad_input_is_named(rtsmap, dataset, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = rtsmap("evaluate", "panels", dataset.folder, *words)
    assert code == 2
    assert message in err


def test_without_a_score_each_model_is_shown_from_its_best_on(rtsmap, dataset, detections, tmp_path):
    models = [f"{name}={detections(name, score)}" for name, score in (("good", 0.9), ("weak", 0.2))]
    files = ("--detections", models[0], "--detections", models[1])
    target = tmp_path / "panels.png"
    assert rtsmap("evaluate", "panels", dataset.folder, *files, "-o", target, "--images", "north-0")[0] == 0
    with Image.open(target) as picture:
        half = picture.width // 2
        for side in ((0, 0, half, picture.height), (half, 0, picture.width, picture.height)):
            picture.crop(side).save(tmp_path / "side.png")
            assert pixels_of_colour(tmp_path / "side.png", (32, 144, 255)) > 200


def test_all_models_must_have_seen_the_samples(rtsmap, dataset, tmp_path):
    write_predictions(tmp_path / "south.json", dataset, {"south-0": []})
    north = {image.name: [] for image in dataset.images if image.site == "north"}
    write_predictions(tmp_path / "north.json", dataset, north)
    files = ["--detections", f"a={tmp_path / 'north.json'}", "--detections", f"b={tmp_path / 'south.json'}"]
    code, _, err = rtsmap("evaluate", "panels", dataset.folder, *files, "-o", tmp_path / "x.png")
    assert code == 2
    assert "no image is covered by the predictions of all of a, b" in err
    code, _, err = rtsmap("evaluate", "panels", dataset.folder, *files, "-o", tmp_path / "x.png", "--images", "north-0")
    assert code == 2
    assert "the predictions of b do not cover the image north-0" in err


def test_an_unknown_image_is_named(rtsmap, dataset, detections, tmp_path):
    words = ("--detections", f"a={detections('a', 0.9)}", "-o", tmp_path / "x.png", "--images", "north-9")
    code, _, err = rtsmap("evaluate", "panels", dataset.folder, *words)
    assert code == 2
    assert "has no image north-9" in err
    assert not (tmp_path / "x.png").exists()
