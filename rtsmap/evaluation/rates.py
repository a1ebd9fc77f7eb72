"""Rates of predictions: recall, and the number of false predictions per evaluated area."""

from dataclasses import dataclass
from typing import cast

import numpy as np

from rtsmap.evaluation.matching import Bools, Comparison, Floats, Indices, Matching

NAN = float("nan")


@dataclass(frozen=True)
class EvaluatedArea:
    """The area that k images observe, beside a comparison of n predictions in them.

    Attributes:
        km2: `(k,)`, area of each image that no earlier image of its scene shows, km2.
        unit: `(k,)`, the unit that the bootstrap draws; see `Comparison`.
        once: `(n,)`, true where a prediction lies in that area of its image, so that overlapping images count neither
            area nor false predictions twice.
    """

    km2: Floats
    unit: Indices
    once: Bools

    def of(self, images: Bools) -> "EvaluatedArea":
        """Return the area of some of the images, with all predictions."""
        return EvaluatedArea(self.km2[images], self.unit[images], self.once)

    def where(self, predictions: Bools) -> "EvaluatedArea":
        """Return the area of all images, with some of the predictions."""
        return EvaluatedArea(self.km2, self.unit, self.once[predictions])


@dataclass(frozen=True)
class Rates:
    """Rates of the predictions above a score, with 95 % bootstrap intervals; NaN where they are not known.

    Attributes:
        recall_interval: interval of the recall, 0..1.
        km2: evaluated area, km2.
        false: number of predictions in that area that match no label.
        false_interval: interval of their number per 100 km2.
    """

    recall_interval: tuple[float, float] = (NAN, NAN)
    km2: float = NAN
    false: int = 0
    false_interval: tuple[float, float] = (NAN, NAN)

    @property
    def false_per_100km2(self) -> float:
        """The number of false predictions per 100 km2 of evaluated area; NaN without such an area."""
        return self.false / self.km2 * 100 if self.km2 > 0 else NAN


def rates_of(
    comparison: Comparison,
    matching: Matching,
    *,
    threshold: float,
    labels: Bools | None = None,
    area: EvaluatedArea | None = None,
    resamples: int,
) -> Rates:
    """Compute the rates of the predictions from a score on.

    Args:
        comparison: the comparison of predictions and labels.
        matching: a matching of that comparison.
        threshold: least score of the predictions that count.
        labels: `(m,)`, true for the labels that count; None for all.
        area: the evaluated area; without it the rate of false predictions is not known.
        resamples: number of bootstrap draws; 0 for no intervals. Without false predictions their interval is 0 to 0,
            which does not bound the rate in a larger area.
    """
    kept = comparison.scores >= threshold
    right, wrong = kept & matching.correct, kept & matching.counts & ~matching.correct
    wrong = wrong if area is None else wrong & area.once
    of_label = comparison.label_unit if labels is None else comparison.label_unit[labels]
    columns = {
        "labels": (of_label, np.ones(len(of_label))),
        "found": (comparison.label_unit[matching.label[right]], np.ones(int(right.sum()))),
        "false": (comparison.prediction_unit[wrong], np.ones(int(wrong.sum()))),
        "km2": (area.unit, area.km2) if area else (np.empty(0, dtype=np.intp), np.empty(0)),
    }
    drawn = _drawn(columns, resamples)
    return Rates(
        recall_interval=_interval(drawn["found"], drawn["labels"]),
        km2=float(area.km2.sum()) if area else NAN,
        false=int(wrong.sum()),
        false_interval=_interval(drawn["false"] * 100, drawn["km2"]),
    )


def _drawn(columns: dict[str, tuple[Indices, Floats]], resamples: int) -> dict[str, Floats]:
    """Return sums of each column, `(resamples,)`, over units drawn with replacement, the same for all columns."""
    names, number = np.unique(np.concatenate([unit for unit, _ in columns.values()]), return_inverse=True)
    if not len(names):
        return {name: np.zeros(resamples) for name in columns}
    chances = np.full(len(names), 1 / len(names))
    times = np.random.default_rng(0).multinomial(len(names), chances, size=resamples)
    parts = np.split(number, np.cumsum([len(unit) for unit, _ in columns.values()])[:-1])
    return {
        name: cast(Floats, times @ np.bincount(part, weights=values, minlength=len(names)))
        for part, (name, (_, values)) in zip(parts, columns.items(), strict=True)
    }


def _interval(above: Floats, below: Floats) -> tuple[float, float]:
    """Return the 2.5 and 97.5 percentiles of the ratios, over the draws in which they are defined."""
    known = below > 0
    if not known.any():
        return NAN, NAN
    low, high = np.percentile(above[known] / below[known], [2.5, 97.5])
    return float(low), float(high)
