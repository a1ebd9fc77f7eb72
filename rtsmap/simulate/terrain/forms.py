"""Land forms of lake-rich lowland and of coasts: drained lake basins, the sea, and spits before it.

The forms are as large as those of the Lena delta, of Yamal and of the Chukchi coast; how many there are is chosen, not
measured.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rtsmap.records import FloatArray, Grid
from rtsmap.simulate.terrain.landscape import Extent, extent_of, field_of
from rtsmap.simulate.terrain.noise import bell, smoothstep
from rtsmap.simulate.terrain.regions import Region

#: Distance that stands for "far from any", m.
FAR_M = 900.0
_BASIN_SHARE = (0.04, 0.28)  # of the ground
_SEA_SHARE = (0.12, 0.45)


@dataclass(frozen=True)
class Forms:
    """Fields `(rows, columns)` on the points of the landscape, m.

    Attributes:
        basin: signed distance to the rim of drained basins, negative inside.
        number: of the nearest basin, 0 where there is none.
        pond: distance from the rim at which a basin's last water begins.
        sea: signed distance to the sea, negative in it; spits are land.
    """

    basin: FloatArray
    number: NDArray[np.int32]
    pond: FloatArray
    sea: FloatArray

    def flooded(self, shore: FloatArray) -> FloatArray:
        """Signed distance to water, of that to the lakes: basins are dry but for what is left in their middle."""
        drained = np.clip(self.pond + self.basin, -FAR_M, 300)
        dry = np.where(self.basin < 0, drained, shore)
        water: FloatArray = np.minimum(dry, self.sea).astype(np.float32)
        return water


def lowland_region(rng: np.random.Generator, region: Region) -> Region:
    """The region where it is flat and full of lakes, with small slumps on their shores."""
    calm = float(rng.uniform(0.35, 1.0))  # much lowland is smoother than the hills
    blue, green, red, nir = (calm * value for value in region.deviation)
    return replace(
        region,
        deviation=(blue, green, red, nir),
        texture_scale=region.texture_scale * calm,
        relief_m=float(rng.uniform(2.0, 7.0)),
        bank_m=float(rng.uniform(4.0, 12.0)),
        lakes=float(rng.uniform(0.08, 0.34)),
        lake_m=float(np.exp(rng.uniform(np.log(150), np.log(650)))),
        turbidity=float(rng.uniform(0, 1)),
        wetness=region.wetness + float(rng.uniform(0, 0.7)),
        active=2 * region.active,  # small slumps are as bare as large ones: some of Alatna have 13 pixels
        bare_m=6.0,
        log_area=(float(rng.uniform(7.2, 8.1)), 0.8),
    )


def make_forms(rng: np.random.Generator, grid: Grid, region: Region, *, lowland: bool, coast: bool) -> Forms:
    """Lay out basins and sea for a raster and its margin."""
    extent = extent_of(grid)
    far = np.full((extent.rows, extent.columns), FAR_M, dtype=np.float32)
    basin = _basins(rng, extent, region) if lowland else far
    labels, count = ndimage.label(basin < 0)
    number = _nearest_number(labels, count)
    # In half of the basins nothing is left.
    pond = np.where(rng.random(count + 1) < 0.5, FAR_M, np.exp(rng.normal(4.3, 0.6, count + 1)))[number]
    return Forms(basin, number, pond.astype(np.float32), _sea(rng, extent) if coast else far)


def _basins(rng: np.random.Generator, extent: Extent, region: Region) -> FloatArray:
    """Round and as large as lakes or larger, for several lakes may have met in one."""
    large = field_of(rng, bell(region.lake_m * rng.uniform(1.0, 1.8)), extent)
    small = field_of(rng, bell(region.lake_m / 3), extent)
    field = large + 0.2 * small
    level = np.quantile(field[::3, ::3], rng.uniform(*_BASIN_SHARE))
    steepness = ndimage.gaussian_filter(np.hypot(*np.gradient(field, extent.spacing_m)), 2) + 0.15 / region.lake_m
    distance: FloatArray = np.clip((field - level) / steepness, -FAR_M, FAR_M).astype(np.float32)
    return distance


def _nearest_number(labels: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    if count == 0:
        return np.zeros(labels.shape, dtype=np.int32)
    rows, columns = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    nearest: NDArray[np.int32] = labels[rows, columns].astype(np.int32)
    return nearest


def _sea(rng: np.random.Generator, extent: Extent) -> FloatArray:
    """Signed distance to a sea on one side, with bays, capes and broken spits along the coast."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.indices((extent.rows, extent.columns)) * extent.spacing_m
    inland = x * np.cos(angle) + y * np.sin(angle)
    inland = inland + rng.uniform(60, 260) * field_of(rng, bell(rng.uniform(500, 1300)), extent)
    inland = inland + rng.uniform(5, 35) * field_of(rng, bell(170), extent)
    sea = inland - np.quantile(inland[::3, ::3], rng.uniform(*_SEA_SHARE))
    away = rng.uniform(140, 520) + rng.uniform(20, 110) * field_of(rng, bell(800), extent)
    width = rng.uniform(25, 75) * smoothstep(field_of(rng, bell(700), extent), -0.5, 0.8) - 8
    spit = width - np.abs(-sea - away)
    distance: FloatArray = np.clip(np.maximum(sea, spit), -FAR_M, FAR_M).astype(np.float32)
    return distance
