"""The geometry of a feature on the pixels around it: depth, directions, and position along the slope."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import rasterio.features
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from rtsmap.records import FloatArray
from rtsmap.simulate.image.rasterise import rasterise
from rtsmap.simulate.slumps.features import Feature

_RASTERIZING = Lock()


def burn(
    shapes: Sequence[BaseGeometry], size: tuple[int, int], transform: Affine, *, all_touched: bool = False
) -> NDArray[np.uint8]:
    """Rasterise shapes: 1 inside and 0 elsewhere.

    One thread runs this at a time, because the warning filters, which hide a warning about an internal image of
    rasterio, belong to the whole process.
    """
    with _RASTERIZING, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        burnt: NDArray[np.uint8] = rasterio.features.rasterize(
            shapes, size, transform=transform, all_touched=all_touched, dtype=np.uint8
        )
    return burnt


@dataclass(frozen=True)
class Light:
    """The direction of the light.

    Attributes:
        towards: the unit vector `(east, north)` towards the sun.
        tangent: the tangent of the elevation of the sun.
    """

    towards: tuple[float, float]
    tangent: float


@dataclass(frozen=True)
class Shape:
    """The geometry of a feature at the pixels around it, arrays `(rows, columns)`.

    Attributes:
        depth: the distance to the outline, m, positive inside.
        headness: the cosine of the angle between the inward and the downslope direction: 1 at the headwall, -1 at the
            outlet.
        sunward: the cosine of the angle between the inward direction, which a headwall faces, and the sun.
        along: the relative position along the slope, 0 at the top .. 1 at the lowest point.
        across: the distance from the centre line, m.
        fall: the distance down the slope from the centroid, m.
    """

    depth: FloatArray
    headness: FloatArray
    sunward: FloatArray
    along: FloatArray
    across: FloatArray
    fall: FloatArray


def shape_of(feature: Feature, window: tuple[int, int, int, int], transform: Affine, light: Light) -> Shape:
    """Compute the distances and directions in a window around a feature.

    Args:
        feature: the feature.
        window: the row, column, height and width of the window.
        transform: the geotransform of the scene.
        light: the direction of the light.
    """
    row, column, height, width = window
    gsd = transform.a
    window_transform = transform @ Affine.translation(column, row)
    within = rasterise(feature.outline, (height, width), window_transform)
    if not within.any():
        within[height // 2, width // 2] = True  # the feature is smaller than a pixel
    depth = ndimage.distance_transform_edt(within) - ndimage.distance_transform_edt(~within)
    depth = ndimage.gaussian_filter((depth * gsd).astype(np.float32), 0.8)
    # The headwall follows the large-scale shape of the outline, not its notches: smooth over a tenth of its width.
    broad = float(np.clip(0.06 * np.sqrt(feature.outline.area) / gsd, 2.0, 10.0))
    southward, eastward = np.gradient(ndimage.gaussian_filter(depth, broad, truncate=2.5), gsd)
    length = np.maximum(np.hypot(southward, eastward), 1e-3)
    east, north = eastward / length, -southward / length
    down, sun = feature.down, light.towards
    x = window_transform.c + (np.arange(width, dtype=np.float32) + 0.5) * gsd - feature.outline.centroid.x
    y = (window_transform.f - (np.arange(height, dtype=np.float32) + 0.5) * gsd - feature.outline.centroid.y)[:, None]
    fall = (x * down[0] + y * down[1]).astype(np.float32)
    top, low = fall[within].min(), fall[within].max()
    return Shape(
        depth,
        (east * down[0] + north * down[1]).astype(np.float32),
        (east * sun[0] + north * sun[1]).astype(np.float32),
        np.clip((fall - top) / max(float(low - top), gsd), 0, 1.6).astype(np.float32),
        (x * -down[1] + y * down[0]).astype(np.float32),
        fall,
    )


def light_from(azimuth_deg: float, elevation_deg: float) -> Light:
    """Return the direction of the light; shadows do not grow longer when the sun is below 10 degrees."""
    azimuth = np.radians(azimuth_deg)
    return Light((float(np.sin(azimuth)), float(np.cos(azimuth))), float(np.tan(np.radians(max(elevation_deg, 10)))))
