"""Lets detectron2 v0.6 (November 2021) run beside current numpy, Pillow and torch.

Every patch of detectron2 lives here, with its reason and what makes it unnecessary. The package `rtsmap.network`
imports this module before anything of detectron2. The patches fit detectron2's main branch (02b5c4e) too.
"""

import importlib.util
import sys
import types
import warnings

import torch
from PIL import Image

if not hasattr(Image, "LINEAR"):
    # detectron2.data.transforms reads the name at import; Pillow 10 removed it. Unnecessary: detectron2 main.
    Image.LINEAR = Image.Resampling.BILINEAR  # type: ignore[attr-defined]

if importlib.util.find_spec("detectron2._C") is None:
    # detectron2.layers imports its C++ extension at once, for rotated boxes and deformable convolutions. None of them
    # is used here (RoIAlign and NMS are torchvision's). Unnecessary: a detectron2 that is built with its extension.
    sys.modules["detectron2._C"] = types.ModuleType("detectron2._C")

with warnings.catch_warnings():
    # Importing it compiles functions with torch.jit.script, deprecated since torch 2.9. Unnecessary: when fvcore and
    # detectron2 no longer do.
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


# Its own version calls torch.meshgrid without `indexing`, a warning on every chip; so does main's, which gets a tensor
# where this one gets a device. Unnecessary: when detectron2 names the indexing.
anchor_generator._create_grid_offsets = _grid_offsets
