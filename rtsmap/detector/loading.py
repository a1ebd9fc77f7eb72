"""Loading a model: the choice of the runtime, calibration, and test-time augmentation."""

from pathlib import Path
from typing import Literal

from rtsmap.detector.augmentation import LOWEST_OF_VIEW, AugmentedDetector
from rtsmap.detector.calibrated import CalibratedDetector, raw_score
from rtsmap.detector.protocol import Detector
from rtsmap.errors import INSTALL_TORCH, ModelError
from rtsmap.settings.card import ModelCard

#: `auto` uses the model's ONNX file if there is one that accepts the chips, else torch.
Runtime = Literal["auto", "onnx", "torch"]


def build_detector(
    folder: Path,
    card: ModelCard,
    device: str,
    min_score: float,
    *,
    tta: int = 1,
    runtime: Runtime = "auto",
    chip_size: int | None = None,
    concurrency: int = 1,
    threads: int | None = None,
) -> Detector:
    """Load a model on a device, with scores calibrated as its card says.

    Args:
        folder: folder of the model's weights.
        card: card of the model.
        device: `cpu`, `cuda`, or `auto`, which takes the GPU if there is one.
        min_score: detections with a lower score are not returned, 0..1; a calibrated score if the card has a
            calibration.
        tta: number of views of each chip for test-time augmentation, 1, 4 or 8, see `AugmentedDetector`; 1: none.
        runtime: what computes the network.
        chip_size: size of all chips to come, px; None if it may differ.
        concurrency: number of calls at the same time. With torch, calls wait for each other.
        threads: number of threads of ONNX Runtime on a CPU, shared by concurrent calls; None: `OMP_NUM_THREADS`, or one
            for each core.

    Raises:
        ModelError: the weights cannot be loaded, or a package that they need is not installed.
        InputError: the device cannot be used.
    """
    lowest = raw_score(min_score, card.calibration)
    lowest_of_view = lowest if tta == 1 else min(lowest, LOWEST_OF_VIEW)
    detector = (
        _load_onnx(folder, card, device, lowest_of_view, concurrency, threads)
        if chosen_runtime(folder, card, runtime, chip_size) == "onnx"
        else _load_torch(folder, card, device, lowest_of_view)
    )
    if tta > 1:
        detector = AugmentedDetector(detector, tta, min_score=lowest)
    return detector if card.calibration is None else CalibratedDetector(detector, card.calibration)


def chosen_runtime(
    folder: Path, card: ModelCard, runtime: Runtime = "auto", chip_size: int | None = None
) -> Literal["onnx", "torch"]:
    """The runtime that will compute the network; see `build_detector`.

    Raises:
        ModelError: the ONNX file is requested, and the model has none, or one for chips of another size.
    """
    fits = card.onnx is not None and card.onnx.chip_size in (None, chip_size)
    if runtime == "auto":
        return "onnx" if fits else "torch"
    if runtime == "onnx" and card.onnx is None:
        raise ModelError(f"{folder}: has no ONNX file; make it: rtsmap export onnx {folder}; or use --runtime torch")
    if runtime == "onnx" and card.onnx and not fits:
        raise ModelError(f"{folder}: its ONNX file takes only chips of {card.onnx.chip_size} px; use --runtime torch")
    return runtime


def _load_onnx(
    folder: Path, card: ModelCard, device: str, min_score: float, concurrency: int, threads: int | None
) -> Detector:
    from rtsmap.detector.onnx import OnnxDetector  # noqa: PLC0415  (slow to import)

    assert card.onnx is not None  # or torch would have been chosen
    return OnnxDetector(
        card, folder / card.onnx.file, device=device, min_score=min_score, concurrency=concurrency, threads=threads
    )


def _load_torch(folder: Path, card: ModelCard, device: str, min_score: float) -> Detector:
    try:
        from rtsmap.detector.torch import TorchDetector  # noqa: PLC0415  (torch is an optional dependency)
    except ImportError as error:
        raise ModelError(f"{folder}: the model needs torch and detectron2 ({error}); {INSTALL_TORCH}") from error
    return TorchDetector(card, folder / card.weights, device=device, min_score=min_score)
