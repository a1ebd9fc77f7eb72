"""Changes of illumination, haze and sensor, applied to reflectance before NDVI is computed, so that modalities agree.

`one_change` is TrivialAugment (Müller and Hutter 2021) with changes that occur between the ground and the file: one
change for each chip, drawn uniformly, with a uniformly drawn strength. Most changes are far stronger than the
differences between scenes: a network that recognises slumps in spite of them does not rely on the colours of the few
sites that it was trained on.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from rtsmap.records import BoolArray, FloatArray

#: A change of a chip: `(4, c, c)` reflectance, `(c, c)` valid mask, strength from -1 to 1 (0: no change), random
#: generator -> reflectance.
Change = Callable[[FloatArray, BoolArray, float, Generator], FloatArray]

#: Haze in each band relative to blue, in the order of `bands.BANDS`; haze decreases with the wavelength.
HAZE = np.array([1.0, 0.6, 0.35, 0.15], dtype=np.float32).reshape(4, 1, 1)

#: Position of each band in the spectrum, from blue at -1 to near-infrared at 1.
SPECTRUM = np.array([-1.0, -0.55, -0.1, 1.0], dtype=np.float32).reshape(4, 1, 1)

#: Reflectance that a gamma correction does not change, close to that of tundra.
PIVOT = 0.1


def one_change(reflectance: FloatArray, valid: BoolArray, rng: Generator, strength: float = 1.0) -> FloatArray:
    """Apply one randomly drawn change of illumination, haze or sensor to a chip, or none.

    Args:
        reflectance: `(4, c, c)` in the order of `bands.BANDS`.
        valid: `(c, c)`, valid pixels.
        rng: random generator that draws the change and its strength.
        strength: largest strength, 0 for no change; at 1 the changes have the ranges that they document.

    Returns:
        `(4, c, c)` in 0..1, 0 where not valid.
    """
    change = CHANGES[rng.integers(len(CHANGES))]
    changed = change(reflectance, valid, strength * rng.uniform(-1, 1), rng)
    return np.clip(changed, 0, 1).astype(np.float32, copy=False) * valid


def _none(reflectance: FloatArray, _valid: BoolArray, _strength: float, _rng: Generator) -> FloatArray:
    return reflectance


def _gain(reflectance: FloatArray, _valid: BoolArray, strength: float, _rng: Generator) -> FloatArray:
    """Multiply all bands by 0.55 to 1.8: brightness."""
    return reflectance * np.float32(np.exp(0.6 * strength))


def _band_gains(reflectance: FloatArray, _valid: BoolArray, strength: float, rng: Generator) -> FloatArray:
    """Multiply each band by a factor of 0.75 to 1.35: a sensor with another calibration."""
    return reflectance * np.exp(0.3 * strength * rng.uniform(-1, 1, (4, 1, 1))).astype(np.float32)


def _tint(reflectance: FloatArray, _valid: BoolArray, strength: float, _rng: Generator) -> FloatArray:
    """Multiply the bands by factors that change smoothly along the spectrum, 0.75 to 1.35 at each end: a tint."""
    return reflectance * np.exp(np.float32(0.3 * strength) * SPECTRUM)


def _gamma(reflectance: FloatArray, _valid: BoolArray, strength: float, _rng: Generator) -> FloatArray:
    """Apply a gamma correction with exponents of 0.67 to 1.5."""
    relative: FloatArray = np.maximum(reflectance, 0) * np.float32(1 / PIVOT)
    curved: FloatArray = np.power(relative, np.float32(np.exp(0.4 * strength)))
    return curved * np.float32(PIVOT)


def _contrast(reflectance: FloatArray, valid: BoolArray, strength: float, _rng: Generator) -> FloatArray:
    """Multiply the differences from the mean of the chip by 0.5 to 2: contrast."""
    mean = (reflectance * valid).sum(axis=(1, 2), keepdims=True) / np.float32(max(1, valid.sum()))
    return mean + (reflectance - mean) * np.float32(np.exp(0.7 * strength))


def _haze(reflectance: FloatArray, _valid: BoolArray, strength: float, _rng: Generator) -> FloatArray:
    """Add haze, most in blue: from -0.02, as after an atmospheric correction that is too strong, to 0.08."""
    return reflectance + np.float32(strength * (0.08 if strength > 0 else 0.02)) * HAZE


def _noise(reflectance: FloatArray, _valid: BoolArray, strength: float, rng: Generator) -> FloatArray:
    """Add noise to each pixel and band, with a standard deviation of up to 0.015."""
    return reflectance + np.float32(0.015 * abs(strength)) * rng.standard_normal(reflectance.shape, dtype=np.float32)


def _blur(reflectance: FloatArray, valid: BoolArray, strength: float, _rng: Generator) -> FloatArray:
    """Blur the valid pixels with a Gaussian of up to 1.5 pixels."""
    if not (width := 1.5 * abs(strength)):
        return reflectance
    weight = ndimage.gaussian_filter(valid.astype(np.float32), width)
    planes = [ndimage.gaussian_filter(plane * valid, width) for plane in reflectance]
    return np.stack(planes) / np.maximum(weight, np.float32(1e-3))


def _steps(reflectance: FloatArray, _valid: BoolArray, strength: float, _rng: Generator) -> FloatArray:
    """Round the values to steps of up to 0.02: a sensor with few bits."""
    step = np.float32(0.02 * abs(strength))
    return np.round(reflectance / step) * step if step else reflectance


CHANGES: tuple[Change, ...] = (
    _none, _gain, _band_gains, _tint, _gamma, _contrast, _haze, _noise, _blur, _steps
)  # fmt: skip


def jitter(reflectance: FloatArray, rng: Generator, strength: float = 1.0) -> FloatArray:
    """Apply small changes of all kinds: a common gain, a gain for each band, haze and noise.

    Args:
        reflectance: `(4, rows, columns)` in the order of `bands.BANDS`.
        rng: random generator that draws the changes.
        strength: strength of all changes, 0 for none; at 1 the standard deviations are 15 % for the common gain, 8 %
            for the gains of the bands, 0.008 for haze in blue, and up to 0.004 for noise.

    Returns:
        `(4, rows, columns)` in 0..1.
    """
    gain = np.exp(strength * (rng.normal(0, 0.15) + rng.normal(0, 0.08, size=(4, 1, 1)))).astype(np.float32)
    haze = strength * rng.normal(0, 0.008) * HAZE
    noise = rng.random(reflectance.shape, dtype=np.float32)  # uniform noise takes a third of the time of normal noise
    width = np.sqrt(12) * strength * rng.uniform(0, 0.004)
    noise *= np.float32(width)
    noise += (haze - width / 2).astype(np.float32)
    noise += reflectance * gain
    return np.clip(noise, 0, 1, out=noise)
