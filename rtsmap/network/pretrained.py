"""Published checkpoints as a start for training: their tensors under the network's names, fitted to its sizes."""

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

#: First convolutions whose images were not divided by their deviation, with that deviation. EfficientNet-Lite's were
#: scaled to -1..1 (mean 127, deviation 128 in Google's `efficientnet_lite_builder`), where ImageNet's is 2 x 0.226.
DEVIATIONS = {"_conv_stem.weight": 0.45}

#: A detector's own, on top of the backbone: a classifier has none of them.
SCALE_NORM = re.compile(r"\.scale\d_norm\.")


@dataclass(frozen=True)
class Report:
    """What became of a checkpoint's tensors.

    Attributes:
        loaded: the network's tensors that were taken as they are.
        resized: those that were interpolated, expanded to more channels, or scaled to images of unit deviation.
        skipped: the file's tensors that were not taken, with the reason.
        missing: the network's tensors that the file does not fill; they stay random.
    """

    loaded: tuple[str, ...]
    resized: tuple[str, ...]
    skipped: Mapping[str, str]
    missing: tuple[str, ...]

    def describe(self, most: int = 10) -> str:
        """For reading: the counts, then up to `most` names of each kind."""
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


def import_checkpoint(path: Path, config: TrainConfig) -> tuple[dict[str, Tensor], Report]:
    """What a published checkpoint gives to a network.

    The file's backbone goes to the backbone of every modality. Names are detectron2's, of its MViT and ResNet or of
    whole detectors with them, or `efficientnet_lite_pytorch`'s. Its images are taken as RGB, divided by their
    deviation: MViTv2's are, and EfficientNet-Lite's first convolution is scaled for it. detectron2's COCO detectors
    with ResNet are not (BGR, deviation 1), nor do they say so in the file.

    Args:
        path: see `read_checkpoint`.
        config: its network and modalities.

    Returns:
        Tensors by the network's names, only those that the file fills; and what became of each.

    Raises:
        ModelError: the file cannot be read, or its backbone is of another architecture.
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
            f"{path}: another architecture: the network's backbone has {name}, the file's has not, or of another "
            "shape; choose another network, or a checkpoint with detectron2's names (for EfficientNet-Lite, those of "
            "efficientnet_lite_pytorch)"
        )
    if wrong := [name for name, value in found.items() if not value.half().isfinite().all()]:
        raise ModelError(f"{path}: {wrong[0]} is not finite in half precision; choose another checkpoint")
    return found, report


def _match(
    given: Mapping[str, Tensor], shapes: Mapping[str, torch.Size], channels: Sequence[str]
) -> tuple[dict[str, Tensor], Report]:
    in_backbones = (name.removeprefix(BACKBONES) for name in shapes if name.startswith(BACKBONES))
    backbones = tuple({name.partition(".")[0]: None for name in in_backbones})
    found: dict[str, Tensor] = {}
    skipped: dict[str, str] = {}
    resized: set[str] = set()
    for name, value in given.items():
        targets = _targets(name, shapes, backbones)
        fitted = _fit(name, value, shapes[targets[0]], channels) if targets else None  # backbones are all alike
        if not targets:
            skipped[name] = "the network has no such tensor"
        elif fitted is None:
            skipped[name] = f"{tuple(value.shape)} in the file, {tuple(shapes[targets[0]])} in the network"
        else:
            found |= dict.fromkeys(targets, fitted)
            resized |= set(targets) if fitted is not value else set()
    return found, Report(
        loaded=tuple(name for name in found if name not in resized),
        resized=tuple(name for name in found if name in resized),
        skipped=skipped,
        missing=tuple(name for name in shapes if name not in found),
    )


def _targets(name: str, shapes: Mapping[str, torch.Size], backbones: Sequence[str]) -> list[str]:
    """The network's tensors that one of the file is for."""
    bare = name.removeprefix(BOTTOM_UP)
    names = (name, *(f"{BACKBONES}{backbone}.{bare}" for backbone in backbones))
    return [one for one in names if one in shapes]


