import json
import sqlite3
from xml.etree import ElementTree

import numpy as np
import pytest
import shapely
from shapely import box

from rtsmap.tracks import TrackOptions, track_layers
from rtsmap.tracks.tables import LAYERS
from tests.tracks import CRS, X, Y, area_m2, read, square, write_map, write_plain

EVERYWHERE = box(X - 5000, Y - 5000, X + 5000, Y + 5000)
WEST = box(X - 5000, Y - 5000, X + 150, Y + 5000)


def years(folder, maps, observed=None):
    """A layer for each year from 2018 on, each observed everywhere unless said otherwise."""
    areas = observed or [EVERYWHERE] * len(maps)
    return [
        write_map(folder / f"{2018 + number}.gpkg", f"{2018 + number}-07-20", outlines, areas[number])
        for number, outlines in enumerate(maps)
    ]


def kinds(path):
    """Events by track, in the order of time; tracks from west to east."""
    tracks, events = read(path, "tracks"), read(path, "events")
    order = tracks.assign(x=tracks.centroid.x).sort_values("x")["track_id"]
    return [[f"{row.epoch} {row.kind}" for row in events[events.track_id == track].itertuples()] for track in order]


# Each case: outlines of 2018, 2019, ...; what was observed; events by track from west to east.
A, B = square(0, 0, 60), square(300, 0, 60)
CASES = {
    "one that stays": ([[A], [A]], None, [["2018 first_seen", "2019 stable"]]),
    "one that grows": ([[A], [square(0, 0, 60, 120)]], None, [["2018 first_seen", "2019 growing"]]),
    "one that shrinks": ([[square(0, 0, 60, 120)], [A]], None, [["2018 first_seen", "2019 shrinking"]]),
    "a new one": ([[A], [A, B]], None, [["2018 first_seen", "2019 stable"], ["2019 new"]]),
    "one in a place that was not looked at before": (
        [[A], [A, B]],
        [WEST, EVERYWHERE],
        [["2018 first_seen", "2019 stable"], ["2019 first_seen"]],
    ),
    "missed for a year": (
        [[A], [], [A]],
        None,
        [["2018 first_seen", "2019 missed", "2020 stable"]],
    ),
    "not observed for three years": (
        [[B], [A], [A], [A], [B]],
        [EVERYWHERE, WEST, WEST, WEST, EVERYWHERE],
        [
            ["2019 new", "2020 stable", "2021 stable", "2022 lost"],
            ["2018 first_seen", "2019 not_observed", "2020 not_observed", "2021 not_observed", "2022 stable"],
        ],
    ),
    "lost at the end": ([[A, B], [A]], None, [["2018 first_seen", "2019 stable"], ["2018 first_seen", "2019 lost"]]),
    "stabilised": (
        [[A, B], [A], [A]],
        None,
        [["2018 first_seen", "2019 stable", "2020 stable"], ["2018 first_seen", "2019 lost", "2020 stabilised"]],
    ),
    "a merge": (
        [[A, square(70, 0, 40)], [square(0, 0, 110, 60)]],
        None,
        [["2018 first_seen", "2019 merged"], ["2018 first_seen", "2019 merged"]],
    ),
    "a split": (
        [[square(0, 0, 130, 60)], [A, square(80, 0, 50)]],
        None,
        [["2018 first_seen", "2019 split"], ["2019 split"]],
    ),
    "moved by the placement error": (
        [[square(0, 0, 9)], [square(10, 0, 9)]],
        None,
        [["2018 first_seen", "2019 stable"]],
    ),
    "neighbours that touch": (
        [[A, square(60, 0, 60)], [square(5, 0, 60), square(65, 0, 60)]],
        None,
        [["2018 first_seen", "2019 stable"], ["2018 first_seen", "2019 stable"]],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_happens_to_slumps(tmp_path, case):
    maps, observed, expected = CASES[case]
    track_layers(years(tmp_path, maps, observed), tmp_path / "tracks.gpkg")
    assert kinds(tmp_path / "tracks.gpkg") == expected


def test_the_id_of_a_track_does_not_change_when_later_years_are_added(tmp_path):
    layers = years(tmp_path, [[A, B], [square(0, 0, 66), B], [square(3, 0, 70), B]])
    track_layers(layers[:2], tmp_path / "first.gpkg")
    track_layers(layers[::-1], tmp_path / "later.gpkg")
    first, later = (set(read(tmp_path / f"{name}.gpkg", "tracks")["track_id"]) for name in ("first", "later"))
    assert first == later
    assert len(first) == 2


def test_merges_and_splits_name_their_relatives_as_arts_does(tmp_path):
    track_layers(years(tmp_path, [[A, square(70, 0, 40)], [square(0, 0, 110, 60)]]), tmp_path / "merged.gpkg")
    tracks, outlines = read(tmp_path / "merged.gpkg", "tracks"), read(tmp_path / "merged.gpkg", "outlines")
    large, small = tracks.sort_values("area_first_m2", ascending=False).itertuples()
    assert (large.status, small.status) == ("active", "merged")
    assert small.merged_into == large.track_id
    before, after = outlines[outlines.epoch == 2018], outlines[outlines.epoch == 2019].iloc[0]
    assert set(after.MergedRTS.split(",")) == set(before.outline_id)
    assert after.track_id == large.track_id
    assert after.model == "a a1234567"
    assert large.n_models == 1
    assert np.isnan(large.rate_m2_per_year)  # the area jumps, though nothing has grown

    (tmp_path / "parts").mkdir()
    track_layers(years(tmp_path / "parts", [[square(0, 0, 130, 60)], [A, square(80, 0, 50)]]), tmp_path / "split.gpkg")
    tracks, outlines = read(tmp_path / "split.gpkg", "tracks"), read(tmp_path / "split.gpkg", "outlines")
    part = tracks[tracks.split_from.notna()].iloc[0]
    whole = outlines[outlines.epoch == 2018].iloc[0]
    assert part.split_from == whole.track_id
    assert outlines[outlines.track_id == part.track_id].iloc[0].SplitRTS == whole.outline_id


def test_scenes_of_one_year_are_one_epoch(tmp_path):
    path = tmp_path / "2018.gpkg"
    for day, outline, score in (
        ("2018-07-01", A, 0.9),
        ("2018-07-21", A, 0.9),
        ("2018-08-10", square(0, 0, 60, 90), 0.6),
    ):
        write_map(path, day, [outline], EVERYWHERE, scores=[score])
    write_map(path, "2018-08-20", [], EVERYWHERE)
    track_layers([path, write_map(tmp_path / "2019.gpkg", "2019-07-20", [A], EVERYWHERE)], tmp_path / "tracks.gpkg")
    first = read(tmp_path / "tracks.gpkg", "outlines").query("epoch == 2018").iloc[0]
    assert (first.n_views, first.n_hits) == (4, 3)
    assert first.score == pytest.approx((0.9 + 0.9 + 0.6) / 4)
    assert first.area_m2 == pytest.approx(3600, rel=2e-3)  # what half of the views show, not the largest
    assert str(first.acquired)[:10] == "2018-07-21"


def test_areas_are_geodesic_and_geometries_in_the_crs_of_the_first_layer(tmp_path):
    track_layers(years(tmp_path, [[A, B], [square(0, 0, 80), B]]), tmp_path / "tracks.gpkg")
    for name in ("tracks", "outlines", "growth", "events"):
        assert read(tmp_path / "tracks.gpkg", name).crs == CRS
    outlines = read(tmp_path / "tracks.gpkg", "outlines")
    np.testing.assert_allclose(outlines["area_m2"], area_m2(outlines.geometry), rtol=1e-5, atol=0.06)


def test_growth_is_measured_where_the_slump_has_gained_ground(tmp_path):
    layers = years(tmp_path, [[A], [square(0, 0, 60, 100)], [square(0, 0, 60, 102)]])  # 40 m northwards, then 2 m
    track_layers(layers, tmp_path / "tracks.gpkg")
    growth = read(tmp_path / "tracks.gpkg", "growth")
    assert list(growth.epoch_to) == [2019]  # 2 m are below the placement error
    (row,) = growth.itertuples()
    assert row.gained_m2 == pytest.approx(60 * 40, rel=5e-3)
    assert row.retreat_median_m == pytest.approx(40, rel=0.03)
    assert row.retreat_azimuth_deg % 360 == pytest.approx(0, abs=3) or row.retreat_azimuth_deg > 357
    assert row.retreat_by == "growth"
    (track,) = read(tmp_path / "tracks.gpkg", "tracks").itertuples()
    assert track.retreat_m_per_year == pytest.approx(42 / 2, rel=0.05)


def test_areas_may_be_asked_never_to_shrink(tmp_path):
    layers = years(tmp_path, [[A], [square(0, 0, 50)], [square(0, 0, 70)]])
    track_layers(layers, tmp_path / "tracks.gpkg", TrackOptions(monotone=True))
    outlines = read(tmp_path / "tracks.gpkg", "outlines").sort_values("epoch")
    assert (np.diff(outlines["area_smoothed_m2"]) >= 0).all()
    assert outlines["area_m2"].iloc[1] < outlines["area_m2"].iloc[0]
    assert read(tmp_path / "tracks.gpkg", "tracks")["smoothed"].all()


def test_the_same_slump_on_both_sides_of_the_antimeridian(tmp_path):
    across = shapely.box(179.999, 68.5, 180.0, 68.5005).union(shapely.box(-180.0, 68.5, -179.999, 68.5005))
    layers = [write_map(tmp_path / f"{y}.gpkg", f"{y}-07-20", [across], crs="EPSG:4326") for y in (2019, 2020)]
    track_layers(layers, tmp_path / "tracks.gpkg")
    (track,) = read(tmp_path / "tracks.gpkg", "tracks").itertuples()
    assert track.n_seen == 2
    assert track.area_last_m2 == pytest.approx(4544, rel=0.02)  # 2 x 0.001 degrees by 0.0005 degrees at 68.5 N
    assert max(part.bounds[2] - part.bounds[0] for part in track.geometry.geoms) < 0.01


def test_maps_of_other_utm_zones_are_followed_too(tmp_path):
    import geopandas

    moved = geopandas.GeoSeries([A], crs=CRS).to_crs("EPSG:32607")
    layers = [
        write_map(tmp_path / "a.gpkg", "2019-07-20", [A]),
        write_map(tmp_path / "b.gpkg", "2020-07-20", list(moved), crs="EPSG:32607"),
    ]
    assert track_layers(layers, tmp_path / "tracks.gpkg").n_tracks == 1


@pytest.mark.parametrize(
    ("field", "dates", "epochs"),
    [
        ("year", [2019, 2021], [2019, 2021]),
        ("date", ["2019-07-30", "2021-08-02"], [2019, 2021]),
        ("BaseMapDate", ["2019-07-01,2019-08-30", "2021-08-02"], [2019, 2021]),
        ("image_date", ["20190730", "20210802"], [2019, 2021]),
    ],
)
def test_published_outlines_are_followed_by_the_dates_that_they_have(tmp_path, field, dates, epochs):
    path = write_plain(tmp_path / "published.gpkg", dates, [A, A], field)
    summary = track_layers([path], tmp_path / "tracks.gpkg")
    assert summary.epochs == epochs
    assert summary.n_tracks == 1
    assert read(tmp_path / "tracks.gpkg", "tracks")["n_observed"].isna().all()  # nothing says what was observed


def test_the_file_is_self_explaining(tmp_path):
    layers = years(tmp_path, [[A, B], [A]])
    track_layers(layers, tmp_path / "tracks.gpkg", command="rtsmap track")
    with sqlite3.connect(tmp_path / "tracks.gpkg") as database:
        styles = dict(database.execute("SELECT f_table_name, styleQML FROM layer_styles WHERE useAsDefault"))
        related = dict(database.execute("SELECT related_table_name, mapping_table_name FROM gpkgext_relations"))
        (made,) = database.execute("SELECT metadata FROM gpkg_metadata").fetchone()
        pairs = database.execute(
            "SELECT count(*) FROM tracks_outlines m JOIN tracks t ON t.fid = m.base_id"
            " JOIN outlines o ON o.fid = m.related_id WHERE o.track_id = t.track_id"
        ).fetchone()
    database.close()
    assert set(styles) == {kind.name for kind in LAYERS}
    for kind in LAYERS:
        renderer = ElementTree.fromstring(styles[kind.name].partition("\n")[2]).find("renderer-v2")
        assert renderer.get("attr") in kind.fields
        symbols = {symbol.get("name"): symbol.get("type") for symbol in renderer.find("symbols")}
        assert set(symbols) == {category.get("symbol") for category in renderer.find("categories")}
        assert set(symbols.values()) == {"marker" if kind.geometry == "Point" else "fill"}
    for name in ("outlines", "events", "growth"):
        assert 'startField="valid_from"' in styles[name]
        assert 'endField="valid_to"' in styles[name]
    assert related == {name: f"tracks_{name}" for name in ("outlines", "events", "growth")}
    assert pairs == (3,)
    assert json.loads(made)["command"] == "rtsmap track"


def test_tiles_do_not_change_what_is_found(tmp_path, monkeypatch):
    from rtsmap.tracks import tiles

    rng = np.random.default_rng(0)
    places = rng.uniform(-4000, 4000, (60, 2))
    maps = [[square(x, y, 40 + 10 * step * (number % 3)) for number, (x, y) in enumerate(places)] for step in range(3)]
    layers = years(tmp_path, maps)
    track_layers(layers, tmp_path / "one.gpkg", TrackOptions(boundary_error_m=3.0))
    monkeypatch.setattr(tiles, "_MAX_OUTLINES", 7)
    track_layers(layers, tmp_path / "many.gpkg", TrackOptions(boundary_error_m=3.0))
    one, many = (
        read(tmp_path / f"{name}.gpkg", "outlines")
        .sort_values("outline_id")
        .drop(columns="geometry")
        .reset_index(drop=True)
        for name in ("one", "many")
    )
    assert one.equals(many)


def test_every_field_is_described():
    from pathlib import Path

    text = (Path(__file__).parents[1] / "docs" / "guide" / "tracks.md").read_text()
    assert [field for kind in LAYERS for field in kind.fields if f"`{field}`" not in text] == []
