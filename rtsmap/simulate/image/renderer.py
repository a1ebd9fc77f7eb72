"""The renderer, which makes the pixels of a simulated scene tile by tile.

Ground, features and clouds are functions of position, and a tile is always rendered as a whole. Every window of a scene
therefore has the same numbers, whatever the order and the size of the windows.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely import Polygon

from rtsmap.records import BoolArray, FloatArray
from rtsmap.simulate.acquisition import Acquisition
from rtsmap.simulate.image.background import MESO_M, BackgroundRenderer, Meso, Window12
from rtsmap.simulate.image.clouds import CloudField, apply_clouds, udm2_classes
from rtsmap.simulate.image.patches import MARGIN_M, Patch, PatchRenderer, clip_to
from rtsmap.simulate.image.rasterise import rasterise
from rtsmap.simulate.image.shapes import light_from
from rtsmap.simulate.image.stream_rendering import GRAVEL, render_linear_features, stream_water
from rtsmap.simulate.slumps.features import Scenery
from rtsmap.simulate.terrain.noise import Tile, between, blend, smoothstep, spline_weights
from rtsmap.simulate.terrain.regions import Region

#: The side of a tile, px.
TILE_PX = 512
_PATCHES_KEPT = 256
#: The sensor noise: its standard deviation in each band, about 1/60 of the reflectance of tundra. It is chosen by
#: comparison with real products, not measured.
_SENSOR_NOISE = np.array([0.0008, 0.0009, 0.0011, 0.0032], dtype=np.float32)


@dataclass(frozen=True)
class RenderedTile:
    """The pixels of a tile.

    Attributes:
        numbers: the digital numbers (reflectance x 10000) of the four bands, `(4, rows, columns)`.
        udm2: the bands of the usable data mask, `(8, rows, columns)`.
    """

    numbers: NDArray[np.uint16]
    udm2: NDArray[np.uint8]


class Renderer:
    """Renders the tiles of one scene. It is safe to use from several threads.

    A second renderer with the same background and other scenery shows the same area in another year.

    Args:
        acquisition: the raster, the footprint and the sun.
        region: sets the colours.
        background: the ground without features.
        scenery: slumps, look-alikes, streams and tracks.
        clouds: the clouds.
        gain: the factor by which the sensor's calibration is off, for each band.
        path: the path reflectance of the atmosphere, for each band.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        region: Region,
        background: BackgroundRenderer,
        scenery: Scenery,
        clouds: CloudField,
        gain: Sequence[float] = (1, 1, 1, 1),
        path: Sequence[float] = (0, 0, 0, 0),
    ) -> None:
        self.acquisition, self.background, self.scenery, self.clouds = acquisition, background, scenery, clouds
        self._scale = (1e4 * np.array(gain, dtype=np.float32))[:, None, None]
        self._path = np.array(path, dtype=np.float32)[:, None, None]
        light = light_from(acquisition.sun_azimuth_deg, acquisition.sun_elevation_deg)
        #: The weights of the two fine fields and of the vegetation mosaic in each band.
        self._texture = np.column_stack(
            [region.texture_scale * background.modes[:, :2], 0.4 * background.to_dense]
        ).astype(np.float32)
        self._mosaic = Tile(smoothstep(background.patches.values[:1], -0.4, 0.9) - 0.5, acquisition.gsd_m)
        self._maker = PatchRenderer(acquisition.grid.transform, region, light, background.fine, background.patches)
        self._patches: OrderedDict[int, Patch] = OrderedDict()
        self._lock = Lock()

    def tile(self, row: int, column: int) -> RenderedTile:
        """Render the tile whose first pixel is `(row, column)` of the raster."""
        gsd, grid = self.acquisition.gsd_m, self.acquisition.grid
        transform = grid.transform @ Affine.translation(column, row)
        valid = self._seen(transform)
        if not valid.any():
            return _nothing()
        window, down, across = _coarse_window(transform)
        meso = self.background.meso(window)
        extent = (round(-transform.f / gsd), round(transform.c / gsd), TILE_PX, TILE_PX)
        fine = self.background.fine.read(*extent)
        bands = between(down, meso.bands, across)
        bands += np.tensordot(self._texture, np.concatenate([fine, self._mosaic.read(*extent)]), 1)
        shore = between(down, meso.shore, across) + 2.5 * fine[0]
        extra = None if meso.fields is None else between(down, meso.fields, across)
        if extra is not None and self.background.lowland is not None:
            self.background.lowland.fine(bands, extent, extra, fine[0])
        self._linear_features(bands, transform, shore)
        self._beach(bands, meso, shore, down, across)
        snow = self._features(bands, row, column, transform)
        self._water(bands, meso, shore, down, across, fine, extra)
        grain = self.background.grain.read(*extent)
        flagged = self._add_clouds(bands, window, down, across)
        bands += grain * _SENSOR_NOISE[:, None, None]
        if self._path.any():
            bands += self._path
        udm2 = udm2_classes(valid, snow, flagged, grain[0])
        return RenderedTile(_digital(bands, valid, self._scale), udm2)

    def _seen(self, transform: Affine) -> BoolArray:
        if self.acquisition.footprint.contains(_around(transform, 0)):
            return np.ones((TILE_PX, TILE_PX), dtype=np.bool_)
        return rasterise(self.acquisition.footprint, (TILE_PX, TILE_PX), transform)

    def _beach(self, bands: FloatArray, meso: Meso, shore: FloatArray, down: FloatArray, across: FloatArray) -> None:
        """Add sand and gravel along some shores, as far as the waves reach."""
        if shore.min() > 25:
            return
        sandy = between(down, meso.beach, across)
        cover = sandy * (1 - smoothstep(shore - 14 * sandy, -3, 4))
        colour = np.array(self.background.region.scar, dtype=np.float32)
        blend(bands, np.float32(1.08) * colour, cover)

    def _water(
        self,
        bands: FloatArray,
        meso: Meso,
        shore: FloatArray,
        down: FloatArray,
        across: FloatArray,
        fine: FloatArray,
        extra: FloatArray | None,
    ) -> None:
        if shore.min() > 6:
            return
        cover = 1 - smoothstep(shore, -3.5, 2.0)
        water = between(down, meso.water, across)
        if extra is not None:
            water += (extra[:4] - water) * np.exp(np.minimum(shore, 0) / np.maximum(extra[4], 2))
        shallow = np.exp(np.minimum(shore, 0) / 10)  # the bed is visible near the shore
        ripple = 1 + 0.03 * fine[1]
        blend(bands, water * (ripple * (1 + 0.15 * shallow)), cover)

    def _features(self, bands: FloatArray, row: int, column: int, transform: Affine) -> FloatArray:
        """Render the features of a tile over its bands, and return the cover with snow."""
        snow = np.zeros((TILE_PX, TILE_PX), dtype=np.float32)
        for index in self.scenery.near("features", _around(transform, MARGIN_M)):
            patch = self._patch(int(index), row, column)
            met = clip_to(patch, row, column, TILE_PX)
            if met is None:
                continue
            (rows, columns), own = met
            part, cover = bands[:, rows, columns], patch.cover[own]
            part += (patch.colour[:, own[0], own[1]] - part) * cover
            part *= patch.shade[own]
            if self.scenery.features[index].kind == "snow":
                np.maximum(snow[rows, columns], cover, out=snow[rows, columns])
        return snow

    def _patch(self, index: int, row: int, column: int) -> Patch:
        """Render the patch of a feature, and keep it for neighbouring tiles if it extends into them."""
        with self._lock:
            if index in self._patches:
                self._patches.move_to_end(index)
                return self._patches[index]
        patch = self._maker.render(self.scenery.features[index])
        if patch.lies_in(row, column, TILE_PX):
            return patch
        with self._lock:
            self._patches[index] = patch
            if len(self._patches) > _PATCHES_KEPT:
                self._patches.popitem(last=False)
        return patch

    def _linear_features(self, bands: FloatArray, transform: Affine, shore: FloatArray) -> None:
        """Render tracks, and then the streams that they cross."""
        area, dry = _around(transform, 30), shore > -6
        roads, streams = (
            [getattr(self.scenery, layer)[index] for index in self.scenery.near(layer, area)]
            for layer in ("roads", "streams")
        )
        render_linear_features(bands, roads, transform, GRAVEL, dry)
        render_linear_features(bands, streams, transform, stream_water(self.background.region), dry, all_touched=True)

    def _add_clouds(
        self, bands: FloatArray, window: Window12, down: FloatArray, across: FloatArray
    ) -> FloatArray | None:
        layers = self.clouds.over(window)
        if layers is None:
            return None
        cloud, haze, shadow = (between(down, field, across) for field in (layers.cloud, layers.haze, layers.shadow))
        apply_clouds(bands, cloud, haze, shadow)
        return between(down, layers.flagged, across)


