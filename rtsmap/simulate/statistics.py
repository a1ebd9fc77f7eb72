"""Measured statistics of thaw slumps and of the ground around them that the simulation draws from.

Unless said otherwise the numbers were measured for rtsmap on published labels (Nitze et al. 2024, Barth et al. 2023,
Runge et al. 2022) and on Sentinel-2 scenes of four of their sites; docs/simulation.md tells how.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rtsmap.records import FloatArray

#: Shares 0..1, and the values at these quantiles.
Table = tuple[tuple[float, ...], tuple[float, ...]]

#: Labels per image, quantiles 5, 25, 50, 75, 95 % of the images that have any; the lowest is one label by definition.
LABELS_PER_IMAGE = ((0.0, 0.25, 0.5, 0.75, 0.95, 1.0), (1.0, 5.0, 10.0, 26.0, 66.0, 90.0))
#: Share of the images without a single label.
EMPTY_IMAGES = 0.15
#: What one labelled image shows (km2): 10 labels of 10.7e3 m2, the median of the regions' mean areas, on 0.25 % of it.
IMAGE_KM2 = 43.0
#: Area of a slump of any region: mean and standard deviation of ln(m2).
LOG_AREA = (8.80, 1.47)
#: Distance to the nearest other slump (m) by quantile; 21.6 % are closer than 3 m.
NEAREST_GAP = ((0.0, 0.05, 0.216, 0.25, 0.5, 0.75, 0.95), (0.0, 0.0, 3.0, 5.6, 33.0, 149.0, 878.0))
#: Share of outlines with holes.
HOLES_SHARE = 0.03
#: Overlap (IoU) of two people's outlines of the same slump in the same year, by quantile; 5, 25, 50, 75 % are measured,
#: the ends chosen: drawings overlap at least a little, and none is the same.
REDRAW_IOU = ((0.0, 0.05, 0.25, 0.5, 0.75, 1.0), (0.05, 0.08, 0.55, 0.74, 0.85, 0.97))
#: Correlation of its rank with the area: 979 outlines of Nitze et al. and those that overlap most of another image of
#: that year, Spearman's 0.47 (0.41 with overlaps below 0.1, which are as often another slump).
REDRAW_BY_AREA = 0.45

#: From one year to the next, 1817 slumps of Barth et al.'s six sites, 2015 to 2020: shares of them that are gone, that
#: have merged (counted as what comes of it) and that have split; and new ones for each slump. Gone and new
#: ones count within 500 m of a slump of the other year, so that a wider image makes none.
LOST, MERGED, SPLIT, APPEARED = 0.032, 0.036, 0.026, 0.089
#: Area of a slump by that of the year before, by quantile; one table for each class of the area (m2) from the given
#: one up. 1557 pairs; the ends are the quantiles 1 and 99 %.
_SHARES = (0.01, 0.05, 0.10, 0.25, 0.5, 0.75, 0.90, 0.95, 0.99)
AREA_RATIO = (
    (0.0, (_SHARES, (0.33, 0.545, 0.68, 0.90, 1.10, 1.45, 2.06, 3.10, 7.76))),
    (2000.0, (_SHARES, (0.38, 0.654, 0.77, 0.92, 1.06, 1.21, 1.46, 1.73, 2.67))),
    (8000.0, (_SHARES, (0.72, 0.839, 0.91, 0.99, 1.06, 1.14, 1.27, 1.39, 1.70))),
)
#: Share of these pairs that shrink.
SHRINKING = 0.345
#: Of merged slumps: area by the sum of those before, and the gap between them the year before (m).
MERGE_RATIO = ((0.05, 0.25, 0.5, 0.75, 0.95), (0.95, 1.06, 1.16, 1.57, 2.28))
MERGE_GAP = ((0.05, 0.25, 0.5, 0.75, 0.95), (0.0, 0.0, 0.2, 9.7, 21.6))
#: Of split ones: sum of the areas by that before, the gap between the parts (m), the smaller by the larger one.
SPLIT_RATIO = ((0.05, 0.25, 0.5, 0.75, 0.95), (0.48, 0.67, 0.91, 1.06, 1.26))
SPLIT_GAP = ((0.05, 0.25, 0.5, 0.75, 0.95), (0.0, 0.3, 6.4, 12.9, 31.2))
SPLIT_SMALLER = ((0.05, 0.25, 0.5, 0.75, 0.95), (0.09, 0.14, 0.34, 0.71, 0.96))
#: Distance of new slumps to the nearest of the year before (m), and the mean of ln(area) relative to all slumps.
NEW_GAP = ((0.05, 0.25, 0.5, 0.75, 0.95), (0.0, 27.0, 73.0, 190.0, 426.0))
NEW_LOG_AREA = -0.56

#: Correlation of tundra's reflectance over distance d: the sum of w exp(-d / L), with L in m and w fitted to the NDVI's
#: measured autocorrelation at 10 .. 640 m (residual 0.025).
TEXTURE_SCALES = ((32.0, 0.41), (128.0, 0.21), (256.0, 0.28), (1024.0, 0.10))
#: Reflectance of water and snow, blue, green, red, nir: quantiles 10, 50, 90 % over all scenes.
WATER = np.array(
    [[0.007, 0.013, 0.007, 0.002], [0.026, 0.032, 0.022, 0.012], [0.073, 0.100, 0.098, 0.044]], dtype=np.float32
)
SNOW = np.array(
    [[0.379, 0.385, 0.375, 0.290], [0.485, 0.490, 0.485, 0.467], [1.01, 0.977, 0.92, 0.752]], dtype=np.float32
)


def quantile(table: Table, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of a table `(shares, values)` at the given shares, linear between its entries."""
    values: NDArray[np.float64] = np.interp(share, *table)
    return values


def texture_modes(deviation: Sequence[float], pairs: Sequence[float], count: int = 3) -> FloatArray:
    """Reflectance of tundra's texture by independent unit fields, the strongest first.

    Args:
        deviation: standard deviation of each of the four bands.
        pairs: their correlations BG, BR, GR, BN, GN, RN.
        count: of fields; 3 hold 98 % of the variance.

    Returns:
        `(4, count)`; the first is brighter, the others richer in infrared.
    """
    correlation = np.eye(4)
    correlation[[0, 0, 1, 0, 1, 2], [1, 2, 2, 3, 3, 3]] = pairs
    values, vectors = np.linalg.eigh(correlation, UPLO="U")
    order = np.argsort(values)[::-1][:count]
    modes = np.asarray(deviation)[:, None] * vectors[:, order] * np.sqrt(values[order])
    signs = np.sign(np.concatenate([modes[:3, :1].sum(axis=0), modes[3, 1:]]))
    return np.asarray(modes * signs, dtype=np.float32)
