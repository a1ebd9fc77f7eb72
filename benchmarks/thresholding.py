"""A detector that costs next to nothing, for what is measured around the network."""

import numpy as np
from scipy import ndimage

from rtsmap import bands
from rtsmap.records import Detections, FloatArray
from rtsmap.settings.card import ModelCard

MASK = 28  # cells of a mask's side
SMALLEST = 12  # px of a side; noise is smaller


class BareGround:
    """Takes every patch of low NDVI for a slump.

    Args:
        card: of the model in whose place it stands; says where NDVI is in the chips, and how it is normalised.
        below: NDVI.
    """

    def __init__(self, card: ModelCard, below: float = 0.3) -> None:
        inputs = card.input
        self._channel = bands.channels(inputs.modalities).index("ndvi")
        self._below = (below - inputs.mean["ndvi"]) / inputs.std["ndvi"]

    def detect(self, chips: FloatArray) -> list[Detections]:
        """See `Detector.detect`."""
        return [self._detect(chip) for chip in chips]

    def _detect(self, chip: FloatArray) -> Detections:
        labels, _ = ndimage.label((chip[self._channel] < self._below) & (chip != 0).any(axis=0))
        boxes, masks = [], []
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            if min(rows.stop - rows.start, columns.stop - columns.start) < SMALLEST:
                continue
            boxes.append([columns.start, rows.start, columns.stop, rows.stop])
            cells = [np.linspace(one.start, one.stop, MASK, endpoint=False).astype(int) for one in (rows, columns)]
            masks.append(labels[np.ix_(*cells)] == number)
        return Detections(
            np.array(boxes, dtype=np.float32).reshape(-1, 4),
            np.linspace(0.9, 0.8, len(boxes), dtype=np.float32),
            np.array(masks, dtype=np.float32).reshape(-1, MASK, MASK),
        )
