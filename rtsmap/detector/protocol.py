"""The detector's protocol: what `predict` and `evaluation` ask of a model, whatever computes it."""

from typing import Protocol

from rtsmap.records import Detections, FloatArray


class Detector(Protocol):
    """Finds slumps in chips; several threads may call it."""

    def detect(self, chips: FloatArray) -> list[Detections]:
        """One result per chip, whatever the size of the batch.

        Args:
            chips: `(n, channels, rows, columns)` float32, normalised as `bands.network_input` does.
        """
