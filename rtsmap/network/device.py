"""Where a network runs, and in which precision it trains there."""

from typing import Literal

import torch

from rtsmap.errors import InputError
from rtsmap.runtime.machine import cpu_flags

#: Flags of processors that multiply matrices of 16 bits: Intel's and AMD's, ARM's.
NATIVE = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


def resolve_device(name: str) -> torch.device:
    """The device of `--device auto|cpu|cuda`.

    Raises:
        InputError: CUDA is asked for and torch sees no GPU.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no GPU; use --device cpu, or see rtsmap doctor")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def resolve_precision(name: Literal["auto", "float32", "bf16"], device: torch.device) -> Literal["float32", "bf16"]:
    """The precision of matrix products in training; auto is bf16 where the device computes in it natively.

    Where it does not, bf16 is emulated, which takes longer than single precision.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "float32"
    return "bf16" if NATIVE & cpu_flags() else "float32"
