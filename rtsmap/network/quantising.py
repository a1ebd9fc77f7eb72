"""Quantisation: a model as an ONNX file that computes mostly in 8 bits, for CPUs, with slightly different detections.

Kernels have one scale per channel, and feature maps one scale per tensor, from the smallest to the largest value on
calibration chips. Maps are converted back to single precision where it is needed.
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

#: Uncalibrated score from which detections are compared. Chips without such detections are left out, because they give
#: no values for the later stages of the heads.
COMPARED_FROM = 0.1

#: IoU from which two boxes are matched.
SAME = 0.5

Found = tuple[FloatArray, FloatArray]
Run = Callable[[FloatArray], Found]


@dataclass(frozen=True)
class Agreement:
    """Agreement of the detections in 8 bits with those in single precision on the same chips.

    Attributes:
        chips: number of chips with detections.
        single: number of detections in single precision.
        quantised: number of detections in 8 bits.
        same: number of matched pairs of boxes, with an IoU of at least 0.5.
        iou: median IoU of the pairs.
        score: mean absolute difference of their scores.
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
    """Export a model whose blocks, pyramid, proposals and box heads compute in 8 bits.

    Single precision is kept for the stem and the first block, whose rounding would cost most of the accuracy; for the
    outputs of boxes and scores; and for the masks, of which there are few.

    Args:
        folder: folder of the model, with its weights.
        card: card of the model.
        chips: calibration chips, each `(channels, rows, columns)`, normalised. Chips without detections are left out.
        opset: version of the ONNX operators.

    Returns:
        The content of the file, and its agreement with single precision on these chips.

    Raises:
        ModelError: the backbone is not EfficientNet-Lite, or the network detects nothing in any chip.
    """
    if card.network.backbone != "efficientnet-lite":
        raise ModelError(
            f"{folder}: int8 is only for EfficientNet-Lite backbones, not {card.network.backbone}; use --precision fp16"
        )
    single = exported(folder, card, opset, fold=True)
    reference = _runner(single.SerializeToString())
    calibrating = [chip for chip in chips if len(reference(chip)[0])]
    if not calibrating:
        raise ModelError(f"{folder}: detects nothing in the {len(chips)} calibration chips; give chips with slumps")
    content = file_of(_quantised(single, calibrating), card)
    return content, _agreement(reference, _runner(content), calibrating)


def _quantised(model: onnx.ModelProto, chips: Sequence[FloatArray]) -> onnx.ModelProto:
    nodes = [node.name for node in model.graph.node if _in_8_bits(node)]
    add_pre_process_metadata(model)  # enough, because normalisations are folded and shapes are inferred
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        quantize_static(
            model,
            file,
            _Chips(chips),
            per_channel=True,
            activation_type=QuantType.QUInt8,  # with QInt8 ONNX Runtime 1.31 fuses half as many nodes
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
    """Provides calibration chips in the form that ONNX Runtime expects."""

    def __init__(self, chips: Sequence[FloatArray]) -> None:
        self._left = iter(chips)

    def get_next(self) -> dict[str, Any] | None:
        """Return the inputs of the next run; None after the last one."""
        chip = next(self._left, None)
        return None if chip is None else _inputs(chip)


def _inputs(chip: FloatArray) -> dict[str, Any]:
    return {"chips": chip[np.newaxis], "min_score": np.array(COMPARED_FROM, dtype=np.float32)}


def _runner(content: bytes) -> Run:
    """Return a function that computes boxes and scores of a chip."""
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
            row, column = np.unravel_index(overlap.argmax(), overlap.shape)
            overlaps.append(overlap[row, column])
            differences.append(abs(scores[row] - other_scores[column]))
            overlap[row], overlap[:, column] = 0, 0
    single, quantised = counts.tolist()
    iou = float(np.median(overlaps)) if overlaps else 0.0
    score = float(np.mean(differences)) if differences else 1.0
    return Agreement(len(chips), single, quantised, len(overlaps), iou, score)
