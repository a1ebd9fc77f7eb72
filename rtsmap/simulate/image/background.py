"""The ground without slumps on a grid of 12 m: colours of tundra, shores, and hill shading."""

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

#: The spacing of the grid, m. Finer detail comes from the tiles at the pixel size of the scene.
MESO_M = 12.0
_FINER_THAN_M = 34.0
_MODES = 3
#: The share of the texture's standard deviation that is noise; drainage, hills and shading make up the rest.
_NOISE_SHARE = 0.9
#: The factor of the reflectance of tundra where it is marsh, from the darkest land in Chukotka and West Siberia.
_MARSH = np.array([0.43, 0.36, 0.36, 0.27], dtype=np.float32)


@dataclass(frozen=True)
class Window12:
    """A window of the 12 m grid: its first point, counted southward and eastward in steps of `MESO_M`, and its size."""

    row: int
    column: int
    height: int
    width: int


@dataclass(frozen=True)
class Meso:
    """The ground in a window of the 12 m grid.

    Attributes:
        bands: the reflectance of land, `(4, rows, columns)`.
        shore: the signed distance to water, m, negative in water, `(rows, columns)`.
        water: the reflectance of water, `(4, rows, columns)`.
        beach: how sandy the shore is, 0..1, `(rows, columns)`.
        fields: further fields for the pixels of lowland and coasts, see `lowland.Coarse`; None elsewhere.
    """

    bands: FloatArray
    shore: FloatArray
    water: FloatArray
    beach: FloatArray
    fields: FloatArray | None = None


class BackgroundRenderer:
    """Renders the ground of one landscape as a function of position. It is safe to use from several threads."""

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
        #: Tiles at the pixel size of the scene: the texture that is too fine for the grid, and a field for patches and
        #: edges.
        fine = below(spectrum, _FINER_THAN_M)
        self.fine: Tile = make_tile(rng, fine, fields=2, size=1000, spacing_m=acquisition.gsd_m, unit=False)
        self.patches: Tile = make_tile(rng, fractal(2.6, 90), fields=2, size=900, spacing_m=acquisition.gsd_m)
        self.grain: Tile = make_tile(rng, np.ones_like, fields=4, size=700, spacing_m=acquisition.gsd_m)
        self.ponds = make_tile(rng, bell(30), fields=1, size=800, spacing_m=MESO_M)
        self.zones = make_tile(rng, fractal(3.0, 3000), fields=2, size=1000, spacing_m=MESO_M)
        self.modes = texture_modes(region.deviation, region.pairs, _MODES)
        self._layers = _landscape_layers(rng, land, region)
        if lowland is not None:
            self._layers = np.concatenate([self._layers, lowland.layers])
        self._wet = _topographic_wetness(land)
        azimuth, elevation = np.radians(acquisition.sun_azimuth_deg), np.radians(max(acquisition.sun_elevation_deg, 10))
        self._light = np.array([np.sin(azimuth), np.cos(azimuth)]) / np.tan(elevation)
        dense_vegetation, tundra, scar = (
            np.array(s, dtype=np.float32) for s in (region.dense_vegetation, region.tundra, region.scar)
        )
        #: The difference in reflectance between typical and densest tundra, by which vegetation varies between pixels.
        self._tundra, self.to_dense, self._to_dry = tundra, dense_vegetation - tundra, 0.3 * (scar - tundra)

    def meso(self, window: Window12) -> Meso:
        """Render the ground in a window."""
        extent = (window.row, window.column, window.height, window.width)
        texture, zones = self.texture.read(*extent), self.zones.read(*extent)
        layers = self._read_layers(window)
        height, shore, top = layers[:3]
        wet = self._read_rills(window, texture)
        green = 1.8 * (wet - 0.16) + 0.2 * zones[0] - 0.12 * top + 0.2 * texture[0]
        bands = self._tundra[:, None, None] + self.to_dense[:, None, None] * np.clip(green, -0.6, 1.5)
        bands += self._to_dry[:, None, None] * smoothstep(top + 0.7 * zones[1] + 0.6 * texture[0], 1.1, 2.6)
        noise = np.einsum("bm,mrc->brc", self.modes * np.float32(_NOISE_SHARE), texture)
        bands = np.maximum(bands + noise, 0.25 * self._tundra[:, None, None]) * self._shading(height, texture)
        shore = shore + 7 * texture[1]
        marsh = self._marsh(shore, wet, zones, texture)
        bands *= 1 - marsh * (1 - _MARSH)[:, None, None]
        pond = (2.75 - 0.5 * smoothstep(wet, 0.2, 1.0) - 2 * self.region.lakes - self.ponds.read(*extent)[0]) * 28
        shore = np.minimum(shore, pond + 2 * texture[2]).astype(np.float32)
        beach = smoothstep(zones[1] + 0.5 * texture[1], 0.3, 1.6) * (layers[1] < 60)
        if self.lowland is None:
            return Meso(bands.astype(np.float32), shore, layers[3:7], beach)
        coarse = self.lowland.coarse(extent, layers[7:], bands.astype(np.float32), shore)
        return Meso(coarse.bands, coarse.shore, coarse.water, beach, coarse.fields)

    def _marsh(self, shore: FloatArray, wet: FloatArray, zones: FloatArray, texture: FloatArray) -> FloatArray:
        """Return the cover with marsh, 0..0.9: fringes of lakes of varying width, hollows, and bogs along streams."""
        fringe = np.exp(-np.maximum(shore, 0) / 30)
        field = 0.8 * zones[1] - 0.9 * texture[1] + 0.8 * wet + fringe - 2.6 + 1.5 * self.region.wetness
        marsh: FloatArray = 0.9 * smoothstep(field, 0.0, 1.6)
        return marsh

    def _shading(self, height: FloatArray, texture: FloatArray) -> FloatArray:
        """Return the brightness by Lambert's law for gentle slopes, relative to flat ground.

        It is `1 - grad(h) . sun / tan(e)`, where `sun` points towards the sun and `e` is the elevation of the sun.
        """
        surface = height + 0.22 * texture[1] * np.float32(self.region.relief_m / 15)
        south, east = np.gradient(surface, MESO_M)
        light = 1 - 0.8 * (east * self._light[0] - south * self._light[1])
        shade: FloatArray = np.clip(light, 0.55, 1.45).astype(np.float32)
        return shade

    def _read_rills(self, window: Window12, texture: FloatArray) -> FloatArray:
        """Return the wetness; a warp of about 20 m hides the directions of the grid in the flow paths."""
        step = MESO_M / self.land.spacing_m
        rows = ((window.row + np.arange(window.height)) * step - self.land.row)[:, None] + 0.6 * texture[1]
        columns = (window.column + np.arange(window.width)) * step - self.land.column + 0.6 * texture[2]
        wet: FloatArray = ndimage.map_coordinates(self._wet, [rows, columns], order=1, mode="nearest")
        return wet

    def _read_layers(self, window: Window12) -> FloatArray:
        """Interpolate the fields of the landscape."""
        step = MESO_M / self.land.spacing_m
        # A tile may extend beyond the landscape where the raster is smaller; the values read there are never used.
        last_row, last_column = (side - 4 for side in self.land.height.shape)
        rows = np.clip((window.row + np.arange(window.height)) * step - self.land.row, 2, last_row)
        columns = np.clip((window.column + np.arange(window.width)) * step - self.land.column, 2, last_column)
        first_row, first_column = int(rows[0]) - 2, int(columns[0]) - 2
        last_row, last_column = int(rows[-1]) + 4, int(columns[-1]) + 4
        part = self._layers[:, first_row:last_row, first_column:last_column]
        across = spline_weights(columns - first_column, part.shape[2])
        down = spline_weights(rows - first_row, part.shape[1])
        return between(down, part, across)


