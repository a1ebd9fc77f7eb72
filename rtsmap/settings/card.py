"""The model card: all that `predict` needs to know of a model beside its weights."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt, model_validator

from rtsmap import bands
from rtsmap.settings.network import NetworkConfig
from rtsmap.settings.section import Fraction, Modality, Section


def _beside(name: str) -> str:
    if not name or Path(name).name != name or "\0" in name:
        raise ValueError(f"{name!r} must be the name of a file beside the card")
    return name


FileName = Annotated[str, AfterValidator(_beside)]


#: Ground sampling distances, m, and sides of chips, px, beyond which a number is a slip and no setting.
LARGEST_CHIP = 16_384
Gsd = Annotated[float, Field(ge=0.1, le=1000)]
ChipSize = Annotated[int, Field(ge=32, le=LARGEST_CHIP, multiple_of=32)]


class InputConfig(Section):
    """What the network was trained to see."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1)] = ("rgb", "ndvi", "nir")
    gsd_m: Gsd
    gsd_range_m: tuple[Gsd, Gsd]  # scenes within it are used as they are, others are resampled to gsd_m
    chip_size: ChipSize  # px
    overlap: int = Field(ge=0, multiple_of=2)  # px shared by neighbouring chips
    mean: dict[str, Annotated[float, Field(ge=-1e4, le=1e4)]]
    deviation: dict[str, Annotated[float, Field(ge=1e-6, le=1e4)]]  # what pixels are divided by

    @model_validator(mode="after")
    def _statistics_for_every_channel(self) -> Self:
        names = set(bands.channels(self.modalities))
        if names - set(self.mean) or names - set(self.deviation):
            raise ValueError(f"mean and deviation are needed for {', '.join(sorted(names))}")
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError("modalities: one is named twice")
        if self.overlap >= self.chip_size:
            raise ValueError("overlap must be smaller than chip_size")
        if self.gsd_range_m[0] > self.gsd_range_m[1]:
            raise ValueError("gsd_range_m: the lower end comes first")
        return self


class TrainingRecord(Section):
    """What a model was trained with, for its card."""

    images: int
    slumps: int
    iterations: int
    best_iteration: int
    precision: Literal["float32", "bf16"] | None = None  # of matrix products; not set in older models
    validated_on: tuple[str, ...] = ()
    validation_images: int = 0
    validation_slumps: int = 0
    validation_ap50: float | None = None
    unlabelled_sites: tuple[str, ...] = ()
    unlabelled_images: int = 0


class Calibration(Section):
    """What turns the network's scores into probabilities; fitted by `rtsmap evaluate chips --calibrate`.

    A score becomes `1 / (1 + exp(-(slope * log(score / (1 - score)) + intercept)))` (Platt 1999, on the logit).
    """

    slope: Annotated[float, Field(ge=1e-3, le=1e3)]  # positive, so that the order of the scores stays
    intercept: Annotated[float, Field(ge=-1e3, le=1e3)]
    min_iou: Fraction = 0.5  # of a detection with a label, from which on it was taken for right
    views: PositiveInt = 1  # of each chip (`--tta`) from which the scores came
    detections: NonNegativeInt  # that it was fitted to,
    matched: NonNegativeInt  # right ones among them,
    sites: tuple[str, ...]  # and where they were


class OnnxFile(Section):
    """The whole detector as ONNX, made by `rtsmap export onnx`; `predict` takes it instead of the weights."""

    file: FileName = "model.onnx"
    sha256: str
    chip_size: ChipSize | None = None  # px, the only size that it takes; any where it is not set


class ModelCard(Section):
    """`model.toml`: all that `predict` needs to know of a model beside its weights."""

    name: str
    version: str
    summary: str
    licence: str
    attribution: str
    sites_trained_on: tuple[str, ...]
    weights: FileName = "weights.safetensors"
    sha256: str
    score_threshold: Fraction  # of calibrated scores where there is a calibration
    min_area_m2: Annotated[float, Field(ge=0)] | None = None  # smaller slumps are left out; 300 where it is not set
    input: InputConfig
    network: NetworkConfig
    training: TrainingRecord | None = None
    calibration: Calibration | None = None
    onnx: OnnxFile | None = None

    def describe(self) -> dict[str, Any]:
        """The card as plain JSON values, for provenance; without what it does not set."""
        return self.model_dump(mode="json", exclude_none=True)
