"""Settings of a training run."""

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
    """The modalities that the network takes, of rgb, ndvi, nir and dem; the first is the query of the fusion."""
    start_from: str | None = None
    """Start from these weights instead of random ones: a published checkpoint, a folder made by `rtsmap models import`,
    or a model."""
    backbones: tuple[str, ...] = ()
    """Start from the backbones of these trained models instead of random ones: one model for each modality, in the
    order of the modalities."""
    decoder_from: str | None = None
    """Take the feature pyramid, the proposal network and the heads from this model, folder made by `rtsmap models
    import` or published checkpoint, instead of random ones or those of start_from."""
    freeze: tuple[Modality, ...] = ()
    """Modalities whose backbones are not trained."""
    backbone_rate: NonNegativeFloat = 1.0
    """Learning rate of the backbones relative to that of the rest of the network; at 0 no backbone is trained, as if
    all were frozen."""

    epochs: Annotated[float, Field(gt=0)] = 36
    """Length of the training: in each epoch as many chips are drawn as cover all images once; 36 as in Li et al.
    2025."""
    iterations: PositiveInt | None = None
    """Number of steps of the optimiser, instead of epochs."""
    batch_size: PositiveInt = 4
    """Number of chips that go through the network together, in each process."""
    accumulate: PositiveInt = 1
    """Number of batches whose gradients are added up for one step."""
    boxes_per_chip: PositiveInt = 128
    """Number of proposals of a chip that the heads are trained on, slumps and background together."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    """Learning rate for steps of 4 chips; it is scaled linearly with the real number of chips of a step (batch_size x
    accumulate x processes)."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Learning rate of each block of a backbone relative to that of the next block; below 1 the first blocks of a
    pre-trained backbone change slowly."""
    weight_decay: NonNegativeFloat = 0.05
    """Weight decay of AdamW; biases, normalisations and relative positions have none."""
    warmup: NonNegativeInt = 100
    """Number of steps over which the learning rate rises; after them it falls as a cosine."""
    clip_norm: PositiveFloat = 1.0
    """Largest norm of the gradient over all weights; longer gradients are shortened to it."""
    average_decay: Fraction = 0.998
    """Share of the moving average of the weights that remains after each step; the average is what is published."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """Precision of matrix products: float32; bf16, 16 bits and half the memory; auto, bf16 where the machine computes
    in it natively."""
    recompute: bool = False
    """Keep no activations within the blocks of the backbones: training takes a third longer and much less memory."""

    gsd_m: Gsd = 3.0
    """Ground sampling distance of the chips, m."""
    gsd_range_m: tuple[Gsd, Gsd] = (2.5, 4.0)
    """Ground sampling distances, m, between which scenes are not resampled at prediction."""
    training_chip_size: ChipSize = 256
    """Side of a chip in training, px."""
    chip_size: ChipSize = 1024
    """Side of a chip at prediction, px."""
    overlap: Annotated[int, Field(ge=0, multiple_of=2)] = 256
    """Overlap of neighbouring chips at prediction, px."""
    slump_share: Fraction = 0.7
    """Share of the chips that are placed on a slump; half of the others lie on hard negatives if there are some, and
    the rest lie anywhere."""
    ignore_boundary_px: NonNegativeInt = 2
    """Width in pixels of the chip, on both sides of each outline, that the mask loss leaves out; less for small
    slumps."""
    pasted_slumps: NonNegativeInt = 0
    """Largest number of slumps from elsewhere that are pasted into a chip."""
    scale_range: tuple[PositiveFloat, PositiveFloat] = (0.7, 1.4)
    """Smallest and largest ground sampling distance of the chips, relative to gsd_m."""
    augmentation: Literal["trivial", "light"] = "trivial"
    """How reflectance is augmented (illumination, haze, sensor): trivial, one random change for each chip, of random
    strength up to a large one; light, small changes of all kinds at once."""
    jitter: NonNegativeFloat = 1.0
    """Strength of these changes; 0 for none."""
    coarsest_m: PositiveFloat | None = None
    """Resolution augmentation: half of the chips of images finer than this are averaged to a ground sampling distance,
    m, between that of the image and this one, and resampled back to the grid of the chip, for models that shall also
    work with coarser sensors. Without it no chip is averaged."""

    unlabelled_batch: PositiveInt = 2
    """Number of unlabelled chips in each step, in each process, if there are unlabelled images."""
    teacher_from: NonNegativeInt = 500
    """Number of steps before the unlabelled chips are used, labelled by the moving average of the weights."""
    pseudo_score: Fraction = 0.7
    """Lowest score of a detection in an unlabelled chip that becomes a label."""
    doubtful_score: Fraction = 0.2
    """Lowest score of a detection in an unlabelled chip that is blanked, neither slump nor background; below it, it is
    background."""
    unlabelled_weight: NonNegativeFloat = 1.0
    """Weight of the loss of the unlabelled chips relative to that of the labelled ones."""

    validate_every: Annotated[float, Field(gt=0)] = 1.0
    """Number of epochs between two validations; the weights with the best AP50 are published."""
    checkpoint_every: PositiveInt = 100
    """Number of steps between two checkpoints."""
    workers: NonNegativeInt = 2
    """Number of processes that make chips, for each process that trains; 0: the network waits for each batch."""
    seed: NonNegativeInt = 0
    """Seed of all random numbers."""

    @field_validator("network")
    @classmethod
    def _feature_maps_are_normalised(cls, network: NetworkConfig) -> NetworkConfig:
        return network.with_own_fusion_norm()

    @property
    def frozen(self) -> tuple[Modality, ...]:
        """Modalities whose backbones are not trained."""
        return self.freeze if self.backbone_rate else self.modalities

    @model_validator(mode="after")
    def _frozen_backbones_exist(self) -> Self:
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError("modalities: each may be named only once")
        if (self.frozen or self.backbones) and self.network.fusion == "channels" and len(self.modalities) > 1:
            raise ValueError(
                'freeze, backbones and backbone_rate = 0: with fusion = "channels" all modalities share one backbone'
            )
        if unknown := sorted(set(self.freeze) - set(self.modalities)):
            raise ValueError(f"freeze: {', '.join(unknown)} is not among the modalities {', '.join(self.modalities)}")
        if self.backbones and len(self.backbones) != len(self.modalities):
            raise ValueError(f"backbones: give one model for each of {', '.join(self.modalities)}")
        return self

    @model_validator(mode="after")
    def _card_can_be_written(self) -> Self:
        if self.overlap >= self.chip_size:
            raise ValueError("overlap must be smaller than chip_size")
        for name in ("gsd_range_m", "scale_range"):
            lower, upper = getattr(self, name)
            if lower > upper:
                raise ValueError(f"{name}: give the lower end first")
        return self

    @model_validator(mode="after")
    def _doubtful_scores_are_lower(self) -> Self:
        if self.doubtful_score > self.pseudo_score:
            raise ValueError("doubtful_score: must not be above pseudo_score")
        return self
