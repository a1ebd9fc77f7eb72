"""Chips as a model gets to see them, from a scene or a data set."""

from pathlib import Path

import numpy as np

from rtsmap.dataset.images import ANNOTATIONS, read_dataset
from rtsmap.evaluation.detections import detect_images
from rtsmap.predict.detector import ReadyDetector
from rtsmap.predict.scene import predict_scene
from rtsmap.records import Detections, FloatArray
from rtsmap.settings.card import ModelCard

_NOTHING = Detections(
    np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.float32), np.zeros((0, 2, 2), dtype=np.float32)
)


class _Recorder:
    """A detector that finds nothing and keeps some of the chips: any one is as likely to be kept as any other."""

    def __init__(self, number: int) -> None:
        self.chips: list[FloatArray] = []
        self._number, self._seen, self._rng = number, 0, np.random.default_rng(0)

    def detect(self, chips: FloatArray) -> list[Detections]:
        """See `Detector.detect`."""
        for chip in chips:
            self._seen += 1
            if len(self.chips) < self._number:
                self.chips.append(chip.copy())
            elif (place := int(self._rng.integers(self._seen))) < self._number:
                self.chips[place] = chip.copy()
        return [_NOTHING] * len(chips)


def chips_of(path: Path, card: ModelCard, number: int) -> list[FloatArray]:
    """Chips drawn from all of a scene or of a data set, always the same ones.

    Args:
        path: a scene, or the folder of a data set.
        card: of the model that is to see them.
        number: of chips, at most.

    Returns:
        Each `(channels, rows, columns)`, normalised as the card says.

    Raises:
        RtsmapError: the scene or the data set cannot be read, or does not fit the model.
    """
    recorder = _Recorder(number)
    if (path / ANNOTATIONS).exists():
        detect_images(read_dataset(path), card, recorder)
    else:
        predict_scene(str(path), ReadyDetector.of(card, recorder))
    return recorder.chips
