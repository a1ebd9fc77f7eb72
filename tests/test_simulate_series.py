"""Simulated series: scenes of one area in several years, and the lineage of the slumps."""

from collections import Counter
from itertools import pairwise

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from click.testing import CliRunner
from rasterio.features import geometry_mask
from shapely import Polygon, box

from rtsmap.cli import main, rtsmap
from rtsmap.errors import InputError
from rtsmap.simulate.acquisition import make_acquisition
from rtsmap.simulate.scene import SceneOptions
from rtsmap.simulate.series.dynamics import first_state, next_state
from rtsmap.simulate.series.growth import merged, resized, split
from rtsmap.simulate.series.lineage import Epoch, all_links, epochs
from rtsmap.simulate.series.making import make_series
from rtsmap.simulate.series.stabilisation import already_stabilising
from rtsmap.simulate.series.writing import SERIES_TRUTH, write_series
from rtsmap.simulate.series.year import State
from rtsmap.simulate.slumps.features import Feature
from rtsmap.simulate.slumps.library import load_library
from rtsmap.simulate.slumps.placement import analyse_terrain, place_slumps
from rtsmap.simulate.statistics import APPEARED, LOST, MERGED, SHRINKING, SPLIT
from rtsmap.simulate.terrain.landscape import make_landscape
from rtsmap.simulate.terrain.regions import REGIONS

OPTIONS = SceneOptions(region="lena", seed=3, pixels=(700, 700), clouds=0, slumps=20)
YEARS = (2018, 2019, 2022)
NOTHING = Polygon()
DOWN = (1.0, 0.0)


@pytest.fixture(scope="module")
def series():
    return make_series(OPTIONS, YEARS)


@pytest.fixture(scope="module")
def folder(series, tmp_path_factory):
    target = tmp_path_factory.mktemp("series")
    assert [year for year, _ in write_series(series, target)] == list(YEARS)
    return target


@pytest.fixture(scope="module")
def slumps(folder):
    return geopandas.read_file(folder / SERIES_TRUTH, layer="slumps")


@pytest.fixture(scope="module")
def links(folder):
    return pyogrio.read_dataframe(folder / SERIES_TRUTH, layer="links")


@pytest.fixture(scope="module")
def tundra():
    """A landscape of 20 x 10 km on the Lena, and its footprint."""
    acquisition = make_acquisition(
        np.random.default_rng(0), lon=124.5, lat=72, day=None, gsd_m=3, size_km=(20, 10), pixels=None, bands=4
    )
    return analyse_terrain(
        make_landscape(np.random.default_rng(0), acquisition.grid, REGIONS["lena"])
    ), acquisition.footprint


@pytest.fixture(scope="module")
def histories(tundra):
    """Six simulated years of the slumps of this landscape."""
    (terrain, footprint), region, library = tundra, REGIONS["lena"], load_library()
    found = place_slumps(np.random.default_rng(1), terrain, region, library, footprint, 120)

    def simulated_years(seed):
        rng = np.random.default_rng(seed)
        state = first_state(rng, found)
        yield 2016, state
        for year in range(2017, 2022):
            state = next_state(rng, state, terrain, region, library, footprint)
            yield year, state

    return [epochs(simulated_years(seed), range(2016, 2022)) for seed in range(1)]


@pytest.fixture(scope="module")
def yearly(histories):
    """All links from year to year, and the number of slumps that they start from."""
    count = sum(len(epoch.state.slumps) for shown in histories for epoch in shown[:-1])
    return [link for shown in histories for link in all_links(shown)], count


def test_the_same_seed_gives_the_same_series_and_another_another(series):
    again, other = make_series(OPTIONS, YEARS), make_series(SceneOptions("lena", 4, pixels=(200, 200)), YEARS)
    outlines = [[slump.outline.wkb for epoch in one.epochs for slump in epoch.state.slumps] for one in (series, again)]
    assert outlines[0] == outlines[1]
    assert all_links(series.epochs) == all_links(again.epochs)
    tiles = [one.scene(one.epochs[1]).renderer.tile(0, 0).numbers for one in (series, again)]
    assert np.array_equal(*tiles)
    assert not np.array_equal(other.land.height.shape, series.land.height.shape)


def test_a_year_is_the_same_whatever_others_are_shown(series):
    fewer = make_series(OPTIONS, (YEARS[0], YEARS[2]))
    first, last = (one.epochs[-1].state.slumps for one in (series, fewer))
    assert [slump.outline.wkb for slump in first] == [slump.outline.wkb for slump in last]
    assert fewer.acquisitions[YEARS[2]] == series.acquisitions[YEARS[2]]


