"""Scores of all predictions, and of groups of them: sites, regions, size classes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rtsmap.evaluation.matching import Bools, Comparison, Floats
from rtsmap.evaluation.precision import RESAMPLES, Curve, Score, precision_recall, score_of
from rtsmap.evaluation.rates import EvaluatedArea, Rates, rates_of

#: Size classes in m2 on the ground: from the lower limit to below the upper one. 2000 m2 is 15 x 15 px of
#: PlanetScope and near the lower quartile of published slumps (2500 m2); 10 000 m2 is above their median (6600 m2).
SIZES = {"small": (0.0, 2000.0), "medium": (2000.0, 10_000.0), "large": (10_000.0, np.inf)}


@dataclass(frozen=True)
class Group:
    """A group of labels, and the predictions that are wrong in this group if they match no label.

    Attributes:
        kind: kind of the group, such as `site` or `size`.
        name: name of the group.
        labels: `(m,)`, true for the labels of the group.
        predictions: `(n,)`, true for the predictions of the group.
        images: number of images; None for a map.
        area: evaluated area of the group; None for that of all groups.
    """

    kind: str
    name: str
    labels: Bools
    predictions: Bools
    images: int | None = None
    area: EvaluatedArea | None = None


@dataclass(frozen=True)
class Row:
    """The scores of a group; the first row of a report holds those of all predictions."""

    kind: str
    name: str
    images: int | None
    score: Score
    rates: Rates


@dataclass(frozen=True)
class Report:
    """The scores of all predictions, and of groups.

    Attributes:
        rows: the scores of all predictions, then those of the groups.
        curve: precision-recall curve of all predictions, at the `min_iou` of the first row.
        drawn: the units that the bootstrap draws, such as `12 scenes`.
    """

    rows: tuple[Row, ...]
    curve: Curve
    drawn: str

    @property
    def overall(self) -> Score:
        """The score of all predictions."""
        return self.rows[0].score

    @property
    def average_precision(self) -> float:
        """The average precision of all predictions, 0..1 (AP50 where `min_iou` is 0.5); NaN without labels."""
        return self.overall.average_precision

    @property
    def sites(self) -> tuple[Row, ...]:
        """The rows of the sites."""
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
    """Score all predictions and each group; see `score_of` and `rates_of` for the numbers.

    Args:
        comparison: the comparison of predictions and labels.
        groups: the groups to score; `by_size` returns the size classes.
        threshold: least score of the predictions that count for precision, recall and F1.
        images: number of images; None for a map.
        drawn: the units that the bootstrap draws, in words.
        min_iou: least IoU of a match.
        resamples: number of bootstrap draws; 0 for no intervals.
        over_ious: whether to compute the means over IoU.
        area: evaluated area; None where it is not known.
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
    """Yield the size classes, as COCO has them: an unmatched prediction belongs to the class of its own area."""
    for name, (low, high) in SIZES.items():
        labels, predictions = comparison.label_m2, comparison.prediction_m2
        yield Group("size", name, _within(labels, low, high), _within(predictions, low, high))


def _within(area: Floats, low: float, high: float) -> Bools:
    return (area >= low) & (area < high)
