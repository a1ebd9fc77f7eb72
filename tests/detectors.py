"""Detectors whose answers are known, in place of a network."""

import numpy as np
from scipy import ndimage

from rtsmap.records import Detections
from rtsmap.settings.card import InputConfig, ModelCard
from tests.networks import MEAN, STD, TINY

MASK = 28
NDVI = 3  # index of the channel in the network's input


class BareGround:
    """Takes every patch of ground of low NDVI for a slump, with the mask's probabilities averaged over its box."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def detect(self, chips: np.ndarray) -> list[Detections]:
        self.batches.append(len(chips))
        return [self._detect(chip) for chip in chips]

    def _detect(self, chip: np.ndarray) -> Detections:
        valid = (chip != 0).any(axis=0)
        bare = (chip[NDVI] * STD["ndvi"] + MEAN["ndvi"] < 0.3) & valid
        labels, _ = ndimage.label(bare)
        boxes, masks = [], []
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            boxes.append([columns.start, rows.start, columns.stop, rows.stop])
            patch = np.kron(labels[rows, columns] == number, np.ones((MASK, MASK)))  # each pixel MASK x MASK
            masks.append(patch.reshape(MASK, patch.shape[0] // MASK, MASK, -1).mean(axis=(1, 3)))
        scores = np.linspace(0.9, 0.8, len(boxes), dtype=np.float32)
        return Detections(
            np.array(boxes, dtype=np.float32).reshape(-1, 4),
            scores,
            np.array(masks, dtype=np.float32).reshape(-1, MASK, MASK),
        )


def card(*, gsd_m: float = 3.0, chip_size: int = 128, overlap: int = 32) -> ModelCard:
    """The card of a model that does not exist."""
    return ModelCard(
        name="bare-ground",
        version="1.0.0",
        summary="for tests",
        licence="Apache-2.0",
        attribution="none",
        sites_trained_on=(),
        sha256="0" * 64,
        score_threshold=0.5,
        input=InputConfig(
            gsd_m=gsd_m,
            gsd_range_m=(gsd_m * 0.9, gsd_m * 1.1),
            chip_size=chip_size,
            overlap=overlap,
            mean=MEAN,
            std=STD,
        ),
        network=TINY,
    )


def tundra(height: int, width: int, slumps: list[tuple[int, int, int, int]]) -> np.ndarray:
    """Digital numbers of tundra with bare rectangles `(row, column, height, width)`."""
    numbers = np.empty((4, height, width), dtype=np.uint16)
    numbers[:] = np.array([340, 580, 620, 2600]).reshape(4, 1, 1)
    for row, column, tall, wide in slumps:
        numbers[:, row : row + tall, column : column + wide] = np.array([600, 800, 1000, 1200]).reshape(4, 1, 1)
    return numbers
