"""The device of a network, and the precision of its training."""

from typing import Literal

import torch

from rtsmap.errors import InputError
from rtsmap.runtime.machine import cpu_flags

#: Flags of processors (Intel, AMD, ARM) that multiply 16-bit matrices natively.
NATIVE = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


def resolve_device(name: str) -> torch.device:
    """Return the device of `--device auto|cpu|cuda`.

    Raises:
        InputError: CUDA was requested and torch finds no GPU.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no GPU; use --device cpu, or see rtsmap doctor")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def resolve_precision(name: Literal["auto", "float32", "bf16"], device: torch.device) -> Literal["float32", "bf16"]:
    """Return the precision of matrix products in training; auto is bf16 where the device computes in it natively.

    Elsewhere bf16 is emulated, which takes longer than single precision.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "float32"
    return "bf16" if NATIVE & cpu_flags() else "float32"
