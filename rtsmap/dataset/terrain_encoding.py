"""Encoding of the terrain in the files of a data set: 16-bit numbers with 0 for nodata, as for reflectance."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtsmap.records import FloatArray

#: Scale and offset of each band, with `value = number * scale + offset`. Elevation relative to its surroundings ranges
#: from -999.9 to 5553.5 m in steps of 0.1 m, about the noise of ArcticDEM; slope has steps of 0.01 degree. Values
#: beyond these ranges are clipped.
TERRAIN_ENCODING: Mapping[str, tuple[float, float]] = {"elevation": (0.1, -1000.0), "slope": (0.01, -1.0)}

#: Unit of each band.
UNITS: Mapping[str, str] = {"elevation": "m", "slope": "degree"}


def encode_terrain(name: str, values: FloatArray) -> NDArray[np.uint16]:
    """Encode values of a terrain band as numbers from 1 on."""
    scale, offset = TERRAIN_ENCODING[name]
    numbers = np.round((values - offset) / scale)
    return np.clip(numbers, 1, np.iinfo(np.uint16).max).astype(np.uint16)


def decode_terrain(name: str, numbers: NDArray[Any]) -> FloatArray:
    """Decode numbers of a terrain band to values, in m or degrees; nodata becomes 0."""
    scale, offset = TERRAIN_ENCODING[name]
    return np.where(numbers == 0, 0, numbers * scale + offset).astype(np.float32)
