"""The cost of a network: weights, arithmetic and training memory, counted from the shapes of its tensors.

Everything runs on torch's meta device, where tensors have no values, so the largest network is counted in seconds.
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

#: Number of detections per chip for which the mask head is counted; a chip contains a handful of slumps.
DETECTIONS = 10

#: Parts by the beginning of the names of their weights, the first match counting; each backbone is a separate part.
PARTS = {
    "backbone.bottom_up.fusion.": "fusion",
    "backbone.": "feature pyramid",
    "proposal_generator.": "proposals",
    "roi_heads.box_": "box heads",
    "roi_heads.mask_": "mask head",
}


@dataclass(frozen=True)
class Parameters:
    """Numbers of all weights and of those that are trained."""

    total: int
    trainable: int


@dataclass(frozen=True)
class TrainingMemory:
    """Memory in bytes that training needs between the forward and the backward pass of one chip."""

    weights: int
    gradients: int
    moments: int  # the two moments of AdamW for each weight that is trained
    activations: int

    @property
    def total(self) -> int:
        """The sum, in bytes."""
        return self.weights + self.gradients + self.moments + self.activations


def meta_network(config: NetworkConfig, modalities: Sequence[str], **how: Any) -> GeneralizedRCNN:
    """Build a network on the meta device, without memory for its weights; see `build_network`."""
    with torch.device("meta"):
        return build_network(config, modalities, **how)


def part_of(name: str) -> str:
    """Return the part of the network, such as `backbone rgb`, to which the weight with this name belongs."""
    if name.startswith("backbone.bottom_up.backbones."):
        return f"backbone {name.split('.')[3]}"
    return next(part for start, part in PARTS.items() if name.startswith(start))


def parameters_by_part(network: nn.Module) -> dict[str, Parameters]:
    """Count the weights of each part, in the order of the data flow; their sum is `count_parameters`."""
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
    """Count the floating point operations of a call, two for each multiply-add.

    Matrix products, convolutions and both products of attention are counted. Normalisation, softmax, activation
    functions, pooling, interpolation, RoIAlign and non-maximum suppression are not, because their share is negligible.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return counter.get_total_flops()


def flop_by_part(
    network: GeneralizedRCNN, chip_size: int, *, proposals: int, detections: int = DETECTIONS
) -> dict[str, int]:
    """Count the floating point operations to predict one chip, by the parts of `parameters_by_part`; see `count_flop`.

    Args:
        network: a network on the meta device.
        chip_size: side of the chip, px.
        proposals: number of boxes that go through all stages of the box heads.
        detections: number of boxes that go through the mask head.
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
    """Return a tensor with the shape of the output of RoIAlign for this number of boxes."""
    shape = (boxes, network.backbone.output_shape()["p2"].channels, *pooler.output_size)
    return torch.zeros(shape, device=network.device, requires_grad=torch.is_grad_enabled())


class FusedAttention(TorchFunctionMode):
    """Computes attention with the memory-efficient kernel of GPUs, where the meta device uses explicit products."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the kernel instead of `scaled_dot_product_attention`, and all other functions unchanged."""
        if func is not functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        return torch.ops.aten._scaled_dot_product_efficient_attention(*args, None, True, **(kwargs or {}))[0]


def kept_bytes(run: Callable[[], object], weights: Iterable[Tensor], *, fused: bool = True) -> int:
    """Return the memory in bytes that a call keeps for its backward pass, counting each storage once.

    Args:
        run: the forward pass.
        weights: tensors that exist anyway and are not counted.
        fused: attention keeps queries, keys, values, output and one number per query, as the fused kernels of GPUs do
            (on the meta device only); false: it also keeps the weight of each pair of tokens, as explicit products do.
    """
    existing = {weight.untyped_storage()._cdata for weight in weights}
    kept: dict[int, Tensor] = {}  # keeps the tensors, so that no address is reused

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage()._cdata, tensor)
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with torch.enable_grad(), hooks, FusedAttention() if fused else nullcontext():
        run()
    return sum(tensor.untyped_storage().nbytes() for storage, tensor in kept.items() if storage not in existing)


def training_memory(network: GeneralizedRCNN, chip_size: int, *, fused: bool = True) -> TrainingMemory:
    """Count the memory to train with one chip at a time in single precision.

    Which backbones are frozen, and whether activations are recomputed, is as in the call of `build_network`. Weights,
    gradients, the moments of AdamW and all that the backbones, the fusion, the pyramid and the heads keep for the
    backward pass are counted, with as many boxes and masks as training samples. The losses, the selection of proposals,
    gradients of activations, the block that `recompute` works on, the working memory of kernels, the reserve of the
    allocator, and the averaged copy of the weights that `rtsmap train` keeps are not counted.

    Args:
        network: a network on the meta device.
        chip_size: side of the chip, px.
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
