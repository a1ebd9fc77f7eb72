"""Export of a model to one ONNX file: the whole detector, from normalised pixels to boxes, scores and masks.

It uses PyTorch's TorchScript exporter. The successor of that exporter (`dynamo=True`) needs a further package,
onnxscript, and fails at layers of detectron2 whose input may be empty (docs/network.md).
"""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import onnx
import torch
from onnx import helper
from torch import Tensor
from torch.overrides import TorchFunctionMode

from rtsmap import __version__, bands
from rtsmap.errors import ModelError
from rtsmap.network.cascade import build_network
from rtsmap.network.checkpoint import load_weights
from rtsmap.network.graph import WholeDetector
from rtsmap.network.onnx_graph import halve, inline_copies, join_padding
from rtsmap.settings.card import ModelCard

Precision = Literal["fp16", "fp32"]

INPUTS = ("chips", "min_score")
OUTPUTS = ("boxes", "scores", "masks", "chip_indices")

#: Oldest opset with LayerNormalization as one operation; RoIAlign with the alignment of detectron2 came with opset 16.
OPSET = 17

#: Size of the traced chip where the graph takes chips of any size; a small one is faster.
_TRACED_SIZE = 256


def export_onnx(folder: Path, card: ModelCard, *, precision: Precision = "fp16", opset: int = OPSET) -> bytes:
    """Export a model.

    Args:
        folder: folder of the model, with its weights.
        card: card of the model.
        precision: how the weights are stored; `fp16` needs half the space. Both compute in single precision, and `fp16`
            is exact for weights saved by rtsmap, which are rounded to half precision already.
        opset: version of the ONNX operators, `OPSET` or later.

    Returns:
        The content of the file; its metadata contain the card and the checksum of the weights.

    Raises:
        ModelError: the weights do not fit the card, or the network has a part that cannot be exported.
    """
    model = exported(folder, card, opset)
    if precision == "fp16":
        halve(model.graph)
    return file_of(model, card)


def exported(folder: Path, card: ModelCard, opset: int, *, fold: bool = False) -> onnx.ModelProto:
    """Export a model in single precision and without metadata.

    Args:
        folder: folder of the model, with its weights.
        card: card of the model.
        opset: version of the ONNX operators.
        fold: fold constants, such as kernels times the scales of their normalisations. ONNX Runtime does this when it
            loads the file; without it, weights can be stored in half precision without loss.

    Returns:
        The model.

    Raises:
        ModelError: see `export_onnx`.
    """
    network = build_network(card.network, card.input.modalities)
    load_weights(network, folder / card.weights)
    size = fixed_size(card)
    detector = WholeDetector(network, proposals=card.network.proposals, chip_size=card.input.chip_size).eval()
    channels = len(bands.channels(card.input.modalities))
    chips = torch.zeros(1, channels, *[size or _TRACED_SIZE] * 2)
    try:
        model = _traced(detector, chips, opset, any_size=size is None, fold=fold)
    except (ValueError, torch.onnx.errors.OnnxExporterError) as error:
        raise ModelError(f"{folder}: cannot be exported ({str(error).splitlines()[0]})") from error
    inline_copies(model.graph)
    join_padding(model.graph)
    return model


def file_of(model: onnx.ModelProto, card: ModelCard) -> bytes:
    """Return the content of the ONNX file, with the card and the checksum of the weights in its metadata."""
    exported_card = card.model_copy(update={"onnx": None})
    texts = {"rtsmap_version": __version__, "weights_sha256": card.sha256, "card": json.dumps(exported_card.describe())}
    helper.set_model_props(model, texts)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def fixed_size(card: ModelCard) -> int | None:
    """Return the chip size, px, that an exported graph is limited to; None if it takes any size.

    Convolutions take any size. Attention splits its tokens into windows and averages keys and values within them, which
    can only be traced for a known size.
    """
    attends = card.network.backbone == "mvitv2" or card.network.fusion.endswith(("stacked", "cross"))
    return card.input.chip_size if attends else None


def _traced(detector: WholeDetector, chips: Tensor, opset: int, *, any_size: bool, fold: bool) -> onnx.ModelProto:
    axes: Mapping[str, Mapping[int, str]] = {
        "chips": {0: "chips", 2: "rows", 3: "columns"} if any_size else {0: "chips"},
        **{name: {0: "detections"} for name in OUTPUTS},
    }
    sizes = nullcontext() if any_size else _FixedSizes()
    with TemporaryDirectory() as folder, warnings.catch_warnings(), torch.inference_mode(), sizes:
        file = Path(folder) / "model.onnx"
        warnings.simplefilter("ignore")  # constant sizes are intended, and the exporter is known to be deprecated
        torch.onnx.export(
            detector,
            (chips, torch.tensor(0.5)),
            file,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_axes=axes,
            opset_version=opset,
            dynamo=False,
            do_constant_folding=fold,
        )
        return onnx.load(file)


class _FixedSizes(TorchFunctionMode):
    """Makes the sizes of tensors, except that of the first axis, plain numbers, which a trace stores as constants.

    ONNX averages only over cells of constant size. A trace would otherwise compute each size from earlier ones, even if
    it is always the same: three of five nodes of rts-mini would do so.
    """

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = REPLACED.get(func, func)(*args, **(kwargs or {}))
        if func == Tensor.shape.__get__:  # type: ignore[attr-defined]
            return (*result[:1], *map(int, result[1:]))
        return result


def _flatten(tensor: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    sizes = [int(size) for size in tensor.shape]
    start, stop = start_dim % len(sizes), end_dim % len(sizes) + 1
    merged = math.prod(sizes[start:stop])
    return tensor.reshape(-1, *sizes[1:start], *([merged] if start else []), *sizes[stop:])


def _unflatten(tensor: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Replace `Tensor.unflatten` for any axis but the first."""
    before = [int(size) for size in tensor.shape]
    axis, parts = dim % len(before), [int(size) for size in sizes]
    if -1 in parts:
        parts[parts.index(-1)] = before[axis] // -math.prod(parts)
    return tensor.reshape(-1, *before[1:axis], *parts, *before[axis + 1 :])


#: Replacements that use known sizes; the originals compute sizes inside torch, where no function mode applies.
REPLACED = {Tensor.flatten: _flatten, Tensor.unflatten: _unflatten}
