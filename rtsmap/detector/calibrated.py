"""Scores as probabilities: the only module that applies the score calibration of a model card."""

from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from rtsmap.detector.protocol import Detector
from rtsmap.records import Detections, FloatArray
from rtsmap.settings.card import Calibration

Floats = NDArray[np.float64]

#: Scores are clipped to this distance from 0 and 1, where their logit would be infinite.
_EDGE = 1e-6


def logits(scores: FloatArray | Floats | float) -> Floats:
    """Logarithm of the odds of scores in 0..1; always finite."""
    return cast(Floats, logit(np.clip(np.asarray(scores, dtype=np.float64), _EDGE, 1 - _EDGE)))


def calibrated(scores: FloatArray | Floats | float, calibration: Calibration | None) -> Floats:
    """Turn scores of the network into probabilities, 0..1; the scores themselves without a calibration."""
    if calibration is None:
        return np.asarray(scores, dtype=np.float64)
    return cast(Floats, expit(calibration.slope * logits(scores) + calibration.intercept))


def raw_score(probability: float, calibration: Calibration | None) -> float:
    """The score of the network with this probability. 0 and 1 are kept: as thresholds they pass all or nothing."""
    if calibration is None or probability in (0.0, 1.0):
        return probability
    return float(expit((logits(probability) - calibration.intercept) / calibration.slope))


class CalibratedDetector:
    """A detector whose scores are probabilities.

    Args:
        detector: the detector whose scores are calibrated.
        calibration: the calibration of its scores.
    """

    def __init__(self, detector: Detector, calibration: Calibration) -> None:
        self._detector, self._calibration = detector, calibration

    def detect(self, chips: FloatArray) -> list[Detections]:
        """See `Detector.detect`."""
        return [self._with_probabilities(found) for found in self._detector.detect(chips)]

    def _with_probabilities(self, found: Detections) -> Detections:
        return replace(found, scores=calibrated(found.scores, self._calibration).astype(np.float32))
