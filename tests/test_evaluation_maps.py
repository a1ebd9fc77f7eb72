"""`rtsmap evaluate maps`: layers of a few rectangles."""

import csv
import sqlite3
from contextlib import closing

import geopandas
import numpy as np
import pytest
import shapely

from rtsmap.evaluation.map_scores import evaluate_files, read_map, score_map
from rtsmap.evaluation.outline_agreement import area_score, boundary_errors
from rtsmap.settings.card import ModelCard
from tests.detectors import card

CRS = "EPSG:32651"
X, Y = 500_000, 7_500_000  # on the central meridian, where a metre of the map is 0.9996 of the ground


def layer(*boxes, scores=None, **columns):
    frame = geopandas.GeoDataFrame(columns, geometry=[shapely.box(*box) for box in boxes], crs=CRS)
    frame["geometry"] = frame.translate(X, Y)
    frame["score"] = scores if scores is not None else np.ones(len(boxes))
    return frame


def write_prediction(path, frame, observed=(0, 0, 5000, 5000)):
    frame.to_file(path, layer="thaw_slumps")
    layer(observed).to_file(path, layer="observed_area")
    return path


@pytest.fixture
def files(tmp_path):
    """Two matches, one of them 10 m too far east, a false positive, a miss, and a label outside the observed area."""
    predicted = layer((0, 0, 100, 100), (210, 0, 310, 100), (1000, 1000, 1040, 1030), scores=[0.9, 0.7, 0.3])
    labels = layer(
        (0, 0, 100, 100), (200, 0, 300, 100), (3000, 3000, 3030, 3030), (9000, 0, 9100, 100),
        uid=["a", "b", "c", "d"], region=["west", "west", "east", "east"],
    )  # fmt: skip
    labels.to_crs("EPSG:4326").to_file(tmp_path / "labels.geojson")
    return write_prediction(tmp_path / "slumps.gpkg", predicted), tmp_path / "labels.geojson"


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

    few, many = score(10), score(100)
    for result in (few, many):
        assert result.interval[0] < result.average_precision < result.interval[1]
    assert many.interval[1] - many.interval[0] < 0.5 * (few.interval[1] - few.interval[0])


def test_only_labels_in_the_observed_area_count(rtsmap, files):
    code, out, err = rtsmap("evaluate", "maps", *files)
    assert code == 0, err
    assert "recall     66.7 % (2 of 3 labels)" in out
    assert "precision  66.7 % (2 of 3 polygons)" in out
    assert "F1         66.7 %" in out
    assert "AP50       66.3 % (95 % interval" in out  # precision 1 at 67 of 101 recalls
    assert "from 2 blocks of 2 km)" in out
    (line,) = (line for line in out.splitlines() if line.startswith("0.5 "))
    assert line.split()[1:5] == ["2", "66.7", "100.0", "80.0"]


def test_a_score_leaves_out_weaker_polygons_but_not_from_the_average_precision(rtsmap, files):
    code, out, _ = rtsmap("evaluate", "maps", *files, "--score", 0.8)
    assert code == 0
    assert "AP50       66.3 %" in out
    assert "precision  100.0 % (1 of 1 polygons)" in out
    assert "from score  " not in out
    assert evaluate_files(*files, score=0.8).matched == 1


def test_areas_and_boundaries(files):
    layers = read_map(*files)
    area = area_score(layers, 0.5)
    assert area.predicted == pytest.approx(20_000)
    assert area.labelled == pytest.approx(20_900, rel=1e-4)
    assert area.shared == pytest.approx(19_000, rel=1e-4)
    assert area.iou == pytest.approx(19_000 / 21_900, rel=1e-4)
    assert area.f1 == pytest.approx(2 * 19_000 / 40_900, rel=1e-4)
    same, moved = boundary_errors(layers, layers.comparison.match(0.5), 0.0)
    assert same == pytest.approx(0, abs=1e-3)
    # by side: 10 m outside; 10 m inside, less by the corners; and twice the end that sticks out
    assert moved == pytest.approx((100 * 10 + (80 * 10 + 20 * 5) + 2 * 10 * 5) / 400, rel=0.02)


