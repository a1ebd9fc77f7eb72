"""Coarsening: chips of fine images as a coarser sensor shows the same ground, so that a network learns both.

What is averaged is reflectance, of the whole chip with all that is pasted into it: a pixel of 10 m holds what its
ground reflects, and NDVI is computed from that. Terrain stays as it is, for elevation models have their own resolution.
"""

import numpy as np
from numpy.random import Generator

from rtsmap.records import BoolArray, FloatArray

#: Of the chips that can be coarsened, as many are; the others show what their image shows.
REDUCED_SHARE = 0.5


def draw_gsd(own_m: float, coarsest_m: float | None, rng: Generator) -> float | None:
    """The ground sampling distance that a chip is averaged to, m; None where it stays as it is.

    Args:
        own_m: of the chip's image.
        coarsest_m: the largest that is drawn, evenly in logarithm; None for no coarsening, and nothing is drawn.
        rng: draws.
    """
    if coarsest_m is None or own_m >= coarsest_m or rng.random() >= REDUCED_SHARE:
        return None
    return float(np.exp(rng.uniform(np.log(own_m), np.log(coarsest_m))))


def reduce_resolution(reflectance: FloatArray, valid: BoolArray, factor: float, rng: Generator) -> FloatArray:
    """A chip averaged over coarse pixels, and brought back to its own as inference does, bilinearly.

    Where the coarse pixels lie is drawn. Each is the mean of what is valid in it, so nodata does not bleed.

    Args:
        reflectance: `(4, c, c)`.
        valid: `(c, c)`.
        factor: side of a coarse pixel, px; up to 1 nothing changes.
        rng: draws.

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
    # a valid pixel's own coarse pixel has at least a quarter of the weight
    return np.where(valid, back / np.maximum(weight, 0.25), np.float32(0))


class _Axis:
    """Averaging along an axis, and the way back.

    Attributes:
        down: `(coarse, fine)`, the part of each pixel that lies in a coarse one.
        up: `(fine, coarse)`, bilinear weights.
    """

    def __init__(self, length: int, factor: float, shift: float) -> None:
        count = int(np.ceil((length + shift) / factor))
        pixels, edges = np.arange(length), np.arange(count + 1)[:, None] * factor - shift
        inside = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
        self.down = np.maximum(inside, 0).astype(np.float32)
        position = np.clip((pixels + 0.5 + shift) / factor - 0.5, 0, count - 1)
        self.up = np.maximum(1 - np.abs(position[:, None] - np.arange(count)), 0).astype(np.float32)
