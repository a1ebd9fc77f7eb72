"""Precision, recall and their averages by COCO's definitions, the same for images and for maps."""

from dataclasses import dataclass

import numpy as np

from rtsmap.evaluation.matching import Bools, Comparison, Floats, Indices, Matching

#: IoU thresholds over which COCO averages AP and AR, and the points of recall at which it reads precision.
IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)

#: Candidates of the best score threshold; finer ones would only follow the noise of the labels.
HUNDREDTHS = np.arange(1, 100) / 100

RESAMPLES = 1000


@dataclass(frozen=True)
class Curve:
    """A precision-recall curve with a point for each prediction that counts, in descending order of scores.

    Attributes:
        scores: `(n,)`, score of the prediction that each point adds.
        precision: `(n,)`, 0..1.
        recall: `(n,)`, 0..1; NaN without labels.
    """

    scores: Floats
    precision: Floats
    recall: Floats


@dataclass(frozen=True)
class Score:
    """The scores of predictions.

    Attributes:
        labels: number of labels that count.
        predictions: number of predictions that count and have at least the score `threshold`.
        matched: number of these predictions that match a label; each label is matched at most once.
        average_precision: area under the interpolated precision-recall curve of all predictions at IoU `min_iou`, 0..1;
            the AP50 of the paper where `min_iou` is 0.5. NaN without labels.
        interval: 95 % bootstrap confidence interval of the average precision; NaN where it was not computed.
        mean_average_precision: COCO's AP, the mean over IoU 0.5..0.95.
        average_recall: COCO's AR, the recall of all predictions, averaged over the same IoU. Unlike in COCO, the number
            of predictions per image is not limited to 100, because a map is not divided into images.
        min_iou: least IoU of a match.
        threshold: least score of the predictions that count in `predictions` and `matched`.
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
        """Matched predictions over predictions, 0..1; 0 without predictions."""
        return self.matched / max(self.predictions, 1)

    @property
    def recall(self) -> float:
        """Matched labels over labels, 0..1; 0 without labels."""
        return self.matched / max(self.labels, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0..1."""
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
        comparison: the comparison of predictions and labels.
        labels: `(m,)`, true for the labels that count; see `Comparison.match`.
        predictions: `(n,)`, true for the predictions that count; see `Comparison.match`.
        min_iou: least IoU of a match.
        threshold: least score of the predictions that count for precision, recall and F1.
        resamples: number of bootstrap draws; 0 for no interval.
        over_ious: whether to compute the means over IoU, which take ten times as long.
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
    """Average the monotonic envelope of precision over COCO's 101 points of recall.

    Args:
        scores: `(n,)`, scores of the predictions that count.
        correct: `(n,)`, true where a prediction matches a label.
        labels: number of labels.
        weights: `(n,)`, how often each prediction counts; None for once.

    Returns:
        0..1; NaN without labels.
    """
    if not labels:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    return _area(correct[order], labels, np.ones(len(order), dtype=np.intp) if weights is None else weights[order])


def _area(correct: Bools, labels: float, weights: Indices) -> float:
    """Return the `average_precision` of predictions in descending order of scores."""
    hits = np.cumsum(weights * correct)
    precision = hits / np.maximum(np.cumsum(weights), 1)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)  # 0 where recall is never reached
    return float(envelope[np.searchsorted(hits / labels, RECALLS, side="left")].mean())


def precision_recall(scores: Floats, matching: Matching) -> Curve:
    """Return the precision-recall curve, without interpolation."""
    chosen = np.flatnonzero(matching.counts)
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
    hits = np.cumsum(matching.correct[chosen])
    recall = hits / matching.labels if matching.labels else np.full(len(hits), np.nan)
    return Curve(scores[chosen], hits / np.arange(1, len(hits) + 1), recall)


def best_threshold(scores: Floats, matching: Matching) -> tuple[float, float]:
    """Return the score threshold of the highest F1, in hundredths, and that F1.

    The highest of equally good thresholds is returned, and zeros where no prediction matches a label.
    """
    thresholds = HUNDREDTHS[::-1]
    taken = scores[:, None] >= thresholds
    right, all_ = (matching.correct[:, None] & taken).sum(axis=0), (matching.counts[:, None] & taken).sum(axis=0)
    f1 = 2 * right / np.maximum(all_ + matching.labels, 1)
    best = int(np.argmax(f1))
    if not f1[best]:  # no label is matched at any score
        return 0.0, 0.0
    return float(thresholds[best]), float(f1[best])


def _of(scores: Floats, matching: Matching) -> float:
    return average_precision(scores[matching.counts], matching.correct[matching.counts], matching.labels)


def _interval(comparison: Comparison, matching: Matching, labels: Bools | None, resamples: int) -> tuple[float, float]:
    """Bootstrap the average precision by units; a prediction that matches a label belongs to the unit of the label."""
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
        if drawn:  # without labels recall is not defined
            values.append(_area(matching.correct[chosen], drawn, times[number[len(of_label) :]]))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
