"""Bands, reflectance, terrain, modalities and their normalisation: the same code for training and inference."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rtsmap.errors import InputError
from rtsmap.records import BoolArray, FloatArray

#: The bands that rtsmap reads, in the order of every reflectance array.
BANDS = ("blue", "green", "red", "nir")

#: What an elevation model says of a pixel, in the order of every terrain array: height in m over the mean of the
#: surroundings (`scene.elevation`), and slope in degrees, 0..90. Both are the same however an image is turned.
TERRAIN = ("elevation", "slope")

#: Channels of each modality. RGB is the query of the fusion (Li et al. 2025).
MODALITY_CHANNELS: Mapping[str, tuple[str, ...]] = {
    "rgb": ("red", "green", "blue"),
    "ndvi": ("ndvi",),
    "nir": ("nir",),
    "dem": TERRAIN,
}


def to_reflectance(
    numbers: NDArray[np.generic],
    scale: Sequence[float] | float,
    valid: BoolArray,
    offset: Sequence[float] | float = 0.0,
) -> FloatArray:
    """Digital numbers as reflectance, `number * scale + offset`.

    Args:
        numbers: `(bands, rows, columns)` as stored.
        scale: reflectance per digital number, one for all bands or one each.
        valid: `(rows, columns)`.
        offset: reflectance of the number 0, likewise.

    Returns:
        `(bands, rows, columns)` in 0..1; brighter pixels (snow, glint) are cut to 1, pixels that are not valid are 0.
    """
    factors = np.broadcast_to(np.asarray(scale, dtype=np.float32), len(numbers))
    reflectance = np.empty(numbers.shape, dtype=np.float32)
    # In one pass into one array: memory costs more here than arithmetic.
    np.multiply(numbers, factors[:, None, None], out=reflectance, dtype=np.float32)
    if np.any(offset):
        reflectance += np.broadcast_to(np.asarray(offset, dtype=np.float32), len(numbers))[:, None, None]
    if numbers.dtype.kind == "f":
        np.nan_to_num(reflectance, copy=False, nan=0.0, posinf=1.0, neginf=0.0)
    np.clip(reflectance, 0.0, 1.0, out=reflectance)
    if not valid.all():
        reflectance *= valid
    return reflectance


def ndvi(reflectance: FloatArray) -> FloatArray:
    """Normalised difference vegetation index `(nir - red) / (nir + red)`, -1..1; 0 where both bands are 0.

    Args:
        reflectance: `(4, rows, columns)` in the order of `BANDS`.
    """
    red, nir = reflectance[BANDS.index("red")], reflectance[BANDS.index("nir")]
    index: FloatArray = nir - red
    total = nir + red
    np.maximum(total, np.finfo(np.float32).tiny, out=total)  # a mask of where to divide would cost more
    index /= total
    return index


def channels(modalities: Sequence[str]) -> tuple[str, ...]:
    """Names of the network's input channels, modality after modality."""
    return tuple(channel for modality in modalities for channel in MODALITY_CHANNELS[modality])


def channel(name: str, reflectance: FloatArray, terrain: FloatArray | None = None) -> FloatArray:
    """One channel of a modality, before normalisation.

    Args:
        name: out of `MODALITY_CHANNELS`.
        reflectance: `(4, ...)` in 0..1.
        terrain: `(2, ...)` in the order of `TERRAIN`; None where no elevation model was given.

    Returns:
        `(...)`: reflectance 0..1, NDVI -1..1, elevation in m or slope in degrees.

    Raises:
        InputError: the channel is of the terrain, and there is none.
    """
    if name not in TERRAIN:
        return ndvi(reflectance) if name == "ndvi" else reflectance[BANDS.index(name)]
    if terrain is None:
        raise InputError(f"the modality dem needs {name}, but the pixels come without an elevation model; give one")
    plane: FloatArray = terrain[TERRAIN.index(name)]
    return plane


def network_input(
    reflectance: FloatArray,
    valid: BoolArray,
    modalities: Sequence[str],
    mean: Mapping[str, float],
    std: Mapping[str, float],
    terrain: FloatArray | None = None,
    *,
    out: FloatArray | None = None,
) -> FloatArray:
    """Normalised channels of all modalities, from one reading of the pixels.

    Args:
        reflectance: `(4, rows, columns)` in 0..1.
        valid: `(rows, columns)`.
        modalities: names out of `MODALITY_CHANNELS`.
        mean: of every channel over the training data, by the channel's name (never of this chip).
        std: likewise the standard deviation.
        terrain: `(2, rows, columns)` in the order of `TERRAIN`; needed for the modality dem alone.
        out: where to write it; a new array without it.

    Returns:
        `(channels, rows, columns)` float32, in the order of `channels(modalities)`; 0, the mean, where not valid.

    Raises:
        InputError: the modalities include dem, and there is no terrain.
    """
    names = channels(modalities)
    stacked = np.empty((len(names), *valid.shape), dtype=np.float32) if out is None else out
    for index, name in enumerate(names):
        band = channel(name, reflectance, terrain)
        np.subtract(band, np.float32(mean[name]), out=stacked[index])
        stacked[index] /= np.float32(std[name])
    if not valid.all():
        stacked *= valid
    return stacked