def test_every_year_is_a_product_and_footprints_shift(folder, series):
    images = sorted(folder.glob("*_3B_AnalyticMS_SR.tif"))
    assert [image.name[:4] for image in images] == [str(year) for year in YEARS]
    for kind in ("3B_udm2.tif", "metadata.json", "3B_AnalyticMS_metadata.xml", "truth.gpkg"):
        assert len(list(folder.glob(f"2*_{kind}"))) == len(YEARS)
    footprints = geopandas.read_file(folder / SERIES_TRUTH, layer="footprints")
    assert list(footprints.year) == list(YEARS)
    assert footprints.date.nunique() == len(YEARS)
    first, second = footprints.geometry[:2]
    assert 0.6 < first.intersection(second).area / first.area < 1


def test_ground_and_lakes_stay_while_the_phenology_changes(series):
    """The difference between two years is the same everywhere but for the sun on the slopes and the sensor's noise."""
    scenes = [series.scene(epoch) for epoch in series.epochs[:2]]
    first, second = (ground_at(simulated) for simulated in scenes)
    both = (first.min(axis=0) > 0) & (second.min(axis=0) > 0)
    infrared = np.corrcoef(first[3][both], second[3][both])[0, 1]
    assert infrared > 0.8
    assert not np.array_equal(first[:, both], second[:, both])
    water = [(values[3] < 300) & both for values in (first, second)]
    assert (water[0] ^ water[1]).sum() <= 0.2 * max(water[0].sum(), 100)


def ground_at(simulated):
    """The pixels of one tile around the middle of the area, whatever the acquisition."""
    grid = simulated.acquisition.grid
    numbers = simulated.renderer.tile(0, 0).numbers
    column, row = (round(value) for value in ~grid.transform @ middle_of(simulated))
    return numbers[:, row - 90 : row + 90, column - 90 : column + 90].astype(float)


