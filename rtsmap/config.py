"""Configuration and model cards: typed sections that read and write TOML and refuse unknown keys."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from rtsmap import bands
from rtsmap.errors import InputError
from rtsmap.files import replacing

Modality = Literal["rgb", "ndvi", "nir", "dem"]
FusionName = Literal[
    "channels", "convolution", "stacked", "cross", "residual_convolution", "residual_stacked", "residual_cross"
]
NormName = Literal["layer", "batch", "none"]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A group of settings; a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read and check a TOML file.

        Raises:
            InputError: the file is missing, is not TOML, or has unknown or wrong values.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: is not valid TOML ({error})") from error
        except ValidationError as error:
            raise InputError(f"{path}: {_first_of(error)}") from error

    def updated(self, **values: object) -> Self:
        """A copy with other values, checked.

        Raises:
            InputError: a value is wrong.
        """
        try:
            return self.model_validate({**self.model_dump(), **values})
        except ValidationError as error:
            raise InputError(_first_of(error)) from error

    def changed(self, changes: Sequence[str]) -> Self:
        """A copy with single settings changed.

        Args:
            changes: such as `iterations=500` or `network.fusion=cross`: a name, and a value as TOML has it; text needs
                no quotes.

        Raises:
            InputError: a change has no value, its name is no setting, or its value is wrong.
        """
        values = self.model_dump()
        for change in changes:
            name, equals, text = change.partition("=")
            *sections, key = name.strip().split(".")
            place = values
            for section in sections:
                place = place[section] if isinstance(place.get(section), dict) else place.setdefault(name, {})
            if not equals:
                raise InputError(f"{change}: needs the form NAME=VALUE, such as iterations=500")
            place[key] = _toml_value(text.strip())
        return self.updated(**values)

    def to_toml(self, path: Path) -> None:
        """Write the settings, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_text(tomli_w.dumps(self.model_dump(mode="json", exclude_none=True)), encoding="utf-8")


def _first_of(error: ValidationError) -> str:
    """What is wrong, in a line; a misspelt key is also a missing one: name what is there first."""
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{key}: is not a setting; check its spelling"
    return f"{key or 'the settings'}: {first['msg'].removeprefix('Value error, ')}"


def _toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


class NetworkConfig(Section):
    """The network: a backbone per modality, fusion on each scale, feature pyramid, proposals, box heads, mask head.

    The defaults are those of rts-mini; `PRESETS` has the paper's.
    """

    backbone: Literal["mvitv2", "resnet50", "efficientnet-lite"] = "mvitv2"
    variant: Literal["lite0", "lite1", "lite2"] = "lite0"  # of EfficientNet-Lite alone
    # of MViTv2 alone
    embed_dim: PositiveInt = 24
    depth: PositiveInt = 6
    num_heads: PositiveInt = 1
    last_blocks: tuple[int, int, int, int] = (0, 1, 4, 5)  # the last block of each stage
    window_size: PositiveInt = 32  # in tokens of the first stage (4 px); should divide the chip's token grid
    global_blocks: bool = False  # true: the last block of each stage but the first sees the whole chip, as in MViTv2
    image_size: PositiveInt = 224  # px for which tables of relative positions are made where blocks see all tokens
    kv_stride: PositiveInt = 4
    drop_path: Fraction = 0.1  # of EfficientNet-Lite too
    # where modalities meet
    fusion: FusionName = "residual_cross"
    fusion_kv_grid: NonNegativeInt = 8  # keys and values are pooled to at most this grid; 0: full attention
    fusion_window: NonNegativeInt = 32  # they attend within windows of this many tokens of the finest scale; 0: all
    fusion_mlp_ratio: float = 4.0
    # the detector on top
    fpn_channels: PositiveInt = 64
    fpn_norm: NormName = "layer"
    anchor_sizes: tuple[tuple[float, ...], ...] = ((8, 12), (17, 24), (34, 48), (68, 96), (136, 192))  # px, p2..p6
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    rpn_convs: PositiveInt = 1
    proposals: PositiveInt = 2000  # kept at test time in a chip of the size that the card gives, at most,
    proposal_score: Fraction = 0.5  # and of these only where the network is as sure that there is something
    stage_score: Fraction = 0.0  # of the first box head, that a proposal needs for the other two
    decoder: Literal["cascade", "single"] = "cascade"  # box heads in three stages, or one as in Mask R-CNN
    head_norm: NormName = "layer"
    box_convs: NonNegativeInt = 1
    box_fcs: PositiveInt = 1
    fc_dim: PositiveInt = 128
    masks: bool = True  # false: boxes only
    mask_convs: PositiveInt = 2
    mask_resolution: Annotated[int, Field(gt=0, multiple_of=2)] = 28
    classes: PositiveInt = 1

    @model_validator(mode="after")
    def _stages_end_with_the_blocks(self) -> Self:
        ascending = all(first < second for first, second in pairwise(self.last_blocks))
        if not ascending or self.last_blocks[-1] != self.depth - 1:
            raise ValueError(f"last_blocks must ascend to the last of {self.depth} blocks, {self.depth - 1}")
        return self

    @property
    def alignment(self) -> int:
        """Chips that lie this many px from each other have the windows of attention at the same places of the scene.

        Also a multiple of the coarsest level's stride of 64 px, all that convolutions ask for. 1 where the network
        attends to whole chips.
        """
        transformer, fused = self.backbone == "mvitv2", self.fusion.endswith(("stacked", "cross"))
        if (transformer and self.global_blocks) or (fused and not self.fusion_window):
            return 1
        return math.lcm(64, 4 * self.window_size if transformer else 1, 4 * self.fusion_window if fused else 1)


