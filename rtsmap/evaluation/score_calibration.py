"""Calibration of scores: a mapping from scores to the probability that a prediction is a slump."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from rtsmap.dataset.images import Dataset
from rtsmap.detector.calibrated import calibrated, logits, raw_score
from rtsmap.errors import InputError
from rtsmap.evaluation.image_scores import compare_images
from rtsmap.evaluation.matching import Bools, Floats, Indices
from rtsmap.evaluation.predictions import Prediction, Predictions
from rtsmap.models import CARD
from rtsmap.settings.card import Calibration, ModelCard

#: Least IoU of a correct prediction, as for AP50, precision and recall in the paper, so that a calibrated score is the
#: precision to expect. The report also shows how often predictions of a score reach the lower overlaps.
MIN_IOU, LOWER_IOUS = 0.5, (0.3, 0.1)

Names = NDArray[np.str_]


@dataclass(frozen=True)
class Evidence:
    """The scores of n predictions that count, and whether each prediction is correct.

    Attributes:
        scores: `(n,)`, uncalibrated scores of the network, 0..1.
        right: `(n,)`, true where a prediction matches a label at `MIN_IOU`.
        near: `(2, n)`, true where a prediction matches a label at each of `LOWER_IOUS`.
        sites: `(n,)`, the site of the image of each prediction.
    """

    scores: Floats
    right: Bools
    near: Bools
    sites: Names

    def where(self, chosen: Bools | Indices) -> "Evidence":
        """Return the evidence of some of the predictions."""
        return Evidence(self.scores[chosen], self.right[chosen], self.near[:, chosen], self.sites[chosen])


def evidence_of(dataset: Dataset, predictions: Mapping[str, Sequence[Prediction]], min_area_m2: float) -> Evidence:
    """Collect the evidence for the meaning of scores from predictions in labelled images.

    Args:
        dataset: labelled images. The network that made the predictions of an image must not have been trained on it.
        predictions: predictions of every image by the name of the image, with uncalibrated scores.
        min_area_m2: least area of a prediction, m2, as in `rtsmap predict`.
    """
    comparison = compare_images(dataset, predictions)
    large = comparison.prediction_m2 >= min_area_m2
    counts = [len(predictions[image.name]) for image in dataset.images]
    sites = np.repeat([image.site for image in dataset.images], counts)
    comparison = comparison.where(large)
    matching = comparison.match(MIN_IOU)
    near = np.array([comparison.match(iou).correct for iou in LOWER_IOUS])
    everything = Evidence(comparison.scores, matching.correct, near, sites[large].astype(np.str_))
    return everything.where(matching.counts)


def fit(evidence: Evidence, views: int = 1) -> Calibration:
    """Fit Platt scaling (Platt 1999): a logistic regression of correctness on the logit of the score.

    Two parameters are as many as a few dozen slumps can determine. The targets are Platt's, slightly inside 0..1, so
    that the parameters stay finite where scores separate correct from wrong predictions perfectly.

    Args:
        evidence: predictions, of which some are correct and some are wrong.
        views: number of views of each chip (test-time augmentation) from which the scores were made.

    Raises:
        InputError: all predictions are correct, or all are wrong, or higher scores are not correct more often.
    """
    right, number = int(evidence.right.sum()), len(evidence.right)
    if not 0 < right < number:
        raise InputError(
            f"--calibrate: {right} of {number} predictions match a label; calibration needs "
            "both predictions that match one and predictions that do not"
        )
    slope, intercept = (round(value, 6) for value in _line(logits(evidence.scores), evidence.right))
    if slope <= 0:
        raise InputError("--calibrate: higher scores are not correct more often, so they cannot be calibrated")
    return Calibration(
        slope=slope,
        intercept=intercept,
        min_iou=MIN_IOU,
        views=views,
        detections=number,
        matched=right,
        sites=tuple(sorted(set(evidence.sites.tolist()))),
    )


def _line(logit: Floats, right: Bools) -> tuple[float, float]:
    """Fit slope and intercept of the logistic regression with Platt's targets."""
    hits = float(right.sum())
    targets = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))

    def loss(line: Floats) -> tuple[float, Floats]:
        value = line[0] * logit + line[1]
        off = expit(value) - targets
        return float((np.logaddexp(0, value) - targets * value).mean()), np.array([(off * logit).mean(), off.mean()])

    slope, intercept = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x.tolist()
    return slope, intercept


def left_out(evidence: Evidence) -> Floats:
    """Return `(n,)` probabilities from a calibration that is fitted to all other sites; NaN where that is impossible.

    They show how reliable calibrated scores are at a site without labels (leave-one-site-out cross-validation).
    """
    probabilities = np.full(len(evidence.scores), np.nan)
    for site in sorted(set(evidence.sites.tolist())):
        own = evidence.sites == site
        try:
            probabilities[own] = calibrated(evidence.scores[own], fit(evidence.where(~own)))
        except InputError:  # at the other sites all predictions are correct, or all are wrong
            continue
    return probabilities


def expected_by_site(evidence: Evidence) -> Iterator[tuple[str, int, int, float]]:
    """Yield, for each site, its name and its numbers of predictions, of correct ones, and of expected correct ones.

    The expected number comes from `left_out`; it is NaN where the other sites give no calibration.
    """
    probabilities = left_out(evidence)
    for site in sorted(set(evidence.sites.tolist())):
        own = evidence.sites == site
        yield site, int(own.sum()), int(evidence.right[own].sum()), float(probabilities[own].sum())


def with_probabilities(predictions: Mapping[str, Sequence[Prediction]], calibration: Calibration | None) -> Predictions:
    """Return predictions with calibrated scores; scores from files and from the network are uncalibrated."""
    return {
        name: [replace(one, score=float(calibrated(one.score, calibration))) for one in of_image]
        for name, of_image in predictions.items()
    }


def write_calibrated(folder: Path, card: ModelCard, calibration: Calibration) -> ModelCard:
    """Write a calibration to the card of a model, and convert the threshold of the card to calibrated scores.

    The same predictions pass the converted threshold as before. The file is written completely or not at all.

    Returns:
        The card as written.

    Raises:
        OutputError: the card cannot be written.
    """
    raw = raw_score(card.score_threshold, card.calibration)
    # rounded down, so that a prediction that just passed still passes
    threshold = float(np.floor(float(calibrated(raw, calibration)) * 1e6) / 1e6)
    changed = card.model_copy(update={"calibration": calibration, "score_threshold": threshold})
    changed.to_toml(folder / CARD)
    return changed
