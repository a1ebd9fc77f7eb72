"""Waters of different colour and depth: dark peat ponds, clear, green and silty lakes, and visible beds.

The reflectances are typical values from the Sentinel-2 scenes of the sites and from the literature on Arctic lakes,
mixed in pairs. Their frequencies are chosen so that none is rare in training.
"""

from typing import NamedTuple

import numpy as np

from rtsmap.records import FloatArray

#: The reflectance of water in blue, green, red and near infrared, and the frequency of each kind.
_KINDS = np.array(
    [
        (0.010, 0.014, 0.012, 0.006),  # black
        (0.016, 0.026, 0.030, 0.012),  # brown with peat
        (0.040, 0.038, 0.020, 0.008),  # clear and deep
        (0.030, 0.060, 0.032, 0.014),  # green with algae
        (0.075, 0.110, 0.070, 0.020),  # turquoise
        (0.070, 0.090, 0.095, 0.040),  # silty
        (0.095, 0.130, 0.150, 0.085),  # with resuspended mud
        (0.024, 0.044, 0.042, 0.120),  # with emergent plants
    ]
)
_OFTEN = np.array([0.26, 0.16, 0.15, 0.10, 0.06, 0.14, 0.06, 0.07])
#: The reflectance of beds: dark mud and plants, silt, sand.
_BEDS = np.array([(0.022, 0.034, 0.034, 0.030), (0.050, 0.068, 0.072, 0.055), (0.080, 0.105, 0.110, 0.080)])


class Waters(NamedTuple):
    """The properties of n waters.

    Attributes:
        colour: the reflectance of the waters, `(4, n)`.
        bed: the reflectance of their beds, `(4, n)`.
        shelf: the distance from the shore over which each bed fades, m, `(n,)`.
    """

    colour: FloatArray
    bed: FloatArray
    shelf: FloatArray


def draw_waters(rng: np.random.Generator, count: int, dark: float = 0.0) -> Waters:
    """Draw the properties of lakes or ponds.

    Args:
        rng: the random numbers.
        count: the number of waters.
        dark: the share of waters that are dark with peat in any case, 0..1.
    """
    # Lakes of one scene are more similar than those of different scenes.
    often = dark * np.array([0.7, 0.3, 0, 0, 0, 0, 0, 0]) + (1 - dark) * rng.dirichlet(3 * _OFTEN)
    first, second = (_KINDS[rng.choice(len(_KINDS), count, p=often)] for _ in range(2))
    share = rng.uniform(0, 0.5, (count, 1))
    tint = np.exp(np.clip(rng.normal(0, 0.18, (count, 1)), -0.5, 0.3) + rng.normal(0, 0.08, (count, 4)))
    colour = (first * (1 - share) + second * share) * tint
    bed = _BEDS[rng.choice(len(_BEDS), count, p=(0.6, 0.28, 0.12))] * np.exp(rng.normal(0, 0.15, (count, 1)))
    shelf = np.exp(rng.normal(np.log(8), 0.9, count))
    return Waters(*(part.T.astype(np.float32) for part in (colour, bed, shelf)))


def sea_colour(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, float]:
    """Draw the colours of the sea at the shore and offshore, and the distance (m) of the transition between them."""
    silty = rng.random() < 0.6
    near = _KINDS[6 if silty and rng.random() < 0.5 else 5 if silty else 2] * np.exp(rng.normal(0, 0.2))
    far = _KINDS[rng.choice((0, 2, 5))] * np.exp(rng.normal(0, 0.2))
    return near.astype(np.float32), far.astype(np.float32), float(rng.uniform(200, 2500))
