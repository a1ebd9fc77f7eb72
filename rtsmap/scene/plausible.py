"""Checks that scaled digital numbers can be reflectance, before a scene is processed for hours in vain.

With a wrong scale or offset a network recognises nothing, and "0 slumps" would look like a valid result. Values are
rejected if they cannot be ground, snow, water, cloud or shade. Values that are only suspicious are rejected if no
source specifies the offset.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from rtsmap.bands import BANDS
from rtsmap.errors import SceneError
from rtsmap.scene.calibration import Calibration

_FEWEST = 16  # pixels; fewer are not checked
_MOST = 0.5  # fraction of the pixels
_BELOW = -0.02  # reflectance of dark water is a little below 0 if the atmospheric correction is too strong
_BRIGHTEST = 1.3  # snow in low sun and thick cloud may exceed 1, in all bands alike
_DARKEST = 0.004  # in the brightest band of the brightest pixels; deep water and full shade reach 0.01
_DARKEST_PLANTS = 0.03  # the same limit if the near infrared is the brightest band of most pixels
_ADDED = (0.1, 0.2)  # added by Sentinel-2 since baseline 04.00, and by Landsat Collection 2
_ALMOST = 0.005
_RED, _NIR = BANDS.index("red"), BANDS.index("nir")

#: Scale and offset of common products, the most likely first.
_USUAL = (
    *((1e-4, 0.0), (1e-4, -0.1), (2.75e-5, -0.2), (1.0, 0.0), (0.01, 0.0), (0.004, 0.0), (1e-3, 0.0)),
    (1.526e-5, 0.0),  # 65535 stands for 1
)
#: Ranges of the highest band median that look like ground. The first range excludes scenes that are nearly all water.
_LIKELY = ((0.05, 0.7), (0.01, 0.7))

Numbers = NDArray[np.floating]


def check_reflectance(path: str, numbers: Numbers, calibration: Calibration) -> None:
    """Check that digital numbers can be reflectance.

    Args:
        path: path of the scene, for messages.
        numbers: `(4, pixels)` stored values of clear pixels spread over the scene; fewer than 16 are not checked.
        calibration: scale and offset in use.

    Raises:
        SceneError: the values cannot be reflectance; the message suggests a scale and offset that fit.
    """
    if numbers.shape[1] < _FEWEST:
        return
    reflectance = _scaled(numbers, calibration.scale, calibration.offset)
    fault = impossible(reflectance) or ("" if calibration.offset_known else lifted(reflectance))
    if fault:
        medians = ", ".join(
            f"{name} {value:.5g}" for name, value in zip(BANDS, np.median(numbers, axis=1), strict=True)
        )
        used = f"--scale {_said(calibration.scale)} and --offset {_said(calibration.offset)}"
        raise SceneError(
            f"{path}: its numbers are no reflectance with {used}, for {fault}; "
            f"their medians are {medians}; {_advice(numbers, calibration)}"
        )


def impossible(reflectance: Numbers) -> str:
    """The reason why values `(4, pixels)` cannot be reflectance; an empty string if they can."""
    lowest, highest = reflectance.min(axis=0), reflectance.max(axis=0)
    if (lowest < _BELOW).mean() > _MOST:
        return "most pixels are below 0"
    too_bright = highest > np.where(_like_plants(reflectance), 1.0, _BRIGHTEST)
    if too_bright.mean() > _MOST:
        return "most pixels are above 1"
    darkest = _DARKEST_PLANTS if _like_plants(reflectance).mean() > _MOST else _DARKEST
    if np.percentile(highest, 99) < darkest:
        return "hardly any pixel reflects anything"
    return ""


def lifted(reflectance: Numbers) -> str:
    """The reason why reflectance `(4, pixels)` seems to include a constant of 0.1 or 0.2; else an empty string.

    The criterion is that no pixel is dark in any band, and that the medians, without the constant, are those of plants
    or water. Haze cannot be the cause, because blue would then be the brightest visible band; nor can bare ground,
    whose reflectance changes little towards the near infrared.
    """
    darkest, medians = float(np.percentile(reflectance.min(axis=0), 1)), np.median(reflectance, axis=1)
    found = (added for added in _ADDED if 0 <= darkest - added + _ALMOST <= 0.1 and _dark_ground(medians - added))
    return next((f"no pixel is darker than {added:g} in any band" for added in found), "")


def _dark_ground(medians: Numbers) -> bool:
    """Whether band medians are typical of plants or water on a clear day."""
    blue, green, red, nir = medians
    plants, water = nir - red > 0.3 * (nir + red), nir < 0.03 and nir < green
    return bool(blue < green + 0.01 and blue < 0.08 and (plants or water))


def _like_plants(reflectance: Numbers) -> NDArray[np.bool_]:
    """Pixels in which the near infrared is clearly the brightest band, which never holds for snow or cloud."""
    like_plants: NDArray[np.bool_] = reflectance[_NIR] > 1.1 * reflectance[:_NIR].max(axis=0)
    return like_plants


def _advice(numbers: Numbers, calibration: Calibration) -> str:
    for likely, (scale, offset) in product(_LIKELY, _candidates(numbers, calibration)):
        if _fits(_scaled(numbers, scale, offset), likely):
            return f"try --scale {scale:g} --offset {offset:g}"
    return "no usual scale and offset fit; give those of the product with --scale and --offset"


def _candidates(numbers: Numbers, calibration: Calibration) -> Iterator[tuple[float, float]]:
    """The scale in use with other offsets, then scale and offset of common products."""
    scale = calibration.scale[0]
    yield from ((scale, offset) for offset in (0.0, *(-added for added in _ADDED)))
    yield from _USUAL
    if (numbers < 0).any():  # the constant may have been subtracted once too often before the numbers were stored
        yield from ((scale, added) for added in _ADDED)


def _fits(reflectance: Numbers, likely: tuple[float, float]) -> bool:
    """Whether values look like ground in summer, which is stricter than being possible reflectance."""
    if impossible(reflectance) or lifted(reflectance):
        return False
    medians, darkest = np.median(reflectance, axis=1), np.percentile(reflectance.min(axis=0), 1)
    return bool(darkest > _BELOW and medians.min() > 0 and likely[0] < medians.max() < likely[1])


def _scaled(numbers: Numbers, scale: float | tuple[float, ...], offset: float | tuple[float, ...]) -> Numbers:
    factor, shift = (np.broadcast_to(value, len(numbers))[:, None] for value in (scale, offset))
    scaled: Numbers = numbers * factor + shift
    return scaled


def _said(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in dict.fromkeys(values))
