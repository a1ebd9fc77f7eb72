"""How the terrain stands in the files of a data set: 16-bit numbers, 0 for nodata, like those of reflectance."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtsmap.records import FloatArray

#: `value = number * scale + offset`, by the band's name: elevation -999.9 to 5553.5 m over its surroundings in steps of
#: 0.1 m, about the noise of ArcticDEM; slope in steps of 0.01 degree. What lies beyond is cut.
TERRAIN_ENCODING: Mapping[str, tuple[float, float]] = {"elevation": (0.1, -1000.0), "slope": (0.01, -1.0)}

#: Units of these values.
UNITS: Mapping[str, str] = {"elevation": "m", "slope": "degree"}


def encode_terrain(name: str, values: FloatArray) -> NDArray[np.uint16]:
    """Values of a band of the terrain as numbers from 1."""
    scale, offset = TERRAIN_ENCODING[name]
    numbers = np.round((values - offset) / scale)
    return np.clip(numbers, 1, np.iinfo(np.uint16).max).astype(np.uint16)


def decode_terrain(name: str, numbers: NDArray[Any]) -> FloatArray:
    """Numbers of a band of the terrain as values; 0 where there is no number."""
    scale, offset = TERRAIN_ENCODING[name]
    return np.where(numbers == 0, 0, numbers * scale + offset).astype(np.float32)
