"""Cutting of chips from images in memory, at any position and scale."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rtsmap.records import BoolArray, FloatArray, Pixels

Value = TypeVar("Value", np.float32, np.bool_)


def cut(pixels: Pixels, origin: NDArray[np.float64], step: float, size: int) -> tuple[FloatArray, BoolArray]:
    """Cut a chip from an image with bilinear interpolation, as prediction resamples scenes.

    Args:
        pixels: the pixels of the image.
        origin: `(column, row)` of the upper-left corner of the chip in pixels of the image; it may lie outside.
        step: size of a chip pixel in pixels of the image.
        size: side of the chip in its own pixels.

    Returns:
        `(4, size, size)` reflectance and `(size, size)` valid pixels; a pixel that is interpolated from an invalid
        pixel is not valid.
    """
    return _cut_planes(pixels.reflectance, pixels.valid, origin, step, size)


def cut_terrain(pixels: Pixels, origin: NDArray[np.float64], step: float, size: int) -> FloatArray | None:
    """Cut the terrain of a chip from an image, see `cut`; None if the image has no terrain.

    Elevation and slope are properties of the ground, so they do not depend on the pixel size.
    """
    return None if pixels.terrain is None else _cut_planes(pixels.terrain, pixels.valid, origin, step, size)[0]


def _cut_planes(
    planes: FloatArray, known: BoolArray, origin: NDArray[np.float64], step: float, size: int
) -> tuple[FloatArray, BoolArray]:
    x, y = (_Axis(start, step, size, length) for start, length in zip(origin, known.shape[::-1], strict=True))
    needed = np.s_[y.inner, x.inner]
    padding = (y.padding, x.padding)
    padded = np.pad(planes[:, *needed], ((0, 0), *padding))
    valid = np.pad(known[needed], padding)
    upper = np.take(padded, y.first, axis=1)
    upper += y.weight[:, None] * (np.take(padded, y.second, axis=1) - upper)
    left = np.take(upper, x.first, axis=2)
    left += x.weight * (np.take(upper, x.second, axis=2) - left)
    both = valid[y.first] & valid[y.second]
    whole = both[:, x.first] & both[:, x.second]
    left *= whole
    return left, whole


class _Axis:
    """Interpolation along one axis: the two neighbouring pixels of each sample, and their weights.

    Attributes:
        inner: the part of the image that contains all neighbours.
        padding: number of pixels to add before and after that part, where samples lie outside the image.
        first, second: indices of the neighbours in the padded part.
        weight: weight of the second neighbour.
    """

    def __init__(self, start: float, step: float, size: int, length: int) -> None:
        position = start + (np.arange(size) + 0.5) * step - 0.5
        first = np.floor(position).astype(np.intp)
        self.weight = (position - first).astype(np.float32)
        first = np.clip(first, -2, length)  # far outside is as good as outside
        low, high = int(first[0]), int(first[-1]) + 2
        inner_low, inner_high = np.clip([low, high], 0, length)
        self.inner = slice(inner_low, inner_high)
        self.padding = int(max(0, min(inner_low, high) - low)), int(max(0, high - max(inner_high, low)))
        self.first, self.second = first - low, first - low + 1


def turn(array: NDArray[Value], quarter_turns: int, flip: bool) -> NDArray[Value]:
    """Rotate the last two axes by multiples of 90 degrees, then mirror them."""
    turned = np.rot90(array, quarter_turns, axes=(-2, -1))
    return np.ascontiguousarray(turned[..., ::-1] if flip else turned)  # torch takes no negative strides
