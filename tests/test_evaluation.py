import geopandas
import numpy as np
import pytest
import shapely

from rtsmap.evaluation.maps import average_precision, match, score_map

CRS = "EPSG:32651"


def layer(*boxes, scores=None):
    frame = geopandas.GeoDataFrame(geometry=[shapely.box(*box) for box in boxes], crs=CRS)
    frame["score"] = scores if scores is not None else np.ones(len(boxes))
    return frame


def test_a_label_is_found_once_by_the_surest():
    label = [shapely.box(0, 0, 10, 10)]
    twice = [shapely.box(0, 0, 10, 9), shapely.box(0, 0, 10, 10)]
    assert match(twice, np.array([0.9, 0.8]), label, 0.5).tolist() == [0, -1]
    assert match(twice, np.array([0.7, 0.8]), label, 0.5).tolist() == [-1, 0]


def test_the_better_of_two_labels_is_taken():
    labels = [shapely.box(0, 0, 10, 6), shapely.box(0, 0, 10, 9)]
    assert match([shapely.box(0, 0, 10, 10)], np.array([1.0]), labels, 0.5).tolist() == [1]


def test_an_overlap_below_the_threshold_is_a_miss():
    assert match([shapely.box(0, 0, 10, 10)], np.array([1.0]), [shapely.box(0, 0, 10, 4.9)], 0.5).tolist() == [-1]


def test_average_precision_by_hand():
    # hit, miss, hit of three labels: precision 1 up to recall 1/3, then 2/3 up to recall 2/3
    scores, correct = np.array([0.9, 0.8, 0.7]), np.array([True, False, True])
    assert average_precision(scores, correct, 3) == pytest.approx((1 + 2 / 3) / 3)


def test_perfect_and_empty_layers():
    labels = layer((0, 0, 10, 10), (5000, 0, 5010, 10))
    perfect = score_map(labels, labels)
    assert (perfect.average_precision, perfect.recall, perfect.precision, perfect.f1) == (1, 1, 1, 1)
    assert perfect.interval == (1, 1)
    empty = score_map(labels[:0], labels)
    assert (empty.average_precision, empty.recall, empty.precision) == (0, 0, 0)


def test_the_interval_holds_the_value_and_narrows_with_more_labels():
    def score(blocks):
        labels = [(i * 3000, 0, i * 3000 + 10, 10) for i in range(blocks)]
        found = layer(*labels[::2], scores=np.linspace(1, 0.5, len(labels[::2])))
        return score_map(found, layer(*labels))

    few, many = score(10), score(200)
    for result in (few, many):
        assert result.interval[0] < result.average_precision < result.interval[1]
    assert many.interval[1] - many.interval[0] < 0.5 * (few.interval[1] - few.interval[0])


def test_only_labels_in_the_observed_area_count(rtsmap, tmp_path):
    layer((0, 0, 100, 100)).to_file(tmp_path / "slumps.gpkg", layer="thaw_slumps")
    layer((0, 0, 500, 500)).to_file(tmp_path / "slumps.gpkg", layer="observed_area")
    labels = layer((0, 0, 100, 90), (200, 200, 250, 250), (9000, 0, 9100, 100))
    labels.to_crs("EPSG:4326").to_file(tmp_path / "labels.geojson")
    code, out, _ = rtsmap("evaluate", tmp_path / "slumps.gpkg", tmp_path / "labels.geojson")
    assert code == 0
    assert "recall     50.0 % (1 of 2 labels)" in out
    assert "precision  100.0 % (1 of 1 polygons)" in out
