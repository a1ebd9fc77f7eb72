"""Landforms of lake-rich lowland and of coasts: drained lake basins, the sea, and spits along its coast.

The sizes of the landforms are those of the Lena delta, of Yamal and of the Chukchi coast. Their numbers are chosen, not
measured.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rtsmap.records import FloatArray, Grid
from rtsmap.simulate.terrain.landscape import Extent, extent_of, field_of, nearest_label
from rtsmap.simulate.terrain.noise import bell, smoothstep
from rtsmap.simulate.terrain.regions import Region

#: The largest distance that is distinguished, m; it also stands for "there is none".
FAR_M = 900.0
_BASIN_SHARE = (0.04, 0.28)  # of the ground
_SEA_SHARE = (0.12, 0.45)


@dataclass(frozen=True)
class Forms:
    """Fields `(rows, columns)` on the grid of the landscape.

    Attributes:
        basin: the signed distance to the rim of drained basins, m, negative inside.
        number: the number of the nearest basin, 0 where there is none.
        pond: the distance from the rim at which the remaining water of a basin begins, m.
        sea: the signed distance to the sea, m, negative in the sea; spits are land.
    """

    basin: FloatArray
    number: NDArray[np.int32]
    pond: FloatArray
    sea: FloatArray

    def flooded(self, shore: FloatArray) -> FloatArray:
        """Return the signed distance to water (m), given that to lakes. Basins are dry except for remaining ponds."""
        drained = np.clip(self.pond + self.basin, -FAR_M, 300)
        dry = np.where(self.basin < 0, drained, shore)
        water: FloatArray = np.minimum(dry, self.sea).astype(np.float32)
        return water


def lowland_region(rng: np.random.Generator, region: Region) -> Region:
    """Return the region with flat relief, many lakes and small slumps on their shores."""
    calm = float(rng.uniform(0.35, 1.0))  # the texture of lowland is often weaker than that of hills
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
        active=2 * region.active,  # small slumps are as bare as large ones; some at Alatna have 13 pixels
        bare_m=6.0,
        log_area=(float(rng.uniform(7.2, 8.1)), 0.8),
    )


def make_forms(rng: np.random.Generator, grid: Grid, region: Region, *, lowland: bool, coast: bool) -> Forms:
    """Lay out drained basins and the sea for a raster and its margin."""
    extent = extent_of(grid)
    far = np.full((extent.rows, extent.columns), FAR_M, dtype=np.float32)
    basin = _basins(rng, extent, region) if lowland else far
    labels, count = ndimage.label(basin < 0)
    number = nearest_label(labels, count)
    # Half of the basins have no pond.
    pond = np.where(rng.random(count + 1) < 0.5, FAR_M, np.exp(rng.normal(4.3, 0.6, count + 1)))[number]
    return Forms(basin, number, pond.astype(np.float32), _sea(rng, extent) if coast else far)


def _basins(rng: np.random.Generator, extent: Extent, region: Region) -> FloatArray:
    """Basins are rounded and at least as large as lakes, because several lakes may have drained together."""
    large = field_of(rng, bell(region.lake_m * rng.uniform(1.0, 1.8)), extent)
    small = field_of(rng, bell(region.lake_m / 3), extent)
    field = large + 0.2 * small
    level = np.quantile(field[::3, ::3], rng.uniform(*_BASIN_SHARE))
    steepness = ndimage.gaussian_filter(np.hypot(*np.gradient(field, extent.spacing_m)), 2) + 0.15 / region.lake_m
    distance: FloatArray = np.clip((field - level) / steepness, -FAR_M, FAR_M).astype(np.float32)
    return distance


def _sea(rng: np.random.Generator, extent: Extent) -> FloatArray:
    """Return the signed distance (m) to a sea on one side, with bays, capes and interrupted spits along the coast."""
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
