"""Clouds, their shadows, and the usable data mask (UDM2) that flags them."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from rtsmap.records import BoolArray, FloatArray
from rtsmap.simulate.acquisition import Acquisition
from rtsmap.simulate.image.background import MESO_M, Window12
from rtsmap.simulate.terrain.noise import bell, blend, fractal, make_tile, smoothstep

#: The share of scenes without clouds; cover in the others is rarely more than a third. It is chosen, not measured:
#: users order scenes with few clouds.
CLEAR_SCENES = 0.5
_REFLECTANCE = np.array([0.62, 0.62, 0.62, 0.66], dtype=np.float32)
_HAZE = np.array([0.16, 0.145, 0.135, 0.15], dtype=np.float32)
#: The shares of the area of clouds and of shadows that the mask misses. They are chosen: a UDM2 misses thin clouds and
#: a larger part of the shadows.
_MISSED_CLOUD, _MISSED_SHADOW = 0.08, 0.3


@dataclass(frozen=True)
class CloudLayers:
    """Clouds over a window of the 12 m grid, arrays `(rows, columns)`.

    Attributes:
        cloud: the opacity of clouds, 0..1.
        haze: the opacity of thin cloud, 0..1.
        shadow: the loss of light, 0..1.
        flagged: `(3, rows, columns)`, above 0.5 where the mask flags cloud, haze and shadow.
    """

    cloud: FloatArray
    haze: FloatArray
    shadow: FloatArray
    flagged: FloatArray


class CloudField:
    """The clouds of one scene as a function of position."""

    def __init__(self, rng: np.random.Generator, acquisition: Acquisition, cover: float, thin: float = 0.0) -> None:
        self.cover = cover
        self._tiles = [
            make_tile(rng, fractal(3.3, 4000), fields=1, size=size, spacing_m=MESO_M) for size in (1024, 868)
        ]
        self._misses = make_tile(rng, bell(180), fields=2, size=640, spacing_m=MESO_M)
        self._level = 0.0
        self._level = self._level_for(acquisition, min(max(cover, 1e-6), 0.95))
        # Low clouds of the Arctic summer lie at 300 to 1500 m.
        reach = rng.uniform(300, 1500) / np.tan(np.radians(max(acquisition.sun_elevation_deg, 10)))
        azimuth = np.radians(acquisition.sun_azimuth_deg)
        # The cloud that shades a location lies in the direction of the sun.
        self._offset = (round(-reach * np.cos(azimuth) / MESO_M), round(reach * np.sin(azimuth) / MESO_M))
        self._thin_clouds = ThinClouds(rng, acquisition, thin) if thin > 0 else None

    def over(self, window: Window12) -> CloudLayers | None:
        """Return the clouds over a window, or None if there are none."""
        clouds = self._clouds(window)
        return clouds if self._thin_clouds is None else self._thin_clouds.over(window, clouds)

    def _clouds(self, window: Window12) -> CloudLayers | None:
        if self.cover <= 0:
            return None
        pad = 6  # for the mask's smoothing
        wide = Window12(window.row - pad, window.column - pad, window.height + 2 * pad, window.width + 2 * pad)
        here = self._excess(wide)
        there = self._excess(_moved(wide, self._offset))
        if max(here.max(), there.max()) < -0.6:
            return None
        inner = np.s_[pad : pad + window.height, pad : pad + window.width]
        flagged = self._mask(wide, here, there)
        return CloudLayers(
            smoothstep(here[inner], 0.0, 0.45),
            0.55 * smoothstep(here[inner], -0.5, 0.2),
            0.62 * smoothstep(there[inner], -0.1, 0.35),
            flagged[:, inner[0], inner[1]],
        )

    def _level_for(self, acquisition: Acquisition, cover: float) -> float:
        """Return the level that the field exceeds on a share of the footprint, sampled every 96 m or more densely."""
        left, bottom, right, top = acquisition.footprint.bounds
        step = max(1, min(8, int((right - left) / MESO_M / 40)))
        rows = np.arange(int(-top / MESO_M), int(-bottom / MESO_M) + 1, step)
        columns = np.arange(int(left / MESO_M), int(right / MESO_M) + 1, step)
        x, y = np.meshgrid(columns * MESO_M, -rows * MESO_M)
        total = np.zeros(x.shape, dtype=np.float32)
        for tile in self._tiles:
            size = tile.values.shape[-1]
            total += tile.values[0][(rows % size)[:, None], columns % size]
        inside = shapely.contains_xy(acquisition.footprint, x, y)
        return float(np.quantile(total[inside] / np.float32(np.sqrt(2)), 1 - cover))

    def _excess(self, window: Window12) -> FloatArray:
        extent = (window.row, window.column, window.height, window.width)
        first, second = (tile.read(*extent)[0] for tile in self._tiles)
        excess: FloatArray = (first + second) / np.float32(np.sqrt(2)) - np.float32(self._level)
        return excess

    def _mask(self, window: Window12, here: FloatArray, there: FloatArray) -> FloatArray:
        """Return what the mask flags: areas that are smoother and somewhat larger than the clouds, with omissions."""
        missed = self._misses.read(window.row, window.column, window.height, window.width)
        cloud = ndimage.gaussian_filter(here, 2.0, truncate=3) + 0.08
        shadow = ndimage.gaussian_filter(there, 2.0, truncate=3) + 0.02
        sees_cloud = missed[0] < NormalDist().inv_cdf(1 - _MISSED_CLOUD)
        sees_shadow = missed[1] < NormalDist().inv_cdf(1 - _MISSED_SHADOW)
        is_cloud = (cloud > 0.1) & sees_cloud
        is_haze = (cloud > -0.3) & ~is_cloud
        is_shadow = (shadow > 0.1) & sees_shadow & ~is_cloud & ~is_haze
        return np.stack([is_cloud, is_haze, is_shadow]).astype(np.float32)


class ThinClouds:
    """Thin high cloud in streaks, and its faint shadow some kilometres away; the mask flags only its thickest part."""

    def __init__(self, rng: np.random.Generator, acquisition: Acquisition, cover: float) -> None:
        self._tiles = [
            make_tile(rng, fractal(2.9, longest), fields=1, size=size, spacing_m=MESO_M)
            for size, longest in ((1024, 3000), (900, 700))
        ]
        self._level = NormalDist().inv_cdf(1 - min(cover, 0.95))
        self._dense = float(rng.uniform(0.25, 0.8))
        reach = rng.uniform(900, 3500) / np.tan(np.radians(max(acquisition.sun_elevation_deg, 10)))
        azimuth = np.radians(acquisition.sun_azimuth_deg)
        self._offset = (round(-reach * np.cos(azimuth) / MESO_M), round(reach * np.sin(azimuth) / MESO_M))

    def over(self, window: Window12, clouds: CloudLayers | None) -> CloudLayers:
        """Return the clouds over a window: thin cloud combined with the other clouds, if there are any."""
        here = self._excess(window)
        there = self._excess(_moved(window, self._offset))
        haze = self._dense * smoothstep(here, 0.0, 1.3)
        shadow = 0.6 * self._dense * smoothstep(there, 0.1, 1.2)
        none = np.zeros_like(haze)
        if clouds is None:
            clouds = CloudLayers(none, none, none, np.zeros((3, *none.shape), dtype=np.float32))
        flagged = clouds.flagged.copy()
        flagged[1] = np.maximum(flagged[1], (haze > 0.4) & (flagged[0] == 0))
        flagged[2] *= flagged[1] == 0
        return CloudLayers(
            clouds.cloud, 1 - (1 - clouds.haze) * (1 - haze), 1 - (1 - clouds.shadow) * (1 - shadow), flagged
        )

    def _excess(self, window: Window12) -> FloatArray:
        first, second = (tile.read(window.row, window.column, window.height, window.width)[0] for tile in self._tiles)
        excess: FloatArray = (0.9 * first + 0.44 * second).astype(np.float32) - np.float32(self._level)
        return excess


def _moved(window: Window12, offset: tuple[int, int]) -> Window12:
    return Window12(window.row + offset[0], window.column + offset[1], window.height, window.width)


def draw_cover(rng: np.random.Generator) -> float:
    """Draw the share of a scene under clouds."""
    return 0.0 if rng.random() < CLEAR_SCENES else float(rng.beta(1.2, 6) * 0.6)


def apply_clouds(bands: FloatArray, cloud: FloatArray, haze: FloatArray, shadow: FloatArray) -> None:
    """Add clouds, haze and shadows to the bands `(4, rows, columns)` of the ground, in place."""
    bands *= 1 - shadow
    blend(bands, _HAZE, haze)
    blend(bands, _REFLECTANCE, cloud)


def udm2_classes(
    valid: BoolArray, snow: FloatArray, flagged: FloatArray | None, confusion: FloatArray
) -> NDArray[np.uint8]:
    """Return the eight bands of a UDM2. Its classes, bands 1 to 6, exclude one another.

    Args:
        valid: `(rows, columns)`, where the sensor saw the ground.
        snow: the cover with snow, 0..1; small patches are flagged only in part.
        flagged: cloud, haze and shadow as in `CloudLayers`; None where there is no cloud.
        confusion: a unit field that makes the confidence uneven.
    """
    bands = np.zeros((8, *valid.shape), dtype=np.uint8)
    is_snow = (snow > 0.7) & valid
    cloud, haze, shadow = (np.zeros_like(valid),) * 3 if flagged is None else (flagged[i] > 0.5 for i in range(3))
    cloud = cloud & valid
    haze = haze & valid & ~cloud
    is_snow &= ~(cloud | haze)
    shadow = shadow & valid & ~(cloud | haze | is_snow)
    bands[0] = valid & ~(cloud | haze | shadow | is_snow)
    bands[1], bands[2], bands[3], bands[5] = is_snow, shadow, haze, cloud
    confidence = 88 + 6 * confusion - np.float32(25) * (haze | shadow) - np.float32(10) * cloud
    bands[6] = np.where(valid, np.clip(confidence, 1, 100), 0)
    bands[7] = ~valid  # bit 0: blackfill
    return bands
