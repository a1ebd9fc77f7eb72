"""The protocol of detectors: what `predict` and `evaluation` need of a model, whatever runtime computes it."""

from typing import Protocol

from rtsmap.records import Detections, FloatArray


class Detector(Protocol):
    """Detects slumps in chips; several threads may call it."""

    def detect(self, chips: FloatArray) -> list[Detections]:
        """Detect slumps in a batch of chips; return one result per chip.

        Args:
            chips: `(n, channels, rows, columns)` float32, normalised as `bands.network_input` does.
        """
