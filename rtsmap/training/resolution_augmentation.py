"""Resolution augmentation: chips of fine images at the lower resolution of another sensor.

Reflectance is averaged after copy-paste, and NDVI is computed from the averages, as it is from the pixels of a coarser
sensor. Terrain is not changed, because elevation models have their own resolution.
"""

import numpy as np
from numpy.random import Generator

from rtsmap.records import BoolArray, FloatArray

#: Share of the chips whose resolution is reduced, among those of images that are fine enough.
REDUCED_SHARE = 0.5


def draw_gsd(own_m: float, coarsest_m: float | None, rng: Generator) -> float | None:
    """Draw the ground sampling distance that a chip is averaged to.

    Args:
        own_m: ground sampling distance of the image, m.
        coarsest_m: largest ground sampling distance that is drawn, m; None for no resolution augmentation, in which
            case no random number is drawn.
        rng: random generator.

    Returns:
        The ground sampling distance, m, drawn uniformly in logarithm; None if the chip keeps its resolution.
    """
    if coarsest_m is None or own_m >= coarsest_m or rng.random() >= REDUCED_SHARE:
        return None
    return float(np.exp(rng.uniform(np.log(own_m), np.log(coarsest_m))))


def reduce_resolution(reflectance: FloatArray, valid: BoolArray, factor: float, rng: Generator) -> FloatArray:
    """Average a chip over coarse pixels, and resample it back to its grid bilinearly, as prediction does.

    The position of the coarse pixels is random. Each is the mean of its valid pixels; invalid pixels are ignored.

    Args:
        reflectance: `(4, c, c)`.
        valid: `(c, c)`, valid pixels.
        factor: side of a coarse pixel in pixels of the chip; up to 1 the chip is not changed.
        rng: random generator.

    Returns:
        `(4, c, c)`, 0 where not valid.
    """
    if factor <= 1:
        return reflectance
    rows, columns = (_Axis(length, factor, rng.uniform(0, factor)) for length in valid.shape)
    held = rows.down @ valid.astype(np.float32) @ columns.down.T
    means = rows.down @ (reflectance * valid) @ columns.down.T / np.maximum(held, np.finfo(np.float32).tiny)
    weight = rows.up @ (held > 0).astype(np.float32) @ columns.up.T
    back: FloatArray = rows.up @ means @ columns.up.T
    # the coarse pixel that contains a valid pixel has at least a quarter of the weight
    return np.where(valid, back / np.maximum(weight, 0.25), np.float32(0))


class _Axis:
    """Weights for averaging along one axis, and for resampling back.

    Attributes:
        down: `(coarse, fine)`, the part of each fine pixel that lies in each coarse pixel.
        up: `(fine, coarse)`, bilinear interpolation weights.
    """

    def __init__(self, length: int, factor: float, shift: float) -> None:
        count = int(np.ceil((length + shift) / factor))
        pixels, edges = np.arange(length), np.arange(count + 1)[:, None] * factor - shift
        inside = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
        self.down = np.maximum(inside, 0).astype(np.float32)
        position = np.clip((pixels + 0.5 + shift) / factor - 0.5, 0, count - 1)
        self.up = np.maximum(1 - np.abs(position[:, None] - np.arange(count)), 0).astype(np.float32)
