"""Weights and images by a recipe that knows no random generator, for the golden fixture of MViTv2.

`python -m benchmarks.mvitv2 DETECTRON2_SOURCE --write` makes the fixture with the reference implementation; the tests
compare ours with it, and need the reference no more.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

FIXTURE = Path(__file__).parent / "data" / "mvitv2_golden.json"

#: Height and width in px: that of the published weights, chips of ours, one that is no square. The windows of `SMALL`
#: divide none of them.
SIZES = ((224, 224), (256, 256), (512, 512), (320, 448))

#: Arguments of our `MViT`: all kinds of blocks, in windows and not, with every stride of queries and keys.
SMALL: dict[str, Any] = {"dim": 16, "depth": 7, "heads": 1, "last_blocks": (0, 2, 4, 6), "window": 24}
TINY: dict[str, Any] = {"dim": 96, "depth": 10, "heads": 1, "last_blocks": (0, 2, 7, 9), "window": 56}  # MViTv2-T

RECIPE = (
    "Numbers of a name: SHAKE-256 of the name in UTF-8, read as little-endian unsigned 32-bit integers n, as "
    "u = n / 2^31 - 1. Image of h x w px: u of 'image h x w', times 2. Parameter of n dimensions: u of its name, times "
    "sqrt(3 / size of a first-axis slice) for weights of more than one dimension, times 0.5 for rel_pos_*, "
    "times 0.2 for biases, times 0.2 plus 1 for the scales of norms."
)


def label(height: int, width: int) -> str:
    """Of an image, in the fixture."""
    return f"{height} x {width}"


def numbers(name: str, count: int) -> NDArray[np.float64]:
    """`count` numbers, uniform in -1..1, the same for the same name on every machine."""
    integers = np.frombuffer(hashlib.shake_256(name.encode()).digest(4 * count), dtype="<u4")
    return integers / 2**31 - 1


def image(height: int, width: int) -> Tensor:
    """One image, `(1, 3, height, width)`, uniform in -2..2."""
    values = numbers(f"image {label(height, width)}", 3 * height * width) * 2
    return torch.from_numpy(values.reshape(1, 3, height, width)).float()


def fill(network: nn.Module) -> None:
    """Set every parameter by `RECIPE`."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            values = numbers(name, parameter.numel())
            if "rel_pos" in name:
                values = values * 0.5  # of the order of the products of queries and keys
            elif parameter.ndim > 1:
                values = values * np.sqrt(3 / parameter[0].numel())
            else:
                values = values * 0.2 + name.endswith("weight")
            parameter.copy_(torch.from_numpy(values.reshape(parameter.shape)))


def fingerprint(network: nn.Module) -> dict[str, Any]:
    """Of the names and shapes of all parameters."""
    lines = sorted(f"{name} {tuple(parameter.shape)}" for name, parameter in network.named_parameters())
    return {"count": len(lines), "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}


def summary(name: str, features: Tensor) -> dict[str, Any]:
    """What the fixture keeps of a feature map: shape, mean, standard deviation, values at 16 indices when flattened."""
    flat = features.detach().double().flatten()
    indices = ((numbers(f"indices of {name}", 16) + 1) / 2 * len(flat)).astype(int)
    return {
        "shape": list(features.shape),
        "mean": round(flat.mean().item(), 7),
        "deviation": round(flat.std(correction=0).item(), 7),
        "indices": indices.tolist(),
        "values": [round(value, 7) for value in flat[torch.from_numpy(indices)].tolist()],
    }
