"""Where a network runs."""

import torch

from rtsmap.errors import InputError


def resolve_device(name: str) -> torch.device:
    """The device of `--device auto|cpu|cuda`.

    Raises:
        InputError: CUDA is asked for and torch sees no GPU.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no GPU; use --device cpu, or see rtsmap doctor")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
