"""The ground without slumps, on a grid of 12 m: colours of the tundra, shores, hill shading."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rtsmap.records import FloatArray
from rtsmap.simulate.acquisition import Acquisition
from rtsmap.simulate.image.lowland import Lowland
from rtsmap.simulate.statistics import TEXTURE_SCALES, WATER, texture_modes
from rtsmap.simulate.terrain.landscape import Landscape
from rtsmap.simulate.terrain.noise import (
    Tile,
    above,
    bell,
    below,
    between,
    exponential_sum,
    fractal,
    make_tile,
    smoothstep,
    spline_weights,
)
from rtsmap.simulate.terrain.regions import Region

#: Spacing of the grid, m. What is finer comes from the tiles at the scene's own pixels.
MESO_M = 12.0
_FINER_THAN_M = 34.0
_MODES = 3
#: Share of the texture's deviation that noise makes; drainage, hills and shading make the rest.
_NOISE_SHARE = 0.9
#: What is left of tundra's reflectance where it is wetness: the darkest land in Chukotka and West Siberia.
_MARSH = np.array([0.43, 0.36, 0.36, 0.27], dtype=np.float32)


@dataclass(frozen=True)
class Window12:
    """A window of the grid: its first point, counted southward and eastward in steps of `MESO_M`, and its size."""

    row: int
    column: int
    height: int
    width: int


@dataclass(frozen=True)
class Meso:
    """The ground in a window of the grid.

    Attributes:
        bands: `(4, rows, columns)` reflectance of land.
        shore: signed distance to water, m, negative in it.
        water: `(4, rows, columns)` reflectance of water.
        beach: 0..1, how sandy the shore is.
        fields: what the pixels of lowland and coasts need besides, see `lowland.Coarse`; None elsewhere.
    """

    bands: FloatArray
    shore: FloatArray
    water: FloatArray
    beach: FloatArray
    fields: FloatArray | None = None


class BackgroundRenderer:
    """Renders the ground of one landscape; a function of position alone, safe to use from several threads."""

    def __init__(
        self,
        rng: np.random.Generator,
        land: Landscape,
        region: Region,
        acquisition: Acquisition,
        lowland: Lowland | None = None,
    ) -> None:
        self.land, self.region, self.lowland = land, region, lowland
        spectrum = exponential_sum(TEXTURE_SCALES)
        self.texture = make_tile(
            rng, above(spectrum, _FINER_THAN_M), fields=_MODES, size=1024, spacing_m=MESO_M, unit=False
        )
        #: At the scene's pixels: the texture that the grid cannot hold, and a rounded field for patches and edges.
        fine = below(spectrum, _FINER_THAN_M)
        self.fine: Tile = make_tile(rng, fine, fields=2, size=1000, spacing_m=acquisition.gsd_m, unit=False)
        self.patches: Tile = make_tile(rng, fractal(2.6, 90), fields=2, size=900, spacing_m=acquisition.gsd_m)
        self.grain: Tile = make_tile(rng, np.ones_like, fields=4, size=700, spacing_m=acquisition.gsd_m)
        self.ponds = make_tile(rng, bell(30), fields=1, size=800, spacing_m=MESO_M)
        self.zones = make_tile(rng, fractal(3.0, 3000), fields=2, size=1000, spacing_m=MESO_M)
        self.modes = texture_modes(region.deviation, region.pairs, _MODES)
        self._plan = _plan_fields(rng, land, region)
        if lowland is not None:
            self._plan = np.concatenate([self._plan, lowland.plan])
        self._wet = _topographic_wetness(land)
        azimuth, elevation = np.radians(acquisition.sun_azimuth_deg), np.radians(max(acquisition.sun_elevation_deg, 10))
        self._light = np.array([np.sin(azimuth), np.cos(azimuth)]) / np.tan(elevation)
        dense_vegetation, tundra, scar = (
            np.array(s, dtype=np.float32) for s in (region.dense_vegetation, region.tundra, region.scar)
        )
        #: Difference of reflectance from common to dense_vegetation tundra, by which plants vary from pixel to pixel.
        self._tundra, self.to_dense, self._to_dry = tundra, dense_vegetation - tundra, 0.3 * (scar - tundra)

    def meso(self, window: Window12) -> Meso:
        """The ground in a window."""
        extent = (window.row, window.column, window.height, window.width)
        texture, zones = self.texture.read(*extent), self.zones.read(*extent)
        plan = self._read_plan(window)
        height, shore, top = plan[:3]
        wet = self._read_rills(window, texture)
        green = 1.8 * (wet - 0.16) + 0.2 * zones[0] - 0.12 * top + 0.2 * texture[0]
        bands = self._tundra[:, None, None] + self.to_dense[:, None, None] * np.clip(green, -0.6, 1.5)
        bands += self._to_dry[:, None, None] * smoothstep(top + 0.7 * zones[1] + 0.6 * texture[0], 1.1, 2.6)
        noise = np.einsum("bm,mrc->brc", self.modes * np.float32(_NOISE_SHARE), texture)
        bands = np.maximum(bands + noise, 0.25 * self._tundra[:, None, None]) * self._shading(height, texture)
        shore = shore + 7 * texture[1]
        wetness = self._marsh(shore, wet, zones, texture)
        bands *= 1 - wetness * (1 - _MARSH)[:, None, None]
        pond = (2.75 - 0.5 * smoothstep(wet, 0.2, 1.0) - 2 * self.region.lakes - self.ponds.read(*extent)[0]) * 28
        shore = np.minimum(shore, pond + 2 * texture[2]).astype(np.float32)
        beach = smoothstep(zones[1] + 0.5 * texture[1], 0.3, 1.6) * (plan[1] < 60)
        if self.lowland is None:
            return Meso(bands.astype(np.float32), shore, plan[3:7], beach)
        coarse = self.lowland.coarse(extent, plan[7:], bands.astype(np.float32), shore)
        return Meso(coarse.bands, coarse.shore, coarse.water, beach, coarse.fields)

    def _marsh(self, shore: FloatArray, wet: FloatArray, zones: FloatArray, texture: FloatArray) -> FloatArray:
        """How much of a place is marsh, 0..0.9: fringes of lakes of changing breadth, hollows, bogs by streams."""
        fringe = np.exp(-np.maximum(shore, 0) / 30)
        field = 0.8 * zones[1] - 0.9 * texture[1] + 0.8 * wet + fringe - 2.6 + 1.5 * self.region.wetness
        marsh: FloatArray = 0.9 * smoothstep(field, 0.0, 1.6)
        return marsh

    def _shading(self, height: FloatArray, texture: FloatArray) -> FloatArray:
        """Brightness by Lambert's law for gentle slopes, relative to flat ground: `1 - grad(h) . sun / tan(e)`."""
        texture_scale = height + 0.22 * texture[1] * np.float32(self.region.relief_m / 15)
        south, east = np.gradient(texture_scale, MESO_M)
        light = 1 - 0.8 * (east * self._light[0] - south * self._light[1])
        shade: FloatArray = np.clip(light, 0.55, 1.45).astype(np.float32)
        return shade

    def _read_rills(self, window: Window12, texture: FloatArray) -> FloatArray:
        """How wet a place is; the paths of water lose the grid's directions by a warp of some 20 m."""
        step = MESO_M / self.land.spacing_m
        rows = ((window.row + np.arange(window.height)) * step - self.land.row)[:, None] + 0.6 * texture[1]
        columns = (window.column + np.arange(window.width)) * step - self.land.column + 0.6 * texture[2]
        wet: FloatArray = ndimage.map_coordinates(self._wet, [rows, columns], order=1, mode="nearest")
        return wet

    def _read_plan(self, window: Window12) -> FloatArray:
        """The landscape's fields between its points."""
        step = MESO_M / self.land.spacing_m
        # A tile may reach beyond the landscape where the raster is smaller; what is read there is never kept.
        last_row, last_column = (side - 4 for side in self.land.height.shape)
        rows = np.clip((window.row + np.arange(window.height)) * step - self.land.row, 2, last_row)
        columns = np.clip((window.column + np.arange(window.width)) * step - self.land.column, 2, last_column)
        first_row, first_column = int(rows[0]) - 2, int(columns[0]) - 2
        last_row, last_column = int(rows[-1]) + 4, int(columns[-1]) + 4
        part = self._plan[:, first_row:last_row, first_column:last_column]
        across = spline_weights(columns - first_column, part.shape[2])
        down = spline_weights(rows - first_row, part.shape[1])
        return between(down, part, across)


