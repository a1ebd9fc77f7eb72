"""The learning rate of each step and layer, and the parameter groups of the optimiser."""

import math
import re
from typing import Any

from torch import nn

from rtsmap.settings.training import TrainConfig

#: Number of chips per step for which the setting `learning_rate` is given.
REFERENCE_BATCH = 4

_BLOCK = re.compile(r"backbones\.[^.]+\..*?blocks\.(\d+)\.")


def learning_rate(config: TrainConfig, step: int, steps: int, processes: int) -> float:
    """Return the learning rate of a step, counted from 0: a linear warm-up, then a cosine.

    It is proportional to the number of chips of a step (Goyal et al. 2017).
    """
    chips = config.batch_size * config.accumulate * processes
    warm = min(1.0, (step + 1) / max(config.warmup, 1))
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return config.learning_rate * chips / REFERENCE_BATCH * warm * max(cosine, 0.01)


def parameter_groups(network: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Group the parameters that share weight decay and the factor of the learning rate, `scale`.

    Weight decay applies to matrices and kernels, not to biases, normalisations and tables of relative positions. The
    learning rate of each block of a backbone is `layer_decay` times that of the next block, and that of all parameters
    of the backbones is multiplied by `backbone_rate`.
    """
    named = {name: value for name, value in network.named_parameters() if value.requires_grad}
    blocks = 1 + max((int(found[1]) for name in named if (found := _BLOCK.search(name))), default=-1)
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, value in named.items():
        weight_decay = 0.0 if value.ndim == 1 or "rel_pos" in name else config.weight_decay
        scale = config.layer_decay ** _distance(name, blocks) * (config.backbone_rate if ".backbones." in name else 1)
        group = groups.setdefault((weight_decay, scale), {"params": [], "weight_decay": weight_decay, "scale": scale})
        group["params"].append(value)
    return list(groups.values())


def _distance(name: str, blocks: int) -> int:
    """Number of blocks from a parameter to the output of its backbone; the first convolution is one further away."""
    if ".backbones." not in name:
        return 0
    found = _BLOCK.search(name)
    if found:
        return blocks - int(found[1])
    return blocks + 1 if "stem" in name or "patch_embed" in name or "_bn0" in name else 0
