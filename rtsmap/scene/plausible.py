"""Whether numbers can be the reflectance of ground, before a scene is searched for hours in vain.

A wrong scale or offset leaves nothing that a network knows, and "0 slumps" would look like a finding. What is refused
cannot be ground, snow, water, cloud or shade; what only might be wrong is refused where nobody states the offset.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from rtsmap.bands import BANDS
from rtsmap.errors import SceneError
from rtsmap.scene.calibration import Calibration

_FEWEST = 16  # pixels; of fewer nothing is said
_MOST = 0.5  # part of the pixels
_BELOW = -0.02  # dark water comes out a little below 0 where the atmosphere is corrected too much
_BRIGHTEST = 1.3  # snow in low sun and thick cloud may pass 1, in all bands alike
_DARKEST = 0.004  # the brightest band of the brightest pixels; deep water and full shade reach 0.01
_DARKEST_PLANTS = 0.03  # likewise, where the near infrared is mostly the brightest
_ADDED = (0.1, 0.2)  # by Sentinel-2 since baseline 04.00, by Landsat's Collection 2
_ALMOST = 0.005
_RED, _NIR = BANDS.index("red"), BANDS.index("nir")

#: Scale and offset of usual products, the likeliest first.
_USUAL = (
    *((1e-4, 0.0), (1e-4, -0.1), (2.75e-5, -0.2), (1.0, 0.0), (0.01, 0.0), (0.004, 0.0), (1e-3, 0.0)),
    (1.526e-5, 0.0),  # 65535 for 1
)
#: Highest median of a band that looks like ground; the former also where it is not all water.
_LIKELY = ((0.05, 0.7), (0.01, 0.7))

Numbers = NDArray[np.floating]


def check_reflectance(path: str, numbers: Numbers, calibration: Calibration) -> None:
    """Check that numbers can be reflectance.

    Args:
        path: the scene, for messages.
        numbers: `(4, pixels)` as stored, of clear pixels spread over the scene; of few nothing is said.
        calibration: how they become reflectance.

    Raises:
        SceneError: most of them lie outside of what ground can reflect; the message says which scale and offset fit.
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
    """Why `(4, pixels)` cannot be reflectance; empty where it can."""
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
    """Why 0.1 or 0.2 seems to be added to all reflectance `(4, pixels)`; empty where it does not.

    Nothing is dark, not even in the darkest of its bands, and what is left without it has the colours of plants or
    water. Through haze blue would be the brightest of the visible bands, and bare ground hardly changes towards NIR.
    """
    darkest, medians = float(np.percentile(reflectance.min(axis=0), 1)), np.median(reflectance, axis=1)
    found = (added for added in _ADDED if 0 <= darkest - added + _ALMOST <= 0.1 and _dark_ground(medians - added))
    return next((f"no pixel is darker than {added:g} in any band" for added in found), "")


def _dark_ground(medians: Numbers) -> bool:
    """Whether medians of the bands are those of plants or water on a clear day."""
    blue, green, red, nir = medians
    plants, water = nir - red > 0.3 * (nir + red), nir < 0.03 and nir < green
    return bool(blue < green + 0.01 and blue < 0.08 and (plants or water))


def _like_plants(reflectance: Numbers) -> NDArray[np.bool_]:
    """Where the near infrared is clearly the brightest, as never on snow or cloud."""
    like_plants: NDArray[np.bool_] = reflectance[_NIR] > 1.1 * reflectance[:_NIR].max(axis=0)
    return like_plants


def _advice(numbers: Numbers, calibration: Calibration) -> str:
    for likely, (scale, offset) in product(_LIKELY, _candidates(numbers, calibration)):
        if _fits(_scaled(numbers, scale, offset), likely):
            return f"try --scale {scale:g} --offset {offset:g}"
    return "no usual scale and offset fit; give those of the product with --scale and --offset"


def _candidates(numbers: Numbers, calibration: Calibration) -> Iterator[tuple[float, float]]:
    """The scale in use with other offsets, then those of usual products."""
    scale = calibration.scale[0]
    yield from ((scale, offset) for offset in (0.0, *(-added for added in _ADDED)))
    yield from _USUAL
    if (numbers < 0).any():  # taken off once too often before they were stored
        yield from ((scale, added) for added in _ADDED)


def _fits(reflectance: Numbers, likely: tuple[float, float]) -> bool:
    """Whether numbers look like ground in summer, more than that they only can be reflectance."""
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
