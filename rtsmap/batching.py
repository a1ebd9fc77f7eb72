"""How many chips go through the network together."""

import os
import subprocess

#: Memory that a network may need for a pixel of a chip, bytes: four times what rts-mini's took on a CPU. Only whether a
#: batch fits hangs on it, not the result.
BYTES_PER_PIXEL = 4000

#: Larger batches fill no GPU better, and take memory on the way there.
LARGEST = 16

_MIB = 1 << 20


def fitting(device: str, chip_size: int) -> int:
    """Chips for one call of the detector: 1 on the CPU, where more gain nothing, else what half of the memory takes.

    Args:
        device: `cpu`, `cuda` or `auto`.
        chip_size: px.
    """
    free = None if device == "cpu" else gpu_memory()
    if free is None:
        return 1
    return max(1, min(LARGEST, free // 2 // (BYTES_PER_PIXEL * chip_size**2)))


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
