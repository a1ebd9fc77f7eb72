"""How the work is executed: batches, threads, progress and timing. None of it changes a result on the CPU."""

from collections.abc import Callable
from dataclasses import dataclass, field

from rtsmap.runtime.profile import Profile

#: Batches that are ready or being prepared before the next stage requests them. Two are enough to hide that pixels are
#: read several chips at a time; each further one takes memory (20 MB for a chip of 1024 px).
PREFETCH = 2

#: Called with the scene, the number of its chips that are done, and the number of all its chips.
Progress = Callable[[str, int, int], None]


def no_progress(_scene: str, _done: int, _total: int) -> None:
    """Ignore the progress."""


@dataclass(frozen=True)
class Execution:
    """How the work is executed. It changes speed and memory, and on the CPU never the result.

    Attributes:
        batch_size: number of chips in one call of the detector.
        concurrency: number of calls of the detector at the same time.
        prefetch: number of batches that each stage prepares before the next stage requests them, in a thread; 0 runs
            one stage after another in the calling thread. None: `PREFETCH`, or 0 with concurrent calls, which keep the
            cores busy without it.
        threads: number of threads of ONNX Runtime on a CPU, shared by concurrent calls. None: `OMP_NUM_THREADS`, or one
            for each core.
        progress: is called whenever chips are done.
        profile: collects the times of all work that is executed with this record.
    """

    batch_size: int = 1
    concurrency: int = 1
    prefetch: int | None = None
    threads: int | None = None
    progress: Progress = no_progress
    profile: Profile = field(default_factory=Profile)

    @property
    def prefetch_depth(self) -> int:
        """`prefetch`, with its default."""
        if self.prefetch is None:
            return PREFETCH if self.concurrency == 1 else 0
        return self.prefetch
