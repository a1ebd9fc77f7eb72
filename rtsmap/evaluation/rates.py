"""What of the slumps is found, and how many false ones there are for the ground that was looked at."""

from dataclasses import dataclass
from typing import cast

import numpy as np

from rtsmap.evaluation.matching import Bools, Comparison, Floats, Indices, Matching

NAN = float("nan")


@dataclass(frozen=True)
class EvaluatedArea:
    """What k images observed, beside a comparison of n predictions in them.

    Attributes:
        km2: `(k,)`, area of each that no image of its scene before it shows.
        unit: `(k,)`, what the bootstrap draws together, see `Comparison`.
        once: `(n,)`, true where a prediction lies on that area of its image. So overlapping images count neither
            ground nor false slumps twice.
    """

    km2: Floats
    unit: Indices
    once: Bools

    def of(self, images: Bools) -> "EvaluatedArea":
        """Some of the images, with all predictions."""
        return EvaluatedArea(self.km2[images], self.unit[images], self.once)

    def where(self, predictions: Bools) -> "EvaluatedArea":
        """All images with some of the predictions."""
        return EvaluatedArea(self.km2, self.unit, self.once[predictions])


@dataclass(frozen=True)
class Rates:
    """Rates from a score on, with 95 % intervals of the bootstrap; NaN where they are not known.

    Attributes:
        recall_interval: of the share of the labels that is found, 0..1.
        km2: observed.
        false: predictions there that find no label.
        false_interval: of their number on 100 km2.
    """

    recall_interval: tuple[float, float] = (NAN, NAN)
    km2: float = NAN
    false: int = 0
    false_interval: tuple[float, float] = (NAN, NAN)

    @property
    def false_per_100km2(self) -> float:
        """Predictions on 100 km2 of observed ground that find no label; NaN without ground."""
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
    """Rates of the predictions from a score on.

    Args:
        comparison: of predictions and labels.
        matching: of the comparison.
        threshold: the score.
        labels: `(m,)`, those that count; all without it.
        ground: what was observed; without it the rate of false slumps is not known.
        resamples: draws of the bootstrap; 0: no intervals. Where nothing is false its interval is 0 to 0, which says
            nothing of what a larger area would have.
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
    """Sums of each column over units drawn with replacement, `(resamples,)`; the same units for all columns."""
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
    """Percentiles of ratios, of the draws that have one."""
    known = below > 0
    if not known.any():
        return NAN, NAN
    low, high = np.percentile(above[known] / below[known], [2.5, 97.5])
    return float(low), float(high)