def test_regions_and_sizes(rtsmap, files, tmp_path):
    code, out, _ = rtsmap("evaluate", "maps", *files, "--by", "region", "-o", tmp_path / "scores")
    assert code == 0
    with (tmp_path / "scores" / "scores.csv").open() as file:
        found = {row["group"]: row for row in csv.DictReader(file)}
    assert (found["west"]["kind"], found["west"]["labels"], found["west"]["matched"]) == ("region", "2", "2")
    assert (found["east"]["labels"], found["east"]["recall"]) == ("1", "0.0")
    assert int(found["west"]["predictions"]) + int(found["east"]["predictions"]) == 3
    assert (found["small"]["labels"], found["large"]["labels"], found["medium"]["labels"]) == ("1", "2", "0")
    assert found["small"]["predictions"] == "1"
    assert "west" in out
    assert (tmp_path / "scores" / "precision_recall.png").exists()
    assert (tmp_path / "scores" / "precision_recall.csv").exists()


def test_matches_are_a_layer_with_a_style(rtsmap, files, tmp_path):
    target = tmp_path / "matches.gpkg"
    code, _, err = rtsmap("evaluate", "maps", *files, "--matches", target, "--score", 0.2)
    assert code == 0, err
    frame = geopandas.read_file(target, layer="matches").set_index("kind")
    assert frame.crs == CRS
    assert sorted(frame.index) == ["false_positive", "miss", "true_positive", "true_positive"]
    assert set(frame.geom_type) == {"Polygon"}
    assert frame.loc["true_positive", "label"].tolist() == ["a", "b"]
    assert frame.loc["true_positive", "iou"].tolist() == [1.0, pytest.approx(90 / 110, abs=1e-3)]
    assert frame.loc["miss", "label"] == "c"
    assert np.isnan(frame.loc["miss", "score"])
    assert frame.loc["miss", "area_m2"] == pytest.approx(900, rel=0.002)
    with closing(sqlite3.connect(target)) as database:
        style = database.execute("SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles")
        (name, column, default, text) = style.fetchone()
    assert (name, column, default) == ("matches", "geom", 1)
    assert "false_positive" in text
    code, _, err = rtsmap("evaluate", "maps", *files, "--matches", target)
    assert code == 2
    assert "exists already" in err


def test_matches_where_all_is_found_or_nothing_is(rtsmap, tmp_path):
    boxes = [(0, 0, 100, 100)]
    layer(*boxes).to_file(tmp_path / "labels.gpkg")
    for name, frame, kind in (("all", layer(*boxes), "true_positive"), ("none", layer(*boxes)[:0], "miss")):
        predicted = write_prediction(tmp_path / f"{name}.gpkg", frame)
        target = tmp_path / f"{name}_matches.gpkg"
        code, _, err = rtsmap("evaluate", "maps", predicted, tmp_path / "labels.gpkg", "--matches", target)
        assert code == 0, err
        assert geopandas.read_file(target, layer="matches")["kind"].tolist() == [kind]