def _around(transform: Affine, margin: float) -> Polygon:
    """Return the area of a tile with a margin (m)."""
    side = TILE_PX * transform.a
    return shapely.box(
        transform.c - margin, transform.f - side - margin, transform.c + side + margin, transform.f + margin
    )


def _coarse_window(transform: Affine) -> tuple[Window12, FloatArray, FloatArray]:
    """Return the window of the 12 m grid under a tile, and the weights that interpolate it at the tile's pixels."""
    gsd = transform.a
    rows = (-transform.f + (np.arange(TILE_PX) + 0.5) * gsd) / MESO_M
    columns = (transform.c + (np.arange(TILE_PX) + 0.5) * gsd) / MESO_M
    # A spline needs one point before and two after each position; slopes are exact from the second point on.
    row, column = int(np.floor(rows[0])) - 2, int(np.floor(columns[0])) - 2
    height, width = int(np.floor(rows[-1])) - row + 4, int(np.floor(columns[-1])) - column + 4
    window = Window12(row, column, height, width)
    return window, spline_weights(rows - row, height), spline_weights(columns - column, width)


def _digital(bands: FloatArray, valid: BoolArray, scale: FloatArray) -> NDArray[np.uint16]:
    """Return reflectance x 10000 (`scale`) as whole numbers, at least 1 where valid and 0 elsewhere."""
    np.clip(bands, 1e-4, 1.6, out=bands)
    bands *= scale
    bands += 0.5
    numbers = bands.astype(np.uint16)
    numbers *= valid
    return numbers


def _nothing() -> RenderedTile:
    udm2 = np.zeros((8, TILE_PX, TILE_PX), dtype=np.uint8)
    udm2[7] = 1
    return RenderedTile(np.zeros((4, TILE_PX, TILE_PX), dtype=np.uint16), udm2)
