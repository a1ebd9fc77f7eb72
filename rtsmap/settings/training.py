"""Settings of a training."""

from typing import Annotated, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from rtsmap.settings.card import ChipSize, Gsd
from rtsmap.settings.network import NetworkConfig
from rtsmap.settings.section import Fraction, Modality, Section


class TrainConfig(Section):
    """How a network is trained."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    network: NetworkConfig = NetworkConfig()
    modalities: Annotated[tuple[Modality, ...], Field(min_length=1)] = ("rgb", "ndvi", "nir")
    """Of rgb, ndvi, nir and dem; the first is the query of the fusion."""
    start_from: str | None = None
    """A published checkpoint, a folder of `rtsmap models import`, or a model: its weights instead of random ones."""
    backbones: tuple[str, ...] = ()
    """Trained models of one modality each, in the order of the modalities: their backbones instead of random ones."""
    decoder_from: str | None = None
    """A model, a folder of `rtsmap models import` or a published checkpoint: its feature pyramid, proposals and heads
    instead of random ones, or those of start_from."""
    freeze: tuple[Modality, ...] = ()
    """Modalities whose backbone does not learn."""
    backbone_rate: NonNegativeFloat = 1.0
    """Learning rate of the backbones over that of the rest; at 0 none of them learns, as if all were frozen."""

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
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """bf16: products of matrices in 16 bits, half the memory; auto: bf16 where the machine computes in it natively."""
    recompute: bool = False
    """Keep no activations within the blocks of backbones: slower by a third, much less memory."""

    gsd_m: Gsd = 3.0
    """Ground sampling distance of the chips."""
    gsd_range_m: tuple[Gsd, Gsd] = (2.5, 4.0)
    """Scenes within it are not resampled at prediction."""
    training_chip_size: ChipSize = 256
    """Side of a chip in training, px."""
    chip_size: ChipSize = 1024
    """At prediction, px."""
    overlap: Annotated[int, Field(ge=0, multiple_of=2)] = 256
    """Of neighbouring chips at prediction, px."""
    slump_share: Fraction = 0.7
    """Of the chips that are placed on a slump; half of the others lie on hard negatives where there are some, the rest
    anywhere."""
    ignore_boundary_px: NonNegativeInt = 2
    """On both sides of each outline, in pixels of the chip, that the mask is not learned from; less in small slumps."""
    pasted_slumps: NonNegativeInt = 0
    """Of other places, set into a chip, at most."""
    scale_range: tuple[PositiveFloat, PositiveFloat] = (0.7, 1.4)
    """Of the chips' ground sampling distance, times gsd_m."""
    augmentation: Literal["trivial", "light"] = "trivial"
    """How light, haze and sensor change, on reflectance: trivial, one change of many for each chip, of any strength up
    to a large one; light, small changes of all kinds at once."""
    jitter: NonNegativeFloat = 1.0
    """Strength of these changes; 0 for none."""
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

    @field_validator("network")
    @classmethod
    def _maps_are_normed(cls, network: NetworkConfig) -> NetworkConfig:
        return network.with_own_fusion_norm()

    @property
    def frozen(self) -> tuple[Modality, ...]:
        """Modalities whose backbone does not learn."""
        return self.freeze if self.backbone_rate else self.modalities

    @model_validator(mode="after")
    def _frozen_backbones_exist(self) -> Self:
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError("modalities: one is named twice")
        if (self.frozen or self.backbones) and self.network.fusion == "channels" and len(self.modalities) > 1:
            raise ValueError(
                'freeze, backbones and backbone_rate = 0: with fusion = "channels" all modalities share one backbone'
            )
        if unknown := sorted(set(self.freeze) - set(self.modalities)):
            raise ValueError(f"freeze: {', '.join(unknown)} is none of the modalities {', '.join(self.modalities)}")
        if self.backbones and len(self.backbones) != len(self.modalities):
            raise ValueError(f"backbones: needs one for each of {', '.join(self.modalities)}")
        return self

    @model_validator(mode="after")
    def _card_can_be_written(self) -> Self:
        if self.overlap >= self.chip_size:
            raise ValueError("overlap must be smaller than chip_size")
        for name in ("gsd_range_m", "scale_range"):
            lower, upper = getattr(self, name)
            if lower > upper:
                raise ValueError(f"{name}: the lower end comes first")
        return self

    @model_validator(mode="after")
    def _sure_is_more_than_doubtful(self) -> Self:
        if self.doubtful_score > self.pseudo_score:
            raise ValueError("doubtful_score: must not be above pseudo_score")
        return self
