"""The detector on ONNX Runtime, which finds the same slumps without torch."""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from rtsmap import bands
from rtsmap.errors import InputError, ModelError
from rtsmap.records import Detections, FloatArray
from rtsmap.runtime.machine import network_threads
from rtsmap.settings.card import ModelCard

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

#: The number of proposals differs from chip to chip. A search for the fastest convolution would be repeated for each
#: number, and its choice, which depends on timing, would change the last bits from run to run. TF32 would lose three
#: digits.
CUDA_OPTIONS = {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}

_ERRORS_ONLY = 3
_EXPORT_AGAIN = "make it again with rtsmap export onnx"

#: Inputs and outputs of the graph, as `network.exporting` writes it.
_INPUTS, _OUTPUTS = {"chips", "min_score"}, {"boxes", "scores", "masks", "chip_indices"}
_AXES = 4


class OnnxDetector:
    """Runs the file that `rtsmap export onnx` writes.

    On the CPU the chips of a batch are computed one at a time, as in `TorchDetector` and for the same reasons.

    Args:
        card: card of the model.
        file: the ONNX file of the model.
        device: `auto`, `cpu` or `cuda`.
        min_score: detections with a lower score are not returned.
        concurrency: number of calls at the same time; on the CPU they share the threads.
        threads: number of threads on the CPU; None: `OMP_NUM_THREADS`, or one for each core that the process may use.

    Raises:
        ModelError: the file is damaged, or was made from other weights.
        InputError: CUDA is requested and ONNX Runtime cannot use it.
    """

    def __init__(
        self,
        card: ModelCard,
        file: Path,
        *,
        device: str,
        min_score: float,
        concurrency: int = 1,
        threads: int | None = None,
    ) -> None:
        self._file, self._min_score = file, np.array(min_score, dtype=np.float32)
        self._session = _session(file, resolve_provider(device), max(1, (threads or network_threads()) // concurrency))
        self.provider: str = self._session.get_providers()[0]
        if device == "cuda" and self.provider != CUDA:
            raise InputError(
                "--device cuda: ONNX Runtime cannot start CUDA here; use --device cpu, or see rtsmap doctor"
            )
        _check_graph(file, self._session, len(bands.channels(card.input.modalities)))
        made_of = self._session.get_modelmeta().custom_metadata_map.get("weights_sha256")
        if made_of != card.sha256:
            raise ModelError(
                f"{file}: was made from other weights; make it again: rtsmap export onnx {file.parent} --overwrite"
            )
        size = self._session.get_inputs()[0].shape[-1]
        self._size = size if isinstance(size, int) else None

    def detect(self, chips: FloatArray) -> list[Detections]:
        """See `Detector.detect`.

        Raises:
            InputError: the file only accepts chips of another size.
        """
        if self._size and chips.shape[2:] != (self._size, self._size):
            height, width = chips.shape[2:]
            raise InputError(
                f"{self._file}: takes chips of {self._size} px, not of {height} x {width}; "
                "leave out --chip-size, or use --runtime torch"
            )
        step = 1 if self.provider == CPU else len(chips)
        return [found for start in range(0, len(chips), step) for found in self._detect(chips[start : start + step])]

    def _detect(self, chips: FloatArray) -> list[Detections]:
        boxes, scores, masks, chip_indices = self._run(np.ascontiguousarray(chips))
        of_chips = (chip_indices == index for index in range(len(chips)))
        return [Detections(boxes[mine], scores[mine], masks[mine]) for mine in of_chips]

    def _run(self, chips: FloatArray) -> list[Any]:
        try:
            return self._computed({"chips": chips, "min_score": self._min_score})
        except Exception as error:  # ONNX Runtime's errors have no class in common
            raise ModelError(
                f"{self._file}: ONNX Runtime failed on a chip ({_first_line(error)}); try --runtime torch"
            ) from error

    def _computed(self, inputs: dict[str, FloatArray]) -> list[Any]:
        if self.provider == CPU:
            results: list[Any] = self._session.run(None, inputs)
            return results
        binding = self._session.io_binding()  # one copy to the GPU and one back, none in between
        for name, values in inputs.items():
            binding.bind_cpu_input(name, values)
        for output in self._session.get_outputs():
            binding.bind_output(output.name, "cuda")
        self._session.run_with_iobinding(binding)
        copied: list[Any] = binding.copy_outputs_to_cpu()
        return copied


def resolve_provider(device: str) -> str:
    """Choose the execution provider of ONNX Runtime for `--device auto|cpu|cuda`.

    Raises:
        InputError: CUDA is requested, and there is no GPU or ONNX Runtime was built without CUDA.
    """
    usable = CUDA in onnxruntime.get_available_providers() and gpus() > 0
    if device == "cuda" and not usable:
        raise InputError("--device cuda: ONNX Runtime sees no GPU; use --device cpu, or see rtsmap doctor")
    return CUDA if device != "cpu" and usable else CPU


def gpus() -> int:
    """Number of NVIDIA GPUs according to the driver; ONNX Runtime would print long warnings if there are none."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:  # no driver
        return 0
    count = ctypes.c_int()
    return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def _session(file: Path, provider: str, threads: int) -> Any:
    onnxruntime.disable_telemetry_events()  # for programs that imported it before rtsmap, which switches it off
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads  # an explicit number, so that threads are not pinned to cores
    options.inter_op_num_threads = 1
    if provider == CUDA:
        onnxruntime.preload_dlls()  # those of torch's wheels, where they are installed
    providers = [(CUDA, CUDA_OPTIONS), CPU] if provider == CUDA else [CPU]
    try:
        return onnxruntime.InferenceSession(file, options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors have no class in common
        raise ModelError(f"{file}: ONNX Runtime cannot load it ({_first_line(error)}); {_EXPORT_AGAIN}") from error


def _check_graph(file: Path, session: Any, channels: int) -> None:
    """Check that a graph is a detector for this number of channels, before it computes a chip."""
    inputs = {one.name: one.shape for one in session.get_inputs()}
    outputs = {one.name for one in session.get_outputs()}
    if inputs.keys() != _INPUTS or not outputs >= _OUTPUTS or len(inputs["chips"]) != _AXES:
        raise ModelError(f"{file}: is not a detector of rtsmap; {_EXPORT_AGAIN}")
    if inputs["chips"][1] not in (channels, None) and not isinstance(inputs["chips"][1], str):
        raise ModelError(
            f"{file}: takes {inputs['chips'][1]} channels, but the model's card names {channels}; {_EXPORT_AGAIN}"
        )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
