"""The detector's contract, and the choice of the runtime behind it."""

from pathlib import Path
from typing import Protocol

from rtsmap.config import ModelCard
from rtsmap.errors import INSTALL_TORCH, ModelError
from rtsmap.records import Detections, FloatArray


class Detector(Protocol):
    """Finds slumps in chips."""

    def detect(self, chips: FloatArray) -> list[Detections]:
        """One result per chip, whatever the size of the batch.

        Args:
            chips: `(n, channels, rows, columns)` float32, normalised as `bands.network_input` does.
        """


def load_detector(folder: Path, card: ModelCard, device: str, min_score: float) -> Detector:
    """Load a model on a device.

    Args:
        folder: where the model's weights lie.
        card: its card.
        device: `cpu`, `cuda`, or `auto`, which takes the GPU when there is one.
        min_score: detections below are not returned.

    Raises:
        ModelError: the weights cannot be loaded, or what they need is not installed.
    """
    try:
        from rtsmap.detector.torch import TorchDetector  # noqa: PLC0415  (torch is an optional dependency)
    except ImportError as error:
        raise ModelError(f"{folder}: the model needs torch and detectron2 ({error}); {INSTALL_TORCH}") from error
    return TorchDetector(card, folder / card.weights, device=device, min_score=min_score)
