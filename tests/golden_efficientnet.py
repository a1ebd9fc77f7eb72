"""The golden fixture of EfficientNet-Lite: features of the reference implementation, with weights by a recipe.

`python -m tests.golden_efficientnet FOLDER` makes it, where FOLDER holds the package `efficientnet_lite_pytorch` (0.1.0
from PyPI); the tests compare ours with it, and need the reference no more.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rtsmap.network.efficientnet import EfficientNetLite
from tests.golden import image, label, numbers, summary

FIXTURE = Path(__file__).parent / "data" / "efficientnet_golden.json"
VARIANTS = ("lite0", "lite2")
SIZES = ((64, 64), (96, 160))

RECIPE = (
    "Numbers u of a name, and images, as in mvitv2_golden.json. Weights of more than one dimension: u of their name "
    "times sqrt(6 / size of a first-axis slice); scales and running_var of norms: 1 + u / 5; the rest: u / 5. "
    "Computed in double precision, for such weights magnify rounding."
)


def fill(network: nn.Module) -> None:
    """Set every weight, and the statistics of every norm, by `RECIPE`."""
    for name, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        u = numbers(name, value.numel())
        u = u * np.sqrt(6 / value[0].numel()) if value.ndim > 1 else u / 5 + name.endswith(("weight", "running_var"))
        value.copy_(torch.from_numpy(u.reshape(value.shape)))


def summaries(variant: str, size: tuple[int, int], maps: dict[str, Tensor]) -> dict[str, Any]:
    """What the fixture keeps of an image's feature maps."""
    return {name: summary(f"{variant} {label(*size)} {name}", value) for name, value in maps.items()}


def _reference(variant: str, size: tuple[int, int]) -> dict[str, Tensor]:
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name(f"efficientnet-{variant}", image_size=list(size)).double().eval()
    fill(network)
    maps: dict[str, Tensor] = {}
    for index, name in EfficientNetLite(variant=variant).last_blocks.items():
        network._blocks[index].register_forward_hook(lambda _block, _inputs, out, name=name: maps.update({name: out}))
    with torch.no_grad():
        network.extract_features(image(*size).double())
    return maps


def main() -> None:
    """Write the fixture."""
    sys.path.insert(0, sys.argv[1])
    golden: dict[str, Any] = {"reference": "efficientnet_lite_pytorch 0.1.0", "recipe": RECIPE}
    for variant in VARIANTS:
        golden[variant] = {label(*size): summaries(variant, size, _reference(variant, size)) for size in SIZES}
    FIXTURE.write_text(json.dumps(golden, indent=None, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
