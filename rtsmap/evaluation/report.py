"""Scores of all predictions and of groups of them: sites, regions, sizes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rtsmap.evaluation.matching import Bools, Comparison, Floats
from rtsmap.evaluation.precision import RESAMPLES, Curve, Score, precision_recall, score_of
from rtsmap.evaluation.rates import EvaluatedArea, Rates, rates_of

#: Size classes in m2 on the ground, from the lower limit on and below the upper one. 2000 m2 is 15 x 15 px of
#: PlanetScope and near the lower quartile of published slumps (2500 m2); 10 000 m2 is above their median (6600 m2).
SIZES = {"small": (0.0, 2000.0), "medium": (2000.0, 10_000.0), "large": (10_000.0, np.inf)}


@dataclass(frozen=True)
class Group:
    """Some of the labels, and the predictions that are wrong there where they find nothing.

    Attributes:
        kind: such as `site` or `size`.
        name: of the group.
        labels: `(m,)`, those of the group.
        predictions: `(n,)`, likewise.
        images: how many; None for a map.
        ground: that was observed there; that of all without it.
    """

    kind: str
    name: str
    labels: Bools
    predictions: Bools
    images: int | None = None
    area: EvaluatedArea | None = None


@dataclass(frozen=True)
class Row:
    """The score of a group; of all for the first row of a report."""

    kind: str
    name: str
    images: int | None
    score: Score
    rates: Rates


@dataclass(frozen=True)
class Report:
    """How good predictions are, all together and by group.

    Attributes:
        rows: all, then the groups.
        curve: of all, at the first row's `min_iou`.
        drawn: what the bootstrap draws, such as `12 scenes`.
    """

    rows: tuple[Row, ...]
    curve: Curve
    drawn: str

    @property
    def overall(self) -> Score:
        """The score of all."""
        return self.rows[0].score

    @property
    def average_precision(self) -> float:
        """AP50 of all, 0..1, where `min_iou` is 0.5; NaN without labels."""
        return self.overall.average_precision

    @property
    def sites(self) -> tuple[Row, ...]:
        """The rows of sites."""
        return tuple(row for row in self.rows if row.kind == "site")


def report_of(
    comparison: Comparison,
    groups: Sequence[Group],
    *,
    threshold: float,
    images: int | None = None,
    drawn: str = "",
    min_iou: float = 0.5,
    resamples: int = RESAMPLES,
    over_ious: bool = True,
    area: EvaluatedArea | None = None,
) -> Report:
    """Score all predictions and each group; for the numbers see `score_of` and `rates_of`.

    Args:
        comparison: of predictions and labels.
        groups: besides all; `by_size` gives the size classes.
        threshold: of precision, recall and F1.
        images: how many; None for a map.
        drawn: what the bootstrap draws.
        min_iou: what counts as found.
        resamples: draws of the bootstrap; 0: no intervals.
        over_ious: false leaves out the means over IoU.
        ground: that was observed, where it is known.
    """
    everywhere = np.ones(len(comparison.label_m2), dtype=np.bool_), np.ones(len(comparison.scores), dtype=np.bool_)

    def row(group: Group) -> Row:
        score = score_of(
            comparison,
            labels=group.labels,
            predictions=group.predictions,
            min_iou=min_iou,
            threshold=threshold,
            resamples=resamples,
            over_ious=over_ious,
        )
        rates = rates_of(
            comparison,
            comparison.match(min_iou, group.labels, group.predictions),
            threshold=threshold,
            labels=group.labels,
            area=group.area or area,
            resamples=resamples,
        )
        return Row(group.kind, group.name, group.images, score, rates)

    rows = [row(group) for group in (Group("all", "all", *everywhere, images), *groups)]
    return Report(tuple(rows), precision_recall(comparison.scores, comparison.match(min_iou)), drawn)


def by_size(comparison: Comparison) -> Iterator[Group]:
    """The size classes, as COCO has them: what finds no label counts in the class of its own area."""
    for name, (low, high) in SIZES.items():
        labels, predictions = comparison.label_m2, comparison.prediction_m2
        yield Group("size", name, _within(labels, low, high), _within(predictions, low, high))


def _within(area: Floats, low: float, high: float) -> Bools:
    return (area >= low) & (area < high)
