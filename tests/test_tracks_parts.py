import numpy as np
import pandas as pd
import pytest
import shapely
from shapely import box

from rtsmap.tracks.dates import days_of, years_of
from rtsmap.tracks.epochs import majority
from rtsmap.tracks.errors import ErrorModel, measured
from rtsmap.tracks.links import assign, link
from rtsmap.tracks.options import TrackOptions
from rtsmap.tracks.outlines import shapes_of
from rtsmap.tracks.rates import fit_rates, longest_spells
from rtsmap.tracks.retreat import measure
from rtsmap.tracks.tiles import groups, tiles


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2019-07-30", "2019-07-30"),
        ("20190730", "2019-07-30"),
        ("2019-07-30T12:00:00Z", "2019-07-30"),
        ("2019-07-01,2019-07-31", "2019-07-16"),
        (2019, "2019-08-01"),
        ("2019.0", "2019-08-01"),
        (pd.Timestamp("2019-07-30", tz="UTC"), "2019-07-30"),
        ("202-00-722", None),
        (None, None),
        ("summer", None),
        (1234, None),
    ],
)
def test_dates_are_read_as_published_layers_write_them(value, day):
    (days,) = days_of(pd.Series([value]))
    assert (None if np.isnan(days) else str(np.datetime64(int(days), "D"))) == day


def test_the_year_is_that_of_the_calendar():
    assert years_of(days_of(pd.Series(["1969-12-31", "1970-01-01", "2020-12-31"]))).tolist() == [1969, 1970, 2020]


@pytest.mark.parametrize(
    ("pairs", "taken"),
    [
        ([], []),
        ([(0, 0, 0.2)], [(0, 0)]),
        # the greedy choice of 0.6 would leave the others alone
        ([(0, 0, 0.5), (0, 1, 0.6), (1, 1, 0.5)], [(0, 0), (1, 1)]),
        ([(0, 0, 0.5), (1, 0, 0.4), (7, 3, 0.1)], [(0, 0), (7, 3)]),
    ],
)
def test_one_to_one_links_have_the_largest_sum_of_overlaps(pairs, taken):
    first, second, weights = (np.array([pair[axis] for pair in pairs]) for axis in range(3))
    chosen = assign(first.astype(int), second.astype(int), weights.astype(float))
    assert [pair[:2] for pair, kept in zip(pairs, chosen, strict=True) if kept] == taken


@pytest.mark.parametrize(
    ("earlier", "later", "links"),
    [
        ([box(0, 0, 50, 50)], [box(20, 0, 70, 50)], [(0, 0, True)]),
        ([box(0, 0, 50, 50)], [box(45, 0, 95, 50)], []),  # 10 % of the smaller, 22 % with the buffer
        ([box(0, 0, 10, 10)], [box(12, 0, 22, 10)], [(0, 0, True)]),  # beside each other by less than the error
        ([box(0, 0, 50, 50), box(52, 0, 90, 50)], [box(0, 0, 90, 50)], [(0, 0, True), (1, 0, False)]),
        # both go on, though the first was drawn over most of the second
        (
            [box(0, 0, 50, 50), box(50, 0, 80, 50)],
            [box(0, 0, 70, 50), box(48, 0, 80, 50)],
            [(0, 0, True), (1, 1, True)],
        ),
    ],
)
def test_links(earlier, later, links):
    found = link(shapes_of(earlier), shapes_of(later), TrackOptions())
    told = sorted(zip(found.earlier.tolist(), found.later.tolist(), found.is_main.tolist(), strict=True))
    assert told == links


def test_the_majority_is_what_enough_views_show():
    views = [box(0, 0, 10, 10), box(5, 0, 15, 10), box(5, 0, 30, 10)]
    assert majority(views, 1).area == 300
    assert majority(views, 2).bounds == (5, 0, 15, 10)
    assert majority(views, 3).bounds == (5, 0, 10, 10)
    assert majority(views, 4).is_empty


def test_the_rate_is_that_of_weighted_least_squares():
    rng, days = np.random.default_rng(0), np.array([0.0, 365.25, 700.0, 1461.0])
    areas, errors = 1000 + 50 * days / 365.25 + rng.normal(0, 20, 4), np.array([10.0, 20.0, 10.0, 30.0])
    rates = fit_rates(np.zeros(4, dtype=int), 1, days, areas, errors, ErrorModel(1.0, 1.0))
    expected = np.polyfit(days / 365.25, areas, 1, w=1 / errors)[0]
    assert rates.rate[0] == pytest.approx(expected)
    assert rates.low[0] < expected < rates.high[0]


@pytest.mark.parametrize("days", [[0.0], [0.0, 0.0]])
def test_one_date_gives_no_rate(days):
    count = len(days)
    rates = fit_rates(np.zeros(count, dtype=int), 1, np.array(days), np.ones(count), np.ones(count), ErrorModel(1, 1))
    assert np.isnan([rates.rate[0], rates.low[0], rates.high[0]]).all()