def middle_of(simulated):
    land = simulated.land
    rows, columns = land.height.shape
    x, y = land.coordinates(np.array([rows // 2]), np.array([columns // 2]))[0]
    return round(x / 3) * 3, round(y / 3) * 3


def test_look_alikes_stay_where_they_are(series):
    first, second = (
        [f for f in series.scene(epoch).scenery.features if f.kind == "bare"] for epoch in series.epochs[:2]
    )
    kept = {feature.outline.wkb for feature in first} & {feature.outline.wkb for feature in second}
    assert len(kept) > 0.5 * len(first) > 0


def test_no_look_alike_lies_on_a_slump(series):
    for epoch in series.epochs:
        features = series.scene(epoch).scenery.features
        taken = shapely.union_all([feature.outline for feature in features if feature.kind == "slump"])
        others = [feature.outline for feature in features if feature.kind not in ("slump", "snow")]
        assert max(shapely.area(shapely.intersection(others, taken))) < 1


def test_every_slump_of_every_year_is_linked(slumps, links):
    for earlier, later in pairwise(YEARS):
        step = links[(links.year_from == earlier) & (links.year_to == later)]
        assert set(step.id_from.dropna()) == set(slumps[slumps.year == earlier].slump_id)
        assert set(step.id_to.dropna()) == set(slumps[slumps.year == later].slump_id)
    assert set(links.kind) <= {"continued", "merged", "split", "new", "stabilised"}
    assert links[links.kind == "new"].id_from.isna().all()
    assert links[links.kind == "stabilised"].id_to.isna().all()
    assert links[links.kind.isin(["continued", "merged", "split"])].overlap.notna().all()


def test_what_is_seen_of_a_slump_is_in_the_truth_of_its_year_under_the_same_number(folder, slumps):
    assert slumps.area_m2.to_numpy() == pytest.approx(slumps.area, rel=0.01)  # geodesic against UTM
    for year, of_year in slumps.groupby("year"):
        (path,) = folder.glob(f"{year}*_truth.gpkg")
        truth = geopandas.read_file(path, layer="rts").set_index("id")
        whole = of_year[of_year.seen == 1].set_index("slump_id")
        assert set(whole.index) <= set(truth.index) <= set(of_year[of_year.seen > 0].slump_id)
        assert whole.area_m2.to_numpy() == pytest.approx(truth.area_m2[whole.index].to_numpy())


def test_pixels_lose_their_green_where_and_when_a_slump_appears(folder, slumps, links):
    falls = []
    for link in links[links.kind == "new"].itertuples():
        outline = slumps[(slumps.year == link.year_to) & (slumps.slump_id == link.id_to)].geometry.iloc[0].buffer(-6)
        before, after = (ndvi_inside(folder, year, outline) for year in (link.year_from, link.year_to))
        if before is not None and after is not None:
            falls.append(before - after)
    assert falls
    assert np.median(falls) > 0.1


def ndvi_inside(folder, year, outline):
    """Median NDVI of the pixels of a year in an outline; None where the year does not show it whole."""
    (path,) = folder.glob(f"{year}*_SR.tif")
    with rasterio.open(path) as image:
        if outline.is_empty or not box(*image.bounds).contains(outline):
            return None
        inside = geometry_mask([outline], image.shape, image.transform, invert=True)
        red, infrared = image.read([3, 4]).astype(float)[:, inside]
    return None if len(red) == 0 or red.min() == 0 else float(np.median((infrared - red) / (infrared + red)))


def test_slumps_go_on_merge_split_stabilise_and_appear_as_often_as_measured(yearly):
    found, count = yearly
    kinds = Counter(link.kind for link in found)
    assert kinds["new"] / count == pytest.approx(APPEARED, abs=0.025)
    assert kinds["stabilised"] / count == pytest.approx(LOST, abs=0.02)
    assert kinds["merged"] / 2 / count == pytest.approx(MERGED, abs=0.015)
    assert kinds["split"] / 2 / count == pytest.approx(SPLIT, abs=0.015)


def test_small_slumps_stabilise_more_often_than_large_ones():
    """In Barth et al. 5.3 % of the slumps below 4000 m2 are gone a year later, and 1.0 % of the others."""
    rng = np.random.default_rng(0)
    areas = np.exp(rng.normal(8.27, 1.22, 20_000))
    slumps = [Feature("slump", box(0, 0, side, side), DOWN, 0.9, 1, n) for n, side in enumerate(np.sqrt(areas))]
    stabilising = already_stabilising(rng, slumps)
    assert len(stabilising) / len(slumps) == pytest.approx(3 * LOST, abs=0.01)
    found = np.array([slump.outline.area for slump in stabilising])
    small, large = (found < 4000).sum() / (areas < 4000).sum(), (found >= 4000).sum() / (areas >= 4000).sum()
    assert small > 2 * large
    assert np.median(found) / np.median(areas) == pytest.approx(0.5, abs=0.1)  # they shrink before they are gone
    assert max(slump.activity for slump in stabilising) < 0.61


def test_areas_change_as_measured(yearly):
    """5, 25, 50, 75 and 95 % of all pairs in Barth et al.: 0.65, 0.94, 1.07, 1.23, 2.02."""
    ratio = np.array([link.area_ratio for link in yearly[0] if link.kind == "continued"])
    low, quarter, median, three, high = np.quantile(ratio, (0.05, 0.25, 0.5, 0.75, 0.95))
    assert (low, quarter, median, three) == pytest.approx((0.65, 0.94, 1.07, 1.23), abs=0.12)
    assert 1.4 < high < 2.4
    assert np.mean(ratio < 1) == pytest.approx(SHRINKING, abs=0.08)


def test_slumps_of_one_year_lie_on_land_and_not_on_each_other(histories, tundra):
    for shown in histories:
        outlines = np.array([slump.outline for slump in shown[-1].state.slumps])
        first, second = shapely.STRtree(outlines).query(outlines, predicate="intersects")
        common = shapely.area(shapely.intersection(outlines[first], outlines[second]))[first < second]
        assert common.max(initial=0) < 1
        assert shapely.is_valid(outlines).all()
        assert tundra[0].shore(shapely.get_coordinates(outlines)).min() >= 0


def test_merged_slumps_hold_both_and_stabilising_ones_fade_before_they_go(histories):
    for shown in histories:
        for earlier, later in pairwise(shown):
            before = {slump.number: slump for slump in earlier.state.slumps}
            after = {slump.number: slump for slump in later.state.slumps}
            for link in all_links([earlier, later]):
                if link.kind == "merged":
                    assert after[link.id_to].outline.intersects(before[link.id_from].outline)
                if link.kind == "stabilised":
                    assert link.id_from in earlier.state.stabilising
                    assert before[link.id_from].activity < 0.4


def test_a_headwall_retreats_up_the_slope_and_plants_come_from_below():
    slump = Polygon([(0, 0), (120, 0), (120, 80), (0, 80)])
    grown = resized(np.random.default_rng(0), slump, DOWN, 1.3 * slump.area, NOTHING)
    shrunk = resized(np.random.default_rng(0), slump, DOWN, 0.8 * slump.area, NOTHING)
    assert (grown.area, shrunk.area) == pytest.approx((1.3 * slump.area, 0.8 * slump.area), rel=0.02)
    assert grown.bounds[0] < -10  # up is to the west
    assert grown.bounds[2] == pytest.approx(120, abs=4)
    assert shrunk.difference(slump).area < 1
    assert slump.difference(shrunk).centroid.x > 80


def test_growth_stops_at_a_neighbour():
    slump, neighbour = box(0, 0, 100, 80), box(-60, -40, -5, 120)
    grown = resized(np.random.default_rng(0), slump, DOWN, 2 * slump.area, neighbour)
    assert grown.intersection(neighbour).area < 1


def test_neighbours_merge_into_one_unless_another_lies_between():
    first, second = box(0, 0, 100, 60), box(0, 70, 100, 130)
    joined = merged(np.random.default_rng(0), first, second, DOWN, 15_000, NOTHING)
    assert joined.area == pytest.approx(15_000, rel=0.03)
    assert joined.intersection(first).area > 0.95 * first.area
    assert joined.intersection(second).area > 0.95 * second.area
    assert merged(np.random.default_rng(0), first, second, DOWN, 15_000, box(-50, 62, 150, 68)) is None


def test_a_slump_splits_along_the_slope():
    larger, smaller = split(np.random.default_rng(0), box(0, 0, 100, 100), DOWN, 0.25, 8)
    assert larger.distance(smaller) == pytest.approx(8, abs=1)
    assert smaller.area / (larger.area + smaller.area) == pytest.approx(0.25, abs=0.06)


def test_lineage_reaches_across_years_that_are_not_shown():
    """1 and 2 merge into 4 in the hidden year, which splits into 5 and 6; 3 stabilises; 7 is new."""

    def epoch(year, parents):
        outlines = {number: box(0, 0, number, 1) for number in parents}
        features = tuple(Feature("slump", outline, DOWN, 1, 1, number) for number, outline in outlines.items())
        return year, State(features, frozenset(), (), {n: frozenset(p) for n, p in parents.items()}, max(parents))

    passing = [
        epoch(2018, {1: [], 2: [], 3: []}),
        epoch(2019, {4: [1, 2], 3: [3]}),
        epoch(2020, {5: [4], 6: [4], 7: []}),
    ]
    shown: list[Epoch] = epochs(passing, (2018, 2020))
    kinds = [(link.id_from, link.id_to, link.kind) for link in all_links(shown)]
    assert kinds == [
        (1, 5, "merged"), (2, 5, "merged"), (1, 6, "merged"), (2, 6, "merged"), (None, 7, "new"),
        (3, None, "stabilised"),
    ]  # fmt: skip


def test_the_command_writes_years_that_its_message_names(tmp_path):
    words = ["simulate", "series", "-o", str(tmp_path), "--years", "2019,2020", "--pixels", "128", "100", "--no-clouds"]
    result = CliRunner().invoke(rtsmap, [*words, "--slumps", "0", "--region", "taimyr"])
    assert result.exit_code == 0, result.output
    for year in (2019, 2020):
        (image,) = tmp_path.glob(f"{year}*_SR.tif")
        assert str(image) in result.output
    assert "links: none, because there are no slumps" in result.output
    slumps = pyogrio.read_info(tmp_path / SERIES_TRUTH, layer="slumps")
    assert (slumps["features"], slumps["geometry_type"]) == (0, "Polygon")
    links = pyogrio.read_info(tmp_path / SERIES_TRUTH, layer="links")
    kinds = dict(zip(links["fields"], links["dtypes"], strict=True))
    assert (links["features"], kinds["area_ratio"], kinds["iou"]) == (0, "float64", "float64")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--years", "2018"], "--years 2018: give two or more years, the earliest first"),
        (["--years", "2021,2019"], "--years 2021,2019: give two or more years"),
        (["--years", "2019,2019"], "--years 2019,2019: give two or more years"),
        (["--years", "2019,soon"], "'2019,soon' is not a list of years such as 2018,2019,2021"),
        (["--years", "20,2019"], "must lie between 1900 and 2100"),
        (["--years", "2018,2019", "--region", "mars"], "'mars' is not one of"),
        (["--years", "2018,2019", "--pixels", "9", "9"], "each side must be 64 to 65536"),
        ([], "Missing option '--years'"),
    ],
)
def test_bad_input_ends_in_one_line_and_exit_2(monkeypatch, capsys, tmp_path, arguments, message):
    monkeypatch.setattr("sys.argv", ["rtsmap", "simulate", "series", "-o", str(tmp_path / "out"), *arguments])
    with pytest.raises(SystemExit) as failure:
        main()
    assert failure.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten_unless_told(series, folder):
    before = (folder / SERIES_TRUTH).stat().st_mtime_ns
    with pytest.raises(InputError, match="exists already"):
        next(write_series(series, folder))
    assert (folder / SERIES_TRUTH).stat().st_mtime_ns == before
