"""What the user may choose of a prediction, what a model's card chooses otherwise, and the record of both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtsmap import __version__
from rtsmap.errors import InputError
from rtsmap.scene import DEFAULT_MASK
from rtsmap.settings.card import ModelCard

#: Smallest slump that is kept where neither the user nor the model's card says.
MIN_AREA_M2 = 300.0


@dataclass(frozen=True)
class Options:
    """What decides the result, beside scene and model. None takes the value of the model's card."""

    score: float | None = None
    min_area_m2: float | None = None
    mask: tuple[str, ...] = DEFAULT_MASK
    bands: Mapping[str, int] | None = None
    scale: float | None = None
    offset: float | None = None
    chip_size: int | None = None
    overlap: int | None = None
    aoi: Path | None = None
    aoi_layer: str | None = None  # of that file, where it has several
    dem: str | None = None  # an elevation model, for models that see the terrain

    def for_model(self, card: ModelCard) -> "Resolved":
        """What holds with this model: the option where it is given, else the card's value."""
        return Resolved(
            score=card.score_threshold if self.score is None else self.score,
            min_area_m2=_first(self.min_area_m2, card.min_area_m2, MIN_AREA_M2),
            chip_size=card.input.chip_size if self.chip_size is None else self.chip_size,
            overlap=card.input.overlap if self.overlap is None else self.overlap,
        )


@dataclass(frozen=True)
class Resolved:
    """The options that a model's card may decide."""

    score: float
    min_area_m2: float
    chip_size: int
    overlap: int


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def provenance(paths: Sequence[str], card: ModelCard, options: Options, command: str) -> dict[str, object]:
    """All that is needed to make the layer again, in JSON's types."""
    resolved = options.for_model(card)
    return {
        "software": f"rtsmap {__version__}",
        "command": command,
        "scenes": list(paths),
        "options": {
            "score": resolved.score,
            "min_area_m2": resolved.min_area_m2,
            "mask": list(options.mask),
            "bands": dict(options.bands) if options.bands else None,
            "scale": options.scale,
            "offset": options.offset,
            "chip_size": resolved.chip_size,
            "overlap": resolved.overlap,  # at least
            "aoi": str(options.aoi) if options.aoi else None,
            **({"aoi_layer": options.aoi_layer} if options.aoi_layer else {}),
            **({"dem": options.dem} if sees_terrain(card) else {}),
        },
        "model": card.describe(),
    }


def sees_terrain(card: ModelCard) -> bool:
    """Whether a model needs an elevation model."""
    return "dem" in card.input.modalities


def dem_for(card: ModelCard, options: Options) -> str | None:
    """The elevation model to open for a model: none where it does not see the terrain.

    Raises:
        InputError: the model sees the terrain, and there is no elevation model.
    """
    if not sees_terrain(card):
        return None
    if options.dem is None:
        raise InputError(f"{card.name}: sees the terrain; give an elevation model of the scene with --dem FILE")
    return options.dem
