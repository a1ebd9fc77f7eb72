"""A look at a few places of a scene before any work, whether they hold what can be reflectance."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rtsmap.bands import BANDS
from rtsmap.errors import SceneError
from rtsmap.records import Window
from rtsmap.scene.plausible import check_reflectance
from rtsmap.scene.raster import Scene

_LOOKS = 4  # blocks each way
_LOOKS_LARGE = 3  # likewise, of blocks that cost more to decode
_LARGE_PX = 256 * 256
_LOOK_PX = 512  # of a block's side, where blocks are larger
_STEP = 4  # px; one pixel in so many each way tells enough
_FEWEST_EQUAL = 600  # px looked at; of fewer, all may be one quiet lake


def look_at(scene: Scene) -> None:
    """Check that a scene holds reflectance.

    Reads nine to sixteen blocks, a few hundredths of a PlanetScope frame. Only where these are all equal, the scene is
    read on until a pixel differs.

    Raises:
        SceneError: it does not; the message says what would fit.
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
    """Whether all clear pixels hold this number in all bands."""
    step = scene.block_shape[0]
    windows = (Window(row, 0, step, scene.grid.width) for row in range(0, scene.grid.height, step))
    return all((_clear_numbers(scene, window) == number).all() for window in windows)


def _clear_numbers(scene: Scene, window: Window, step: int = 1) -> NDArray[np.float64]:
    try:
        return scene.clear_numbers(window.intersection(scene.grid.window), step)
    except SceneError:  # whoever needs these rows will name them
        return np.empty((len(BANDS), 0))


def _spread(scene: Scene) -> Iterator[Window]:
    """Single blocks at even distances over a scene."""
    height, width = scene.block_shape
    looks = _LOOKS if height * width <= _LARGE_PX else _LOOKS_LARGE
    for row in _starts(scene.grid.height, height, looks**2 if scene.striped else looks):
        if scene.striped:
            yield Window(row, 0, min(height, _LOOK_PX), scene.grid.width)
            continue
        for column in _starts(scene.grid.width, width, looks):
            yield Window(row, column, min(height, _LOOK_PX), min(width, _LOOK_PX))


def _starts(size: int, block: int, number: int) -> list[int]:
    """Where blocks begin that lie at even distances along a side."""
    blocks = math.ceil(size / block)
    chosen = {int((place + 0.5) * blocks / number) for place in range(number)}
    return [place * block for place in sorted(chosen)]
