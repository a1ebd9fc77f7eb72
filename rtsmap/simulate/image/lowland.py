"""The appearance of lowland and coasts: drained basins, ponds, polygon nets, beach ridges, and waters of many colours.

Everything is a function of position: coarse features on the 12 m grid, fine ones on the pixels of a tile.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtsmap.records import FloatArray
from rtsmap.simulate.image.polygon_nets import COARSEST_M, make_net, render_net
from rtsmap.simulate.image.waters import draw_waters, sea_colour
from rtsmap.simulate.terrain.forms import FAR_M, Forms
from rtsmap.simulate.terrain.noise import Tile, bell, blend, fractal, make_tile, smoothstep
from rtsmap.simulate.terrain.regions import Region

_PONDS = 997  # number of different colours of ponds, so large that neighbours differ
_POND_CELL_M = 170.0
_SAND = np.array([0.125, 0.155, 0.175, 0.215], dtype=np.float32)


@dataclass(frozen=True)
class Coarse:
    """Fields `(rows, columns)` on a window of the 12 m grid.

    Attributes:
        bands: the reflectance of land, `(4, rows, columns)`.
        shore: the signed distance to water, m.
        water: the reflectance of water, `(4, rows, columns)`.
        fields: the fields from which the pixels of a tile are rendered, `(9, rows, columns)`: the reflectance of the
            bed (4), the distance over which it fades (m), the distance to the sea (m), the strength of polygon nets,
            how low the centres of the polygons are, and how bare the beach ridges are.
    """

    bands: FloatArray
    shore: FloatArray
    water: FloatArray
    fields: FloatArray


class Lowland:
    """Renders the lowland and the coast of one scene. It is safe to use from several threads.

    Args:
        rng: draws all properties.
        forms: the landforms.
        lakes: the number of the nearest lake on the grid of the landscape.
        region: sets the colours.
        gsd_m: the pixel size of the scene, m.
        spacing_m: the spacing of the coarse grid, 12 m.
        flat: whether the scene is lowland with ponds and polygon nets, or a coast only.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        forms: Forms,
        lakes: NDArray[np.int32],
        region: Region,
        *,
        gsd_m: float,
        spacing_m: float,
        flat: bool,
    ) -> None:
        self._flat, self._gsd_m = flat, gsd_m
        waters, ponds = draw_waters(rng, int(lakes.max()) + 1), draw_waters(rng, _PONDS, dark=0.6)
        self._ponds = np.concatenate([ponds.colour, ponds.bed, ponds.shelf[None]])
        self._sea = sea_colour(rng)
        self._scar = np.array(region.scar, dtype=np.float32)
        self._tundra, self._dense = (np.array(s, dtype=np.float32) for s in (region.tundra, region.dense_vegetation))
        basins = _draw_basins(rng, int(forms.number.max()) + 1)
        planes = [forms.basin[None], forms.sea[None], basins[:, forms.number]]
        planes += [waters.colour[:, lakes], waters.bed[:, lakes], waters.shelf[lakes][None]]
        planes += [_draw_sand(rng, int(lakes.max()) + 1)[lakes][None]]
        #: Fields on the grid of the landscape, which the background renderer interpolates together with its own.
        self.layers = np.concatenate(planes).astype(np.float32)
        self._small = make_tile(rng, bell(20), fields=1, size=760, spacing_m=spacing_m)
        self._wide = make_tile(rng, bell(48), fields=1, size=820, spacing_m=spacing_m)
        self._zones = make_tile(rng, fractal(3.0, 1800), fields=4, size=900, spacing_m=spacing_m)
        self._number = _cells(rng, spacing_m)
        self._net = make_net(rng, gsd_m, rng.uniform(11, 26)) if flat and gsd_m <= COARSEST_M else None
        #: The relative difference of two plant communities from the others, `(2, 4, 1, 1)`.
        self._patch = rng.normal(0, 0.09, (2, 1, 1, 1)) + rng.normal(0, 0.05, (2, 4, 1, 1))
        self._reach_m = float(rng.choice((40, 120, 330)))  # many coasts have no ridges
        self._bare = float(rng.uniform(0.2, 0.8))
        self._ridge_m, self._sand = rng.uniform(22, 48), float(np.exp(rng.normal(0.25, 0.3)))

    def coarse(
        self, extent: tuple[int, int, int, int], layers: FloatArray, bands: FloatArray, shore: FloatArray
    ) -> Coarse:
        """Add the lowland to the ground in a window of the 12 m grid.

        Args:
            extent: the row, column, height and width of the window.
            layers: `self.layers`, interpolated in the window.
            bands: the reflectance of land, `(4, rows, columns)`.
            shore: the signed distance to lakes and the sea, m.
        """
        basin, sea, basins, lake, sand = layers[0], layers[1], layers[2:8], layers[8:17], layers[17]
        zones, small, wide = self._zones.read(*extent), self._small.read(*extent)[0], self._wide.read(*extent)[0]
        inside = smoothstep(-basin + 5 * small, -8, 14) if self._flat else np.zeros_like(basin)
        bands = self._basin(self._patched(bands, zones), basin, inside, zones, basins)
        bands = self._sandy(bands, shore - sand * (1 + 0.6 * zones[0] + 0.4 * small), sand)
        pond = np.full_like(shore, FAR_M)
        if self._flat:
            often = np.clip(0.9 * zones[0] + 1.1 * inside * basins[2], -1.5, 2.2)
            pond = np.minimum((2.7 - 0.75 * often - small) * 20, (2.9 - 0.7 * often - wide) * 48) + 3 * zones[1]
            pond = np.where(sea < 30, FAR_M, pond)
        number = self._number.read(*extent)[0].astype(np.int64)
        of_pond = self._ponds[:, number]
        water = np.where(pond < shore, of_pond, lake)
        water[:4] += (self._sea_at(sea, zones) - water[:4]) * smoothstep(-sea, -25, 25)
        net = smoothstep(zones[1] + 1.2 * inside * basins[2] - 0.3 * zones[0], 0.3, 1.8) * (sea > 120) * self._flat
        low = smoothstep(zones[2] + 1.2 * inside, -0.3, 0.8)
        ridged = smoothstep(zones[0] + 0.6 * zones[3], -0.6, 0.8)
        fields = np.concatenate([water[4:9], sea[None], net[None], low[None], ridged[None]])
        return Coarse(bands, np.minimum(shore, pond), water[:4], fields.astype(np.float32))

    def _basin(
        self,
        bands: FloatArray,
        basin: FloatArray,
        inside: FloatArray,
        zones: FloatArray,
        basins: FloatArray,
    ) -> FloatArray:
        """Render drained basins: green, wet or still bare in the centre, in rings left by the water, with dry rims."""
        bright, green, wet, bare, rings, ripe = basins
        stripes = rings * np.sin(basin / (8 + 10 * rings) + 1.5 * zones[3])
        colour = (self._dense - self._tundra)[:, None, None] * (2.2 * green + stripes)
        loss = np.array([0.40, 0.36, 0.42, 0.20], dtype=np.float32)[:, None, None]
        tint = np.stack([bright, bright, bright, bright + ripe])
        changed = np.maximum(bands * tint + colour, 0.4 * bands) * (
            1 - loss * wet * smoothstep(zones[3] + stripes, -0.8, 0.8)
        )
        mud = bare * smoothstep(-basin + 40 * zones[3] + 25 * zones[0], 10, 110)
        changed += (self._scar[:, None, None] * (0.7 + 0.25 * bare + 0.06 * zones[2]) - changed) * mud
        rim = 0.10 * np.exp(-(((basin - 12) / 12) ** 2)) * (inside < 0.5)
        result: FloatArray = (bands + (changed - bands) * inside) * (1 + rim * self._flat)
        return result

    def _patched(self, bands: FloatArray, zones: FloatArray) -> FloatArray:
        """Render plant communities with sharp limits: each of two fields changes the brightness above a level."""
        factor = 1 + self._patch[0] * smoothstep(zones[0] + 0.4 * zones[1], 0.5, 0.62)[None]
        factor = factor + self._patch[1] * smoothstep(zones[2] - 0.4 * zones[3], 0.7, 0.82)[None]
        patched: FloatArray = bands * factor
        return patched

    def _sandy(self, bands: FloatArray, beyond: FloatArray, sand: FloatArray) -> FloatArray:
        """Render dry sand along some lakes, which is brighter than any slump."""
        cover = (1 - smoothstep(beyond, -4, 10)) * smoothstep(sand, 2, 8)
        sandy: FloatArray = bands + (_SAND[:, None, None] * np.float32(self._sand) - bands) * cover
        return sandy

    def _sea_at(self, sea: FloatArray, zones: FloatArray) -> FloatArray:
        near, far, reach = self._sea
        share = 1 - np.exp(np.minimum(sea + 120 * zones[3], 0) / reach)
        colour: FloatArray = near[:, None, None] + (far - near)[:, None, None] * share
        return colour

    def fine(self, bands: FloatArray, extent: tuple[int, int, int, int], fields: FloatArray, noise: FloatArray) -> None:
        """Render polygon nets and beaches on the pixels of a tile, in place.

        Args:
            bands: the reflectance of land, `(4, rows, columns)`.
            extent: the row, column, height and width of the tile.
            fields: the fields of `Coarse`, interpolated at the pixels.
            noise: a field that makes edges irregular.
        """
        sea, strength, low, ridged = fields[5:9]
        if self._net is not None and strength.max() > 0.02:
            puddle = render_net(bands, self._net.read(*extent), np.clip(strength, 0, 1), np.clip(low, 0, 1))
            blend(bands, self._ponds[:4, 0], puddle)
        if sea.min() < 350:
            self._beach(bands, sea + 3 * noise, ridged)

    def _beach(self, bands: FloatArray, sea: FloatArray, ridged: FloatArray) -> None:
        """Render a beach that is bare at the water, then has ridges with plants between them, which fade inland."""
        wave = 0.5 + 0.5 * np.cos(2 * np.pi * (sea + 14 * ridged) / self._ridge_m)
        ridges = self._bare * ridged * smoothstep(wave, 0.3, 1.0)
        ridges *= 1 - smoothstep(sea, 0.2 * self._reach_m, self._reach_m)
        cover = np.maximum(1 - smoothstep(sea, 10, 30), ridges)
        blend(bands, self._scar * np.float32(self._sand), cover * (sea > -20) * (sea < 350))


