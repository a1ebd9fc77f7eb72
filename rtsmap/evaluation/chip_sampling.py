"""Sampling of chips from a scene or a data set, as a model sees them, to calibrate its quantisation."""

from pathlib import Path

import numpy as np

from rtsmap.dataset.images import ANNOTATIONS, read_dataset
from rtsmap.evaluation.predictions import predict_images
from rtsmap.predict.detector import ReadyDetector
from rtsmap.predict.scene import predict_scene
from rtsmap.records import Detections, FloatArray
from rtsmap.settings.card import ModelCard

_NOTHING = Detections(
    np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.float32), np.zeros((0, 2, 2), dtype=np.float32)
)


class _ChipSampler:
    """A detector that detects nothing and keeps a uniform random sample of its chips (reservoir sampling)."""

    def __init__(self, number: int) -> None:
        self.chips: list[FloatArray] = []
        self._number, self._seen, self._rng = number, 0, np.random.default_rng(0)

    def detect(self, chips: FloatArray) -> list[Detections]:
        """Sample from a batch of chips; see `Detector.detect`."""
        for chip in chips:
            self._seen += 1
            if len(self.chips) < self._number:
                self.chips.append(chip.copy())
            elif (index := int(self._rng.integers(self._seen))) < self._number:
                self.chips[index] = chip.copy()
        return [_NOTHING] * len(chips)


def sample_chips(path: Path, card: ModelCard, number: int) -> list[FloatArray]:
    """Draw a random sample of the chips of a scene or of a data set, with a fixed seed.

    Args:
        path: a scene, or the folder of a data set.
        card: card of the model for which the chips are made.
        number: greatest number of chips.

    Returns:
        Chips `(channels, rows, columns)`, normalised as the card states.

    Raises:
        RtsmapError: the scene or the data set cannot be read, or does not fit the model.
    """
    sampler = _ChipSampler(number)
    if (path / ANNOTATIONS).exists():
        predict_images(read_dataset(path), card, sampler)
    else:
        predict_scene(str(path), ReadyDetector.of(card, sampler))
    return sampler.chips
