"""Matching of predictions and labels by COCO's rules on polygons, the same for images and for maps."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]

#: An unmatched prediction counts as neither right nor wrong if at least this share of it lies in an ignored area. COCO
#: uses the IoU threshold instead, so that its average over thresholds depends on the ignored areas.
SHIELDED_SHARE = 0.5


@dataclass(frozen=True)
class Matching:
    """The matches of n predictions at one IoU threshold.

    Attributes:
        label: `(n,)`, index of the label that each prediction matches; -1 for none.
        iou: `(n,)`, intersection over union of the match; 0 for none.
        counts: `(n,)`, false where a prediction counts as neither right nor wrong.
        labels: number of labels that count.
    """

    label: Indices
    iou: Floats
    counts: Bools
    labels: int

    @property
    def correct(self) -> Bools:
        """`(n,)`, true where a prediction counts and matches a label."""
        return self.counts & (self.label >= 0)


@dataclass(frozen=True)
class Comparison:
    """The overlaps of n predictions and m labels of one image, one map, or many images.

    Attributes:
        scores: `(n,)`, scores of the predictions, 0..1.
        shielded: `(n,)`, true where a prediction lies mostly in an ignored area.
        pairs: `(k, 2)`, indices of a prediction and a label that overlap.
        iou: `(k,)`, intersection over union of the pairs.
        prediction_m2: `(n,)`, area of each prediction on the ground, m2.
        label_m2: `(m,)`, area of each label on the ground, m2.
        prediction_unit: `(n,)`, number of the unit (a scene, a block of the map) that the bootstrap draws as a whole.
        label_unit: `(m,)`, number of the unit of each label.
    """

    scores: Floats
    shielded: Bools
    pairs: Indices
    iou: Floats
    prediction_m2: Floats
    label_m2: Floats
    prediction_unit: Indices
    label_unit: Indices

    def match(self, min_iou: float, labels: Bools | None = None, predictions: Bools | None = None) -> Matching:
        """Match predictions and labels as COCO does.

        In descending order of their scores, predictions take the free label of the highest IoU of at least `min_iou`,
        and prefer labels that count. A prediction that matches a label that does not count does not count either.

        Args:
            min_iou: least IoU of a match, 0..1.
            labels: `(m,)`, true for the labels that count, such as those of a size class; None for all.
            predictions: `(n,)`, true for the predictions that count if they match no label; None for all.

        Returns:
            The matching.
        """
        of_interest = np.ones(len(self.label_m2), dtype=np.bool_) if labels is None else labels
        rank = np.empty(len(self.scores), dtype=np.intp)
        rank[np.argsort(-self.scores, kind="stable")] = np.arange(len(self.scores))
        good = np.flatnonzero(self.iou >= min(min_iou, 1 - 1e-10))  # the tolerance of COCO
        which, label = self.pairs[good].T
        order = np.lexsort((-label, -self.iou[good], ~of_interest[label], rank[which]))  # the later of equals
        found, iou = np.full(len(self.scores), -1, dtype=np.intp), np.zeros(len(self.scores))
        taken: set[int] = set()
        for index in order.tolist():
            prediction, truth = which[index], int(label[index])
            if found[prediction] < 0 and truth not in taken:
                found[prediction], iou[prediction] = truth, self.iou[good[index]]
                taken.add(truth)
        return Matching(found, iou, self._counting(found, of_interest, predictions), int(of_interest.sum()))

    def _counting(self, found: Indices, labels: Bools, predictions: Bools | None) -> Bools:
        counts: Bools = ~self.shielded if predictions is None else ~self.shielded & predictions
        hits = found >= 0
        counts[hits] = labels[found[hits]]
        return counts

    def where(self, predictions: Bools) -> "Comparison":
        """Return the comparison of some of the predictions with all labels."""
        number = np.cumsum(predictions) - 1
        kept = predictions[self.pairs[:, 0]]
        pairs = np.column_stack([number[self.pairs[kept, 0]], self.pairs[kept, 1]])
        return Comparison(
            self.scores[predictions],
            self.shielded[predictions],
            pairs,
            self.iou[kept],
            self.prediction_m2[predictions],
            self.label_m2,
            self.prediction_unit[predictions],
            self.label_unit,
        )


def compare(
    predictions: Sequence[BaseGeometry] | NDArray[np.object_],
    scores: Sequence[float] | Floats,
    labels: Sequence[BaseGeometry] | NDArray[np.object_],
    ignored: Sequence[BaseGeometry] = (),
    *,
    unit_m2: float = 1.0,
    unit: int = 0,
) -> Comparison:
    """Compare predictions with labels that lie in the same plane.

    Args:
        predictions: valid polygons.
        scores: scores of the predictions, 0..1.
        labels: valid polygons.
        ignored: areas that are neither slump nor background.
        unit_m2: area on the ground of one square unit of the plane, such as a pixel, m2.
        unit: number of the unit that the bootstrap draws; see `Comparison`.
    """
    shapes, truths = _geometries(predictions), _geometries(labels)
    which, label = shapely.STRtree(truths).query(shapes, predicate="intersects")
    area, label_area = shapely.area(shapes), shapely.area(truths)
    shared = shapely.area(shapely.intersection(shapes[which], truths[label]))
    union = area[which] + label_area[label] - shared
    touching = shared > 0
    hidden = shapely.area(shapely.intersection(shapes, shapely.union_all(_geometries(ignored)))) if ignored else 0.0
    return Comparison(
        scores=np.asarray(scores, dtype=np.float64),
        shielded=np.broadcast_to(np.greater_equal(hidden, SHIELDED_SHARE * area) & bool(ignored), area.shape),
        pairs=np.column_stack([which, label])[touching],
        iou=shared[touching] / union[touching],
        prediction_m2=area * unit_m2,
        label_m2=label_area * unit_m2,
        prediction_unit=np.full(len(shapes), unit, dtype=np.intp),
        label_unit=np.full(len(truths), unit, dtype=np.intp),
    )


def joined(parts: Sequence[Comparison]) -> Comparison:
    """Join comparisons, such as those of the images of a data set, in their order."""
    if not parts:
        return compare([], [], [])
    predictions = np.cumsum([0, *(len(part.scores) for part in parts)])
    labels = np.cumsum([0, *(len(part.label_m2) for part in parts)])
    columns = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Comparison)
    }
    starts = np.column_stack([predictions[:-1], labels[:-1]])
    columns["pairs"] = columns["pairs"] + np.repeat(starts, [len(part.pairs) for part in parts], axis=0)
    return Comparison(**columns)


def _geometries(polygons: Sequence[BaseGeometry] | NDArray[np.object_]) -> NDArray[np.object_]:
    return np.fromiter(polygons, dtype=np.object_, count=len(polygons))
