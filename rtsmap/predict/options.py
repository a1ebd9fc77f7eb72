"""The options of a prediction, the values that hold with a model, and the record of both for the layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtsmap import __version__
from rtsmap.errors import InputError
from rtsmap.scene import DEFAULT_MASK
from rtsmap.settings.card import ModelCard

#: Smallest slump that is kept if neither the user nor the model's card gives a value.
MIN_AREA_M2 = 300.0


@dataclass(frozen=True)
class Options:
    """What the user may choose. Everything here may change the result; None takes the value of the model's card.

    Attributes:
        score: lowest score that is kept, 0..1.
        min_area_m2: smallest slump that is kept, m2.
        mask: classes of the cloud mask that count as not observed, see `rtsmap.scene.CLASSES`; none if empty.
        bands: band numbers by name (`blue`, `green`, `red`, `nir`), counted from 1; None: as the scene names them.
        scale: reflectance per digital number; None: that of the product.
        offset: reflectance of the digital number 0; None: that of the product, or 0.
        chip_size: side of a chip, px.
        overlap: smallest number of px that neighbouring chips share.
        aoi: file of polygons; only slumps inside them are mapped.
        aoi_layer: layer of `aoi`, if the file has several.
        dem: elevation model in metres, for models that use the terrain.
    """

    score: float | None = None
    min_area_m2: float | None = None
    mask: tuple[str, ...] = DEFAULT_MASK
    bands: Mapping[str, int] | None = None
    scale: float | None = None
    offset: float | None = None
    chip_size: int | None = None
    overlap: int | None = None
    aoi: Path | None = None
    aoi_layer: str | None = None
    dem: str | None = None

    def for_model(self, card: ModelCard) -> "ResolvedOptions":
        """Resolve the options for a model: the option if it is given, else the value of the model's card.

        An elevation model is dropped if the model does not use the terrain.
        """
        return ResolvedOptions(
            score=card.score_threshold if self.score is None else self.score,
            min_area_m2=_first(self.min_area_m2, card.min_area_m2, MIN_AREA_M2),
            mask=self.mask,
            bands=self.bands,
            scale=self.scale,
            offset=self.offset,
            chip_size=card.input.chip_size if self.chip_size is None else self.chip_size,
            overlap=card.input.overlap if self.overlap is None else self.overlap,
            aoi=None if self.aoi is None else Path(self.aoi),
            aoi_layer=self.aoi_layer,
            dem=self.dem if uses_terrain(card) else None,
        )


@dataclass(frozen=True)
class ResolvedOptions:
    """The options that hold with one model; the attributes are those of `Options`."""

    score: float
    min_area_m2: float
    mask: tuple[str, ...]
    bands: Mapping[str, int] | None
    scale: float | None
    offset: float | None
    chip_size: int
    overlap: int
    aoi: Path | None
    aoi_layer: str | None
    dem: str | None


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def provenance(paths: Sequence[str], card: ModelCard, options: ResolvedOptions, command: str) -> dict[str, object]:
    """Describe how a layer was made, with all that is needed to make it again, in JSON's types.

    Args:
        paths: the scenes, as the user named them.
        card: card of the model.
        options: the options that held.
        command: the command, or a description of the program that mapped the scenes.
    """
    return {
        "software": f"rtsmap {__version__}",
        "command": command,
        "scenes": list(paths),
        "options": {
            "score": options.score,
            "min_area_m2": options.min_area_m2,
            "mask": list(options.mask),
            "bands": dict(options.bands) if options.bands else None,
            "scale": options.scale,
            "offset": options.offset,
            "chip_size": options.chip_size,
            "overlap": options.overlap,  # the smallest that was allowed
            "aoi": str(options.aoi) if options.aoi else None,
            **({"aoi_layer": options.aoi_layer} if options.aoi_layer else {}),
            **({"dem": options.dem} if uses_terrain(card) else {}),
        },
        "model": card.describe(),
    }


def uses_terrain(card: ModelCard) -> bool:
    """Whether a model needs an elevation model."""
    return "dem" in card.input.modalities


def check_dem(card: ModelCard, options: ResolvedOptions) -> None:
    """Check that there is an elevation model if the model needs one.

    Raises:
        InputError: the model uses the terrain, and there is no elevation model.
    """
    if uses_terrain(card) and options.dem is None:
        raise InputError(f"{card.name}: uses the terrain; give an elevation model of the scene with --dem FILE")
