"""A model as one ONNX file: the whole detector, from normalised pixels to boxes, scores and masks.

By PyTorch's TorchScript exporter. Its successor (`dynamo=True`) needs a further package, onnxscript, and stops at
layers of detectron2 whose input may be empty (docs/network.md).
"""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor
from torch.overrides import TorchFunctionMode

from rtsmap import __version__, bands
from rtsmap.config import ModelCard
from rtsmap.errors import ModelError
from rtsmap.network.cascade import build_network
from rtsmap.network.checkpoint import load_weights
from rtsmap.network.graph import WholeDetector

Precision = Literal["fp16", "fp32"]

INPUTS = ("chips", "min_score")
OUTPUTS = ("boxes", "scores", "masks", "chip_indices")

#: The oldest with LayerNormalization as one operation; RoIAlign as detectron2 aligns it came with 16.
OPSET = 17

#: Any will do for the trace; where the graph takes chips of all sizes a small one is faster.
_TRACED_SIZE = 256


def export_onnx(folder: Path, card: ModelCard, *, precision: Precision = "fp16", opset: int = OPSET) -> bytes:
    """Export a model.

    Args:
        folder: where its weights lie.
        card: its card.
        precision: how the weights are stored, `fp16` in half the space. They are computed with in single precision
            either way; those of a safetensors file of rtsmap lose nothing, for there they are halved already.
        opset: of ONNX, from `OPSET` on.

    Returns:
        The content of the file, with the card and the checksum of the weights among its metadata.

    Raises:
        ModelError: the weights do not fit the card, or the network has a part that cannot be exported.
    """
    network = build_network(card.network, card.input.modalities)
    load_weights(network, folder / card.weights)
    size = fixed_size(card)
    detector = WholeDetector(network, proposals=card.network.proposals, chip_size=card.input.chip_size).eval()
    channels = len(bands.channels(card.input.modalities))
    chips = torch.zeros(1, channels, *[size or _TRACED_SIZE] * 2)
    try:
        model = _traced(detector, chips, opset, any_size=size is None)
    except (ValueError, torch.onnx.errors.OnnxExporterError) as error:
        raise ModelError(f"{folder}: cannot be exported ({str(error).splitlines()[0]})") from error
    _inline_identities(model.graph)
    if precision == "fp16":
        _halve(model.graph)
    plain = card.model_copy(update={"onnx": None})
    texts = {"rtsmap_version": __version__, "weights_sha256": card.sha256, "card": json.dumps(plain.describe())}
    helper.set_model_props(model, texts)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def fixed_size(card: ModelCard) -> int | None:
    """The size of chips that an exported graph is for, px; None: any.

    Convolutions take any size. Attention cuts its tokens into windows and averages keys and values within them, which
    a trace can only follow for sizes that it knows.
    """
    attends = card.network.backbone == "mvitv2" or card.network.fusion.endswith(("stacked", "cross"))
    return card.input.chip_size if attends else None


def _traced(detector: WholeDetector, chips: Tensor, opset: int, *, any_size: bool) -> onnx.ModelProto:
    axes: Mapping[str, Mapping[int, str]] = {
        "chips": {0: "chips", 2: "rows", 3: "columns"} if any_size else {0: "chips"},
        **{name: {0: "detections"} for name in OUTPUTS},
    }
    sizes = nullcontext() if any_size else _FixedSizes()
    with TemporaryDirectory() as folder, warnings.catch_warnings(), torch.inference_mode(), sizes:
        file = Path(folder) / "model.onnx"
        warnings.simplefilter("ignore")  # that sizes become constants is meant; that the exporter is old is known
        torch.onnx.export(
            detector,
            (chips, torch.tensor(0.5)),
            file,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_axes=axes,
            opset_version=opset,
            dynamo=False,
            do_constant_folding=False,  # weights stay as they are, to be stored in half precision without loss
        )
        return onnx.load(file)


class _FixedSizes(TorchFunctionMode):
    """While it lasts, sizes of tensors are plain numbers but that of the first axis: a trace holds them as constants.

    ONNX averages over cells of a constant size alone. And a trace otherwise computes each size, even those that are
    always the same, from the sizes before: of rts-mini's nodes that are three in five.
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
    """Any axis but the first."""
    before = [int(size) for size in tensor.shape]
    place, parts = dim % len(before), [int(size) for size in sizes]
    if -1 in parts:
        parts[parts.index(-1)] = before[place] // -math.prod(parts)
    return tensor.reshape(-1, *before[1:place], *parts, *before[place + 1 :])


#: Written with sizes that are known: theirs are computed inside torch, where no mode reaches.
REPLACED = {Tensor.flatten: _flatten, Tensor.unflatten: _unflatten}


def _inline_identities(graph: onnx.GraphProto) -> None:
    """The exporter copies weights that happen to be equal by nodes over which ONNX Runtime 1.31 stumbles."""
    results = {output.name for output in graph.output}
    sources: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        node.input[:] = [sources.get(name, name) for name in node.input]
        if node.op_type == "Identity" and node.output[0] not in results:
            sources[node.output[0]] = node.input[0]
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _halve(graph: onnx.GraphProto) -> None:
    """Store in half precision the weights that lose nothing, to be made single again when the file is loaded."""
    casts = []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        with np.errstate(over="ignore"):  # then it is not equal, and stays
            halved = values.astype(np.float16)
        if values.dtype == np.float32 and np.array_equal(halved, values):
            name = weight.name
            weight.CopyFrom(numpy_helper.from_array(halved, f"{name}.half"))
            casts.append(helper.make_node("Cast", [weight.name], [name], f"{name}.cast", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
