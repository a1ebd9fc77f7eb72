"""Domain randomisation: colours, contrast, texture, phenology, haze and sensor gain that vary more than measured.

A network that learns from such scenes cannot rely on the mean colours of a region (Tobin et al. 2017). All widths are
chosen; at a strength of 1 they are about two to three times those between the measured sites.
"""

from dataclasses import replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from rtsmap.simulate.terrain.regions import Region, Spectrum

#: The day of the year when tundra is greenest, and the number of days after which it has lost a tenth of its green.
_GREENEST, _FADES_DAYS = 208, 35.0
#: The path reflectance of the atmosphere. One scene in three has about that much of it, and the others little.
_AIR = np.array([0.075, 0.045, 0.024, 0.008])


def varied_region(rng: np.random.Generator, region: Region, day: date, strength: float) -> Region:
    """Return the region with other colours, another vegetation state, and other texture, bare and wet ground."""
    common = np.exp(strength * rng.normal(0, 0.16))
    own = np.exp(strength * rng.normal(0, 0.10, 4))
    tundra, dense_vegetation, scar = (
        np.array(s) * common * own for s in (region.tundra, region.dense_vegetation, region.scar)
    )
    faded = 0.1 * ((day.timetuple().tm_yday - _GREENEST) / _FADES_DAYS) ** 2 + rng.normal(0, 0.06)
    faded = float(np.clip(strength * faded, -0.2, 0.4))
    # The contrast of slumps varies but is never much less than measured: the faintest would be noise in the labels.
    contrast = np.clip(np.exp(strength * rng.normal(0.1, 0.3)), 0.8, 2.2) * np.exp(strength * rng.normal(0, 0.08, 4))
    scar = np.maximum(tundra + (scar - tundra) * contrast, 0.012)
    tundra, dense_vegetation = (_autumn(s, scar, faded) for s in (tundra, dense_vegetation))
    factor = np.exp(strength * rng.normal(0, 0.35, 4))
    return replace(
        region,
        tundra=_spectrum(tundra),
        dense_vegetation=_spectrum(dense_vegetation),
        scar=_spectrum(scar),
        deviation=_spectrum(np.array(region.deviation) * factor[0] * common),
        texture_scale=float(region.texture_scale * factor[1]),
        bare=float(region.bare * factor[2]),
        snow=float(region.snow * factor[3] ** 2),
        wetness=region.wetness + float(strength * rng.normal(0, 0.35)),
        turbidity=float(np.clip(region.turbidity + strength * rng.normal(0, 0.25), 0, 1)),
        active=float(region.active * np.exp(strength * rng.normal(0, 0.25))),
    )


def varied_light(rng: np.random.Generator, strength: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the gain of each band, due to the sensor and the sun, and the path reflectance of the atmosphere."""
    gain = np.exp(strength * (rng.normal(0, 0.12) + rng.normal(0, 0.05, 4)))
    share = rng.uniform(0.5, 1.1) if rng.random() < 1 / 3 else rng.uniform(-0.05, 0.25)
    return gain, strength * share * _AIR


def _autumn(plants: NDArray[np.float64], scar: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Return the spectrum of plants, moved by a share towards bare ground and reddened."""
    changed = plants + share * (scar - plants)
    changed[2] *= 1 + 0.5 * max(share, 0)
    return changed


def _spectrum(values: NDArray[np.float64]) -> Spectrum:
    blue, green, red, nir = (float(value) for value in values)
    return blue, green, red, nir
