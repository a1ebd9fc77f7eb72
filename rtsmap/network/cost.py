"""What a network costs: weights, arithmetic and training memory, counted from the shapes of its tensors alone.

Everything runs on torch's meta device, where tensors have no values: the largest network is counted in seconds.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.modeling import GeneralizedRCNN
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from rtsmap.network.cascade import box_predictors, build_network, count_parameters
from rtsmap.settings.network import NetworkConfig

#: Detections of a chip that the mask head is counted for; a chip holds a handful of slumps.
DETECTIONS = 10

#: Parts by the start of the names of their weights; backbones have parts of their own, and the first that fits counts.
PARTS = {
    "backbone.bottom_up.fusion.": "fusion",
    "backbone.": "feature pyramid",
    "proposal_generator.": "proposals",
    "roi_heads.box_": "box heads",
    "roi_heads.mask_": "mask head",
}


@dataclass(frozen=True)
class Parameters:
    """Numbers of weights: all, and those that learn."""

    total: int
    trainable: int


@dataclass(frozen=True)
class TrainingMemory:
    """Memory in bytes that training holds between the forward and the backward pass of one chip."""

    weights: int
    gradients: int
    moments: int  # AdamW's two for each weight that learns
    activations: int

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return self.weights + self.gradients + self.moments + self.activations


def meta_network(config: NetworkConfig, modalities: Sequence[str], **how: Any) -> GeneralizedRCNN:
    """`build_network` without memory for its weights."""
    with torch.device("meta"):
        return build_network(config, modalities, **how)


def part_of(name: str) -> str:
    """The part of the network, such as `backbone rgb`, that a weight of this name belongs to."""
    if name.startswith("backbone.bottom_up.backbones."):
        return f"backbone {name.split('.')[3]}"
    return next(part for start, part in PARTS.items() if name.startswith(start))


def parameters_by_part(network: nn.Module) -> dict[str, Parameters]:
    """Numbers of weights of each part, in the order of the network's data; they sum to `count_parameters`."""
    parts: dict[str, list[nn.Parameter]] = {}
    for name, weight in network.named_parameters():
        parts.setdefault(part_of(name), []).append(weight)
    order = list(PARTS.values())
    return {
        part: Parameters(
            sum(one.numel() for one in parts[part]), sum(one.numel() for one in parts[part] if one.requires_grad)
        )
        for part in sorted(parts, key=lambda part: order.index(part) if part in order else -1)
    }


def count_flop(run: Callable[[], object]) -> int:
    """Floating point operations of a call, two for each multiply-add.

    Counted are matrix products, convolutions and both products of attention. Norms, softmax, activation functions,
    pooling, interpolation, RoIAlign and non-maximum suppression are not: they have no multiply-adds to speak of.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return counter.get_total_flops()


def flop_by_part(
    network: GeneralizedRCNN, chip_size: int, *, proposals: int, detections: int = DETECTIONS
) -> dict[str, int]:
    """Floating point operations to predict one chip, by the parts of `parameters_by_part`; see `count_flop`.

    Args:
        network: on the meta device.
        chip_size: side of the chip in px.
        proposals: boxes that go through the box heads, all of their stages.
        detections: boxes that go through the mask head.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        maps = network.backbone(_image(network, chip_size))
    counts = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    bottom_up = network.backbone.bottom_up
    flop = {f"backbone {name}": counts[f"FPN.bottom_up.backbones.{name}"] for name in bottom_up.backbones}
    flop["fusion"] = sum(counts[f"FPN.bottom_up.fusion.{name}"] for name in bottom_up.fusion)
    flop["feature pyramid"] = counter.get_total_flops() - sum(flop.values())
    flop["proposals"] = count_flop(lambda: _propose(network, maps))
    flop["box heads"] = count_flop(lambda: _classify(network, proposals))
    flop["mask head"] = count_flop(lambda: _outline(network, detections))
    return {part: flop[part] for part in parameters_by_part(network)}


def _image(network: GeneralizedRCNN, chip_size: int) -> Tensor:
    return torch.zeros(1, sum(network.backbone.bottom_up.channels), chip_size, chip_size, device=network.device)


def _propose(network: GeneralizedRCNN, maps: dict[str, Tensor]) -> object:
    return network.proposal_generator.rpn_head([maps[name] for name in network.proposal_generator.in_features])


def _classify(network: GeneralizedRCNN, boxes: int) -> object:
    heads, predictors = network.roi_heads.box_head, box_predictors(network)
    stages = zip(heads if isinstance(heads, nn.ModuleList) else [heads], predictors, strict=True)
    return [predict(head(_pooled(network, boxes, network.roi_heads.box_pooler))) for head, predict in stages]


def _outline(network: GeneralizedRCNN, boxes: int) -> object:
    heads = network.roi_heads
    return heads.mask_head.layers(_pooled(network, boxes, heads.mask_pooler)) if heads.mask_on else None


def _pooled(network: GeneralizedRCNN, boxes: int, pooler: Any) -> Tensor:
    """What RoIAlign makes of the pyramid for these boxes."""
    shape = (boxes, network.backbone.output_shape()["p2"].channels, *pooler.output_size)
    return torch.zeros(shape, device=network.device, requires_grad=torch.is_grad_enabled())


class FusedAttention(TorchFunctionMode):
    """Attention by a GPU's memory-efficient kernel, where the meta device writes out its matrix products."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The kernel in place of `scaled_dot_product_attention`; everything else as it is."""
        if func is not functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        return torch.ops.aten._scaled_dot_product_efficient_attention(*args, None, True, **(kwargs or {}))[0]


def kept_bytes(run: Callable[[], object], weights: Iterable[Tensor], *, fused: bool = True) -> int:
    """Memory in bytes that a call keeps for its backward pass, each storage once.

    Args:
        run: the forward pass.
        weights: what is there anyway and does not count.
        fused: attention keeps queries, keys, values, output and one number a query, as the fused kernels of GPUs do
            (on the meta device only); false: as torch's own products, the weight of every pair of tokens as well.
    """
    anyway = {weight.untyped_storage()._cdata for weight in weights}
    kept: dict[int, Tensor] = {}  # holds the tensors, so that no address is given twice

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage()._cdata, tensor)
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with torch.enable_grad(), hooks, FusedAttention() if fused else nullcontext():
        run()
    return sum(tensor.untyped_storage().nbytes() for storage, tensor in kept.items() if storage not in anyway)


def training_memory(network: GeneralizedRCNN, chip_size: int, *, fused: bool = True) -> TrainingMemory:
    """Memory to train with one chip at a time in single precision, as `build_network` was told to freeze and recompute.

    Counted are weights, gradients, AdamW's moments, and all that the backbones, fusion, pyramid and heads keep for the
    backward pass, with as many boxes and masks as training samples. Not counted are the losses, the search for
    proposals, gradients of activations, the block that `recompute` works on, the working memory of kernels, what the
    allocator holds in reserve, and the averaged copy of the weights that `rtsmap train` keeps.

    Args:
        network: on the meta device.
        chip_size: side of the chip in px.
        fused: see `kept_bytes`.
    """
    boxes = network.roi_heads.batch_size_per_image
    masks = round(boxes * network.roi_heads.positive_fraction)

    def run() -> object:
        maps = network.backbone(_image(network, chip_size))
        return _propose(network, maps), _classify(network, boxes), _outline(network, masks)

    network.train()
    activations = kept_bytes(run, [*network.parameters(), *network.buffers()], fused=fused)
    weights, gradients = (4 * count_parameters(network, trainable=only) for only in (False, True))
    return TrainingMemory(weights, gradients, moments=2 * gradients, activations=activations)