def _landscape_layers(rng: np.random.Generator, land: Landscape, region: Region) -> FloatArray:
    """Return the fields height, shore, convexity and the reflectance of water, `(7, rows, columns)`."""
    rise = land.height - ndimage.gaussian_filter(land.height, 260 / land.spacing_m)
    top = rise / max(float(rise.std()), 1e-6)
    water = _water_of_lakes(rng, int(land.lake.max()) + 1, region)[:, land.lake]
    return np.concatenate([np.stack([land.height, land.shore, top]), water]).astype(np.float32)


def _topographic_wetness(land: Landscape) -> FloatArray:
    """Return the wetness from the logarithm of the catchment: 0 on crests, and 1 and more along streams."""
    flow = np.clip(np.log10(land.catchment / 2e3), 0, 2.6) / 2.6
    wet: FloatArray = (1.3 * ndimage.gaussian_filter(flow, 0.4) + 0.5 * ndimage.gaussian_filter(flow, 3)).astype(
        np.float32
    )
    return wet


def _water_of_lakes(rng: np.random.Generator, count: int, region: Region) -> NDArray[np.float32]:
    """Draw the reflectance of each lake between the measured quantiles; clear lakes are dark, silty ones bright."""
    share = rng.beta(0.6 + 2.2 * region.turbidity, 0.6 + 2.2 * (1 - region.turbidity), count)
    # The ends lie beyond the measured quantiles (10 and 90 %), to include the lakes outside them.
    table = np.stack([0.6 * WATER[0], *WATER, 1.3 * WATER[2]])
    colours = np.stack([np.interp(share, (0, 0.1, 0.5, 0.9, 1), table[:, band]) for band in range(4)])
    hue = np.exp(rng.normal(0, 0.10, (4, count)))  # brown or blue
    return (colours * hue).astype(np.float32)
