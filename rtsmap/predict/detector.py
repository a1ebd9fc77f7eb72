"""A detector that is ready to map scenes: a model, its card, and the options that hold with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from rtsmap.detector import Detector, Runtime, build_detector
from rtsmap.models import DEFAULT_MODEL, find_model, verify
from rtsmap.predict.options import Options, ResolvedOptions, check_dem, provenance
from rtsmap.records import Detections, FloatArray
from rtsmap.runtime.batching import fitting
from rtsmap.runtime.execution import Execution
from rtsmap.settings.card import ModelCard


@dataclass(frozen=True)
class ReadyDetector:
    """A detector with all that `predict_scene` needs to know of it.

    Attributes:
        card: card of the model.
        detector: computes the network.
        options: the options that hold with this model.
        execution: how the work is executed unless a function is given another record.
    """

    card: ModelCard
    detector: Detector
    options: ResolvedOptions
    execution: Execution = field(default_factory=Execution)

    @classmethod
    def of(cls, card: ModelCard, detector: Detector, options: Options | None = None) -> Self:
        """Combine any detector with the card that describes its input, and resolve the options for it."""
        return cls(card, detector, (options or Options()).for_model(card))

    def detect(self, chips: FloatArray) -> list[Detections]:
        """Detect slumps in chips, see `rtsmap.detector.Detector.detect`."""
        return self.detector.detect(chips)

    def provenance(self, scenes: Sequence[str], command: str = "rtsmap in Python") -> dict[str, object]:
        """Describe how a layer of these scenes was made, for `write_layer`.

        Args:
            scenes: paths of the scenes.
            command: what was run, such as the name of a notebook.
        """
        return provenance(scenes, self.card, self.options, command)


def load_detector(
    model: str | Path = DEFAULT_MODEL,
    options: Options | None = None,
    *,
    device: str = "auto",
    runtime: Runtime = "auto",
    tta: int = 1,
    execution: Execution | None = None,
) -> ReadyDetector:
    """Load a model, and resolve the options for it.

    Args:
        model: name of a model that comes with rtsmap, or the folder of a model.
        options: what to map and how; the values of the model's card without it.
        device: `cpu`, `cuda`, or `auto`, which takes the GPU if there is one.
        runtime: `onnx`, `torch`, or `auto`, which uses the model's ONNX file if there is one for chips of this size.
        tta: number of views of each chip for test-time augmentation: 1, 4 or 8.
        execution: how the work is executed; as suits the free memory and the cores without it.

    Returns:
        The detector, to be passed to `predict_scene` or `map_scenes`.

    Raises:
        ModelError: there is no such model, its files are damaged, or a package that it needs is not installed.
        InputError: the device cannot be used, or the model needs an elevation model and there is none.

    Example:
        >>> import rtsmap
        >>> detector = rtsmap.load_detector("rts-mini", rtsmap.Options(score=0.5), device="cpu")
        >>> detector.card.name, detector.options.score
        ('rts-mini', 0.5)
    """
    folder, card = find_model(str(model))
    verify(folder, card)
    resolved = (options or Options()).for_model(card)
    check_dem(card, resolved)
    execution = execution or fitting(device, resolved.chip_size)
    return assemble(folder, card, resolved, execution, device=device, runtime=runtime, tta=tta)


def assemble(
    folder: Path,
    card: ModelCard,
    options: ResolvedOptions,
    execution: Execution,
    *,
    device: str = "auto",
    runtime: Runtime = "auto",
    tta: int = 1,
) -> ReadyDetector:
    """Load the model of a folder whose card and options are known already; see `load_detector`."""
    with execution.profile.stage("load"):
        detector = build_detector(
            folder,
            card,
            device,
            options.score,
            tta=tta,
            runtime=runtime,
            chip_size=options.chip_size,
            concurrency=execution.concurrency,
            threads=execution.threads,
        )
    return ReadyDetector(card, detector, options, execution)
