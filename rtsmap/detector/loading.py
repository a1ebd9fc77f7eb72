"""Loading a model: the choice of the runtime that computes it, and what is wrapped around it."""

from pathlib import Path
from typing import Literal

from rtsmap.detector.augmentation import LOWEST_OF_VIEW, AugmentedDetector
from rtsmap.detector.calibrated import CalibratedDetector, raw_score
from rtsmap.detector.protocol import Detector
from rtsmap.errors import INSTALL_TORCH, ModelError
from rtsmap.settings.card import ModelCard

#: `auto` is the model's ONNX file where there is one that takes the chips, else torch.
Runtime = Literal["auto", "onnx", "torch"]


def load_detector(
    folder: Path,
    card: ModelCard,
    device: str,
    min_score: float,
    *,
    flips: int = 1,
    runtime: Runtime = "auto",
    chip_size: int | None = None,
    concurrency: int = 1,
) -> Detector:
    """Load a model on a device, with scores as its card calibrates them.

    Args:
        folder: where the model's weights lie.
        card: its card.
        device: `cpu`, `cuda`, or `auto`, which takes the GPU when there is one.
        min_score: detections below are not returned; of calibrated scores where the card has a calibration.
        flips: views of each chip, see `augmentation.AugmentedDetector`; 1: the chip alone.
        runtime: what computes the network.
        chip_size: of all chips that will come, px; None where it may differ.
        concurrency: calls that will be made side by side. With torch they wait for each other.

    Raises:
        ModelError: the weights cannot be loaded, or what they need is not installed.
        InputError: the device cannot be used.
    """
    lowest = raw_score(min_score, card.calibration)
    lowest_of_view = lowest if flips == 1 else min(lowest, LOWEST_OF_VIEW)
    detector = (
        _load_onnx(folder, card, device, lowest_of_view, concurrency)
        if chosen_runtime(folder, card, runtime, chip_size) == "onnx"
        else _load_torch(folder, card, device, lowest_of_view)
    )
    if flips > 1:
        detector = AugmentedDetector(detector, flips, min_score=lowest)
    return detector if card.calibration is None else CalibratedDetector(detector, card.calibration)


def chosen_runtime(
    folder: Path, card: ModelCard, runtime: Runtime = "auto", chip_size: int | None = None
) -> Literal["onnx", "torch"]:
    """What will compute the network; see `load_detector`.

    Raises:
        ModelError: the ONNX file is asked for, and the model has none, or one for chips of another size.
    """
    fits = card.onnx is not None and card.onnx.chip_size in (None, chip_size)
    if runtime == "auto":
        return "onnx" if fits else "torch"
    if runtime == "onnx" and card.onnx is None:
        raise ModelError(f"{folder}: has no ONNX file; make it: rtsmap export onnx {folder}; or use --runtime torch")
    if runtime == "onnx" and card.onnx and not fits:
        raise ModelError(f"{folder}: its ONNX file takes chips of {card.onnx.chip_size} px alone; use --runtime torch")
    return runtime


def _load_onnx(folder: Path, card: ModelCard, device: str, min_score: float, concurrency: int) -> Detector:
    from rtsmap.detector.onnx import OnnxDetector  # noqa: PLC0415  (slow to import)

    assert card.onnx is not None  # or torch would have been chosen
    return OnnxDetector(card, folder / card.onnx.file, device=device, min_score=min_score, concurrency=concurrency)


def _load_torch(folder: Path, card: ModelCard, device: str, min_score: float) -> Detector:
    try:
        from rtsmap.detector.torch import TorchDetector  # noqa: PLC0415  (torch is an optional dependency)
    except ImportError as error:
        raise ModelError(f"{folder}: the model needs torch and detectron2 ({error}); {INSTALL_TORCH}") from error
    return TorchDetector(card, folder / card.weights, device=device, min_score=min_score)