def _plan_fields(rng: np.random.Generator, land: Landscape, region: Region) -> FloatArray:
    """`(7, rows, columns)`: height, shore, convexity, and the water's reflectance."""
    rise = land.height - ndimage.gaussian_filter(land.height, 260 / land.spacing_m)
    top = rise / max(float(rise.std()), 1e-6)
    water = _water_of_lakes(rng, int(land.lake.max()) + 1, region)[:, land.lake]
    return np.concatenate([np.stack([land.height, land.shore, top]), water]).astype(np.float32)


def _topographic_wetness(land: Landscape) -> FloatArray:
    """0 on crests .. 1 and more along streams, by the logarithm of the catchment."""
    thread = np.clip(np.log10(land.catchment / 2e3), 0, 2.6) / 2.6
    wet: FloatArray = (1.3 * ndimage.gaussian_filter(thread, 0.4) + 0.5 * ndimage.gaussian_filter(thread, 3)).astype(
        np.float32
    )
    return wet


def _water_of_lakes(rng: np.random.Generator, count: int, region: Region) -> NDArray[np.float32]:
    """Reflectance of each lake: between the measured quantiles, clear ones dark, silty ones bright."""
    share = rng.beta(0.6 + 2.2 * region.turbidity, 0.6 + 2.2 * (1 - region.turbidity), count)
    # The ends lie as far beyond the measured quantiles (10 and 90 %) as the lakes that those leave out.
    table = np.stack([0.6 * WATER[0], *WATER, 1.3 * WATER[2]])
    colours = np.stack([np.interp(share, (0, 0.1, 0.5, 0.9, 1), table[:, band]) for band in range(4)])
    hue = np.exp(rng.normal(0, 0.10, (4, count)))  # brown or blue
    return (colours * hue).astype(np.float32)
