import subprocess
import sys

import geopandas
import numpy as np
import pandas as pd
import pytest
from shapely import box

from benchmarks.time_series import barth, coverage, scaling, simulated
from benchmarks.time_series.scores import score
from tests.tracks import CRS, square


def test_links_are_scored_by_precision_and_recall():
    one = score({("a", "b"), ("a", "c")}, {("a", "b"), ("d", "e"), ("f", "g")})
    assert (one.precision, one.recall, one.f1) == (1 / 2, 1 / 3, 2 / 5)


def test_published_links_count_between_years_that_are_known_only(tmp_path):
    rows = [("a", 2018, square(0, 0, 60)), ("b", 2019, square(5, 0, 60)), ("c", 2020, square(5, 5, 60))]
    names, years, shapes = zip(*rows, strict=True)
    frame = geopandas.GeoDataFrame({"uid": names, "site": "X", "year": years}, geometry=list(shapes), crs=CRS)
    frame.to_file(tmp_path / "barth2023_rts_timeseries.gpkg", layer="rts")
    known = {"site": ["X"], "year_from": [2018], "year_to": [2019], "uid_from": ["a"], "uid_to": ["b"]}
    pd.DataFrame(known).to_csv(tmp_path / "barth2023_links.csv")
    assert [(site, one.found, one.known, one.right) for site, one in barth.compare(tmp_path)] == [
        ("X", 1, 1, 1),
        ("all", 1, 1, 1),
    ]


def test_slumps_that_grow_evenly_have_their_rate_in_the_interval(tmp_path):
    paths = coverage.even_growth(tmp_path, lambda _rng, outline: outline, 4, 0, (2019, 2020, 2021))
    found = coverage.coverage_of_even_growth(paths)
    assert (found.held, found.count) == (4, 4)


def test_jittered_outlines_are_off_by_the_error_that_they_say():
    rng, outline = np.random.default_rng(0), box(0, 0, 200, 100)
    areas = np.array([coverage.jittered(rng, outline).area for _ in range(200)])
    assert areas.std() == pytest.approx(3 * np.sqrt(600 * 30), rel=0.15)


def test_the_truth_of_a_series_links_what_was_found_across_what_was_missed():
    ancestors = {(2016, 1): set(), (2017, 1): {(2016, 1)}, (2018, 2): {(2017, 1)}, (2018, 3): {(2017, 1)}}
    found = {(2016, 1), (2018, 2), (2018, 3)}
    detections = simulated.Detections([], ancestors, found, set(ancestors), dict.fromkeys(ancestors, 1.0))
    assert detections.links() == {("2016/1", "2018/2"), ("2016/1", "2018/3")}


def test_the_scaling_benchmark_follows_every_slump(tmp_path):
    measured = scaling.measure(tmp_path, 200)
    assert (measured["outlines"], measured["tracks"]) == (200, 20)


def test_the_command_explains_itself():
    command = [sys.executable, "-m", "benchmarks.tracks", "--help"]
    assert "links DATA" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
