"""Conversion of digital numbers to reflectance: scale and offset from the user, the product, the file or its name.

The offset is the reflectance of the digital number 0: -0.1 for Sentinel-2 products of baseline 04.00 and later, which
store reflectance x 10000 + 1000, and -0.2 for Landsat Collection 2.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rtsmap.errors import InputError, SceneError

_INTEGER_SCALE = 1e-4  # the usual scale of surface reflectance: Planet, Sentinel-2, HLS
_SENTINEL2 = re.compile(r"S2[A-D]_MSIL(?:1C|2A)_\d{8}T\d{6}_N(\d{2})(\d{2})(?!\d)", re.IGNORECASE)
_SENTINEL2_ADDED = -1000.0  # `BOA_ADD_OFFSET` from baseline 04.00 on: minus the digital number of reflectance 0
_ADDED_TAGS = ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET")
_QUANTIFICATION_TAGS = ("BOA_QUANTIFICATION_VALUE", "QUANTIFICATION_VALUE")
_LANDSAT = re.compile(r"L[COTE]0[45789]_L2S[PR]_\d{6}_\d{8}_\d{8}_02_(?:T1|T2|RT)(?![0-9A-Za-z])", re.IGNORECASE)
_LANDSAT_SCALE, _LANDSAT_OFFSET = 2.75e-5, -0.2


@dataclass(frozen=True)
class Calibration:
    """Scale and offset of each band, in the order of `bands.BANDS`: reflectance is `digital number * scale + offset`.

    Attributes:
        numbers: numbers of the bands in the file, from 1.
        scale: reflectance per digital number.
        offset: reflectance of the digital number 0; zeros if not given.
        offset_known: whether the offset is specified somewhere; otherwise it is assumed to be 0, as is usual.
    """

    numbers: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...] = ()
    offset_known: bool = False

    def __post_init__(self) -> None:
        if not self.offset:
            object.__setattr__(self, "offset", (0.0,) * len(self.scale))


@dataclass(frozen=True)
class Stated:
    """Scale and offset that a product states for its bands, in the order of `bands.BANDS`; None if it states none.

    Attributes:
        scale: reflectance per digital number.
        offset: reflectance of the digital number 0; for Sentinel-2 see `sentinel2`.
    """

    scale: Sequence[float] | None = None
    offset: Sequence[float] | None = None


def sentinel2(added: Sequence[float], quantification: float = 10_000.0) -> Stated:
    """Convert the metadata of a Sentinel-2 product to scale and offset in reflectance.

    Args:
        added: `BOA_ADD_OFFSET` (level 2A) or `RADIO_ADD_OFFSET` (1C) of each band: -1000, or 0 before baseline 04.00.
        quantification: `BOA_QUANTIFICATION_VALUE` or `QUANTIFICATION_VALUE`.
    """
    return Stated([1 / quantification] * len(added), [number / quantification for number in added])


def sentinel2_added(name: str) -> float | None:
    """The `BOA_ADD_OFFSET` of a Sentinel-2 product, from the processing baseline in its name.

    Args:
        name: a name or path, such as `S2B_MSIL2A_20220716T051659_N0400_R062_T45XVB_20220716T074312.SAFE`.

    Returns:
        -1000 or 0; None if the name is not that of a Sentinel-2 product.
    """
    match = _SENTINEL2.search(name)
    if match is None:
        return None
    return _SENTINEL2_ADDED if int(match[1]) >= 4 else 0.0


def check_given(scale: float | None, offset: float | None) -> None:
    """Check the scale and offset that a user gives.

    Raises:
        InputError: the scale is not a finite number above 0, or the offset is not a finite number.
    """
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise InputError(f"--scale {scale:g}: must be above 0, such as 1e-4 for reflectance x 10000")
    if offset is not None and not math.isfinite(offset):
        raise InputError(f"--offset {offset:g}: must be a number, such as -0.1 for Sentinel-2 since baseline 04.00")


def calibrate(
    path: str,
    dataset: Any,
    numbers: tuple[int, ...],
    stated: Stated | None = None,
    *,
    scale: float | None = None,
    offset: float | None = None,
) -> Calibration:
    """Determine the calibration of a raster.

    The sources are, in this order: the user, the product, the values stored in the file, its tags, its name, and the
    usual values. Scale and offset are determined separately, so that a scale from the user does not discard the offset
    of the file.

    Args:
        path: path of the raster.
        dataset: the open raster.
        numbers: numbers of the bands in the file, from 1.
        stated: scale and offset that the product states.
        scale: reflectance per digital number, if the user specifies it.
        offset: reflectance of the digital number 0, if the user specifies it.

    Raises:
        InputError: see `check_given`.
        SceneError: the file states an invalid scale or offset, or has 8-bit numbers without a specified scale.
    """
    check_given(scale, offset)
    stated, file = stated or Stated(), _File(path, dataset, numbers)
    given_scale = None if scale is None else [scale] * len(numbers)
    given_offset = None if offset is None else [offset] * len(numbers)
    scales = _first(given_scale, stated.scale) or file.scales()
    offsets = _first(given_offset, stated.offset) or file.offsets(scales, rescaled=scale is not None)
    return Calibration(numbers, scales, offsets or (), offset_known=offsets is not None)


def _first(*choices: Sequence[float] | None) -> tuple[float, ...] | None:
    return next((tuple(map(float, one)) for one in choices if one is not None), None)


class _File:
    """Scale and offset in a raster file. GDAL also reports scale 1 and offset 0 if the file stores none."""

    def __init__(self, path: str, dataset: Any, numbers: tuple[int, ...]) -> None:
        self._path, self._numbers = path, numbers
        self._stored_scales = [float(dataset.scales[number - 1]) for number in numbers]
        self._stored_offsets = [float(dataset.offsets[number - 1]) for number in numbers]
        self._dtype = np.dtype(dataset.dtypes[numbers[0] - 1])
        self._integers = not np.issubdtype(self._dtype, np.floating)
        common = dataset.tags()
        self._tags = [{**common, **dataset.tags(number)} for number in numbers]

    def scales(self) -> tuple[float, ...]:
        """The stored scales, else those from the tags, else those from the name, else the usual scales."""
        stored = self._stored_scales
        if any(own != 1 for own in stored):
            if not all(math.isfinite(own) and own > 0 for own in stored):
                raise self._cannot_be("a scale", stored)
            return tuple(stored)
        if self._integers and _LANDSAT.search(self._path):
            return (_LANDSAT_SCALE,) * len(stored)
        return self._of_tags() or self._usual()

    def offsets(self, scales: Sequence[float], *, rescaled: bool) -> tuple[float, ...] | None:
        """The stored offsets, else those from the tags or the name; None if the file specifies none.

        Args:
            scales: reflectance per digital number.
            rescaled: whether `scales` come from the user rather than from the product or the file.
        """
        stored = self._stored_offsets
        if any(stored):
            if not all(map(math.isfinite, stored)):
                raise self._cannot_be("an offset", stored)
            of_numbers = rescaled or (self._integers and all(own == 1 for own in self._stored_scales))
            return self._in_reflectance(scales) if of_numbers else tuple(stored)
        if self._integers and _LANDSAT.search(self._path):
            return (_LANDSAT_OFFSET,) * len(scales)
        if not (self._integers or rescaled):  # floating-point numbers without a scale are already reflectance
            return None
        added = self._added()
        return None if added is None else tuple(n * own for n, own in zip(added, scales, strict=True))

    def _in_reflectance(self, scales: Sequence[float]) -> tuple[float, ...]:
        """Stored offsets under another scale than the stored one: -1000 is in digital numbers, -0.1 in reflectance."""
        return tuple(
            offset if abs(offset) < 1 else offset / (own if math.isfinite(own) and own > 0 else 1.0) * scale
            for offset, own, scale in zip(self._stored_offsets, self._stored_scales, scales, strict=True)
        )

    def _added(self) -> list[float] | None:
        """The offset in digital numbers, in the convention of Sentinel-2 metadata (-1000)."""
        tagged = [_number(tags, _ADDED_TAGS) for tags in self._tags]
        known = [number for number in tagged if number is not None]
        if len(known) == len(tagged):
            return known
        named = sentinel2_added(self._path)
        return None if named is None else [named] * len(tagged)

    def _of_tags(self) -> tuple[float, ...] | None:
        values = [_number(tags, _QUANTIFICATION_TAGS) for tags in self._tags] if self._integers else []
        known = [value for value in values if value]
        return tuple(1 / value for value in known) if known and len(known) == len(values) else None

    def _usual(self) -> tuple[float, ...]:
        if self._integers and self._dtype.itemsize == 1:
            raise SceneError(
                f"{self._path}: has 8-bit numbers, which are no reflectance x 10000; "
                "give the reflectance of one unit with --scale (0.004 if 255 is 1)"
            )
        return (_INTEGER_SCALE if self._integers else 1.0,) * len(self._numbers)

    def _cannot_be(self, what: str, stored: Sequence[float]) -> SceneError:
        values = ", ".join(dict.fromkeys(f"{value:g}" for value in stored))
        return SceneError(f"{self._path}: states {what} of {values}, which is not valid; give --scale and --offset")


def _number(tags: Mapping[str, str], names: Sequence[str]) -> float | None:
    """The value of the first of these tags that is a number; None if there is none or it is not finite."""
    for name, text in tags.items():
        if name.upper() in names:
            try:
                value = float(text)
            except ValueError:
                continue
            return value if math.isfinite(value) else None
    return None
