"""How many chips go through the network at a time."""

import os
import subprocess
from typing import NamedTuple

from rtsmap.errors import InputError
from rtsmap.runtime.machine import free_memory, network_threads

#: Memory that a network may need for a pixel of a chip, bytes: on a GPU four times what rts-mini's took on a CPU, there
#: a little more than that. Only whether a batch fits hangs on it, not the result.
BYTES_PER_PIXEL, BYTES_PER_PIXEL_ON_CPU = 4000, 1200

#: And for a pixel of a chip that waits for the network: its channels in single precision, in a few batches at a time.
WAITING_BYTES_PER_PIXEL = 60

#: Larger batches fill no GPU better, and take memory on the way there; more chips side by side gain a CPU little.
LARGEST, LARGEST_ON_CPU = 16, 4

_MIB = 1 << 20


class Batching(NamedTuple):
    """How chips go through the network.

    Attributes:
        batch_size: chips in a call of the detector.
        concurrency: calls side by side.
    """

    batch_size: int
    concurrency: int


#: One chip after another.
ONE = Batching(1, 1)


def fitting(device: str, chip_size: int) -> Batching:
    """As many chips as half of the free memory takes.

    On a GPU they go through in one batch. On the CPU they go side by side, as many as share the network's threads
    evenly, which takes less time than all threads for one chip.

    Args:
        device: `cpu`, `cuda` or `auto`.
        chip_size: px.
    """
    free = None if device == "cpu" else gpu_memory()
    if free is not None:
        return Batching(max(1, min(LARGEST, free // 2 // (BYTES_PER_PIXEL * chip_size**2))), 1)
    memory = free_memory()
    most = LARGEST_ON_CPU if memory is None else memory // 2 // (BYTES_PER_PIXEL_ON_CPU * chip_size**2)
    numbers = range(1, max(1, min(LARGEST_ON_CPU, most)) + 1)
    return Batching(1, max(number for number in numbers if network_threads() % number == 0))


def check_memory(device: str, batching: Batching, chip_size: int) -> None:
    """Check before any work that the chips fit into the free memory, by a low estimate.

    Args:
        device: `cpu`, `cuda` or `auto`.
        batching: how the chips are to go through.
        chip_size: px.

    Raises:
        InputError: they do not.
    """
    waiting = WAITING_BYTES_PER_PIXEL * batching.batch_size
    free, each = free_memory(), waiting + BYTES_PER_PIXEL_ON_CPU // 2 * batching.concurrency
    if device != "cpu" and (of_gpu := gpu_memory()) is not None:
        free, each = of_gpu, BYTES_PER_PIXEL // 4 * batching.batch_size
    if free is not None and (needed := each * chip_size**2) > free:
        raise InputError(
            f"{batching.batch_size} chips of {chip_size} px in a call need about {needed / 1e9:.0f} GB of memory, "
            f"and {free / 1e9:.0f} GB are free; give a smaller --batch-size or --chip-size"
        )


def gpu_memory() -> int | None:
    """Free bytes of the first GPU that this process may use, None where there is none.

    It is asked of the driver's own program, and so the same for every runtime.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0].strip()
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits", "-i", visible]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
        return int(answer.split()[0]) * _MIB
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):  # no driver, no GPU, or none for this process
        return None
