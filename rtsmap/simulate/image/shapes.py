"""Geometry of a feature on the pixels around it: depth, directions, way down."""

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
    shapes: Sequence[BaseGeometry], size: tuple[int, int], place: Affine, *, all_touched: bool = False
) -> NDArray[np.uint8]:
    """1 in the shapes, 0 elsewhere.

    One thread at a time: the filters of warnings, here of one about rasterio's own scratch image, are the process's.
    """
    with _RASTERIZING, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        burnt: NDArray[np.uint8] = rasterio.features.rasterize(
            shapes, size, transform=place, all_touched=all_touched, dtype=np.uint8
        )
    return burnt


@dataclass(frozen=True)
class Light:
    """Unit vector `(east, north)` towards the sun, and the tangent of its elevation."""

    towards: tuple[float, float]
    tangent: float


@dataclass(frozen=True)
class Shape:
    """Geometry of a feature's pixels.

    Attributes:
        depth: distance to the outline, m, positive inside.
        headness: cosine between the way inward and the way down: 1 at the headwall, -1 at the outlet.
        sunward: cosine between the way inward and the sun; a headwall looks inward.
        along: 0 at the top .. 1 at the lowest point.
        across: distance from the middle line, m.
        fall: way down from the middle, m.
    """

    depth: FloatArray
    headness: FloatArray
    sunward: FloatArray
    along: FloatArray
    across: FloatArray
    fall: FloatArray


def shape_of(feature: Feature, window: tuple[int, int, int, int], transform: Affine, light: Light) -> Shape:
    """Distances and directions on the pixels of a window `(row, column, height, width)` around a feature."""
    row, column, height, width = window
    gsd = transform.a
    place = transform @ Affine.translation(column, row)
    within = rasterise(feature.outline, (height, width), place)
    if not within.any():
        within[height // 2, width // 2] = True  # smaller than a pixel
    depth = ndimage.distance_transform_edt(within) - ndimage.distance_transform_edt(~within)
    depth = ndimage.gaussian_filter((depth * gsd).astype(np.float32), 0.8)
    # The headwall follows the outline's large curve, not its notches: directions over some tenth of its breadth.
    broad = float(np.clip(0.06 * np.sqrt(feature.outline.area) / gsd, 2.0, 10.0))
    southward, eastward = np.gradient(ndimage.gaussian_filter(depth, broad, truncate=2.5), gsd)
    length = np.maximum(np.hypot(southward, eastward), 1e-3)
    east, north = eastward / length, -southward / length
    down, sun = feature.down, light.towards
    x = place.c + (np.arange(width, dtype=np.float32) + 0.5) * gsd - feature.outline.centroid.x
    y = (place.f - (np.arange(height, dtype=np.float32) + 0.5) * gsd - feature.outline.centroid.y)[:, None]
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
    """The sun of a scene; below 10 degrees its shadows grow no longer."""
    azimuth = np.radians(azimuth_deg)
    return Light((float(np.sin(azimuth)), float(np.cos(azimuth))), float(np.tan(np.radians(max(elevation_deg, 10)))))
