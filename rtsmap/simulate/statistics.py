"""Measured statistics of thaw slumps and of the ground around them that the simulation draws from.

Unless said otherwise the numbers were measured for rtsmap on published labels (Nitze et al. 2024, Barth et al. 2023,
Runge et al. 2022) and on Sentinel-2 scenes of four of their sites; docs/simulation.md tells how.
"""

import numpy as np
from numpy.typing import NDArray

from rtsmap.records import FloatArray

#: Labels per image, quantiles 5, 25, 50, 75, 95 % of the images that have any; the lowest is one label by definition.
LABELS_PER_IMAGE = ((0.0, 0.25, 0.5, 0.75, 0.95, 1.0), (1.0, 5.0, 10.0, 26.0, 66.0, 90.0))
#: Share of the images without a single label.
EMPTY_IMAGES = 0.15
#: What one labelled image shows (km2): 10 labels of 10.7e3 m2, the median of the regions' mean areas, on 0.25 % of it.
IMAGE_KM2 = 43.0
#: Median share of an image that slumps cover.
AREA_FRACTION = 0.0025
#: Area of a slump of any region: mean and standard deviation of ln(m2).
LOG_AREA = (8.80, 1.47)
#: Distance to the nearest other slump (m) by quantile; 21.6 % are closer than 3 m.
NEAREST_GAP = ((0.0, 0.05, 0.216, 0.25, 0.5, 0.75, 0.95), (0.0, 0.0, 3.0, 5.6, 33.0, 149.0, 878.0))
TOUCHING_SHARE = 0.216
#: Share of outlines with holes.
HOLES_SHARE = 0.03
#: Overlap (IoU) of two people's outlines of the same slump in the same year, by quantile; 5, 25, 50, 75 % are measured,
#: the ends chosen: drawings overlap at least a little, and none is the same.
REDRAW_IOU = ((0.0, 0.05, 0.25, 0.5, 0.75, 1.0), (0.05, 0.08, 0.55, 0.74, 0.85, 0.97))

#: Correlation of tundra's reflectance over distance d: the sum of w exp(-d / L), with L in m and w fitted to the NDVI's
#: measured autocorrelation at 10 .. 640 m (residual 0.025).
TEXTURE_SCALES = ((32.0, 0.41), (128.0, 0.21), (256.0, 0.28), (1024.0, 0.10))
#: Standard deviation of tundra's reflectance inside one scene: blue, green, red, nir.
TEXTURE_DEVIATION = np.array([0.0075, 0.0095, 0.0125, 0.040], dtype=np.float32)
#: Correlation between the bands of tundra.
BAND_CORRELATION = np.array(
    [[1, 0.78, 0.86, 0.08], [0.78, 1, 0.88, 0.53], [0.86, 0.88, 1, 0.31], [0.08, 0.53, 0.31, 1]], dtype=np.float64
)

#: Reflectance of water and snow, blue, green, red, nir: quantiles 10, 50, 90 % over all scenes.
WATER = np.array(
    [[0.007, 0.013, 0.007, 0.002], [0.026, 0.032, 0.022, 0.012], [0.073, 0.100, 0.098, 0.044]], dtype=np.float32
)
SNOW = np.array(
    [[0.379, 0.385, 0.375, 0.290], [0.485, 0.490, 0.485, 0.467], [1.01, 0.977, 0.92, 0.752]], dtype=np.float32
)


def quantile(table: tuple[tuple[float, ...], tuple[float, ...]], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of a table `(shares, values)` at the given shares, linear between its entries."""
    values: NDArray[np.float64] = np.interp(share, *table)
    return values


def texture_modes(count: int = 3) -> FloatArray:
    """Reflectance of tundra's texture by independent unit fields: `(4, count)`; 3 modes hold 98 % of the variance."""
    values, vectors = np.linalg.eigh(BAND_CORRELATION)
    order = np.argsort(values)[::-1][:count]
    modes: FloatArray = (TEXTURE_DEVIATION[:, None] * vectors[:, order] * np.sqrt(values[order])).astype(np.float32)
    return modes
