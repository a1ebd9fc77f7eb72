"""A check before any work, on a sample of blocks, that a scene contains plausible reflectance."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rtsmap.bands import BANDS
from rtsmap.errors import SceneError
from rtsmap.records import Window
from rtsmap.scene.plausible import check_reflectance
from rtsmap.scene.raster import Scene

_LOOKS = 4  # sampled blocks along each side of the scene
_LOOKS_LARGE = 3  # the same for large blocks, which cost more to decode
_LARGE_PX = 256 * 256  # pixels above which a block is large
_LOOK_PX = 512  # px of the side of a block that are read at most
_STEP = 4  # px; every fourth row and column is enough
_FEWEST_EQUAL = 600  # px in the sample; fewer equal pixels may all lie in one calm lake


def look_at(scene: Scene) -> None:
    """Check that a scene contains plausible reflectance.

    Nine to sixteen blocks are read, a few hundredths of a PlanetScope frame. Only if all their pixels are equal, the
    rest of the scene is read until a pixel differs.

    Raises:
        SceneError: it does not contain reflectance; the message suggests a scale and offset that would fit.
    """
    numbers = np.concatenate([_clear_numbers(scene, window, _STEP) for window in _spread(scene)], axis=1)
    if (
        numbers.shape[1] >= _FEWEST_EQUAL
        and (numbers == numbers[0, 0]).all()
        and _holds_nothing_but(numbers[0, 0], scene)
    ):
        raise SceneError(
            f"{scene.info.path}: all its numbers are {numbers[0, 0]:g}; give a scene, or the right --bands"
        )
    check_reflectance(scene.info.path, numbers, scene.calibration)


def _holds_nothing_but(number: float, scene: Scene) -> bool:
    """Whether all clear pixels have this digital number in all bands."""
    step = scene.block_shape[0]
    windows = (Window(row, 0, step, scene.grid.width) for row in range(0, scene.grid.height, step))
    return all((_clear_numbers(scene, window) == number).all() for window in windows)


def _clear_numbers(scene: Scene, window: Window, step: int = 1) -> NDArray[np.float64]:
    try:
        return scene.clear_numbers(window.intersection(scene.grid.window), step)
    except SceneError:  # damaged rows are reported when they are needed
        return np.empty((len(BANDS), 0))


def _spread(scene: Scene) -> Iterator[Window]:
    """Windows of single blocks, evenly spaced over a scene."""
    height, width = scene.block_shape
    looks = _LOOKS if height * width <= _LARGE_PX else _LOOKS_LARGE
    for row in _starts(scene.grid.height, height, looks**2 if scene.striped else looks):
        if scene.striped:
            yield Window(row, 0, min(height, _LOOK_PX), scene.grid.width)
            continue
        for column in _starts(scene.grid.width, width, looks):
            yield Window(row, column, min(height, _LOOK_PX), min(width, _LOOK_PX))


def _starts(size: int, block: int, number: int) -> list[int]:
    """First rows or columns of up to `number` blocks, evenly spaced along a side of `size` px."""
    blocks = math.ceil(size / block)
    chosen = {int((index + 0.5) * blocks / number) for index in range(number)}
    return [index * block for index in sorted(chosen)]