_PUBLISHED = NetworkConfig(
    embed_dim=96,
    window_size=64,  # 56 upstream, which pads the 64 tokens of a chip of 256 px to 112
    global_blocks=True,
    fusion_kv_grid=16,
    fusion_window=0,
    fpn_channels=256,
    fpn_norm="none",
    anchor_sizes=((16,), (32,), (64,), (128,), (256,)),  # half of COCO's: slumps are small
    rpn_convs=2,
    proposals=1200,
    proposal_score=0.0,
    head_norm="batch",
    box_convs=4,
    fc_dim=1024,
    mask_convs=4,
)

#: Architectures by name. Those of MViTv2 and ResNet50 take detectron2's published weights tensor by tensor: sizes of
#: Li et al. 2022, table 4, heads of detectron2's `cascade_mask_rcnn_mvitv2_*` and `mask_rcnn_R_50_FPN`. Those of
#: EfficientNet-Lite have the heads of rts-mini.
PRESETS: Mapping[str, NetworkConfig] = {
    "mini": NetworkConfig(),
    "mvitv2-t": _PUBLISHED.model_copy(update={"depth": 10, "last_blocks": (0, 2, 7, 9), "drop_path": 0.2}),
    "mvitv2-s": _PUBLISHED.model_copy(update={"depth": 16, "last_blocks": (0, 2, 13, 15), "drop_path": 0.2}),
    "mvitv2-b": _PUBLISHED.model_copy(update={"depth": 24, "last_blocks": (1, 4, 20, 23), "drop_path": 0.4}),
    "resnet50": _PUBLISHED.model_copy(
        update={
            "backbone": "resnet50",
            "decoder": "single",
            "rpn_convs": 1,
            "head_norm": "none",
            "box_convs": 0,
            "box_fcs": 2,
        }
    ),
    "efficientnet-lite0": NetworkConfig(backbone="efficientnet-lite"),
    "efficientnet-lite2": NetworkConfig(backbone="efficientnet-lite", variant="lite2"),
}


