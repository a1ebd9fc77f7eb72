"""Cutting chips out of scenes in memory, at any place and scale."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rtsmap.records import BoolArray, FloatArray
from rtsmap.training.labels import LabelledScene

Value = TypeVar("Value", np.float32, np.bool_)


def cut(scene: LabelledScene, origin: NDArray[np.float64], step: float, size: int) -> tuple[FloatArray, BoolArray]:
    """Bilinear cut of a scene, as inference resamples it.

    Args:
        scene: what to cut from.
        origin: `(column, row)` of the chip's upper-left corner in scene pixels; may lie outside.
        step: scene pixels per chip pixel.
        size: of the chip in its own pixels.

    Returns:
        `(4, size, size)` reflectance and `(size, size)` valid; a pixel with an invalid neighbour is not valid.
    """
    padded = np.pad(scene.reflectance, ((0, 0), (1, 1), (1, 1)))
    padded_valid = np.pad(scene.valid, 1)
    (left, right, x), (top, bottom, y) = (
        _neighbours(start, step, size, length) for start, length in zip(origin, scene.valid.shape[::-1], strict=True)
    )
    upper, lower = padded[:, top], padded[:, bottom]
    y, x = y[:, None], x[None, :]
    rows = upper * (1 - y) + lower * y
    reflectance = rows[:, :, left] * (1 - x) + rows[:, :, right] * x
    both = padded_valid[top] & padded_valid[bottom]
    valid = both[:, left] & both[:, right]
    return (reflectance * valid).astype(np.float32), valid


def _neighbours(
    start: float, step: float, size: int, length: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Indices of the pixels around each sample along an axis, in an array padded by 1, and the second's weight."""
    place = start + (np.arange(size) + 0.5) * step - 0.5
    first = np.floor(place).astype(np.intp)
    weight = (place - first).astype(np.float32)
    return np.clip(first + 1, 0, length + 1), np.clip(first + 2, 0, length + 1), weight


def turn(array: NDArray[Value], quarter_turns: int, flip: bool) -> NDArray[Value]:
    """The last two axes turned by quarters, then mirrored."""
    turned = np.rot90(array, quarter_turns, axes=(-2, -1))
    return (turned[..., ::-1] if flip else turned).copy()  # torch takes no negative strides
