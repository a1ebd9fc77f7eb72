"""Calibration of scores: the fit, the card, its use by predict, and the figure."""

import json
import sqlite3
from dataclasses import replace

import geopandas
import numpy as np
import pytest
import shapely

from rtsmap.detector.calibrated import CalibratedDetector, calibrated, raw_score
from rtsmap.errors import DatasetError, InputError, ModelError
from rtsmap.evaluation.predictions import Prediction, write_predictions
from rtsmap.evaluation.reliability import bins_of, calibration_error, wilson, write_reliability
from rtsmap.evaluation.score_calibration import (
    Evidence,
    evidence_of,
    expected_by_site,
    fit,
    left_out,
    with_probabilities,
    write_calibrated,
)
from rtsmap.models import find_model
from rtsmap.settings.card import Calibration, ModelCard
from tests.datasets import SLUMPS, write_dataset
from tests.detectors import BareGround, card, tundra
from tests.networks import write_model
from tests.scenes import write_raster

MAP = Calibration(slope=1.5, intercept=-2.0, detections=100, matched=10, sites=("taimyr",))


def drawn(number, slope, intercept, sites=("north", "south"), seed=0):
    """Evidence of predictions with known probabilities of being correct."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.05, 0.95, number)
    right = rng.random(number) < 1 / (1 + np.exp(-(slope * np.log(scores / (1 - scores)) + intercept)))
    return Evidence(scores, right, np.array([right, right]), np.resize(sites, number))


def test_the_fit_finds_the_odds_that_predictions_were_drawn_with():
    found = fit(drawn(20_000, 1.5, -2.0), views=4)
    assert (found.slope, found.intercept) == pytest.approx((1.5, -2.0), abs=0.1)
    assert (found.detections, found.sites, found.views, found.min_iou) == (20_000, ("north", "south"), 4, 0.5)
    assert found.matched == drawn(20_000, 1.5, -2.0).right.sum()


def test_few_predictions_that_scores_tell_apart_give_finite_numbers():
    scores = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    right = scores > 0.5
    found = fit(Evidence(scores, right, np.array([right, right]), np.full(6, "a")))
    assert 0 < found.slope < 20
    assert calibrated(0.9, found) < 0.95  # Platt's targets


@pytest.mark.parametrize(
    ("right", "message"),
    [
        ([True, True, True, True], "4 of 4 predictions match a label"),
        ([False, False, False, False], "0 of 4 predictions match a label"),
        ([True, True, False, False], "higher scores are not correct more often"),
    ],
)
def test_predictions_that_tell_nothing_are_refused(right, message):
    right = np.array(right)
    evidence = Evidence(np.array([0.1, 0.2, 0.8, 0.9]), right, np.array([right, right]), np.full(4, "a"))
    with pytest.raises(InputError, match=message):
        fit(evidence)


def test_the_map_keeps_the_order_and_has_an_inverse():
    scores = np.linspace(0, 1, 101)
    found = calibrated(scores, MAP)
    assert (np.diff(found[1:-1]) > 0).all()
    assert ((found >= 0) & (found <= 1)).all()
    assert found[50] == pytest.approx(1 / (1 + np.exp(2)))
    assert [raw_score(float(p), MAP) for p in found[5:-5]] == pytest.approx(scores[5:-5])
    assert [raw_score(end, MAP) for end in (0.0, 1.0)] == [0.0, 1.0]
    assert calibrated(scores, None) is scores
    assert raw_score(0.3, None) == 0.3


def test_a_detector_gives_probabilities_and_changes_nothing_else():
    chips = np.zeros((1, 5, 32, 32), dtype=np.float32)
    chips[0, 0] = 1
    chips[0, 3, 4:9, 6:12] = -3
    (raw,), (found,) = BareGround().detect(chips), CalibratedDetector(BareGround(), MAP).detect(chips)
    assert found.scores.dtype == np.float32
    assert found.scores == pytest.approx(calibrated(raw.scores, MAP).astype(np.float32))
    assert found.boxes.tobytes() == raw.boxes.tobytes()


def test_bins_expect_as_many_slumps_each_whatever_is_right():
    evidence = drawn(2000, 1.0, 0.0)
    bins = bins_of(evidence.scores, evidence)
    assert len(bins) == 10
    assert [one.predictions * one.score for one in bins] == pytest.approx([evidence.scores.sum() / 10] * 10, abs=1)
    assert sum(one.predictions for one in bins) == 2000
    assert sum(one.predictions * one.right for one in bins) == pytest.approx(evidence.right.sum())
    assert all(one.interval[0] < one.right < one.interval[1] for one in bins)
    assert calibration_error(bins) < 0.04
    other = bins_of(evidence.scores, replace(evidence, right=~evidence.right))
    assert [one.predictions for one in other] == [one.predictions for one in bins]
    assert calibration_error(other) > 0.3


def test_wilson_s_interval():
    assert wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)  # Wilson 1927; published tables
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)


def test_a_calibration_makes_scores_true():
    evidence = drawn(5000, 1.5, -2.0)
    before = calibration_error(bins_of(evidence.scores, evidence))
    after = calibration_error(bins_of(calibrated(evidence.scores, fit(evidence)), evidence))
    assert before > 0.15
    assert after < 0.02


def test_sites_left_out_show_what_the_calibration_is_worth_elsewhere():
    alike = drawn(8000, 1.5, -2.0)
    assert left_out(alike) == pytest.approx(calibrated(alike.scores, fit(alike)), abs=0.05)
    other = replace(alike, right=alike.right & (alike.sites == "north"))  # the south has no slump
    (_, n_north, north, by_south), (_, n_south, south, by_north) = expected_by_site(other)
    assert (n_north, n_south, south) == (4000, 4000, 0)
    assert np.isnan(by_south)  # nothing to fit
    assert by_north == pytest.approx(north, rel=0.1)


def test_predictions_that_count_are_the_evidence(tmp_path):
    first, second = SLUMPS
    dataset = write_dataset(tmp_path / "data", ("north", "south"), per_site=1)
    hidden = replace(dataset.images[1], ignored=(second.buffer(3),), slumps=dataset.images[1].slumps[:1])
    dataset = replace(dataset, images=(dataset.images[0], hidden))
    half = first.intersection(first.buffer(0).envelope.buffer(-3))  # IoU 0.36
    found = {
        "north-0": [Prediction(half, 0.9), Prediction(second, 0.8)],
        "south-0": [Prediction(first, 0.7), Prediction(second, 0.6), Prediction(first.buffer(-5.5), 0.5)],
    }
    evidence = evidence_of(dataset, found, min_area_m2=1000)
    assert evidence.scores.tolist() == [0.9, 0.8, 0.7]  # not what lies where nobody knows, nor the small one
    assert evidence.right.tolist() == [False, True, True]
    assert evidence.near.tolist() == [[True, True, True]] * 2
    assert evidence.sites.tolist() == ["north", "north", "south"]


def test_the_card_keeps_the_calibration_and_what_passes_the_threshold(tmp_path):
    settings = card()
    changed = write_calibrated(tmp_path, settings, MAP)
    assert ModelCard.from_toml(tmp_path / "model.toml") == changed
    assert changed.calibration == MAP
    assert changed.score_threshold == pytest.approx(calibrated(0.5, MAP), abs=1e-6)
    assert raw_score(changed.score_threshold, MAP) <= 0.5
    again = write_calibrated(tmp_path, changed, MAP.model_copy(update={"intercept": 0.0, "slope": 1.0}))
    assert again.score_threshold == pytest.approx(0.5, abs=1e-3)
    assert json.loads(json.dumps(changed.describe()))["calibration"]["slope"] == 1.5


def test_a_card_without_the_section_is_as_before_and_a_falling_map_is_refused(tmp_path):
    path = tmp_path / "model.toml"
    card().to_toml(path)
    assert "calibration" not in path.read_text()
    path.write_text(
        path.read_text() + "\n[calibration]\nslope = -1.0\nintercept = 0\ndetections = 1\nmatched = 1\nsites = []\n"
    )
    with pytest.raises(ModelError, match=r"calibration.slope: Input should be greater than"):
        find_model(str(tmp_path))


def test_a_figure_without_predictions_is_drawn_and_without_matplotlib_refused(tmp_path, monkeypatch):
    write_reliability(tmp_path / "empty.png", {"scores": []}, "nothing")
    assert (tmp_path / "empty.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(DatasetError, match="needs matplotlib"):
        write_reliability(tmp_path / "none.png", {"scores": []}, "nothing")
    assert not (tmp_path / "none.png").exists()


@pytest.fixture
def folds(tmp_path, monkeypatch):
    """A data set of two sites, a model, and predictions for each site; higher scores are correct more often."""
    dataset = write_dataset(tmp_path / "data", ("north", "south"), per_site=20)
    rng = np.random.default_rng(0)
    wrong = shapely.Point(10, 55).buffer(3)
    files = []
    for site in ("north", "south"):
        images = [image for image in dataset.images if image.site == site]
        found = {
            image.name: [
                Prediction(slump if rng.random() < score else wrong, score)
                for slump, score in zip(SLUMPS, rng.uniform(0.1, 0.9, 2).tolist(), strict=True)
            ]
            for image in images
        }
        files.append(tmp_path / f"{site}.json")
        write_predictions(files[-1], dataset, found)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"none")
    card(gsd_m=10.0).to_toml(folder / "model.toml")
    words = [word for file in files for word in ("--detections", file)]
    return dataset.folder, folder, words


def test_a_model_is_calibrated_with_the_predictions_of_all_folds(rtsmap, folds, tmp_path):
    data, model, words = folds
    figure = tmp_path / "new" / "reliability.png"
    command = ("evaluate", "chips", data, *words, "--model", model, "--calibrate", "--tune", "--reliability", figure)
    code, out, err = rtsmap(*command)
    assert code == 0, err
    found = ModelCard.from_toml(model / "model.toml").calibration
    assert (found.sites, found.detections) == (("north", "south"), 80)
    assert f"80 predictions, {found.matched} of them slumps; calibration error" in out
    assert "north: 40 predictions" in out
    assert f"calibrated {model}: slope {found.slope:.3f}" in out
    assert f"tuned {model}: score_threshold" in out
    assert figure.read_bytes().startswith(b"\x89PNG")
    once = (model / "model.toml").read_text()
    assert "exists already" in rtsmap(*command)[2]
    assert rtsmap(*command, "--overwrite")[0] == 0
    assert (model / "model.toml").read_text() == once  # for files hold the network's own scores


def test_files_hold_the_network_s_scores_and_reports_probabilities(rtsmap, folds, tmp_path):
    data, model, words = folds
    command = ("evaluate", "chips", data, *words)
    raw = rtsmap(*command, "-o", tmp_path / "raw")[1]
    write_calibrated(model, ModelCard.from_toml(model / "model.toml"), MAP)
    code, out, _ = rtsmap(*command, "--model", model, "-o", tmp_path / "calibrated")
    assert code == 0
    assert f"from score {ModelCard.from_toml(model / 'model.toml').score_threshold:g} on" in out
    assert out.splitlines()[1] == raw.splitlines()[1]  # AP50: the order stays
    files = [(tmp_path / name / "detections.json").read_text() for name in ("raw", "calibrated")]
    assert files[0] == files[1]


def test_calibrating_needs_a_model(rtsmap, folds):
    data, _, words = folds
    code, _, err = rtsmap("evaluate", "chips", data, *words, "--calibrate")
    assert code == 2
    assert "--calibrate needs --model" in err


def test_nothing_is_written_where_nothing_can_be_fitted(rtsmap, folds, tmp_path):
    data, model, words = folds
    before = (model / "model.toml").read_text()
    entries = json.loads(words[1].read_text())
    far = [{**entry, "segmentation": [[0, 0, 5, 0, 5, 5]]} for entry in entries]
    words[1].write_text(json.dumps(far))
    figure = tmp_path / "reliability.png"
    code, _, err = rtsmap(
        "evaluate", "chips", data, *words[:2], "--only", "north", "--model", model, "--calibrate",
        "--reliability", figure,
    )  # fmt: skip
    assert code == 2
    assert "0 of 40 predictions match a label" in err
    assert (model / "model.toml").read_text() == before
    assert not figure.exists()


def test_predictions_are_calibrated_one_by_one():
    found = {"a": [Prediction(SLUMPS[0], 0.5)], "b": []}
    assert with_probabilities(found, None) == found
    assert with_probabilities(found, MAP)["a"][0].score == pytest.approx(1 / (1 + np.exp(2)))


def test_the_layer_has_probabilities_and_the_same_slumps(rtsmap, tmp_path):
    model = write_model(tmp_path / "model", score=0.505)
    rng = np.random.default_rng(0)
    numbers = tundra(100, 100, [(30, 30, 40, 40)])
    noisy = np.clip(numbers * rng.normal(1, 0.2, numbers.shape), 1, 9000).astype(np.uint16)
    scene = write_raster(tmp_path / "scene.tif", noisy)
    command = ("predict", scene, "--model", model, "--min-area", 0, "--mask", "none", "-o")
    assert rtsmap(*command, tmp_path / "raw.gpkg")[0] == 0
    _, settings = find_model(str(model))
    write_calibrated(model, settings, MAP)
    code, _, err = rtsmap(*command, tmp_path / "calibrated.gpkg")
    assert (code, err) == (0, "")
    raw, found = (geopandas.read_file(tmp_path / f"{name}.gpkg", layer="thaw_slumps") for name in ("raw", "calibrated"))
    assert len(raw) > 0
    assert found.slump_id.tolist() == raw.slump_id.tolist()
    assert found.score.to_numpy() == pytest.approx(calibrated(raw.score.to_numpy(), MAP), abs=1e-3)
    code, _, err = rtsmap(*command, tmp_path / "tta.gpkg", "--tta", 4)
    assert code == 0
    assert "scores of model are probabilities with --tta 1, not with 4" in err
    with sqlite3.connect(tmp_path / "tta.gpkg") as connection:
        (record,) = connection.execute("SELECT metadata FROM gpkg_metadata").fetchone()
    assert "--tta 4" in json.loads(record)["command"]
