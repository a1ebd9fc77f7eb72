"""Pretrained weights: the tensors of published checkpoints and of models, fitted to a network and loaded into it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from rtsmap import bands
from rtsmap.errors import ModelError
from rtsmap.network.cascade import build_network
from rtsmap.network.checkpoint_reading import read_checkpoint
from rtsmap.settings.training import TrainConfig

WEIGHTS = "weights.safetensors"

BOTTOM_UP = "backbone.bottom_up."
BACKBONES = f"{BOTTOM_UP}backbones."
FIRST_CONVOLUTIONS = ("patch_embed.proj.weight", "stem.conv1.weight", "_conv_stem.weight")

#: First convolutions whose images were not divided by their standard deviation (std), with that std. The images of
#: EfficientNet-Lite were scaled to -1..1 (mean 127, std 128 in Google's `efficientnet_lite_builder`), where ImageNet
#: has a std of 2 x 0.226.
IMAGE_STD = {"_conv_stem.weight": 0.45}

#: Tensors that only detectors have on top of the backbone, not classifiers.
SCALE_NORM = re.compile(r"\.scale\d_norm\.")


@dataclass(frozen=True)
class ImportReport:
    """How the tensors of a checkpoint were used.

    Attributes:
        loaded: tensors of the network that were loaded unchanged.
        resized: tensors of the network that were interpolated, expanded to more channels, or scaled to images with a
            std of 1.
        skipped: tensors of the file that were not used, with the reasons.
        missing: tensors of the network that are not in the file; they stay random.
    """

    loaded: tuple[str, ...]
    resized: tuple[str, ...]
    skipped: Mapping[str, str]
    missing: tuple[str, ...]

    def describe(self, most: int = 10) -> str:
        """Return a text with the counts, and then up to `most` names of each kind."""
        kinds = {
            "loaded": self.loaded,
            "resized or scaled": self.resized,
            "skipped": [f"{name}: {reason}" for name, reason in self.skipped.items()],
            "missing in the file, random": self.missing,
        }
        lines = [f"{len(names):6} tensors {kind}" for kind, names in kinds.items()]
        for kind, names in kinds.items():
            more = [f"... and {len(names) - most} more"] if len(names) > most else []
            lines += ["", f"{kind}:", *(f"  {line}" for line in (*names[:most], *more))] if names else []
        return "\n".join(lines)


def import_checkpoint(path: Path, config: TrainConfig) -> tuple[dict[str, Tensor], ImportReport]:
    """Fit the tensors of a published checkpoint to a network.

    The backbone of the file is used for the backbone of every modality. The names of the tensors are those of
    detectron2 (MViT, ResNet, or whole detectors with them) or of `efficientnet_lite_pytorch`. Images are assumed to be
    RGB divided
    by their std: this is true of MViTv2, and the first convolution of EfficientNet-Lite is scaled accordingly. It is
    not true of detectron2's COCO detectors with ResNet (BGR, std 1), whose files do not say so.

    Args:
        path: path of the checkpoint, see `read_checkpoint`.
        config: settings with the network and the modalities.

    Returns:
        Tensors by their names in the network, for those that the file contains; and a report.

    Raises:
        ModelError: the file cannot be read, or its backbone has another architecture.
    """
    given = read_checkpoint(path)
    with torch.device("meta"):  # names and shapes alone
        network = build_network(config.network, config.modalities)
    shapes = {name: value.shape for name, value in network.state_dict().items() if value.is_floating_point()}
    found, report = _match(given, shapes, bands.channels(config.modalities))
    _check_depth(path, given, config)
    if absent := [name for name in report.missing if name.startswith(BACKBONES) and not SCALE_NORM.search(name)]:
        name = absent[0].removeprefix(BACKBONES).partition(".")[2]
        raise ModelError(
            f"{path}: another architecture: the network's backbone has {name}, which the file lacks or has in "
            "another shape; choose another network, or a checkpoint with detectron2's names (for EfficientNet-Lite, "
            "with those of efficientnet_lite_pytorch)"
        )
    if wrong := [name for name, value in found.items() if not value.half().isfinite().all()]:
        raise ModelError(f"{path}: {wrong[0]} is not finite in half precision; choose another checkpoint")
    return found, report


def _match(
    given: Mapping[str, Tensor], shapes: Mapping[str, torch.Size], channels: Sequence[str]
) -> tuple[dict[str, Tensor], ImportReport]:
    in_backbones = (name.removeprefix(BACKBONES) for name in shapes if name.startswith(BACKBONES))
    backbones = tuple({name.partition(".")[0]: None for name in in_backbones})
    found: dict[str, Tensor] = {}
    skipped: dict[str, str] = {}
    resized: set[str] = set()
    for name, value in given.items():
        targets = _targets(name, shapes, backbones)
        fitted = _fit(name, value, shapes[targets[0]], channels) if targets else None  # the same for all backbones
        if not targets:
            skipped[name] = "the network has no such tensor"
        elif fitted is None:
            skipped[name] = f"{tuple(value.shape)} in the file, {tuple(shapes[targets[0]])} in the network"
        else:
            found |= dict.fromkeys(targets, fitted)
            resized |= set(targets) if fitted is not value else set()
    return found, ImportReport(
        loaded=tuple(name for name in found if name not in resized),
        resized=tuple(name for name in found if name in resized),
        skipped=skipped,
        missing=tuple(name for name in shapes if name not in found),
    )


def _targets(name: str, shapes: Mapping[str, torch.Size], backbones: Sequence[str]) -> list[str]:
    """Return the names of the tensors of the network that a tensor of the file belongs to."""
    bare = name.removeprefix(BOTTOM_UP)
    names = (name, *(f"{BACKBONES}{backbone}.{bare}" for backbone in backbones))
    return [one for one in names if one in shapes]


def _fit(name: str, value: Tensor, shape: torch.Size, channels: Sequence[str]) -> Tensor | None:
    """Return the tensor in the shape of the network: unchanged, resized or scaled; None where that is impossible."""
    if std := next((one for end, one in IMAGE_STD.items() if name.endswith(end)), None):
        value = value * std
    if value.shape == shape:
        return value
    if name.endswith(("rel_pos_h", "rel_pos_w")) and value.numel() and value.shape[1:] == shape[1:]:
        return functional.interpolate(value.T[None], size=shape[0], mode="linear")[0].T
    if name.endswith(FIRST_CONVOLUTIONS) and value.shape == (shape[0], 3, *shape[2:]) and shape[1] == len(channels):
        return _expand(value, channels)
    return None


def _expand(weight: Tensor, channels: Sequence[str]) -> Tensor:
    """Convert a first convolution for RGB to one for `channels` whose outputs are as large as before.

    Red, green and blue keep their weights, and other channels get the mean of these; all are scaled by 3 / number of
    channels.
    """
    of_colour = dict(zip(bands.MODALITY_CHANNELS["rgb"], weight.unbind(1), strict=True))
    expanded = torch.stack([of_colour.get(channel, weight.mean(dim=1)) for channel in channels], dim=1)
    return expanded * (3 / len(channels))


def _check_depth(path: Path, given: Mapping[str, Tensor], config: TrainConfig) -> None:
    bare = {name.removeprefix(BOTTOM_UP): value for name, value in given.items()}
    blocks = [int(found[1]) for name in bare if (found := re.match(r"blocks\.(\d+)\.", name))]
    if config.network.backbone != "mvitv2" or not blocks or FIRST_CONVOLUTIONS[0] not in bare:
        return
    in_file = (max(blocks) + 1, len(bare[FIRST_CONVOLUTIONS[0]]))
    in_network = (config.network.depth, config.network.embed_dim)
    if in_file != in_network:
        raise ModelError(
            f"{path}: another architecture: the file's backbone has depth {in_file[0]} and {in_file[1]} channels, the "
            f"network's {in_network[0]} and {in_network[1]}; choose another network"
        )


def start_from(network: nn.Module, path: Path, config: TrainConfig) -> None:
    """Load pretrained weights into a network; tensors that they do not contain stay unchanged.

    Args:
        network: a network with the sizes and modalities that the weights were imported for.
        path: a folder made by `rtsmap models import`; or the folder of a model with some of the modalities of the
            network; or a published checkpoint, which is then imported.
        config: the settings that the network was built from.

    Raises:
        ModelError: the weights cannot be read, or some do not fit.
    """
    if path.is_file():
        network.load_state_dict(import_checkpoint(path, config)[0], strict=False)
        return
    path /= WEIGHTS
    weights = read_checkpoint(path)
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    if wrong := sorted(name for name, value in weights.items() if shapes.get(name) != value.shape):
        raise ModelError(
            f"{path}: was made for another network (tensor {wrong[0]}, {len(wrong)} in all); "
            "import the checkpoint again with the settings of this network"
        )
    network.load_state_dict(weights, strict=False)


def take_decoder(network: nn.Module, path: Path, config: TrainConfig) -> None:
    """Load the feature pyramid, proposals and heads of another network, which may have any backbones.

    Args:
        network: the network, whose backbones and fusion stay unchanged.
        path: folder of a model, a folder made by `rtsmap models import`, or a published checkpoint; of the last two,
            tensors that do not fit are left out.
        config: the settings that the network was built from.

    Raises:
        ModelError: the weights cannot be read, or the decoder of a model has other sizes.
    """
    given = import_checkpoint(path, config)[0] if path.is_file() else read_checkpoint(path / WEIGHTS)
    decoder = {name: value for name, value in given.items() if not name.startswith(BOTTOM_UP)}
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    if wrong := sorted(name for name, value in decoder.items() if shapes.get(name) != value.shape):
        raise ModelError(
            f"{path}: its decoder belongs to another network (tensor {wrong[0]}, {len(wrong)} in all); give one with "
            "the same heads, or train without it"
        )
    network.load_state_dict(decoder, strict=False)


def take_backbones(network: nn.Module, models: Mapping[str, Path]) -> None:
    """Load the backbones of models that have one modality each.

    Args:
        network: a network with a backbone for each of the modalities.
        models: folders of the models by modality.

    Raises:
        ModelError: the weights cannot be read, or belong to another backbone.
    """
    state = network.state_dict()
    for modality, folder in models.items():
        path, prefix = folder / WEIGHTS, f"{BACKBONES}{modality}."
        weights = {name: value for name, value in read_checkpoint(path).items() if name.startswith(prefix)}
        expected = {name: value.shape for name, value in state.items() if name.startswith(prefix)}
        if {name: value.shape for name, value in weights.items()} != expected:
            raise ModelError(f"{path}: has no backbone for {modality} with the sizes of this network; train one")
        network.load_state_dict(weights, strict=False)
