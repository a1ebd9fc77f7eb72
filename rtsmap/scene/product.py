"""What a family of products tells of a scene before its pixels are read: its files, and what is known of them.

A family is one module with a function that recognises its scenes and returns `SceneFiles`; `scene.finding` asks them in
turn. Another sensor is another such module.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rtsmap.errors import SceneError
from rtsmap.scene.calibration import Stated
from rtsmap.scene.masks import MaskKind
from rtsmap.scene.metadata import Metadata

_LISTED = 8  # scenes that an error names

#: Of band numbers and of the scale and offset that the user gives: what the product itself says of these bands.
StatedBy = Callable[[Sequence[int], float | None, float | None], Stated]


@dataclass(frozen=True)
class BandFile:
    """Where one band lies: a raster, and the band's number in it."""

    path: str
    number: int = 1


@dataclass(frozen=True)
class MaskFile:
    """Where the cloud mask lies; not `certain` where its name follows from a rule and nobody has looked."""

    path: str
    kind: MaskKind
    certain: bool = True


def _nothing(_numbers: Sequence[int], _scale: float | None, _offset: float | None) -> Stated:
    return Stated()


@dataclass(frozen=True)
class SceneFiles:
    """The files of a scene.

    Attributes:
        path: of the scene, as in messages and in the layer.
        scene_id: unique for the acquisition where the product has such an id.
        product: its kind, in words.
        known: what metadata and names say.
        bands: by the names of `bands.BANDS`, where they are files of their own; None: `path` holds them all.
        numbers: of bands in `path`, by the number of bands that it has; empty where only descriptions can tell.
        stated: scale and offset.
        mask: the cloud mask; None: none was found.
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
    """The one of several; to be called with at least one.

    Raises:
        SceneError: there are several.
    """
    if len(found) > 1:
        more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        raise SceneError(f"{where}: holds {len(found)} {what} ({', '.join(found[:_LISTED])}{more}); name one of them")
    return found[0]
