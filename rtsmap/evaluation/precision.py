"""Precision, recall and their averages, by COCO's definitions; the same for images and for maps."""

from dataclasses import dataclass

import numpy as np

from rtsmap.evaluation.matching import Bools, Comparison, Floats, Indices, Matching

#: The overlaps over which AP and AR are averaged, and the points of recall at which precision is read: COCO's.
IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)

#: Thresholds among which the best is looked for; finer ones would only follow the noise of the labels.
HUNDREDTHS = np.arange(1, 100) / 100

RESAMPLES = 1000


@dataclass(frozen=True)
class Curve:
    """Precision against recall, a point for each prediction that counts, from the surest on.

    Attributes:
        scores: `(n,)`, at which one more prediction is taken in.
        precision: `(n,)`, 0..1.
        recall: `(n,)`, 0..1; NaN where there is no label.
    """

    scores: Floats
    precision: Floats
    recall: Floats


@dataclass(frozen=True)
class Score:
    """How good predictions are.

    Attributes:
        labels: number of outlines drawn by people.
        predictions: number that count, of at least the score `threshold`.
        matched: predictions among them that find a label, each label once.
        average_precision: area under the interpolated precision-recall curve of all predictions at IoU `min_iou`, 0..1;
            at 0.5 the paper's AP50. NaN where there is no label.
        interval: its 95 % confidence interval, by bootstrap; NaN where it was not asked for.
        mean_average_precision: COCO's AP, the mean over IoU 0.5..0.95.
        average_recall: COCO's AR, the recall of all predictions, mean over the same. There is no highest number of
            predictions in an image as COCO has it (100), for a map has no such thing.
        min_iou: what counts as found.
        threshold: see `predictions`.
    """

    labels: int
    predictions: int
    matched: int
    average_precision: float
    interval: tuple[float, float]
    mean_average_precision: float
    average_recall: float
    min_iou: float = 0.5
    threshold: float = 0.0

    @property
    def precision(self) -> float:
        """Matched over predictions, 0..1; 0 without any."""
        return self.matched / max(self.predictions, 1)

    @property
    def recall(self) -> float:
        """Matched over labels, 0..1; 0 without any."""
        return self.matched / max(self.labels, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.matched / max(self.labels + self.predictions, 1)


def score_of(
    comparison: Comparison,
    *,
    labels: Bools | None = None,
    predictions: Bools | None = None,
    min_iou: float = 0.5,
    threshold: float = 0.0,
    resamples: int = RESAMPLES,
    over_ious: bool = True,
) -> Score:
    """Score predictions.

    Args:
        comparison: of predictions and labels.
        labels: those that count; see `Comparison.match`.
        predictions: likewise.
        min_iou: what counts as found.
        threshold: precision, recall and F1 are those of predictions from this score on.
        resamples: draws of the bootstrap; 0: no interval.
        over_ious: false leaves out the means over IoU, which take ten times as long.
    """
    matching = comparison.match(min_iou, labels, predictions)
    each = [comparison.match(iou, labels, predictions) for iou in IOUS] if over_ious and matching.labels else []
    kept = comparison.scores >= threshold
    return Score(
        labels=matching.labels,
        predictions=int((matching.counts & kept).sum()),
        matched=int((matching.correct & kept).sum()),
        average_precision=_of(comparison.scores, matching),
        interval=_interval(comparison, matching, labels, resamples),
        mean_average_precision=float(np.mean([_of(comparison.scores, one) for one in each])) if each else float("nan"),
        average_recall=float(np.mean([one.correct.sum() / one.labels for one in each])) if each else float("nan"),
        min_iou=min_iou,
        threshold=threshold,
    )


def average_precision(scores: Floats, correct: Bools, labels: float, weights: Indices | None = None) -> float:
    """Mean of the precision at COCO's 101 points of recall, precision made monotonic.

    Args:
        scores: of predictions that count.
        correct: which of them find a label.
        labels: number of labels.
        weights: how often each prediction is there; once without it.

    Returns:
        0..1; NaN without labels.
    """
    if not labels:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    return _area(correct[order], labels, np.ones(len(order), dtype=np.intp) if weights is None else weights[order])


def _area(correct: Bools, labels: float, weights: Indices) -> float:
    """`average_precision` of predictions that are sorted already."""
    hits = np.cumsum(weights * correct)
    precision = hits / np.maximum(np.cumsum(weights), 1)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)  # 0 where recall is never reached
    return float(envelope[np.searchsorted(hits / labels, RECALLS, side="left")].mean())


def precision_recall(scores: Floats, matching: Matching) -> Curve:
    """The curve as it is, not interpolated."""
    chosen = np.flatnonzero(matching.counts)
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
    hits = np.cumsum(matching.correct[chosen])
    recall = hits / matching.labels if matching.labels else np.full(len(hits), np.nan)
    return Curve(scores[chosen], hits / np.arange(1, len(hits) + 1), recall)


def best_threshold(scores: Floats, matching: Matching) -> tuple[float, float]:
    """The score, in hundredths, from which on F1 is highest, and that F1; of equals the highest score, 0 of none."""
    thresholds = HUNDREDTHS[::-1]
    taken = scores[:, None] >= thresholds
    right, all_ = (matching.correct[:, None] & taken).sum(axis=0), (matching.counts[:, None] & taken).sum(axis=0)
    f1 = 2 * right / np.maximum(all_ + matching.labels, 1)
    best = int(np.argmax(f1))
    if not f1[best]:  # nothing is found at any score
        return 0.0, 0.0
    return float(thresholds[best]), float(f1[best])


def _of(scores: Floats, matching: Matching) -> float:
    return average_precision(scores[matching.counts], matching.correct[matching.counts], matching.labels)


def _interval(comparison: Comparison, matching: Matching, labels: Bools | None, resamples: int) -> tuple[float, float]:
    """Draw units with what they hold; a prediction that finds a label is drawn with the label's unit."""
    if not matching.labels or not resamples:
        return float("nan"), float("nan")
    of_label = comparison.label_unit if labels is None else comparison.label_unit[labels]
    hits = matching.label >= 0
    unit = comparison.prediction_unit.copy()
    unit[hits] = comparison.label_unit[matching.label[hits]]
    chosen = np.flatnonzero(matching.counts)
    chosen = chosen[np.argsort(-comparison.scores[chosen], kind="stable")]
    names, number = np.unique(np.concatenate([of_label, unit[chosen]]), return_inverse=True)
    rng = np.random.default_rng(0)
    values = []
    for _ in range(resamples):
        times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        drawn = float(times[number[: len(of_label)]].sum())
        if drawn:  # without a label there is no recall
            values.append(_area(matching.correct[chosen], drawn, times[number[len(of_label) :]]))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