def test_tuning_changes_the_card(rtsmap, files, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    card().to_toml(folder / "model.toml")
    code, out, err = rtsmap("evaluate", "maps", *files, "--tune", "--model", folder)
    assert code == 0, err
    assert "score_threshold 0.5 -> 0.7, min_area_m2 300 -> 0, F1 80.0 % here" in out
    assert ModelCard.from_toml(folder / "model.toml").score_threshold == 0.7
    code, _, err = rtsmap("evaluate", "maps", *files, "--tune")
    assert code == 2
    assert "--tune needs --model" in err


def test_nothing_found_tunes_nothing(rtsmap, files, tmp_path):
    predicted = write_prediction(tmp_path / "wrong.gpkg", layer((500, 500, 600, 600)))
    card().to_toml(tmp_path / "model.toml")
    code, out, err = rtsmap("evaluate", "maps", predicted, files[1], "--tune", "--model", tmp_path)
    assert code == 2
    assert "no prediction matches a label" in err
    assert "recall     0.0 % (0 of 3 labels)" in out
    assert ModelCard.from_toml(tmp_path / "model.toml").score_threshold == 0.5


def test_the_layer_of_the_labels_is_named_where_there_are_several(rtsmap, files, tmp_path):
    predicted, labels = files
    both = tmp_path / "both.gpkg"
    layer((0, 0, 5000, 5000)).to_file(both, layer="footprints")
    geopandas.read_file(labels).to_crs(CRS).to_file(both, layer="drawn")
    code, _, err = rtsmap("evaluate", "maps", predicted, both)
    assert (code, "both.gpkg: has several layers, footprints, drawn; choose one with --layer" in err) == (2, True), err
    code, out, _ = rtsmap("evaluate", "maps", predicted, both, "--layer", "drawn")
    assert (code, "recall     66.7 % (2 of 3 labels)" in out) == (0, True)
    code, _, err = rtsmap("evaluate", "maps", predicted, both, "--layer", "dawn")
    assert (code, "both.gpkg: has no layer dawn; it has footprints, drawn" in err) == (2, True)


def test_the_layer_of_the_map_may_have_another_name(rtsmap, files, tmp_path):
    renamed = tmp_path / "renamed.gpkg"
    geopandas.read_file(files[0], layer="thaw_slumps").to_file(renamed, layer="reviewed")
    layer((0, 0, 5000, 5000)).to_file(renamed, layer="observed_area")
    code, _, err = rtsmap("evaluate", "maps", renamed, files[1])
    assert (code, "renamed.gpkg: has no layer thaw_slumps; it has reviewed, observed_area" in err) == (2, True), err
    code, out, _ = rtsmap("evaluate", "maps", renamed, files[1], "--predicted-layer", "reviewed")
    assert (code, "recall     66.7 % (2 of 3 labels)" in out) == (0, True)


def test_a_map_and_labels_in_degrees_across_the_antimeridian(rtsmap, tmp_path):
    there = [shapely.box(179.995 + step, 66, 180.005 + step, 66.002) for step in (0.0, 0.03)]
    wrapped = [
        shapely.transform(one, lambda p: np.column_stack([(p[:, 0] + 180) % 360 - 180, p[:, 1]])) for one in there
    ]
    drawn = geopandas.GeoDataFrame({"score": [0.9, 0.8]}, geometry=there, crs=4326)
    seen = geopandas.GeoDataFrame(geometry=[shapely.box(179.9, 65.9, 180.1, 66.1)], crs=4326)
    drawn.to_file(tmp_path / "map.gpkg", layer="thaw_slumps")
    seen.to_file(tmp_path / "map.gpkg", layer="observed_area")
    drawn.set_geometry(geopandas.GeoSeries(wrapped, crs=4326)).to_file(tmp_path / "labels.geojson")
    code, out, err = rtsmap("evaluate", "maps", tmp_path / "map.gpkg", tmp_path / "labels.geojson")
    assert code == 0, err
    assert "recall     100.0 % (2 of 2 labels)" in out


def test_bad_input_is_named(rtsmap, files, tmp_path):
    predicted, labels = files
    scoreless = layer((0, 0, 10, 10)).drop(columns="score")
    write_prediction(tmp_path / "scoreless.gpkg", scoreless)
    layer((8000, 0, 8100, 100)).to_file(tmp_path / "elsewhere.gpkg")
    for words, message in (
        ((tmp_path / "scoreless.gpkg", labels), "scoreless.gpkg: has no field score"),
        ((predicted, tmp_path / "elsewhere.gpkg"), "none of its 1 polygons lies in the area that"),
        ((predicted, tmp_path / "none.gpkg"), "none.gpkg: cannot be read"),
        ((labels, labels), "labels.geojson: has no layer observed_area; it has labels"),
        ((predicted, labels, "--by", "nation"), "--by nation: the labels have no such field; they have uid, region"),
    ):
        code, _, err = rtsmap("evaluate", "maps", *words)
        assert (code, message in err) == (2, True), err
