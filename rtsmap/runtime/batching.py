"""How many chips go through the network at a time, according to the free memory."""

import os
import subprocess

from rtsmap.errors import InputError
from rtsmap.runtime.execution import Execution
from rtsmap.runtime.machine import free_memory, network_threads

#: Memory that a network may need for one pixel of a chip, bytes. On a GPU: four times what rts-mini took on a CPU. On a
#: CPU: a little more than it took. These numbers decide only whether a batch fits, not the result.
BYTES_PER_PIXEL, BYTES_PER_PIXEL_ON_CPU = 4000, 1200

#: Memory for one pixel of a chip that waits for the network: its channels in single precision, in a few batches.
WAITING_BYTES_PER_PIXEL = 60

#: Larger batches do not use a GPU better but take more memory; more chips at the same time gain little on a CPU.
LARGEST, LARGEST_ON_CPU = 16, 4

_MIB = 1 << 20


def fitting(device: str, chip_size: int) -> Execution:
    """Choose the batch size and the concurrency so that the chips take at most half of the free memory.

    On a GPU the chips go through the network in one batch. On the CPU they go through it in concurrent calls that share
    the network's threads evenly, which takes less time than all threads for one chip.

    Args:
        device: `cpu`, `cuda` or `auto`.
        chip_size: px.
    """
    free = None if device == "cpu" else gpu_memory()
    if free is not None:
        return Execution(batch_size=max(1, min(LARGEST, free // 2 // (BYTES_PER_PIXEL * chip_size**2))))
    memory = free_memory()
    most = LARGEST_ON_CPU if memory is None else memory // 2 // (BYTES_PER_PIXEL_ON_CPU * chip_size**2)
    numbers = range(1, max(1, min(LARGEST_ON_CPU, most)) + 1)
    return Execution(concurrency=max(number for number in numbers if network_threads() % number == 0))


def check_memory(device: str, execution: Execution, chip_size: int) -> None:
    """Check before any work, by a low estimate, that the chips fit into the free memory.

    Args:
        device: `cpu`, `cuda` or `auto`.
        execution: with the batch size and the concurrency.
        chip_size: px.

    Raises:
        InputError: they do not fit.
    """
    waiting = WAITING_BYTES_PER_PIXEL * execution.batch_size
    free, each = free_memory(), waiting + BYTES_PER_PIXEL_ON_CPU // 2 * execution.concurrency
    if device != "cpu" and (of_gpu := gpu_memory()) is not None:
        free, each = of_gpu, BYTES_PER_PIXEL // 4 * execution.batch_size
    if free is not None and (needed := each * chip_size**2) > free:
        raise InputError(
            f"{execution.batch_size} chips of {chip_size} px in a call need about {needed / 1e9:.0f} GB of memory, "
            f"and {free / 1e9:.0f} GB are free; give a smaller --batch-size or --chip-size"
        )


def gpu_memory() -> int | None:
    """Free memory of the first GPU that this process may use, in bytes; None without a GPU.

    The number comes from `nvidia-smi`, and is therefore the same for every runtime.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0].strip()
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits", "-i", visible]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
        return int(answer.split()[0]) * _MIB
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):  # no driver, no GPU, or none for this process
        return None
