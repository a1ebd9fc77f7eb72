"""Cloud masks that come with products: which pixels hold no ground, and which show cloud, haze, shadow or snow.

The classes have the same names whatever the product: a name means, in each kind of mask, what is nearest to it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtsmap.errors import InputError
from rtsmap.records import BoolArray

#: Classes that can be masked, and the band of the UDM2 that holds each. They exclude one another.
CLASSES: Mapping[str, int] = {"snow": 2, "shadow": 3, "light_haze": 4, "heavy_haze": 5, "cloud": 6}

#: Masked unless told otherwise. Since UDM2.1 (processed from 2023-11-29 on) the heavy haze band is always empty and all
#: haze stands in the light haze band, by its definition haze through which the ground is seen. It stays unmasked by
#: default, in both versions, because a masked slump is a slump not found; add `light_haze` to be strict.
DEFAULT_MASK = ("cloud", "heavy_haze", "shadow")

_UDM1_BAND = 8  # of the UDM2
_BLACKFILL = np.uint8(1)  # bit 0 of the UDM: the image holds no data here
_UDM1_CLOUD = 1 << 1
_UDM1_MISSING = 0b11111100  # from bit 2 on: data of a band are missing or suspect

#: Sentinel-2 scene classification. 2 dark, 4 vegetation, 5 bare, 6 water and 7 unclassified are clear; thin cirrus lets
#: the ground through, as light haze does.
_SCL_INVALID = (0, 1)  # no data, saturated or defective
_SCL_CLASSES: Mapping[str, tuple[int, ...]] = {"shadow": (3,), "cloud": (8, 9), "light_haze": (10,), "snow": (11,)}

#: Bits of the pixel quality band of Landsat Collection 2. A cloud's dilated edge (bit 1) counts as cloud.
_QA_FILL = 1 << 0
_QA_CLASSES: Mapping[str, int] = {"cloud": 1 << 1 | 1 << 3, "light_haze": 1 << 2, "shadow": 1 << 4, "snow": 1 << 5}

Interpreted = tuple[BoolArray, BoolArray]


@dataclass(frozen=True)
class MaskKind:
    """How one kind of mask is read.

    Attributes:
        name: as in messages.
        count: bands of such a file.
        bands: numbers of the bands that `interpret` expects for these classes.
        interpret: of `(bands, rows, columns)` as stored, two arrays `(rows, columns)`: true where the image holds no
            data, true in one of the classes.
    """

    name: str
    count: int
    bands: Callable[[Collection[str]], list[int]]
    interpret: Callable[[NDArray[Any], Collection[str]], Interpreted]


@dataclass(frozen=True)
class OpenMask:
    """A mask on the grid of its image, and the classes in which a pixel is not clear."""

    path: str
    dataset: Any
    kind: MaskKind
    classes: tuple[str, ...]

    @property
    def bands(self) -> list[int]:
        """Numbers of the bands to read."""
        return self.kind.bands(self.classes)

    def interpret(self, numbers: NDArray[Any]) -> Interpreted:
        """Pixels without data, and masked ones; see `MaskKind`."""
        return self.kind.interpret(numbers, self.classes)


def check_classes(mask: Collection[str]) -> tuple[str, ...]:
    """The classes, each once.

    Raises:
        InputError: a class that no mask has.
    """
    unknown = sorted(set(mask) - set(CLASSES))
    if unknown:
        raise InputError(f"--mask {unknown[0]}: is no class of a cloud mask; choose from {', '.join(CLASSES)}")
    return tuple(name for name in CLASSES if name in mask)


def _udm2_bands(mask: Collection[str]) -> list[int]:
    return [*sorted(CLASSES[name] for name in mask), _UDM1_BAND]


def _udm2(numbers: NDArray[np.uint8], _mask: Collection[str]) -> Interpreted:
    masked: BoolArray = np.any(numbers[:-1], axis=0)
    return (numbers[-1] & _BLACKFILL) > 0, masked


def _first_band(_mask: Collection[str]) -> list[int]:
    return [1]


def _udm1(numbers: NDArray[np.uint8], mask: Collection[str]) -> Interpreted:
    hidden = _UDM1_MISSING | (_UDM1_CLOUD if "cloud" in mask else 0)
    return (numbers[0] & _BLACKFILL) > 0, (numbers[0] & np.uint8(hidden)) > 0


def _scl(numbers: NDArray[np.uint8], mask: Collection[str]) -> Interpreted:
    masked = [value for name in mask for value in _SCL_CLASSES.get(name, ())]
    return np.isin(numbers[0], _SCL_INVALID), np.isin(numbers[0], masked)


def _qa_pixel(numbers: NDArray[np.uint16], mask: Collection[str]) -> Interpreted:
    hidden = 0
    for name in mask:
        hidden |= _QA_CLASSES.get(name, 0)
    return (numbers[0] & np.uint16(_QA_FILL)) > 0, (numbers[0] & np.uint16(hidden)) > 0


UDM2 = MaskKind("UDM2", 8, _udm2_bands, _udm2)
UDM1 = MaskKind("UDM", 1, _first_band, _udm1)
SCL = MaskKind("scene classification", 1, _first_band, _scl)
QA_PIXEL = MaskKind("QA_PIXEL", 1, _first_band, _qa_pixel)
