"""Patches that let detectron2 v0.6 (November 2021) run with current numpy, Pillow and torch.

All patches of detectron2 are in this module, with their reasons and what will make them unnecessary. The package
`rtsmap.network` imports this module before any part of detectron2. The patches also fit detectron2's main branch
(02b5c4e).
"""

import importlib.util
import sys
import types
import warnings

import torch
from PIL import Image

if not hasattr(Image, "LINEAR"):
    # detectron2.data.transforms uses this name at import; Pillow 10 removed it. Unnecessary with detectron2 main.
    Image.LINEAR = Image.Resampling.BILINEAR  # type: ignore[attr-defined]

if importlib.util.find_spec("detectron2._C") is None:
    # detectron2.layers imports its C++ extension at once, for rotated boxes and deformable convolutions. Neither
    # is used here (RoIAlign and NMS come from torchvision). Unnecessary with a detectron2 that is built with its
    # extension.
    sys.modules["detectron2._C"] = types.ModuleType("detectron2._C")

with warnings.catch_warnings():
    # The import compiles functions with torch.jit.script, which is deprecated since torch 2.9. Unnecessary when fvcore
    # and detectron2 no longer use it.
    warnings.simplefilter("ignore", FutureWarning)
    from detectron2.modeling import anchor_generator


def _grid_offsets(
    size: list[int], stride: int, offset: float, like: torch.device | torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    device = like.device if isinstance(like, torch.Tensor) else like
    rows, columns = (
        torch.arange(offset * stride, length * stride, step=stride, dtype=torch.float32, device=device)
        for length in size
    )
    row, column = torch.meshgrid(rows, columns, indexing="ij")
    return column.reshape(-1), row.reshape(-1)


# detectron2's version calls torch.meshgrid without `indexing`, which warns for every chip. That of its main branch does
# too, and is given a tensor instead of a device. Unnecessary when detectron2 passes `indexing`.
anchor_generator._create_grid_offsets = _grid_offsets
