"""Area against date: rates of growth with their uncertainty."""

from dataclasses import dataclass

import numpy as np
import shapely
from scipy.special import stdtrit

from rtsmap.tracks.outlines import Floats, Ints, Objects

DAYS_PER_YEAR = 365.25
#: How many residuals the stated boundary error is worth: the interval of two outlines is that of Student's t with as
#: many degrees of freedom. Chosen; benchmarks.tracks measures the coverage that it gives.
PRIOR_RESIDUALS = 4.0
_CONFIDENCE = 0.95


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


def area_errors(shapes: Objects, boundary_error_m: float, correlation_m: float) -> Floats:
    """Standard errors of areas, m2.

    An outline of perimeter P whose position is uncertain by e, alike over a length L, consists of n = P / L independent
    pieces (one at least): the error of its area is P e / sqrt(n).

    Args:
        shapes: polygons, m.
        boundary_error_m: e.
        correlation_m: L.
    """
    perimeter = np.asarray(shapely.length(shapes), dtype=np.float64)
    pieces = np.maximum(perimeter / correlation_m, 1.0)
    errors: Floats = perimeter * boundary_error_m / np.sqrt(pieces)
    return errors


def fit_rates(track: Ints, n_tracks: int, days: Floats, areas: Floats, errors: Floats) -> Rates:
    """Weighted least squares of area against date, track by track.

    The standard error of the rate is that of the stated errors times the square root of a scale, (v + chi2) /
    (v + n - 2), with v = `PRIOR_RESIDUALS`: the mean of a scaled inverse chi-squared distribution, in which the stated
    error counts as much as v residuals (Gelman et al. 2013, Bayesian Data Analysis, section 2.6; Smyth 2004 uses the
    same for many short series). The interval is Student's t with v + n - 2 degrees of freedom.

    Args:
        track: number of each outline's track; a negative one is left out.
        n_tracks: how many there are.
        days: dates, days.
        areas: m2.
        errors: their standard errors, m2.
    """
    used = track >= 0
    group, years = track[used], days[used] / DAYS_PER_YEAR
    area, weight = areas[used], 1 / errors[used] ** 2

    def total(values: Floats) -> Floats:
        return np.bincount(group, values, minlength=n_tracks)

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
        freedom = np.where(fits, PRIOR_RESIDUALS + n - 2, np.nan)
        scale = (PRIOR_RESIDUALS + chi2) / freedom
        half = stdtrit(freedom, (1 + _CONFIDENCE) / 2) * np.sqrt(scale / spread)
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
    begins = np.concatenate([[True], np.diff(ordered) != 0])[: len(order)] | (breaks[order] > 0)
    spell = np.cumsum(begins) - 1
    size = np.bincount(spell)
    owner = ordered[np.flatnonzero(begins)]
    best = np.full(n_tracks, -1, dtype=np.int64)
    by_size = np.argsort(size, kind="stable")
    best[owner[by_size]] = by_size  # the longest, and of these the latest, is written last
    chosen = np.full(len(track), -1, dtype=np.int64)
    chosen[order] = np.where(best[ordered] == spell, ordered, -1)
    return chosen