class TrainConfig(Section):
    """How a network is trained."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    network: NetworkConfig = NetworkConfig()
    modalities: tuple[Modality, ...] = ("rgb", "ndvi", "nir")
    """Of rgb, ndvi, nir and dem; the first is the query of the fusion."""
    start_from: str | None = None
    """A published checkpoint, a folder of `rtsmap models import`, or a model: its weights instead of random ones."""
    backbones: tuple[str, ...] = ()
    """Trained models of one modality each, in the order of the modalities: their backbones instead of random ones."""
    freeze: tuple[Modality, ...] = ()
    """Modalities whose backbone does not learn."""

    epochs: Annotated[float, Field(gt=0)] = 36
    """How often as many chips are drawn as cover all images; 36 as Li et al. 2025."""
    iterations: PositiveInt | None = None
    """Steps of the optimiser, instead of epochs."""
    batch_size: PositiveInt = 4
    """Chips that go through the network together, in each process."""
    accumulate: PositiveInt = 1
    """Batches whose gradients are added up to one step."""
    boxes_per_chip: PositiveInt = 128
    """Proposed boxes of a chip that the heads learn from, slumps and background together."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    """For a step of 4 chips; scaled linearly with their real number (batch_size x accumulate x processes)."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Learning rate of each block of a backbone over that of the next; below 1 the first blocks of a pre-trained
    backbone learn slowly."""
    weight_decay: NonNegativeFloat = 0.05
    warmup: NonNegativeInt = 100
    """Steps over which the learning rate rises; then it falls as a cosine."""
    clip_norm: PositiveFloat = 1.0
    """Longest gradient, as norm over all weights."""
    average_decay: Fraction = 0.998
    """Share of the moving average of the weights that a step keeps; the average is what is published."""
    precision: Literal["float32", "bf16"] = "float32"
    """bf16: products of matrices in 16 bits, half the memory."""
    recompute: bool = False
    """Keep no activations within the blocks of backbones: slower by a third, much less memory."""

    gsd_m: PositiveFloat = 3.0
    """Ground sampling distance of the chips."""
    gsd_range_m: tuple[float, float] = (2.5, 4.0)
    """Scenes within it are not resampled at prediction."""
    training_chip_size: Annotated[int, Field(gt=0, multiple_of=32)] = 256
    """Side of a chip in training, px."""
    chip_size: Annotated[int, Field(gt=0, multiple_of=32)] = 1024
    """At prediction, px."""
    overlap: Annotated[int, Field(ge=0, multiple_of=2)] = 256
    """Of neighbouring chips at prediction, px."""
    slump_share: Fraction = 0.7
    """Of the chips that are placed on a slump; half of the others lie on hard negatives where there are some, the rest
    anywhere."""
    pasted_slumps: NonNegativeInt = 3
    """Of other places, set into a chip, at most."""
    scale_range: tuple[float, float] = (0.7, 1.4)
    """Of the chips' ground sampling distance, times gsd_m."""
    jitter: NonNegativeFloat = 1.0
    """Strength of changes to light, haze and sensor, applied to reflectance; 0 for none."""
    coarsest_m: PositiveFloat | None = None
    """Half of the chips of images finer than this are averaged to a ground sampling distance between their own and
    this one, and brought back to the chips' grid: for models that shall also know coarser sensors. Not set: none."""

    unlabelled_batch: PositiveInt = 2
    """Chips of images without labels in each step, in each process, where there are such images."""
    teacher_from: NonNegativeInt = 500
    """Steps before the moving average of the weights is good enough to label them."""
    pseudo_score: Fraction = 0.7
    """Lowest score of what it finds that counts as a slump."""
    doubtful_score: Fraction = 0.2
    """Lowest score of what counts as neither slump nor ground; below, it is ground."""
    unlabelled_weight: NonNegativeFloat = 1.0
    """Of the loss of these chips, over that of those with labels."""

    validate_every: Annotated[float, Field(gt=0)] = 1.0
    """Epochs between two looks at the validation images; the weights of the best AP50 are published."""
    checkpoint_every: PositiveInt = 100
    """Steps."""
    workers: NonNegativeInt = 2
    """Processes that make chips, for each process that trains; 0: the network waits for each batch."""
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _frozen_backbones_exist(self) -> Self:
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError("modalities: one is named twice")
        if (self.freeze or self.backbones) and self.network.fusion == "channels" and len(self.modalities) > 1:
            raise ValueError('freeze and backbones: with fusion = "channels" all modalities share one backbone')
        if unknown := sorted(set(self.freeze) - set(self.modalities)):
            raise ValueError(f"freeze: {', '.join(unknown)} is none of the modalities {', '.join(self.modalities)}")
        if self.backbones and len(self.backbones) != len(self.modalities):
            raise ValueError(f"backbones: needs one for each of {', '.join(self.modalities)}")
        return self

    @model_validator(mode="after")
    def _sure_is_more_than_doubtful(self) -> Self:
        if self.doubtful_score > self.pseudo_score:
            raise ValueError("doubtful_score: must not be above pseudo_score")
        return self


class InputConfig(Section):
    """What the network was trained to see."""

    modalities: tuple[Modality, ...] = ("rgb", "ndvi", "nir")
    gsd_m: float = Field(gt=0)
    gsd_range_m: tuple[float, float]  # scenes within it are used as they are, others are resampled to gsd_m
    chip_size: int = Field(gt=0, multiple_of=32)  # px
    overlap: int = Field(ge=0, multiple_of=2)  # px shared by neighbouring chips
    mean: dict[str, float]
    deviation: dict[str, float]

    @model_validator(mode="after")
    def _statistics_for_every_channel(self) -> Self:
        names = set(bands.channels(self.modalities))
        if names - set(self.mean) or names - set(self.deviation):
            raise ValueError(f"mean and deviation are needed for {', '.join(sorted(names))}")
        if self.overlap >= self.chip_size:
            raise ValueError("overlap must be smaller than chip_size")
        return self


class TrainingRecord(Section):
    """What a model was trained with, for its card."""

    images: int
    slumps: int
    iterations: int
    best_iteration: int
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

    slope: PositiveFloat  # positive, so that the order of the scores stays
    intercept: float
    min_iou: Fraction = 0.5  # of a detection with a label, from which on it was taken for right
    views: PositiveInt = 1  # of each chip (`--flips`) from which the scores came
    detections: NonNegativeInt  # that it was fitted to,
    matched: NonNegativeInt  # right ones among them,
    sites: tuple[str, ...]  # and where they were


class OnnxFile(Section):
    """The whole detector as ONNX, made by `rtsmap export onnx`; `predict` takes it instead of the weights."""

    file: str = "model.onnx"
    sha256: str
    chip_size: PositiveInt | None = None  # px, the only size that it takes; any where it is not set


class ModelCard(Section):
    """`model.toml`: all that `predict` needs to know of a model beside its weights."""

    name: str
    version: str
    summary: str
    licence: str
    attribution: str
    sites_trained_on: tuple[str, ...]
    weights: str = "weights.safetensors"
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
