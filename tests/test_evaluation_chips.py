"""`rtsmap evaluate chips`: a data set, a detector with known results, and their files."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from rtsmap.dataset.images import Label, read_dataset
from rtsmap.dataset.writer import writing_dataset
from rtsmap.errors import DatasetError, InputError
from rtsmap.evaluation.image_scores import score_images
from rtsmap.evaluation.predictions import Prediction, predict_images, read_all, read_predictions, write_predictions
from rtsmap.files.writing import sha256
from rtsmap.settings.card import ModelCard
from tests.datasets import SLUMPS, labelled_image, pixels_with, write_dataset, write_images
from tests.detectors import BareGround, card

FIRST, SECOND = SLUMPS
NOT_BARE = shapely.box(2, 2, 10, 10)

#: Labels, bare ground and ignored areas of each image: two slumps found; one found, one missed; one found, one wrong;
#: one found, and one that lies where nobody knows.
IMAGES = {
    "north-0": ([FIRST, SECOND], [FIRST, SECOND], []),
    "north-1": ([FIRST, NOT_BARE], [FIRST], []),
    "south-0": ([FIRST], [FIRST, SECOND], []),
    "south-1": ([FIRST], [FIRST, SECOND], [SECOND.buffer(3)]),
}


def labels(*outlines):
    return tuple(Label(outline) for outline in outlines)


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "dataset"
    with writing_dataset(folder, "a test") as writer:
        for name, (drawn, bare, ignored) in IMAGES.items():
            image = labelled_image(name, slumps=labels(*drawn), ignored=tuple(ignored))
            writer.add(image, pixels_with(replace(image, slumps=labels(*bare))))
    folds = "".join(f"{name},{name[:5]},fold-{number % 2}\n" for number, name in enumerate(IMAGES))
    (folder / "split.csv").write_text("image,site,fold\n" + folds)
    return read_dataset(folder)


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model's folder, whose network is `BareGround`."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"none")
    settings = card(gsd_m=10.0).model_copy(update={"sha256": sha256(folder / "weights.safetensors")})
    settings.to_toml(folder / "model.toml")
    monkeypatch.setattr("rtsmap.detector.build_detector", lambda *_, **__: BareGround())
    return folder


def rows(path):
    with path.open(newline="") as file:
        return {row["group"]: row for row in csv.DictReader(file)}


def test_a_model_is_scored_on_a_data_set(rtsmap, dataset, model, tmp_path):
    code, out, err = rtsmap("evaluate", "chips", dataset.folder, "--model", model, "-o", tmp_path / "scores")
    assert code == 0, err
    assert "4 images, 6 slumps; bare-ground 1.0.0, from 300 m2 on" in out
    assert "AP50       83.2 % (95 % interval" in out
    assert "from 4 scenes or images)" in out
    assert "from score 0.5 on:" in out
    assert "recall     83.3 % (5 of 6 labels)" in out
    assert "precision  83.3 % (5 of 6 polygons)" in out
    found = rows(tmp_path / "scores" / "scores.csv")
    assert (found["north"]["recall"], found["north"]["precision"], found["north"]["images"]) == ("0.75", "1.0", "2")
    assert (found["south"]["recall"], found["south"]["labels"]) == ("1.0", "2")
    assert (found["medium"]["labels"], found["large"]["labels"]) == ("1", "5")
    assert float(found["all"]["average_precision"]) == pytest.approx(84 / 101, abs=1e-6)
    assert (tmp_path / "scores" / "precision_recall.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "scores" / "precision_recall.csv").open() as file:
        points = list(csv.DictReader(file))
    assert len(points) == 6
    assert float(points[-1]["recall"]) == pytest.approx(5 / 6)


def test_false_slumps_are_counted_on_the_ground_that_was_observed(rtsmap, dataset, model, tmp_path):
    _, out, _ = rtsmap("evaluate", "chips", dataset.folder, "--model", model, "-o", tmp_path / "scores")
    image_km2, unknown_km2 = 0.64**2, 0.0408  # within 3 px of SECOND, by the centres of pixels
    assert "false      62.6 per 100 km2 (1 in 1.6 km2 observed), 95 % interval 0.0 to" in out
    found = rows(tmp_path / "scores" / "scores.csv")
    assert float(found["north"]["observed_km2"]) == pytest.approx(2 * image_km2)
    assert float(found["south"]["observed_km2"]) == pytest.approx(2 * image_km2 - unknown_km2, abs=0.003)
    assert float(found["north"]["false_per_100km2"]) == 0
    assert float(found["south"]["false_per_100km2"]) == pytest.approx(100 / (2 * image_km2 - unknown_km2), rel=0.01)
    assert float(found["south"]["false_low"]) == 0
    assert float(found["south"]["false_high"]) > float(found["south"]["false_per_100km2"])
    assert 0 < float(found["all"]["recall_low"]) < 5 / 6 < float(found["all"]["recall_high"]) <= 1
    lines = (tmp_path / "scores" / "scores.md").read_text().splitlines()
    assert lines[0].startswith("|  | images | slumps | found |")
    assert len(lines) == 8  # all, two sites, three sizes
    assert "(mean of 2 sites)" in out


def overlapping(folder, **changes):
    """Two images of one scene, the second half an image to the right of the first: ground of 1.5 images."""
    images = [labelled_image(f"here-{number}", x=500_000 + 320 * number, scene="one") for number in range(2)]
    return write_images(folder, [replace(image, slumps=labels(FIRST), **changes) for image in images])


def test_what_two_images_of_a_scene_show_counts_once(tmp_path):
    dataset = overlapping(tmp_path / "data")
    wrong = shapely.box(34, 2, 44, 12)
    found = {
        "here-0": [Prediction(wrong, 0.9)],
        "here-1": [Prediction(shapely.affinity.translate(wrong, -32), 0.8), Prediction(wrong, 0.7)],
    }
    report = score_images(dataset, found, threshold=0.5, measure_area=True)
    assert report.rows[0].rates.km2 == pytest.approx(1.5 * 0.64**2)
    assert report.rows[0].rates.false == 2
    assert report.overall.predictions - report.overall.matched == 3
    elsewhere = replace(dataset, images=tuple(replace(one, scene=one.name) for one in dataset.images))
    assert score_images(elsewhere, found, threshold=0.5, measure_area=True).rows[0].rates.false == 3


def test_images_without_a_place_count_wholly_and_pixels_without_data_not_at_all(tmp_path):
    placeless = overlapping(tmp_path / "placeless", crs=None, transform=None)
    nothing = {image.name: [] for image in placeless.images}
    assert score_images(placeless, nothing, measure_area=True).rows[0].rates.km2 == pytest.approx(2 * 0.64**2)
    image = labelled_image("half-0")
    pixels = pixels_with(image)
    pixels.reflectance[:, :, :32] = 0
    pixels.valid[:, :32] = False
    with writing_dataset(tmp_path / "half", "a test") as writer:
        writer.add(image, pixels)
    half = score_images(read_dataset(tmp_path / "half"), {"half-0": []}, measure_area=True).rows[0].rates
    assert half.km2 == pytest.approx(0.64**2 / 2)
    assert half.false_per_100km2 == 0
    assert not np.isfinite(score_images(placeless, nothing).rows[0].rates.false_per_100km2)  # pixels are not read


def test_views_for_test_time_augmentation_are_passed_to_the_detector(rtsmap, dataset, model, monkeypatch):
    asked = []
    monkeypatch.setattr("rtsmap.detector.build_detector", lambda *_, **options: asked.append(options) or BareGround())
    assert rtsmap("evaluate", "chips", dataset.folder, "--model", model, "--tta", 4)[0] == 0
    assert rtsmap("evaluate", "chips", dataset.folder, "--model", model)[0] == 0
    assert [options["tta"] for options in asked] == [4, 1]
    code, _, err = rtsmap("evaluate", "chips", dataset.folder, "--model", model, "--flips", 3)
    assert code == 2
    assert "'3' is not one of '1', '4', '8'" in err


def test_predictions_are_scored_later_and_by_fold(rtsmap, dataset, model, tmp_path):
    for fold in ("fold-0", "fold-1"):
        command = ("evaluate", "chips", dataset.folder, "--model", model, "--only", fold, "-o", tmp_path / fold)
        assert rtsmap(*command)[0] == 0
    files = [word for fold in ("fold-0", "fold-1") for word in ("--detections", tmp_path / fold / "detections.json")]
    code, out, _ = rtsmap("evaluate", "chips", dataset.folder, *files)
    assert code == 0
    assert "4 images, 6 slumps; threshold of best F1" in out
    assert "AP50       83.2 %" in out
    code, out, _ = rtsmap("evaluate", "chips", dataset.folder, *files[:2], "--only", "north")
    assert code == 0
    assert "1 images, 1 left out, 2 slumps" in out
    code, _, err = rtsmap("evaluate", "chips", dataset.folder, *files[:2])
    assert code == 2
    assert "no file covers 2 of 4 images, such as north-1" in err
    code, _, err = rtsmap("evaluate", "chips", dataset.folder, *files, "--detections", files[1])
    assert code == 2
    assert "both hold the image north-0" in err


def test_scores_are_not_overwritten_unasked(rtsmap, dataset, model, tmp_path):
    words = ("evaluate", "chips", dataset.folder, "--model", model, "-o", tmp_path)
    assert [rtsmap(*words)[0], rtsmap(*words)[0], rtsmap(*words, "--overwrite")[0]] == [0, 2, 0]


def test_tuning_changes_the_card_and_says_how(rtsmap, dataset, model, tmp_path):
    assert rtsmap("evaluate", "chips", dataset.folder, "--model", model, "-o", tmp_path / "scores")[0] == 0
    file = tmp_path / "scores" / "detections.json"
    code, out, err = rtsmap("evaluate", "chips", dataset.folder, "--detections", file, "--model", model, "--tune")
    assert code == 0, err
    assert f"tuned {model}: score_threshold 0.5 -> 0.8, min_area_m2 300 -> 0, F1 83.3 % here" in out
    tuned = ModelCard.from_toml(model / "model.toml")
    assert (tuned.score_threshold, tuned.min_area_m2) == (0.8, 0.0)


def test_tuning_needs_a_model_whose_card_can_be_written(rtsmap, dataset, model, monkeypatch):
    code, _, err = rtsmap("evaluate", "chips", dataset.folder, "--detections", "none.json", "--tune")
    assert code == 2
    assert "--tune needs --model" in err
    monkeypatch.setattr("os.access", lambda _, mode, **__: mode != os.W_OK)  # root may write everything
    code, _, err = rtsmap("evaluate", "chips", dataset.folder, "--model", model, "--tune")
    assert code == 2
    assert "model.toml: cannot be changed; copy the folder" in err


def test_images_out_of_the_model_s_range_are_resampled_and_outlines_come_back(dataset):
    detector = BareGround()
    found = predict_images(dataset, card(gsd_m=5.0), detector)
    assert detector.batches == [1] * 4
    (one, other) = found["north-0"]
    assert one.outline.intersection(FIRST).area / one.outline.union(FIRST).area > 0.9
    assert other.outline.intersection(SECOND).area / other.outline.union(SECOND).area > 0.9


def test_progress_counts_images(dataset):
    seen = []
    predict_images(dataset, card(gsd_m=10.0), BareGround(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_model_needs_its_bands(tmp_path):
    blind = write_dataset(tmp_path / "rgb", bands=("blue", "green", "red"))
    with pytest.raises(DatasetError, match="has no bands for ndvi, nir, which bare-ground needs"):
        predict_images(blind, card(gsd_m=10.0), BareGround())


def test_predictions_are_coco_results_and_come_back(dataset, tmp_path):
    ring = shapely.box(10, 10, 40, 40).difference(shapely.box(20, 20, 30, 30))
    found = {"north-1": [Prediction(ring, 0.75)], "south-1": []}
    write_predictions(tmp_path / "detections.json", dataset, found)
    back = read_predictions(tmp_path / "detections.json", dataset)
    assert set(back) == {"north-1", "south-1"}
    assert back["south-1"] == []
    assert back["north-1"][0].score == 0.75
    assert back["north-1"][0].outline.symmetric_difference(ring).area == pytest.approx(0, abs=1e-6)
    coco = pytest.importorskip("pycocotools.coco")
    results = coco.COCO(dataset.folder / "annotations.json").loadRes(str(tmp_path / "detections.json"))
    assert len(results.anns) == 2


def test_validation_in_training_needs_no_groups_or_intervals(dataset):
    found = predict_images(dataset, card(gsd_m=10.0), BareGround())
    report = score_images(dataset, found, resamples=0, groups=False)
    assert report.average_precision == pytest.approx(84 / 101)
    assert len(report.rows) == 1
    nothing = score_images(dataset, {name: [] for name in IMAGES}, resamples=0, groups=False)
    assert nothing.average_precision == 0


def test_the_bootstrap_draws_scenes_where_there_are_enough(tmp_path):
    whole = write_dataset(tmp_path / "many", ("many",), per_site=20, size=64)
    in_pairs = tuple(replace(image, scene=f"scene-{number // 2}") for number, image in enumerate(whole.images))
    many = replace(whole, images=in_pairs)
    found = {
        image.name: [Prediction(slump.outline, 0.9) for slump in image.slumps[: 1 + (number % 4 == 0)]]
        for number, image in enumerate(many.images)
    }
    report = score_images(many, found)
    assert report.drawn == "10 scenes or images"
    assert score_images(replace(many, images=in_pairs[:18]), found).drawn == "18 scenes or images"
    low, high = report.overall.interval
    assert low < report.average_precision < high


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ('[{"score": 1}]', "holds no predictions in COCO's form"),
    ],
)
def test_a_file_that_holds_no_predictions_is_named(dataset, tmp_path, text, message):
    path = tmp_path / "detections.json"
    if text:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_all([path], dataset)


def test_the_table_of_images_is_read_once_for_all_files(dataset, tmp_path, monkeypatch):
    files = [tmp_path / f"{name}.json" for name in IMAGES]
    for file, name in zip(files, IMAGES, strict=True):
        write_predictions(file, dataset, {name: [Prediction(FIRST, 0.5)]})
    read = []
    content = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: read.append(self.name) or content(self))
    assert set(read_all(files, dataset)) == set(IMAGES)
    assert read.count("annotations.json") == 1


def test_predictions_of_another_data_set_are_refused(rtsmap, dataset, tmp_path):
    other = write_dataset(tmp_path / "other")
    write_predictions(tmp_path / "other.json", other, {image.name: [] for image in other.images})
    code, _, err = rtsmap("evaluate", "chips", dataset.folder, "--detections", tmp_path / "other.json")
    assert code == 2
    assert "which has no image 1 taimyr-0; give the data set that it was made with" in err
    entry = json.loads((tmp_path / "other.json").read_text())[0]
    with pytest.raises(DatasetError, match="has no image nowhere"):
        write_predictions(tmp_path / "mine.json", dataset, {"nowhere": []})
    assert entry["score"] == 0


def test_unknown_folds_and_images_without_slumps_are_named(rtsmap, dataset, model, tmp_path):
    code, _, err = rtsmap("evaluate", "chips", dataset.folder, "--model", model, "--only", "fold-9")
    assert code == 2
    assert "has no site or fold fold-9; it has fold-0, fold-1, north, south" in err
    empty = write_dataset(tmp_path / "empty", per_site=1, empty=1)
    code, _, err = rtsmap("evaluate", "chips", empty.folder, "--model", model)
    assert code == 2
    assert "hold no slump" in err
    assert not np.isfinite(score_images(empty, {"taimyr-0": [], "yamal-0": []}).average_precision)