@pytest.mark.parametrize(("dates", "tail"), [(3, np.inf), (6, np.inf), (3, 5.0), (6, 5.0)])
def test_intervals_hold_the_true_rate_as_often_as_they_say(dates, tail):
    """Errors four times the stated ones that grow with the perimeter, also where they differ between slumps."""
    rng, count = np.random.default_rng(1), 3000
    perimeter = np.exp(rng.normal(6, 0.5, count))
    stated = 3.0 * np.sqrt(perimeter * 30.0)
    own = 4 * (perimeter / 300) ** 0.3 * (np.sqrt(tail / rng.chisquare(tail, count)) if np.isfinite(tail) else 1)
    days = np.arange(dates) * 400.0
    areas = 5000 + 300 * days / 365.25 + rng.normal(0, 1, (count, dates)) * (stated * own)[:, None]
    track, model = np.repeat(np.arange(count), dates), ErrorModel(3.0, 30.0)
    data = track, count, np.tile(days, count), areas.ravel()
    first = fit_rates(*data, np.repeat(stated, dates), model)
    found = measured(model, first.chi2, first.n - 2.0, perimeter)
    assert found.boundary_error_m == pytest.approx(12, rel=0.2)
    assert found.exponent == pytest.approx(0.3, abs=0.12)
    errors = stated * found.boundary_error_m / 3 * (perimeter / 300) ** found.exponent
    rates = fit_rates(*data, np.repeat(errors, dates), found)
    assert 0.93 <= np.mean((rates.low <= 300) & (rates.high >= 300)) <= 0.97


def test_errors_are_not_measured_on_a_few_tracks():
    model = ErrorModel(3.0, 30.0)
    assert measured(model, np.ones(10), np.ones(10), np.full(10, 300.0)) is model


def test_the_longest_spell_without_a_merge_counts():
    track, order = np.array([0, 0, 0, 0, 0, 1, 1]), np.arange(7)
    breaks = np.array([0, 0, 1, 0, 0, 0, 1])
    assert longest_spells(track, order, breaks, 2).tolist() == [-1, -1, 0, 0, 0, -1, 1]


@pytest.mark.parametrize("angle", [0, 45, 90, 200])
def test_retreat_follows_the_direction_of_growth(angle):
    old, new = box(-40, -30, 40, 30), box(-40, -30, 40, 55)
    turned = [shapely.affinity.rotate(shape, -angle, origin=(0, 0)) for shape in (old, new)]
    growth = measure(shapes_of(turned[:1]), shapes_of(turned[1:]), 6.0)
    assert growth.gained_m2[0] == pytest.approx(2000)
    assert growth.lost_m2[0] == pytest.approx(0, abs=1e-6)
    assert growth.median_m[0] == pytest.approx(25, rel=0.02)
    assert growth.max_m[0] == pytest.approx(25, rel=0.02)
    assert (growth.azimuth_deg[0] - angle + 180) % 360 - 180 == pytest.approx(0, abs=4)  # one corner counts


def test_growth_narrower_than_the_placement_error_is_noise():
    growth = measure(shapes_of([box(0, 0, 80, 60)]), shapes_of([box(-3, -3, 83, 63)]), 6.0)
    assert growth.gained_m2[0] == 0
    assert np.isnan(growth.median_m[0])


def test_outlines_that_may_be_linked_are_in_one_tile():
    rng = np.random.default_rng(2)
    low = rng.uniform(0, 300_000, (500, 2))
    bounds = np.hstack([low, low + rng.uniform(20, 400, (500, 2))])
    near = shapely.STRtree(shapely.box(*bounds.T)).query(shapely.box(*bounds.T), predicate="dwithin", distance=12)
    group = groups(bounds, 12.0)
    assert (group[near[0]] == group[near[1]]).all()
    assert len(np.unique(group)) > 300
    parts = [tile.rows for tile in tiles(bounds, 12.0)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(500))
    tile_of = np.zeros(500, dtype=int)
    for number, rows in enumerate(parts):
        tile_of[rows] = number
    assert (tile_of[near[0]] == tile_of[near[1]]).all()


@pytest.mark.parametrize("moved", [(0.0, 0.0), (3.0, -5.0), (1.3, 0.6), (-0.5, 6.25)])
def test_displacement_is_found_to_a_tenth_of_a_pixel(moved):
    from scipy import ndimage

    from rtsmap.tracks.alignment import displacement

    rng = np.random.default_rng(3)
    ground = ndimage.gaussian_filter(rng.normal(size=(200, 200)), 2.0)
    other = ndimage.shift(ground, moved, order=3, mode="wrap")
    noise = rng.normal(0, 0.2 * ground.std(), (2, 128, 128))
    rows, columns, clearness = displacement(ground[36:164, 36:164] + noise[0], other[36:164, 36:164] + noise[1])
    assert (rows, columns) == pytest.approx(moved, abs=0.1)
    assert clearness > 10
    assert displacement(noise[0], noise[1])[2] < 10
