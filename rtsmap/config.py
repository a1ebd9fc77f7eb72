"""Configuration and model cards: typed sections that read and write TOML and refuse unknown keys."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rtsmap import bands
from rtsmap.errors import InputError
from rtsmap.files import replacing

Modality = Literal["rgb", "ndvi", "nir"]
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
            # a misspelt key is also a missing one: name what is in the file first
            first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
            key = ".".join(str(part) for part in first["loc"])
            what = "is not a setting; check its spelling" if first["type"] == "extra_forbidden" else first["msg"]
            raise InputError(f"{path}: {key or 'the file'}: {what}") from error

    def to_toml(self, path: Path) -> None:
        """Write the settings, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_text(tomli_w.dumps(self.model_dump(mode="json", exclude_none=True)), encoding="utf-8")


class NetworkConfig(Section):
    """The network: one MViTv2 backbone per modality, fusion on each scale, FPN, cascade box heads, mask head."""

    embed_dim: int = 24
    depth: int = 6
    num_heads: int = 1
    last_blocks: tuple[int, ...] = (0, 1, 4, 5)  # the last block of each stage, as in MViTv2
    window_size: int = 16  # in tokens of the first stage (4 px); should divide the chip's token grid
    kv_stride: int = 4
    drop_path: Fraction = 0.1
    fusion_kv_grid: int = 16  # keys and values are pooled to at most this grid; 0: full attention
    fusion_mlp_ratio: float = 4.0
    fpn_channels: int = 64
    box_convs: int = 1
    fc_dim: int = 128
    mask_convs: int = 2
    mask_resolution: int = 28
    anchor_sizes: tuple[tuple[float, ...], ...] = ((8, 12), (17, 24), (34, 48), (68, 96), (136, 192))  # px, p2..p6
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    proposals: int = 100  # kept per chip at test time


class TrainConfig(Section):
    """How a network is trained."""

    network: NetworkConfig = NetworkConfig()
    modalities: tuple[Modality, ...] = ("rgb", "ndvi", "nir")
    gsd_m: float = 3.0
    gsd_range_m: tuple[float, float] = (2.5, 4.0)
    chip_size: Annotated[int, Field(gt=0, multiple_of=32)] = 256
    overlap: Annotated[int, Field(ge=0, multiple_of=2)] = 64
    iterations: Annotated[int, Field(gt=0)] = 2200
    batch_size: Annotated[int, Field(gt=0)] = 4
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    warmup: int = 100  # iterations
    clip_norm: float = 1.0
    average_decay: Fraction = 0.998  # of the exponential moving average of the weights that is kept
    slump_share: Fraction = 0.7  # of the chips that are placed on a slump; the others lie anywhere
    pasted_slumps: Annotated[int, Field(ge=0)] = 3  # of other places set into a chip, at most
    scale_range: tuple[float, float] = (0.7, 1.4)  # times gsd_m
    seed: int = 0
    checkpoint_every: int = 100  # iterations
    workers: Annotated[int, Field(ge=0)] = 1  # processes that make chips; 0: the network waits for each batch


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
    score_threshold: Fraction
    input: InputConfig
    network: NetworkConfig

    def describe(self) -> dict[str, Any]:
        """The card as plain JSON values, for provenance."""
        return self.model_dump(mode="json")
