"""Planet's usable data mask (UDM2): which pixels hold no ground, and which show cloud, haze, shadow or snow."""

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from rtsmap.errors import InputError
from rtsmap.records import BoolArray

#: Bands of the classes that can be masked. They exclude one another.
CLASSES: Mapping[str, int] = {"snow": 2, "shadow": 3, "light_haze": 4, "heavy_haze": 5, "cloud": 6}

#: Masked unless told otherwise. Since UDM2.1 (processed from 2023-11-29 on) the heavy haze band is always empty and all
#: haze stands in the light haze band, by its definition haze through which the ground is seen. It stays unmasked by
#: default, in both versions, because a masked slump is a slump not found; add `light_haze` to be strict.
DEFAULT_MASK = ("cloud", "heavy_haze", "shadow")

BAND_COUNT = 8
_UDM1_BAND = 8
_BLACKFILL = np.uint8(1)  # bit 0 of band 8: the image holds no data here


def bands_to_read(mask: Collection[str]) -> list[int]:
    """Numbers of the bands that `interpret` expects for these classes.

    Raises:
        InputError: a class that UDM2 does not have.
    """
    unknown = sorted(set(mask) - set(CLASSES))
    if unknown:
        raise InputError(f"--mask {unknown[0]}: is no class of the UDM2; choose from {', '.join(CLASSES)}")
    return [*sorted(CLASSES[name] for name in set(mask)), _UDM1_BAND]


def interpret(numbers: NDArray[np.uint8]) -> tuple[BoolArray, BoolArray]:
    """Blackfill and masked pixels.

    Args:
        numbers: `(bands, rows, columns)`, the bands of `bands_to_read`.

    Returns:
        Two arrays `(rows, columns)`: true where the image holds no data, true in one of the classes.
    """
    masked: BoolArray = np.any(numbers[:-1], axis=0)
    return (numbers[-1] & _BLACKFILL) > 0, masked
