"""Area against date: rates of growth with their uncertainty."""

from dataclasses import dataclass

import numpy as np

from rtsmap.tracks.errors import ErrorModel
from rtsmap.tracks.outlines import Floats, Ints, run_starts

DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Rates:
    """Of each track.

    Attributes:
        rate: m2 per year, NaN where fewer than two dates are known.
        low: of the 95 % interval.
        high: of the 95 % interval.
        n: outlines that were used.
        first_day: of these, days since 1970-01-01.
        last_day: likewise.
        chi2: sum of the squared residuals by their standard errors.
    """

    rate: Floats
    low: Floats
    high: Floats
    n: Ints
    first_day: Floats
    last_day: Floats
    chi2: Floats


def fit_rates(track: Ints, n_tracks: int, days: Floats, areas: Floats, errors: Floats, model: ErrorModel) -> Rates:
    """Weighted least squares of area against date, track by track.

    The standard error of the rate is that of the stated errors times the square root of a scale, (v + chi2) /
    (v + n - 2), where v is the worth of the stated error in residuals (the moderated t of Smyth 2004, made for many
    short series). The interval is Student's t with v + n - 2 degrees of freedom.

    Args:
        track: number of each outline's track; a negative one is left out.
        n_tracks: how many there are.
        days: dates, days.
        areas: m2.
        errors: their standard errors, m2.
        model: that gave them.
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
    """The track's number of outlines in its longest spell without a merge or a split, -1 of all others.

    Where slumps merge or part, the area jumps though nothing grows; of spells of equal length the latest counts.

    Args:
        track: of each outline.
        order: outlines in the order of track and date.
        breaks: 1 where the outline came of a merge or a split, which begins a new spell, else 0.
        n_tracks: how many tracks there are.
    """
    ordered = track[order]
    begins = run_starts(ordered) | (breaks[order] > 0)
    spell = np.cumsum(begins) - 1
    size = np.bincount(spell)
    owner = ordered[np.flatnonzero(begins)]
    best = np.full(n_tracks, -1, dtype=np.int64)
    by_size = np.argsort(size, kind="stable")
    best[owner[by_size]] = by_size  # the longest, and of these the latest, is written last
    chosen = np.full(len(track), -1, dtype=np.int64)
    chosen[order] = np.where(best[ordered] == spell, ordered, -1)
    return chosen