def _draw_basins(rng: np.random.Generator, count: int) -> FloatArray:
    """Draw the properties of each basin: brightness, greenness, wetness, rings, bareness and excess of infrared."""
    bright, ripe = np.exp(rng.normal(0, 0.18, count)), rng.normal(0, 0.16, count)
    green, wet, rings = rng.uniform(-0.6, 1.5, count), rng.beta(1, 1.4, count), rng.beta(1, 2.5, count)
    bare = np.where(rng.random(count) < 0.25, rng.uniform(0.3, 1.0, count), 0)
    drawn: FloatArray = np.stack([bright, green, wet, bare, rings, ripe]).astype(np.float32)
    return drawn


def _draw_sand(rng: np.random.Generator, count: int) -> FloatArray:
    """Draw the width of the sand along each lake, m; most lakes have none."""
    broad: FloatArray = np.where(rng.random(count) < 0.13, np.exp(rng.normal(2.9, 0.6, count)), 0).astype(np.float32)
    return broad


def _cells(rng: np.random.Generator, spacing_m: float) -> Tile:
    """Return the numbers of the colours of ponds, which are constant within a cell."""
    net = make_net(rng, spacing_m, _POND_CELL_M)
    return Tile(np.floor(net.values[1:] * _PONDS), spacing_m)
