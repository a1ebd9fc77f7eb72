"""How uncertain the areas of outlines are, as the series itself shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from scipy.optimize import brentq
from scipy.special import digamma, polygamma, stdtrit

from rtsmap.tracks.outlines import Floats, Objects

_REFERENCE_M = 300.0  # perimeter for which a boundary error is told; a slump 80 m across
_LEAST_TRACKS = 30
_CONFIDENCE = 0.95
#: What a stated error is worth, in residuals; chosen. Measured ones come with their own.
_STATED = 4.0
_LIMITS = 1.0, 100.0  # of that worth
_SMALLEST = 1e-6  # of a residual variance, relative to the stated one: a track may lie on a line by chance


@dataclass(frozen=True)
class ErrorModel:
    """Standard errors of areas, and how far they can be relied upon.

    An outline of perimeter P whose position is uncertain by e, alike over a length L, consists of n = P / L independent
    pieces (one at least): the error of its area is P e / sqrt(n).

    Attributes:
        boundary_error_m: e for a perimeter of 300 m.
        correlation_m: L.
        exponent: e changes by this power of the perimeter.
        worth: how many residuals of a track the stated error counts as much as; degrees of freedom of Student's t.
        n_tracks: from how many tracks it was measured; 0 where it was stated.
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
        """Of Student's t for a two-sided interval of 95 %, with so many more degrees of freedom."""
        return np.asarray(stdtrit(self.worth + freedom, (1 + _CONFIDENCE) / 2), dtype=np.float64)


def measured(model: ErrorModel, chi2: Floats, freedom: Floats, perimeter_m: Floats) -> ErrorModel:
    """The model that the scatter of areas around straight lines speaks for.

    Of each track the residual variance s2 = chi2 / freedom is a multiple of the stated one. Its logarithm is taken as a
    line over that of the perimeter, and the worth of that line follows from how much tracks differ beyond chance: the
    moderated variances of Smyth 2004 (Statistical Applications in Genetics and Molecular Biology 3, section 6.2), with
    a trend. Real growth that is not even in time counts as scatter.

    Args:
        model: the stated errors, by which chi2 was reckoned.
        chi2: of each track of three and more dates, squared residuals by squared errors.
        freedom: of each, its dates less two.
        perimeter_m: of each, the mean.

    Returns:
        `model` where there are fewer than 30 tracks.
    """
    use = np.isfinite(chi2) & (freedom > 0)
    if use.sum() < _LEAST_TRACKS:
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
    """Degrees of freedom whose log variance scatters that much: trigamma(worth / 2) = beyond."""
    low, high = _LIMITS

    def excess(worth: float) -> float:
        return float(polygamma(1, worth / 2)) - beyond

    if excess(low) <= 0:
        return low
    return high if excess(high) >= 0 else float(brentq(excess, low, high))


def perimeters(shapes: Objects, groups: "np.ndarray[tuple[int], np.dtype[np.int64]]", count: int) -> Floats:
    """Mean perimeter of each group of polygons, m; NaN of an empty one."""
    used = groups >= 0
    length = np.asarray(shapely.length(shapes), dtype=np.float64)[used]
    with np.errstate(invalid="ignore"):
        return np.bincount(groups[used], length, count) / np.bincount(groups[used], minlength=count)


def joined(parts: Sequence[Floats]) -> Floats:
    """All values of several arrays."""
    return np.concatenate([np.zeros(0), *parts])
