"""Measured statistics of thaw slumps and their surroundings, from which the simulation draws.

Unless stated otherwise, the numbers were measured for rtsmap on published labels (Nitze et al. 2024, Barth et al. 2023,
Runge et al. 2022) and on Sentinel-2 scenes of four of their sites; docs/measurements/simulation.md describes how.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rtsmap.records import FloatArray

#: A table of quantiles: shares 0..1, and the values at these quantiles.
Table = tuple[tuple[float, ...], tuple[float, ...]]

#: Labels per image: quantiles 5, 25, 50, 75, 95 % of the images that have any. The minimum is one label by definition.
LABELS_PER_IMAGE = ((0.0, 0.25, 0.5, 0.75, 0.95, 1.0), (1.0, 5.0, 10.0, 26.0, 66.0, 90.0))
#: Share of the images without a single label.
EMPTY_IMAGES = 0.15
#: The area of one labelled image (km2): 10 labels of 10.7e3 m2, the median of the regions' mean areas, cover 0.25 %.
IMAGE_KM2 = 43.0
#: The area of a slump in any region: mean and standard deviation of ln(m2).
LOG_AREA = (8.80, 1.47)
#: The distance to the nearest other slump (m) by quantile; 21.6 % are closer than 3 m.
NEAREST_GAP = ((0.0, 0.05, 0.216, 0.25, 0.5, 0.75, 0.95), (0.0, 0.0, 3.0, 5.6, 33.0, 149.0, 878.0))
#: The share of outlines with holes.
HOLES_SHARE = 0.03
#: The overlap (IoU) of two people's outlines of the same slump in the same year, by quantile. The quantiles 5, 25, 50
#: and 75 % are measured; the ends are chosen, because two drawings overlap at least a little and are never identical.
REDRAW_IOU = ((0.0, 0.05, 0.25, 0.5, 0.75, 1.0), (0.05, 0.08, 0.55, 0.74, 0.85, 0.97))
#: The rank correlation of this overlap with the area. For 979 outlines of Nitze et al. and the outlines of another
#: image of the same year that overlap them most, Spearman's coefficient is 0.47 (0.41 if overlaps below 0.1 are
#: included, which are as often another slump).
REDRAW_BY_AREA = 0.45

#: Changes from one year to the next of 1817 slumps at the six sites of Barth et al., 2015 to 2020: the shares of slumps
#: that are gone, that result from a merge and that have split, and the number of new slumps for each slump. Gone and
#: new slumps are counted only within 500 m of a slump of the other year, so that a wider image does not create any.
LOST, MERGED, SPLIT, APPEARED = 0.032, 0.036, 0.026, 0.089
#: The ratio of the area of a slump to its area in the year before, by quantile, with one table for each class of the
#: area (m2); the number is the lower bound of the class. From 1557 pairs; the ends are the quantiles 1 and 99 %.
_SHARES = (0.01, 0.05, 0.10, 0.25, 0.5, 0.75, 0.90, 0.95, 0.99)
AREA_RATIO = (
    (0.0, (_SHARES, (0.33, 0.545, 0.68, 0.90, 1.10, 1.45, 2.06, 3.10, 7.76))),
    (2000.0, (_SHARES, (0.38, 0.654, 0.77, 0.92, 1.06, 1.21, 1.46, 1.73, 2.67))),
    (8000.0, (_SHARES, (0.72, 0.839, 0.91, 0.99, 1.06, 1.14, 1.27, 1.39, 1.70))),
)
#: The share of these pairs that shrink.
SHRINKING = 0.345
#: Merged slumps: the ratio of the area to the sum of the areas before, and the gap between them the year before (m).
MERGE_RATIO = ((0.05, 0.25, 0.5, 0.75, 0.95), (0.95, 1.06, 1.16, 1.57, 2.28))
MERGE_GAP = ((0.05, 0.25, 0.5, 0.75, 0.95), (0.0, 0.0, 0.2, 9.7, 21.6))
#: Split slumps: the ratio of the sum of the areas to the area before, the gap between the parts (m), and the ratio of
#: the smaller part to the larger one.
SPLIT_RATIO = ((0.05, 0.25, 0.5, 0.75, 0.95), (0.48, 0.67, 0.91, 1.06, 1.26))
SPLIT_GAP = ((0.05, 0.25, 0.5, 0.75, 0.95), (0.0, 0.3, 6.4, 12.9, 31.2))
SPLIT_SMALLER = ((0.05, 0.25, 0.5, 0.75, 0.95), (0.09, 0.14, 0.34, 0.71, 0.96))
#: New slumps: the distance to the nearest slump of the year before (m), and the mean of ln(area) relative to all.
NEW_GAP = ((0.05, 0.25, 0.5, 0.75, 0.95), (0.0, 27.0, 73.0, 190.0, 426.0))
NEW_LOG_AREA = -0.56

#: The correlation of the reflectance of tundra over the distance d is the sum of w exp(-d / L); L (m) and w are fitted
#: to the measured autocorrelation of the NDVI at 10 .. 640 m (residual 0.025).
TEXTURE_SCALES = ((32.0, 0.41), (128.0, 0.21), (256.0, 0.28), (1024.0, 0.10))
#: The reflectance of water and snow in blue, green, red and near infrared: quantiles 10, 50, 90 % over all scenes.
WATER = np.array(
    [[0.007, 0.013, 0.007, 0.002], [0.026, 0.032, 0.022, 0.012], [0.073, 0.100, 0.098, 0.044]], dtype=np.float32
)
SNOW = np.array(
    [[0.379, 0.385, 0.375, 0.290], [0.485, 0.490, 0.485, 0.467], [1.01, 0.977, 0.92, 0.752]], dtype=np.float32
)


def quantile(table: Table, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values of a quantile table at the given shares, by linear interpolation."""
    values: NDArray[np.float64] = np.interp(share, *table)
    return values


def texture_modes(deviation: Sequence[float], pairs: Sequence[float], count: int = 3) -> FloatArray:
    """Return the principal components of the texture of tundra, the strongest first.

    Args:
        deviation: the standard deviation of the reflectance in each of the four bands.
        pairs: the correlations between the bands BG, BR, GR, BN, GN, RN.
        count: the number of components; 3 hold 98 % of the variance.

    Returns:
        The reflectance in each band by which one unit of each component changes it, `(4, count)`. The first component
        brightens all bands, and the others raise the infrared.
    """
    correlation = np.eye(4)
    correlation[[0, 0, 1, 0, 1, 2], [1, 2, 2, 3, 3, 3]] = pairs
    values, vectors = np.linalg.eigh(correlation, UPLO="U")
    order = np.argsort(values)[::-1][:count]
    modes = np.asarray(deviation)[:, None] * vectors[:, order] * np.sqrt(values[order])
    signs = np.sign(np.concatenate([modes[:3, :1].sum(axis=0), modes[3, 1:]]))
    return np.asarray(modes * signs, dtype=np.float32)
