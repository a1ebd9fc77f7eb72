"""Cloud masks of products: which pixels contain no data, and which show cloud, haze, shadow or snow.

The classes have the same names for all products; each name stands for the most similar class of each kind of mask.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtsmap.errors import InputError
from rtsmap.records import BoolArray

#: Classes that can be masked, and the band of the UDM2 that contains each. They are mutually exclusive.
CLASSES: Mapping[str, int] = {"snow": 2, "shadow": 3, "light_haze": 4, "heavy_haze": 5, "cloud": 6}

#: Classes masked by default. Since UDM2.1 (processed from 2023-11-29 on) the heavy haze band is always empty, and all
#: haze is in the light haze band, which is defined as haze through which the ground is visible. Light haze is not
#: masked by default in either version, because a masked slump cannot be detected; add `light_haze` to be strict.
DEFAULT_MASK = ("cloud", "heavy_haze", "shadow")

_UDM1_BAND = 8  # band of the UDM2 that contains the former UDM
_BLACKFILL = np.uint8(1)  # bit 0 of the UDM: the image contains no data here
_UDM1_CLOUD = 1 << 1
_UDM1_MISSING = 0b11111100  # from bit 2 on: data of a band are missing or suspect

#: Sentinel-2 scene classification. 2 dark, 4 vegetation, 5 bare, 6 water and 7 unclassified are clear. Thin cirrus
#: counts as light haze, because the ground is visible through it.
_SCL_INVALID = (0, 1)  # no data, saturated or defective
_SCL_CLASSES: Mapping[str, tuple[int, ...]] = {"shadow": (3,), "cloud": (8, 9), "light_haze": (10,), "snow": (11,)}

#: Bits of the pixel quality band of Landsat Collection 2. The dilated edge of a cloud (bit 1) counts as cloud.
_QA_FILL = 1 << 0
_QA_CLASSES: Mapping[str, int] = {"cloud": 1 << 1 | 1 << 3, "light_haze": 1 << 2, "shadow": 1 << 4, "snow": 1 << 5}

Interpreted = tuple[BoolArray, BoolArray]


@dataclass(frozen=True)
class MaskKind:
    """How one kind of mask is read.

    Attributes:
        name: the name in messages.
        count: the number of bands of such a file.
        bands: returns the numbers of the bands that `interpret` needs for the given classes.
        interpret: converts stored values `(bands, rows, columns)` and classes to two boolean arrays `(rows, columns)`:
            true where the image contains no data, and true where a pixel is in one of the classes.
    """

    name: str
    count: int
    bands: Callable[[Collection[str]], list[int]]
    interpret: Callable[[NDArray[Any], Collection[str]], Interpreted]


@dataclass(frozen=True)
class OpenMask:
    """An open mask on the pixel grid of its image, and the classes in which a pixel is not clear."""

    path: str
    dataset: Any
    kind: MaskKind
    classes: tuple[str, ...]

    @property
    def bands(self) -> list[int]:
        """Numbers of the bands to read."""
        return self.kind.bands(self.classes)

    def interpret(self, numbers: NDArray[Any]) -> Interpreted:
        """Pixels without data, and masked pixels; see `MaskKind`."""
        return self.kind.interpret(numbers, self.classes)


def check_classes(mask: Collection[str]) -> tuple[str, ...]:
    """Check the names of classes. Returns each class once, in the order of `CLASSES`.

    Raises:
        InputError: a name is not in `CLASSES`.
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
