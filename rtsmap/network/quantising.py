"""A model as an ONNX file that computes mostly in 8 bits, for CPUs; what it finds is not quite the same.

Kernels have a scale for each channel, maps one for each tensor: from the least to the greatest value on chips that the
network is shown. Where a map is needed in single precision again, it is made so on the spot.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata
from torchvision.ops import box_iou

from rtsmap.errors import ModelError
from rtsmap.network.exporting import OPSET, exported, file_of
from rtsmap.records import FloatArray
from rtsmap.runtime.machine import network_threads
from rtsmap.settings.card import ModelCard

#: The network's own score from which on detections are compared, and chips are worth a look: where nothing is found
#: the later stages of the heads have nothing to measure.
COMPARED_FROM = 0.1

#: Overlap from which on two boxes are of the same slump.
SAME = 0.5

Found = tuple[FloatArray, FloatArray]
Run = Callable[[FloatArray], Found]


@dataclass(frozen=True)
class Agreement:
    """How far what is found in 8 bits is from what is found in single precision, on the same chips.

    Attributes:
        chips: with something to find.
        single: detections in single precision.
        quantised: detections in 8 bits.
        same: pairs of boxes of the two that overlap by half.
        iou: median of their overlap.
        score: mean difference of their scores, without the sign.
    """

    chips: int
    single: int
    quantised: int
    same: int
    iou: float
    score: float


def export_int8(
    folder: Path, card: ModelCard, chips: Sequence[FloatArray], *, opset: int = OPSET
) -> tuple[bytes, Agreement]:
    """Export a model in 8 bits: blocks, pyramid, proposals and box heads.

    In single precision stay the stem and the first block, whose rounding costs most of the accuracy that there is to
    lose; what gives boxes, scores and masks; and the masks, of which there are few.

    Args:
        folder: where its weights lie.
        card: its card.
        chips: to measure ranges on, each `(channels, rows, columns)`, normalised. Those where the network finds nothing
            are left out.
        opset: of ONNX.

    Returns:
        The content of the file, and how far it is from single precision on these chips.

    Raises:
        ModelError: the backbone is another than EfficientNet-Lite, or the network finds nothing in any chip.
    """
    if card.network.backbone != "efficientnet-lite":
        raise ModelError(
            f"{folder}: int8 is for backbones of EfficientNet-Lite, not {card.network.backbone}; use --precision fp16"
        )
    single = exported(folder, card, opset, fold=True)
    reference = _runner(single.SerializeToString())
    telling = [chip for chip in chips if len(reference(chip)[0])]
    if not telling:
        raise ModelError(
            f"{folder}: finds nothing in the {len(chips)} chips to calibrate on; give others with slumps in them"
        )
    content = file_of(_quantised(single, telling), card)
    return content, _agreement(reference, _runner(content), telling)


def _quantised(model: onnx.ModelProto, chips: Sequence[FloatArray]) -> onnx.ModelProto:
    nodes = [node.name for node in model.graph.node if _in_8_bits(node)]
    add_pre_process_metadata(model)  # norms are folded into the kernels and shapes are inferred: all that it asks for
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        quantize_static(
            model,
            file,
            _Chips(chips),
            per_channel=True,
            activation_type=QuantType.QUInt8,  # with sign ONNX Runtime 1.31 joins half as many nodes to 8-bit ones
            weight_type=QuantType.QInt8,
            nodes_to_quantize=nodes,
            calibration_providers=["CPUExecutionProvider"],
        )
        return onnx.load(file)


def _in_8_bits(node: onnx.NodeProto) -> bool:
    name, kind = node.name, node.op_type
    if "/bottom_up/" in name:
        return kind in {"Conv", "Clip", "Add"} and "/_blocks." in name and "/_blocks.0/" not in name
    if name.startswith("/rpn_head/conv"):
        return kind in {"Conv", "Relu"}
    return kind in {"Conv", "Gemm"} and name.startswith(("/backbone/fpn_", "/box_head"))


class _Chips(CalibrationDataReader):  # type: ignore[misc]
    """Chips as ONNX Runtime asks for them."""

    def __init__(self, chips: Sequence[FloatArray]) -> None:
        self._left = iter(chips)

    def get_next(self) -> dict[str, Any] | None:
        """The inputs of the next run; None after the last."""
        chip = next(self._left, None)
        return None if chip is None else _inputs(chip)


def _inputs(chip: FloatArray) -> dict[str, Any]:
    return {"chips": chip[np.newaxis], "min_score": np.array(COMPARED_FROM, dtype=np.float32)}


def _runner(content: bytes) -> Run:
    """What finds boxes and scores in a chip."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = network_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(chip: FloatArray) -> Found:
        boxes, scores = session.run(["boxes", "scores"], _inputs(chip))
        return boxes, scores

    return run


def _agreement(reference: Run, other: Run, chips: Sequence[FloatArray]) -> Agreement:
    counts, overlaps, differences = np.zeros(2, dtype=np.intp), [], []
    for chip in chips:
        (boxes, scores), (other_boxes, other_scores) = reference(chip), other(chip)
        counts += len(boxes), len(other_boxes)
        overlap = box_iou(torch.from_numpy(boxes), torch.from_numpy(other_boxes)).numpy()
        while overlap.size and overlap.max() >= SAME:  # the closest pairs first, each box once
            one, its = np.unravel_index(overlap.argmax(), overlap.shape)
            overlaps.append(overlap[one, its])
            differences.append(abs(scores[one] - other_scores[its]))
            overlap[one], overlap[:, its] = 0, 0
    single, quantised = counts.tolist()
    iou = float(np.median(overlaps)) if overlaps else 0.0
    score = float(np.mean(differences)) if differences else 1.0
    return Agreement(len(chips), single, quantised, len(overlaps), iou, score)
