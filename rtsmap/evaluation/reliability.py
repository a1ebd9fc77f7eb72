"""Reliability of scores: how often predictions of similar scores are correct, as numbers and as a figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rtsmap.detector.calibrated import calibrated
from rtsmap.evaluation.matching import Floats
from rtsmap.evaluation.score_calibration import LOWER_IOUS, MIN_IOU, Evidence, expected_by_site, left_out
from rtsmap.figures import drawing
from rtsmap.settings.card import Calibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Least number of correct predictions that the scores of a bin must promise, and the greatest number of bins. Most
#: predictions have low scores, so that bins with equal numbers of predictions would hardly resolve the high scores. The
#: bins must not depend on which predictions are correct.
PER_BIN, MOST_BINS = 5, 10

_Z = 1.959964  # standard normal quantile of a 95 % interval
_COLOURS = ("#8c8c8c", "#1f77b4", "#d95f02")


@dataclass(frozen=True)
class Bin:
    """Predictions of similar scores.

    Attributes:
        predictions: number of predictions.
        score: mean score of the predictions, 0..1.
        right: share of the predictions that match a label at `MIN_IOU`, 0..1.
        interval: 95 % interval of that share (Wilson 1927) for independent predictions. Predictions of the same slump
            in several scenes are not independent, so the interval is somewhat too narrow.
        near: share of the predictions that match a label at each of `LOWER_IOUS`, 0..1.
    """

    predictions: int
    score: float
    right: float
    interval: tuple[float, float]
    near: tuple[float, ...]


def bins_of(scores: Floats, evidence: Evidence) -> list[Bin]:
    """Divide predictions into bins of about equal sums of scores, the expected numbers of slumps, in ascending order.

    Args:
        scores: `(n,)`, the scores to assess, 0..1; NaN are left out.
        evidence: the evidence of n predictions.
    """
    order = np.argsort(scores, kind="stable")
    order = order[~np.isnan(scores[order])]
    if not len(order):
        return []
    sums = np.cumsum(scores[order])
    count = min(max(int(sums[-1] // PER_BIN), 1), MOST_BINS)
    ends = np.searchsorted(sums, sums[-1] * np.arange(1, count) / count)
    return [_bin(scores[part], evidence.where(part)) for part in np.split(order, ends) if len(part)]


def curves_of(evidence: Evidence, before: Calibration | None, after: Calibration | None) -> dict[str, list[Bin]]:
    """Return bins of the scores before and after calibration, and after calibration by the other sites.

    Args:
        evidence: the evidence, with uncalibrated scores.
        before: the calibration in the card of the model; None if it has none.
        after: a calibration that is fitted to the evidence; None if there is none.
    """
    curves = {"before" if after else "scores": bins_of(calibrated(evidence.scores, before), evidence)}
    if after:
        curves["after"] = bins_of(calibrated(evidence.scores, after), evidence)
        if unknown := bins_of(left_out(evidence), evidence):
            curves["after, by the other sites"] = unknown
    return curves


def _bin(scores: Floats, evidence: Evidence) -> Bin:
    number, right = len(scores), int(evidence.right.sum())
    near = tuple(evidence.near.mean(axis=1).tolist())
    return Bin(number, float(scores.mean()), right / number, wilson(right, number), near)


def wilson(right: int, number: int) -> tuple[float, float]:
    """Return the 95 % interval of the share `right / number` (Wilson 1927), 0..1."""
    share, z2 = right / number, _Z**2
    middle = share + z2 / (2 * number)
    half = _Z * float(np.sqrt(share * (1 - share) / number + z2 / (4 * number**2)))
    scale = 1 + z2 / number
    return max((middle - half) / scale, 0.0), min((middle + half) / scale, 1.0)


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error, 0..1: the mean of |score - share that is right| over predictions."""
    number = sum(one.predictions for one in bins)
    return sum(one.predictions * abs(one.score - one.right) for one in bins) / number if number else float("nan")


def reliability_lines(evidence: Evidence, curves: Mapping[str, Sequence[Bin]]) -> list[str]:
    """Return lines of text: calibration errors, results of calibration by other sites, and a table of the bins."""
    errors = ", ".join(f"{calibration_error(bins) * 100:.1f} % {name}" for name, bins in curves.items())
    right, number = int(evidence.right.sum()), len(evidence.right)
    lines = [f"{number} predictions, {right} of them slumps; calibration error {errors}"]
    if "after" in curves:
        lines += [
            f"{site}: {number} predictions, {right} slumps; {expected:.1f} expected by the other sites"
            for site, number, right, expected in expected_by_site(evidence)
            if not np.isnan(expected)
        ]
    return [*lines, "", *_table(curves.get("after", next(iter(curves.values()))))]


def _table(bins: Sequence[Bin]) -> list[str]:
    heads = [f"IoU {iou:g}" for iou in (MIN_IOU, *LOWER_IOUS)]
    lines = ["".join(f"{head:>12}" for head in ("mean score", "predictions", *heads)) + f"{'95 % of ' + heads[0]:>18}"]
    for one in bins:
        shares = "".join(f"{share * 100:>10.1f} %" for share in (one.right, *one.near))
        low, high = (f"{value * 100:.1f}" for value in one.interval)
        lines.append(f"{one.score:>12.3f}{one.predictions:>12}{shares}{f'{low} to {high}':>18}")
    return lines


def write_reliability(path: Path, curves: Mapping[str, Sequence[Bin]], title: str, *, overwrite: bool = True) -> None:
    """Draw the share of correct predictions against the score, with intervals and the numbers of predictions.

    Args:
        path: path of the PNG.
        curves: bins by the name of the curve, such as `before` and `after`; at most three curves.
        title: title of the figure.
        overwrite: replace an existing file.

    Raises:
        DatasetError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    with drawing(path, (5, 6.2), overwrite=overwrite) as figure:
        shares, numbers = figure.subplots(2, sharex=True, height_ratios=(4, 1))
        top = max(
            (value for bins in curves.values() for one in bins for value in (one.score, one.interval[1])), default=1
        )
        limit = min(1.0, 1.05 * top)
        shares.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
        for (name, bins), colour in zip(curves.items(), _COLOURS, strict=False):
            _draw(shares, bins, f"{name} (error {calibration_error(bins) * 100:.1f} %)", colour)
            points = [one.score for one in bins], [one.predictions for one in bins]
            numbers.plot(*points, "o", color=colour, markersize=4)
        shares.set(xlim=(0, limit), ylim=(0, limit), ylabel=f"share that is a slump (IoU {MIN_IOU:g})")
        shares.set_title(title, fontsize=10)
        shares.legend(loc="upper left", fontsize=8)
        shares.grid(alpha=0.3)
        numbers.set(xlabel="score", ylabel="predictions", yscale="log", ylim=(0.8, None))
        numbers.grid(alpha=0.3)


def _draw(axes: "Axes", bins: Sequence[Bin], label: str, colour: str) -> None:
    right = np.array([one.right for one in bins])
    limits = np.array([one.interval for one in bins]).reshape(-1, 2)
    errors = np.abs(limits.T - right)
    scores = [one.score for one in bins]
    axes.errorbar(scores, right, yerr=errors, fmt="o-", color=colour, markersize=4, linewidth=1, capsize=2, label=label)
