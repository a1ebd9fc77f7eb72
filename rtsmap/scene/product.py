"""The description of a scene before its pixels are read: its files, metadata and calibration.

Each product family is one module with a function that recognises its scenes and returns `SceneFiles`. `scene.finding`
tries these functions in turn. To support another sensor, add such a module.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rtsmap.errors import SceneError
from rtsmap.scene.calibration import Stated
from rtsmap.scene.masks import MaskKind
from rtsmap.scene.metadata import Metadata

_LISTED = 8  # scenes that an error message lists

#: Takes band numbers and the scale and offset from the user (or None), and returns those that the product states.
StatedBy = Callable[[Sequence[int], float | None, float | None], Stated]


@dataclass(frozen=True)
class BandFile:
    """The location of one band: the path of a raster, and the number of the band in it."""

    path: str
    number: int = 1


@dataclass(frozen=True)
class MaskFile:
    """The location of the cloud mask; not `certain` if its name was derived by rule and its existence not checked."""

    path: str
    kind: MaskKind
    certain: bool = True


def _nothing(_numbers: Sequence[int], _scale: float | None, _offset: float | None) -> Stated:
    return Stated()


@dataclass(frozen=True)
class SceneFiles:
    """The files of a scene.

    Attributes:
        path: path of the scene, as in messages and in the output layer.
        scene_id: id of the scene, unique for the acquisition if the product has such an id.
        product: kind of product, in words.
        known: metadata from files and names.
        bands: the file of each band, by the names of `bands.BANDS`; None if `path` contains all bands.
        numbers: band numbers in `path`, by its number of bands; empty if they follow only from band descriptions.
        stated: returns the scale and offset that the product states.
        mask: the cloud mask; None if none was found.
    """

    path: str
    scene_id: str
    product: str
    known: Metadata = field(default_factory=Metadata)
    bands: Mapping[str, BandFile] | None = None
    numbers: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    stated: StatedBy = _nothing
    mask: MaskFile | None = None


def only(where: object, what: str, found: Sequence[str]) -> str:
    """Return the only element of `found`, which must not be empty.

    Args:
        where: the folder or archive, for the message.
        what: the kind of elements in the plural, for the message.
        found: their names.

    Raises:
        SceneError: there are several elements.
    """
    if len(found) > 1:
        more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        raise SceneError(f"{where}: holds {len(found)} {what} ({', '.join(found[:_LISTED])}{more}); name one of them")
    return found[0]
