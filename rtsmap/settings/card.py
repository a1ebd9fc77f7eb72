"""The model card: everything about a model, except its weights, that `predict` needs."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AliasChoices, Field, NonNegativeInt, PositiveInt, model_validator

from rtsmap import bands
from rtsmap.settings.network import NetworkConfig
from rtsmap.settings.section import Fraction, Modality, Section


def _beside(name: str) -> str:
    if not name or Path(name).name != name or "\0" in name:
        raise ValueError(f"{name!r} must be the name of a file beside the card")
    return name


FileName = Annotated[str, AfterValidator(_beside)]


#: Largest side of a chip, px; larger numbers are taken for mistakes, as are ground sampling distances outside 0.1 to
#: 1000 m.
LARGEST_CHIP = 16_384
Gsd = Annotated[float, Field(ge=0.1, le=1000)]
ChipSize = Annotated[int, Field(ge=32, le=LARGEST_CHIP, multiple_of=32)]


class InputConfig(Section):
    """The input that the network was trained with."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1)] = ("rgb", "ndvi", "nir")
    gsd_m: Gsd
    gsd_range_m: tuple[Gsd, Gsd]  # scenes within this range are used unchanged, and others are resampled to gsd_m
    chip_size: ChipSize  # px
    overlap: int = Field(ge=0, multiple_of=2)  # px shared by neighbouring chips
    mean: dict[str, Annotated[float, Field(ge=-1e4, le=1e4)]]
    std: Annotated[
        dict[str, Annotated[float, Field(ge=1e-6, le=1e4)]],
        Field(validation_alias=AliasChoices("std", "deviation")),  # `deviation` in model.toml of earlier versions
    ]

    @model_validator(mode="after")
    def _statistics_for_every_channel(self) -> Self:
        names = set(bands.channels(self.modalities))
        if names - set(self.mean) or names - set(self.std):
            raise ValueError(f"mean and std are needed for {', '.join(sorted(names))}")
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError("modalities: each may be named only once")
        if self.overlap >= self.chip_size:
            raise ValueError("overlap must be smaller than chip_size")
        if self.gsd_range_m[0] > self.gsd_range_m[1]:
            raise ValueError("gsd_range_m: give the lower end first")
        return self


class TrainingRecord(Section):
    """Record of the training of a model, for its card."""

    images: int
    slumps: int
    iterations: int
    best_iteration: int
    precision: Literal["float32", "bf16"] | None = None  # of matrix products; older models do not set it
    validated_on: tuple[str, ...] = ()
    validation_images: int = 0
    validation_slumps: int = 0
    validation_ap50: float | None = None
    unlabelled_sites: tuple[str, ...] = ()
    unlabelled_images: int = 0


class Calibration(Section):
    """Calibration of the scores of a network to probabilities, fitted by `rtsmap evaluate chips --calibrate`.

    A score becomes `1 / (1 + exp(-(slope * log(score / (1 - score)) + intercept)))` (Platt 1999, on the logit).
    """

    slope: Annotated[float, Field(ge=1e-3, le=1e3)]  # positive, so that the order of the scores is kept
    intercept: Annotated[float, Field(ge=-1e3, le=1e3)]
    min_iou: Fraction = 0.5  # IoU with a label from which a detection counted as correct
    views: PositiveInt = 1  # number of views of each chip (`--tta`) that the scores are from
    detections: NonNegativeInt  # number of detections that it was fitted to
    matched: NonNegativeInt  # number of correct detections among them
    sites: tuple[str, ...]  # their sites


class OnnxFile(Section):
    """The whole detector as ONNX, made by `rtsmap export onnx`; `predict` uses it instead of the weights."""

    file: FileName = "model.onnx"
    sha256: str
    chip_size: ChipSize | None = None  # px, the only size that it takes; without it the file takes any size


class ModelCard(Section):
    """`model.toml`: everything about a model, except its weights, that `predict` needs."""

    name: str
    version: str
    summary: str
    licence: str
    attribution: str
    sites_trained_on: tuple[str, ...]
    weights: FileName = "weights.safetensors"
    sha256: str
    score_threshold: Fraction  # threshold of calibrated scores if there is a calibration
    min_area_m2: Annotated[float, Field(ge=0)] | None = None  # smaller slumps are left out; 300 without it
    input: InputConfig
    network: NetworkConfig
    training: TrainingRecord | None = None
    calibration: Calibration | None = None
    onnx: OnnxFile | None = None

    def describe(self) -> dict[str, Any]:
        """Return the card as JSON values for provenance, without keys that are not set."""
        return self.model_dump(mode="json", exclude_none=True)
