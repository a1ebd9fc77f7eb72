"""Standard errors of the areas of outlines, stated by the user or estimated from the series."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from scipy.optimize import brentq
from scipy.special import digamma, polygamma, stdtrit

from rtsmap.tracks.outlines import Floats, Objects

_REFERENCE_M = 300.0  # perimeter for which a boundary error is reported: that of a slump 80 m across
_MIN_TRACKS = 30
_CONFIDENCE = 0.95
#: Prior degrees of freedom of a stated error: a choice. Those of estimated errors are estimated too.
_STATED = 4.0
_LIMITS = 1.0, 100.0  # of the prior degrees of freedom
_SMALLEST = 1e-6  # residual variance relative to the stated one, because areas may lie on a line by chance


@dataclass(frozen=True)
class ErrorModel:
    """A model of the standard errors of areas.

    Let the position of an outline of perimeter P have the standard error e, and let its errors be correlated over a
    length L. The outline then consists of n = P / L independent pieces (at least one), and the standard error of its
    area is P e / sqrt(n).

    Attributes:
        boundary_error_m: e for a perimeter of 300 m, m.
        correlation_m: L, m.
        exponent: e is proportional to this power of the perimeter.
        worth: prior degrees of freedom of the variance: the error counts as much as this number of residuals.
        n_tracks: number of tracks from which the errors were estimated; 0 if they were stated.
    """

    boundary_error_m: float
    correlation_m: float
    exponent: float = 0.0
    worth: float = _STATED
    n_tracks: int = 0

    def errors(self, shapes: Objects) -> Floats:
        """Standard errors of the areas of polygons, m2."""
        perimeter = np.maximum(np.asarray(shapely.length(shapes), dtype=np.float64), 1.0)
        pieces = np.maximum(perimeter / self.correlation_m, 1.0)
        boundary = self.boundary_error_m * (perimeter / _REFERENCE_M) ** self.exponent
        errors: Floats = perimeter * boundary / np.sqrt(pieces)
        return errors

    def quantile(self, freedom: Floats | float = 0.0) -> Floats:
        """The quantile of Student's t for a two-sided 95 % interval, with `worth + freedom` degrees of freedom."""
        return np.asarray(stdtrit(self.worth + freedom, (1 + _CONFIDENCE) / 2), dtype=np.float64)


def measured(model: ErrorModel, chi2: Floats, freedom: Floats, perimeter_m: Floats) -> ErrorModel:
    """Estimate the errors from the scatter of areas around straight lines.

    The residual variance of a track, s2 = chi2 / freedom, is relative to the stated variance. Its logarithm is modelled
    as a linear function of the logarithm of the perimeter, and the prior degrees of freedom follow from how much
    tracks differ beyond chance: these are the moderated variances of Smyth 2004 (Statistical Applications in Genetics
    and Molecular Biology 3, section 6.2), with a trend. Real growth that is uneven in time counts as scatter.

    Args:
        model: the stated errors, with which chi2 was computed.
        chi2: `(n,)` sums of squared residuals divided by squared errors, one for each track.
        freedom: `(n,)` numbers of dates minus two; tracks without residual degrees of freedom are ignored.
        perimeter_m: `(n,)` mean perimeters, m.

    Returns:
        The estimated model, or `model` if there are fewer than 30 tracks.
    """
    use = np.isfinite(chi2) & (freedom > 0)
    if use.sum() < _MIN_TRACKS:
        return model
    half, size = freedom[use] / 2, np.log(perimeter_m[use] / _REFERENCE_M)
    logs = np.log(np.maximum(chi2[use] / freedom[use], _SMALLEST)) - digamma(half) + np.log(half)
    weight = 1 / polygamma(1, half)
    slope, level = np.polyfit(size, logs, 1, w=np.sqrt(weight)) if np.ptp(size) > 0.1 else (0.0, np.mean(logs))
    scatter = np.average((logs - level - slope * size) ** 2, weights=weight)
    worth = _worth(scatter - np.average(polygamma(1, half), weights=weight))
    variance = np.exp(level + digamma(worth / 2) - np.log(worth / 2))
    return ErrorModel(
        model.boundary_error_m * float(np.sqrt(variance)),
        model.correlation_m,
        model.exponent + float(slope) / 2,
        worth,
        int(use.sum()),
    )


def _worth(beyond: float) -> float:
    """The degrees of freedom that solve trigamma(worth / 2) = beyond, within the limits."""
    low, high = _LIMITS

    def excess(worth: float) -> float:
        return float(polygamma(1, worth / 2)) - beyond

    if excess(low) <= 0:
        return low
    return high if excess(high) >= 0 else float(brentq(excess, low, high))


def perimeters(shapes: Objects, groups: "np.ndarray[tuple[int], np.dtype[np.int64]]", count: int) -> Floats:
    """The mean perimeter of each group of polygons, m; NaN for an empty group."""
    used = groups >= 0
    length = np.asarray(shapely.length(shapes), dtype=np.float64)[used]
    with np.errstate(invalid="ignore"):
        return np.bincount(groups[used], length, count) / np.bincount(groups[used], minlength=count)


def joined(parts: Sequence[Floats]) -> Floats:
    """The values of several arrays as one array, which may be empty."""
    return np.concatenate([np.zeros(0), *parts])