def _fit(name: str, value: Tensor, shape: torch.Size, channels: Sequence[str]) -> Tensor | None:
    """The tensor in the network's shape: itself, resized or scaled, or None where that makes no sense."""
    if deviation := next((one for end, one in DEVIATIONS.items() if name.endswith(end)), None):
        value = value * deviation
    if value.shape == shape:
        return value
    if name.endswith(("rel_pos_h", "rel_pos_w")) and value.numel() and value.shape[1:] == shape[1:]:
        return functional.interpolate(value.T[None], size=shape[0], mode="linear")[0].T
    if name.endswith(FIRST_CONVOLUTIONS) and value.shape == (shape[0], 3, *shape[2:]) and shape[1] == len(channels):
        return _expand(value, channels)
    return None


def _expand(weight: Tensor, channels: Sequence[str]) -> Tensor:
    """A first convolution for RGB made one for `channels`, with outputs as large as before.

    Red, green and blue keep their weights, others get the mean of these; all are scaled by 3 / number of channels.
    """
    of_colour = dict(zip(bands.MODALITY_CHANNELS["rgb"], weight.unbind(1), strict=True))
    expanded = torch.stack([of_colour.get(channel, weight.mean(dim=1)) for channel in channels], dim=1)
    return expanded * (3 / len(channels))


def _check_depth(path: Path, given: Mapping[str, Tensor], config: TrainConfig) -> None:
    bare = {name.removeprefix(BOTTOM_UP): value for name, value in given.items()}
    blocks = [int(found[1]) for name in bare if (found := re.match(r"blocks\.(\d+)\.", name))]
    if config.network.backbone != "mvitv2" or not blocks or FIRST_CONVOLUTIONS[0] not in bare:
        return
    theirs = (max(blocks) + 1, len(bare[FIRST_CONVOLUTIONS[0]]))
    ours = (config.network.depth, config.network.embed_dim)
    if theirs != ours:
        raise ModelError(
            f"{path}: another architecture: the file's backbone has depth {theirs[0]} and {theirs[1]} channels, the "
            f"network's {ours[0]} and {ours[1]}; choose another network"
        )


def start_from(network: nn.Module, path: Path, config: TrainConfig) -> None:
    """Fill a network with weights made before; those that are not there stay as they are.

    Args:
        network: of the sizes and modalities that the weights were imported for.
        path: folder of `rtsmap models import`, or a model with some of the network's modalities; or a published
            checkpoint itself, which is then imported.
        config: that the network was built from.

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
            "import the checkpoint again with this one's settings"
        )
    network.load_state_dict(weights, strict=False)


def take_decoder(network: nn.Module, path: Path, config: TrainConfig) -> None:
    """Fill feature pyramid, proposals and heads with those of another network, whatever backbones that has.

    Args:
        network: whose backbones and fusion stay as they are.
        path: folder of a model or of `rtsmap models import`, or a published checkpoint; of the last two what fits.
        config: that the network was built from.

    Raises:
        ModelError: the weights cannot be read, or a model's decoder is of other sizes.
    """
    given = import_checkpoint(path, config)[0] if path.is_file() else read_checkpoint(path / WEIGHTS)
    decoder = {name: value for name, value in given.items() if not name.startswith(BOTTOM_UP)}
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    if wrong := sorted(name for name, value in decoder.items() if shapes.get(name) != value.shape):
        raise ModelError(
            f"{path}: its decoder is of another network (tensor {wrong[0]}, {len(wrong)} in all); give one with the "
            "same heads, or train without it"
        )
    network.load_state_dict(decoder, strict=False)


def take_backbones(network: nn.Module, models: Mapping[str, Path]) -> None:
    """Fill the backbones of some modalities with those of models of that modality alone.

    Args:
        network: with a backbone for each of the modalities.
        models: folder of the model of each modality.

    Raises:
        ModelError: the weights cannot be read, or are of another backbone.
    """
    state = network.state_dict()
    for modality, folder in models.items():
        path, prefix = folder / WEIGHTS, f"{BACKBONES}{modality}."
        weights = {name: value for name, value in read_checkpoint(path).items() if name.startswith(prefix)}
        expected = {name: value.shape for name, value in state.items() if name.startswith(prefix)}
        if {name: value.shape for name, value in weights.items()} != expected:
            raise ModelError(f"{path}: has no backbone for {modality} of this network's sizes; train one with them")
        network.load_state_dict(weights, strict=False)
