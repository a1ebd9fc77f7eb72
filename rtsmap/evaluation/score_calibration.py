"""How likely a detection of a score is to be a slump: the map from scores to probabilities, and how true they are."""

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

#: What counts as right: the paper's overlap, that of AP50 and of precision and recall, so that a score is the precision
#: to expect. The report also tells how often detections of a score overlap a slump by the lower ones.
MIN_IOU, LOWER_IOUS = 0.5, (0.3, 0.1)

Names = NDArray[np.str_]


@dataclass(frozen=True)
class Evidence:
    """n detections that count, and whether each is right.

    Attributes:
        scores: `(n,)`, 0..1, of the network.
        right: `(n,)`, true where it finds a label at `MIN_IOU`.
        near: `(2, n)`, the same at the overlaps of `LOWER_IOUS`.
        sites: `(n,)`, of their images.
    """

    scores: Floats
    right: Bools
    near: Bools
    sites: Names

    def where(self, chosen: Bools | Indices) -> "Evidence":
        """Some of the detections."""
        return Evidence(self.scores[chosen], self.right[chosen], self.near[:, chosen], self.sites[chosen])


def evidence_of(dataset: Dataset, found: Mapping[str, Sequence[Prediction]], min_area_m2: float) -> Evidence:
    """What detections tell of their scores.

    Args:
        dataset: images, none of which was trained on by the network that made its detections.
        found: detections of every image by its name, with the network's own scores.
        min_area_m2: smaller detections are left out, as `rtsmap predict` leaves them out.
    """
    comparison = compare_images(dataset, found)
    large = comparison.prediction_m2 >= min_area_m2
    sites = np.repeat([image.site for image in dataset.images], [len(found[image.name]) for image in dataset.images])
    comparison = comparison.where(large)
    matching = comparison.match(MIN_IOU)
    near = np.array([comparison.match(iou).correct for iou in LOWER_IOUS])
    everything = Evidence(comparison.scores, matching.correct, near, sites[large].astype(np.str_))
    return everything.where(matching.counts)


def fit(evidence: Evidence, views: int = 1) -> Calibration:
    """The likeliest line from the logit of the score to that of the probability (Platt 1999).

    Two numbers are all that a few dozen slumps can tell; the targets are Platt's, a little within 0..1, so that they
    stay finite where scores tell right from wrong without fail.

    Args:
        evidence: detections, some of them right and some wrong.
        views: of each chip from which the scores came.

    Raises:
        InputError: all are right, or all wrong, or the surer ones are not right more often.
    """
    right, number = int(evidence.right.sum()), len(evidence.right)
    if not 0 < right < number:
        raise InputError(
            f"--calibrate: {right} of {number} detections find a label; some must and some must not, "
            "to tell what a score means"
        )
    slope, intercept = (round(value, 6) for value in _line(logits(evidence.scores), evidence.right))
    if slope <= 0:
        raise InputError("--calibrate: surer detections are not right more often, so scores tell nothing here")
    return Calibration(
        slope=slope,
        intercept=intercept,
        min_iou=MIN_IOU,
        views=views,
        detections=number,
        matched=right,
        sites=tuple(sorted(set(evidence.sites.tolist()))),
    )


def _line(places: Floats, right: Bools) -> tuple[float, float]:
    """Slope and intercept of the logistic regression with Platt's targets."""
    hits = float(right.sum())
    targets = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))

    def loss(line: Floats) -> tuple[float, Floats]:
        value = line[0] * places + line[1]
        off = expit(value) - targets
        return float((np.logaddexp(0, value) - targets * value).mean()), np.array([(off * places).mean(), off.mean()])

    slope, intercept = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x.tolist()
    return slope, intercept


def left_out(evidence: Evidence) -> Floats:
    """Probabilities of each site's detections by the calibration that the other sites give; NaN where they give none.

    So it shows how true the scores are at a site that nothing is known of.
    """
    probabilities = np.full(len(evidence.scores), np.nan)
    for site in sorted(set(evidence.sites.tolist())):
        own = evidence.sites == site
        try:
            probabilities[own] = calibrated(evidence.scores[own], fit(evidence.where(~own)))
        except InputError:  # the others have no slump, or nothing but
            continue
    return probabilities


def expected_by_site(evidence: Evidence) -> Iterator[tuple[str, int, int, float]]:
    """Of each site its name, its detections, the right ones among them, and how many `left_out` expects to be right.

    The last is NaN where the other sites tell nothing.
    """
    probabilities = left_out(evidence)
    for site in sorted(set(evidence.sites.tolist())):
        own = evidence.sites == site
        yield site, int(own.sum()), int(evidence.right[own].sum()), float(probabilities[own].sum())


def with_probabilities(found: Mapping[str, Sequence[Prediction]], calibration: Calibration | None) -> Predictions:
    """Detections with calibrated scores; those of files and of the network are not."""
    return {
        name: [replace(one, score=float(calibrated(one.score, calibration))) for one in detections]
        for name, detections in found.items()
    }


def write_calibrated(folder: Path, card: ModelCard, calibration: Calibration) -> ModelCard:
    """Put a calibration into a model's card, whole or not at all, and its threshold into the new scores.

    What passes the threshold stays the same.

    Returns:
        The card as written.

    Raises:
        OutputError: it cannot be written.
    """
    raw = raw_score(card.score_threshold, card.calibration)
    # rounded down, or a detection that just passed would not
    threshold = float(np.floor(float(calibrated(raw, calibration)) * 1e6) / 1e6)
    changed = card.model_copy(update={"calibration": calibration, "score_threshold": threshold})
    changed.to_toml(folder / CARD)
    return changed
