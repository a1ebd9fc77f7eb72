"""Growth rates: weighted linear fits of area against date, with confidence intervals."""

from dataclasses import dataclass

import numpy as np

from rtsmap.tracks.errors import ErrorModel
from rtsmap.tracks.outlines import Floats, Ints, run_starts

DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Rates:
    """The growth rates of tracks.

    Attributes:
        rate: growth rates, m2 per year; NaN for tracks with fewer than two dates.
        low: lower limits of the 95 % intervals, m2 per year.
        high: upper limits of the 95 % intervals, m2 per year.
        n: numbers of outlines that were fitted.
        first_day: dates of the first of these outlines, days since 1970-01-01.
        last_day: dates of the last of these outlines, days since 1970-01-01.
        chi2: sums of the squared residuals divided by the squared standard errors.
    """

    rate: Floats
    low: Floats
    high: Floats
    n: Ints
    first_day: Floats
    last_day: Floats
    chi2: Floats


def fit_rates(track: Ints, n_tracks: int, days: Floats, areas: Floats, errors: Floats, model: ErrorModel) -> Rates:
    """Fit area against date by weighted least squares, track by track.

    The standard error of a rate follows from the errors of the areas, multiplied by the square root of (v + chi2) /
    (v + n - 2), where v is the prior degrees of freedom of the error model (the moderated t-statistic of Smyth 2004,
    which was made for many short series). The interval is that of Student's t with v + n - 2 degrees of freedom.

    Args:
        track: number of the track of each outline; outlines with a negative number are ignored.
        n_tracks: number of tracks.
        days: dates of the outlines, days.
        areas: areas of the outlines, m2.
        errors: standard errors of the areas, m2.
        model: error model, which gives the prior degrees of freedom.
    """
    used = track >= 0
    group, years = track[used], days[used] / DAYS_PER_YEAR
    area, weight = areas[used], 1 / errors[used] ** 2

    def total(values: Floats) -> Floats:
        return np.bincount(group, values, minlength=n_tracks).astype(np.float64)

    n = np.bincount(group, minlength=n_tracks)
    weights = np.maximum(total(weight), 1e-300)
    middle, mean = total(weight * years) / weights, total(weight * area) / weights
    apart = years - middle[group]
    spread = total(weight * apart**2)
    first, last = np.full(n_tracks, np.inf), np.full(n_tracks, -np.inf)
    np.minimum.at(first, group, days[used])
    np.maximum.at(last, group, days[used])
    fits = (n >= 2) & (last - first >= 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(fits, total(weight * apart * (area - mean[group])) / spread, np.nan)
        residual = area - mean[group] - rate[group] * apart
        chi2 = np.where(fits, total(weight * residual**2), np.nan)
        freedom = np.where(fits, n - 2, 0)
        scale = (model.worth + chi2) / (model.worth + freedom)
        half = model.quantile(freedom) * np.sqrt(scale / spread)
    known = np.where(n > 0, 1.0, np.nan)
    with np.errstate(invalid="ignore"):
        return Rates(rate, rate - half, rate + half, n, first * known, last * known, chi2)


def longest_spells(track: Ints, order: Ints, breaks: Ints, n_tracks: int) -> Ints:
    """Select the longest spell of each track without a merge or a split.

    The area jumps at a merge or a split although nothing grows. Of spells of equal length the latest is selected.

    Args:
        track: number of the track of each outline.
        order: numbers of the outlines, sorted by track and date.
        breaks: 1 for outlines that result from a merge or a split and so begin a new spell, otherwise 0.
        n_tracks: number of tracks.

    Returns:
        `(n,)`, the number of the track for outlines in its longest spell, and -1 for all others.
    """
    ordered = track[order]
    begins = run_starts(ordered) | (breaks[order] > 0)
    spell = np.cumsum(begins) - 1
    size = np.bincount(spell)
    owner = ordered[np.flatnonzero(begins)]
    best = np.full(n_tracks, -1, dtype=np.int64)
    by_size = np.argsort(size, kind="stable")
    best[owner[by_size]] = by_size  # the latest of the longest spells is written last
    chosen = np.full(len(track), -1, dtype=np.int64)
    chosen[order] = np.where(best[ordered] == spell, ordered, -1)
    return chosen
