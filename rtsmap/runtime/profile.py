"""The profile of a prediction: time of each stage, waiting time of each thread, number of chips, memory."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np

from rtsmap import __version__
from rtsmap.files.writing import replacing
from rtsmap.runtime.machine import cores, cpu_model, network_threads, peak_memory_mb
from rtsmap.runtime.threads import Waits

#: The concurrent threads and the stages of each. The last one is the calling thread, which also loads the model and
#: writes the layer.
THREADS: Mapping[str, tuple[str, ...]] = {
    "reader": ("read", "prepare"),
    "network": ("network",),
    "polygons": ("load", "outlines", "merge", "describe", "write"),
}

QUANTILES = {"min": 0.0, "p10": 0.1, "p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}

_T = TypeVar("_T")


@dataclass
class Stage:
    """Total time of all calls of a stage; `cpu_s` is the CPU time of the threads in which it ran."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    calls: int = 0


class Profile:
    """Collects times. It is always on, because timing a stage takes only a few microseconds a call.

    Several threads may run the same stage at the same time; stages are never nested.

    Attributes:
        stages: the stages of `THREADS` by name.
        inputs: waiting times between reader and network.
        detections: waiting times between network and polygons.
        chip_s: time of the network for each chip, s; the time of a batch is divided among its chips.
        windows: windows of the chip grids so far, including those without a clear pixel.
    """

    def __init__(self) -> None:
        self.stages = {name: Stage() for names in THREADS.values() for name in names}
        self.inputs, self.detections = Waits(), Waits()
        self.chip_s: list[float] = []
        self.windows = 0
        self._start = time.perf_counter(), time.process_time()
        self._lock = Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as part of a stage."""
        stage = self.stages[name]
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            with self._lock:
                stage.wall_s += time.perf_counter() - wall
                stage.cpu_s += time.thread_time() - cpu
                stage.calls += 1

    def timed(self, name: str, items: Iterable[_T]) -> Iterator[_T]:
        """Return the same items, and count the time of producing them as part of a stage."""
        iterator, end = iter(items), object()
        while True:
            with self.stage(name):
                item = next(iterator, end)
            if item is end:
                return
            yield item  # type: ignore[misc]  # not the end

    @contextmanager
    def network(self, chips: int) -> Iterator[None]:
        """Time the network on a batch."""
        start = time.perf_counter()
        with self.stage("network"):
            yield
        self.chip_s += [(time.perf_counter() - start) / chips] * chips

    def report(self) -> dict[str, object]:
        """Return the profile in JSON's types; docs/measurements/performance.md describes the fields.

        The runtimes of the network use threads of their own, so CPU time outside all stages is assigned to the network.
        """
        wall_s, cpu_s = (now - then for now, then in zip(_clocks(), self._start, strict=True))
        others = sum(stage.cpu_s for name, stage in self.stages.items() if name != "network")
        stages = {name: _rounded(vars(stage)) for name, stage in self.stages.items()}
        stages["network"]["cpu_s"] = round(max(cpu_s - others, self.stages["network"].cpu_s), 3)
        return {
            "rtsmap": __version__,
            "machine": {"cpu": cpu_model(), "cores": cores(), "network_threads": network_threads()},
            "wall_s": round(wall_s, 3),
            "cpu_s": round(cpu_s, 3),
            "peak_memory_mb": round(peak_memory_mb(), 1),
            "chips": {"computed": len(self.chip_s), "without_clear_pixels": self.windows - len(self.chip_s)},
            "chips_per_s": round(len(self.chip_s) / wall_s, 3),
            "network_s_per_chip": self.quantiles(),
            "stages": stages,
            "threads": self._threads(),
        }

    def quantiles(self) -> dict[str, float]:
        """Quantiles of the time of the network per chip, s; empty without chips."""
        if not self.chip_s:
            return {}
        return {name: round(float(np.quantile(self.chip_s, level)), 4) for name, level in QUANTILES.items()}

    def summary(self) -> str:
        """Return the report in one line."""
        wall_s = time.perf_counter() - self._start[0]
        chips, each = len(self.chip_s), self.quantiles().get("p50", 0.0)
        return (
            f"{wall_s:.1f} s, {chips} chips, {chips / wall_s:.2f} chips/s; {each:.2f} s in the network per chip, "
            f"waited {self.inputs.for_items_s:.1f} s for pixels; peak memory {peak_memory_mb():.0f} MB"
        )

    def write(self, path: Path, *, overwrite: bool = True, **further: object) -> None:
        """Write the report as JSON, completely or not at all.

        Args:
            path: the file to write.
            overwrite: whether an existing file is replaced, see `files.writing.replacing`.
            **further: fields to put before those of the report.

        Raises:
            OutputError: the disk is full or the folder cannot be written.
        """
        with replacing(path, overwrite=overwrite) as temporary:
            temporary.write_text(json.dumps({**further, **self.report()}, indent=2) + "\n", encoding="utf-8")

    def _threads(self) -> dict[str, dict[str, object]]:
        waits = {
            "reader": {"for_room": self.inputs.for_room_s},
            "network": {"for_input": self.inputs.for_items_s, "for_room": self.detections.for_room_s},
            "polygons": {"for_input": self.detections.for_items_s},
        }
        return {name: {"stages": list(stages), "waited_s": _rounded(waits[name])} for name, stages in THREADS.items()}


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}
