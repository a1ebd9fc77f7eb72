"""Changes of light, haze and sensor, on reflectance and before NDVI, so that the modalities of a chip agree.

`one_change` is TrivialAugment (Müller and Hutter 2021) with what happens to images between the ground and the file: one
change for each chip, drawn evenly, of a strength drawn evenly. Most are far stronger than what scenes differ by: a
network that tells slumps in spite of them does not rely on the colours of the few sites that it learns from.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from rtsmap.records import BoolArray, FloatArray

#: A change: `(4, c, c)` reflectance, `(c, c)` valid, strength from -1 to 1 (0: nothing), draws -> reflectance.
Change = Callable[[FloatArray, BoolArray, float, Generator], FloatArray]

#: How much haze each band has beside blue, in the order of `bands.BANDS`: it falls with the wavelength.
HAZE = np.array([1.0, 0.6, 0.35, 0.15], dtype=np.float32).reshape(4, 1, 1)

#: Place of each band in the spectrum, from blue at -1 to near-infrared at 1.
SPECTRUM = np.array([-1.0, -0.55, -0.1, 1.0], dtype=np.float32).reshape(4, 1, 1)

#: Reflectance that gamma leaves as it is, near that of tundra.
PIVOT = 0.1


def one_change(reflectance: FloatArray, valid: BoolArray, rng: Generator, strength: float = 1.0) -> FloatArray:
    """A chip with one change of its light, haze or sensor, or none.

    Args:
        reflectance: `(4, c, c)` in the order of `bands.BANDS`.
        valid: `(c, c)`.
        rng: draws the change and its strength.
        strength: the largest, 0 for none; at 1 as the changes below say.

    Returns:
        `(4, c, c)` in 0..1, 0 where not valid.
    """
    change = CHANGES[rng.integers(len(CHANGES))]
    changed = change(reflectance, valid, strength * rng.uniform(-1, 1), rng)
    return np.clip(changed, 0, 1).astype(np.float32, copy=False) * valid


def _none(reflectance: FloatArray, _valid: BoolArray, _strength: float, _rng: Generator) -> FloatArray:
    return reflectance


def _gain(reflectance: FloatArray, _valid: BoolArray, strength: float, _rng: Generator) -> FloatArray:
    """Brightness of all bands: times 0.55 to 1.8."""
    return reflectance * np.float32(np.exp(0.6 * strength))


def _band_gains(reflectance: FloatArray, _valid: BoolArray, strength: float, rng: Generator) -> FloatArray:
    """Each band by itself, times 0.75 to 1.35: a sensor that is calibrated otherwise."""
    return reflectance * np.exp(0.3 * strength * rng.uniform(-1, 1, (4, 1, 1))).astype(np.float32)


def _tint(reflectance: FloatArray, _valid: BoolArray, strength: float, _rng: Generator) -> FloatArray:
    """A colour from blue to near-infrared, neighbouring bands alike: each end times 0.75 to 1.35."""
    return reflectance * np.exp(np.float32(0.3 * strength) * SPECTRUM)


def _gamma(reflectance: FloatArray, _valid: BoolArray, strength: float, _rng: Generator) -> FloatArray:
    """Exponents of 0.67 to 1.5."""
    relative: FloatArray = np.maximum(reflectance, 0) * np.float32(1 / PIVOT)
    curved: FloatArray = np.power(relative, np.float32(np.exp(0.4 * strength)))
    return curved * np.float32(PIVOT)


def _contrast(reflectance: FloatArray, valid: BoolArray, strength: float, _rng: Generator) -> FloatArray:
    """Differences from the chip's mean, times 0.5 to 2."""
    mean = (reflectance * valid).sum(axis=(1, 2), keepdims=True) / np.float32(max(1, valid.sum()))
    return mean + (reflectance - mean) * np.float32(np.exp(0.7 * strength))


def _haze(reflectance: FloatArray, _valid: BoolArray, strength: float, _rng: Generator) -> FloatArray:
    """Light of the air, most in blue: up to 0.08 more, and 0.02 less, as of a correction that took too much."""
    return reflectance + np.float32(strength * (0.08 if strength > 0 else 0.02)) * HAZE


def _noise(reflectance: FloatArray, _valid: BoolArray, strength: float, rng: Generator) -> FloatArray:
    """Of each pixel and band, with a deviation of up to 0.015."""
    return reflectance + np.float32(0.015 * abs(strength)) * rng.standard_normal(reflectance.shape, dtype=np.float32)


def _blur(reflectance: FloatArray, valid: BoolArray, strength: float, _rng: Generator) -> FloatArray:
    """A Gaussian of up to 1.5 pixels, of what is valid."""
    if not (width := 1.5 * abs(strength)):
        return reflectance
    weight = ndimage.gaussian_filter(valid.astype(np.float32), width)
    planes = [ndimage.gaussian_filter(plane * valid, width) for plane in reflectance]
    return np.stack(planes) / np.maximum(weight, np.float32(1e-3))


def _steps(reflectance: FloatArray, _valid: BoolArray, strength: float, _rng: Generator) -> FloatArray:
    """Values in steps of up to 0.02: a sensor of few bits."""
    step = np.float32(0.02 * abs(strength))
    return np.round(reflectance / step) * step if step else reflectance


CHANGES: tuple[Change, ...] = (
    _none, _gain, _band_gains, _tint, _gamma, _contrast, _haze, _noise, _blur, _steps
)  # fmt: skip


def jitter(reflectance: FloatArray, rng: Generator, strength: float = 1.0) -> FloatArray:
    """Another sun, haze and sensor: a gain for all bands, one for each, an offset that falls with wavelength, noise.

    Args:
        reflectance: `(4, rows, columns)` in the order of `bands.BANDS`.
        rng: draws the change.
        strength: of all of it, 0 for none; at 1 the deviations are 15 % for the gain, 8 % between
            bands, 0.008 for haze in blue, and up to 0.004 for noise.
    """
    gain = np.exp(strength * (rng.normal(0, 0.15) + rng.normal(0, 0.08, size=(4, 1, 1)))).astype(np.float32)
    haze = strength * rng.normal(0, 0.008) * HAZE
    noise = rng.random(reflectance.shape, dtype=np.float32)  # even noise takes a third of the time of normal noise
    width = np.sqrt(12) * strength * rng.uniform(0, 0.004)
    noise *= np.float32(width)
    noise += (haze - width / 2).astype(np.float32)
    noise += reflectance * gain
    return np.clip(noise, 0, 1, out=noise)
