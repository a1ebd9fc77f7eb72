"""The network's inputs during a prediction, kept on disk to be run again without anything else."""

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rtsmap.detector import Detector
from rtsmap.records import Detections, FloatArray
from rtsmap.runtime.threads import ordered_map

#: Calls whose inputs are in memory at a time.
HELD = 32


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
    """Runs a detector on what a `Recorder` kept.

    Args:
        detector: told of as many calls at once.
        folder: the recorder's.
        concurrency: calls side by side.
    """

    def __init__(self, detector: Detector, folder: Path, concurrency: int) -> None:
        self._detector, self._files, self._concurrency = detector, sorted(folder.glob("*.npy")), concurrency

    def seconds(self) -> float:
        """Wall time of the network on all of it; reading the files, as many as fit into memory, does not count."""
        return sum(self._some(self._files[first : first + HELD]) for first in range(0, len(self._files), HELD))

    def _some(self, paths: Sequence[Path]) -> float:
        calls = [np.load(path) for path in paths]
        start = time.perf_counter()
        deque(ordered_map(self._detector.detect, calls, self._concurrency))
        return time.perf_counter() - start
