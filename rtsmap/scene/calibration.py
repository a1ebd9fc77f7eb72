"""How the numbers of a raster become reflectance: the scale and offset that a user, a product or the file states."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rtsmap.bands import BANDS
from rtsmap.errors import SceneError

_INTEGER_SCALE = 1e-4  # the usual scale of surface reflectance: Planet, Sentinel-2, HLS


@dataclass(frozen=True)
class Calibration:
    """How numbers become reflectance, `number * scale + offset`, in the order of `bands.BANDS`."""

    numbers: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...] = (0.0,) * len(BANDS)


@dataclass(frozen=True)
class Stated:
    """What a product's name or metadata say of its bands, in the order of `bands.BANDS`; None where they are silent.

    Attributes:
        scale: reflectance per digital number.
        offset: reflectance of the number 0, that is `BOA_ADD_OFFSET * scale` of a Sentinel-2 product.
    """

    scale: Sequence[float] | None = None
    offset: Sequence[float] | None = None


def calibrate(
    path: str,
    dataset: Any,
    numbers: tuple[int, ...],
    stated: Stated | None = None,
    *,
    scale: float | None = None,
    offset: float | None = None,
) -> Calibration:
    """The calibration of a raster: as the user says, else the product, else the file, else as is usual.

    Args:
        path: the raster, for messages.
        dataset: the same, open.
        numbers: the bands' numbers in the file, from 1, in the order of `bands.BANDS`.
        stated: what the product says.
        scale: reflectance per digital number, as the user says.
        offset: reflectance of the number 0, as the user says.

    Raises:
        SceneError: 8-bit numbers of which nobody says what they mean.
    """
    stated = stated or Stated()
    own_scale, own_offset = _of_file(dataset, numbers)
    scales = _chosen(scale, stated.scale, own_scale) or _usual(path, dataset, numbers)
    offsets = _chosen(offset, stated.offset, own_offset) or (0.0,) * len(numbers)
    return Calibration(numbers, scales, offsets)


def _chosen(given: float | None, *stated: Sequence[float] | None) -> tuple[float, ...] | None:
    if given is not None:
        return (float(given),) * len(BANDS)
    return next((tuple(map(float, one)) for one in stated if one is not None), None)


def _of_file(dataset: Any, numbers: tuple[int, ...]) -> tuple[Sequence[float] | None, Sequence[float] | None]:
    """Scale and offset as GDAL gives them, whose 1 and 0 also mean that nothing is stored."""
    scales = [float(dataset.scales[number - 1]) for number in numbers]
    offsets = [float(dataset.offsets[number - 1]) for number in numbers]
    return scales if any(own != 1 for own in scales) else None, offsets if any(offsets) else None


def _usual(path: str, dataset: Any, numbers: tuple[int, ...]) -> tuple[float, ...]:
    dtype = np.dtype(dataset.dtypes[numbers[0] - 1])
    if np.issubdtype(dtype, np.floating):
        return (1.0,) * len(numbers)
    if dtype.itemsize == 1:
        raise SceneError(
            f"{path}: has 8-bit numbers, which are no reflectance x 10000; "
            "give the reflectance of one unit with --scale (0.004 if 255 is 1)"
        )
    return (_INTEGER_SCALE,) * len(numbers)
