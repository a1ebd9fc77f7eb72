"""The network's inputs during a prediction, kept on disk to be run again without anything else."""

import time
from pathlib import Path

import numpy as np

from rtsmap.detector import Detector
from rtsmap.records import Detections, FloatArray


class Recorder:
    """A detector that keeps what it is given.

    Args:
        detector: does the work.
        folder: one `.npy` file a call, in order; it is made.
    """

    def __init__(self, detector: Detector, folder: Path) -> None:
        self._detector, self._folder = detector, folder
        self.calls = self.chips = 0
        folder.mkdir()

    def detect(self, chips: FloatArray) -> list[Detections]:
        """See `Detector.detect`."""
        np.save(self._folder / f"{self.calls:06}.npy", chips)
        self.calls += 1
        self.chips += len(chips)
        return self._detector.detect(chips)


class NetworkAlone:
    """Runs a detector on what a `Recorder` kept."""

    def __init__(self, detector: Detector, folder: Path) -> None:
        self._detector, self._files = detector, sorted(folder.glob("*.npy"))

    def seconds(self) -> float:
        """Wall time of the network on all of it; reading the files does not count."""
        return sum(map(self._one, self._files))

    def _one(self, path: Path) -> float:
        chips = np.load(path)
        start = time.perf_counter()
        self._detector.detect(chips)
        return time.perf_counter() - start
