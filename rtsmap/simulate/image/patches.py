"""Rendering of one feature: cover, colour and shading of the pixels around its outline."""

from dataclasses import dataclass

import numpy as np
from affine import Affine
from scipy import ndimage

from rtsmap.records import FloatArray
from rtsmap.simulate.image.shapes import Light, Shape, shape_of
from rtsmap.simulate.slumps.features import Feature
from rtsmap.simulate.statistics import SNOW
from rtsmap.simulate.terrain.noise import Tile, smoothstep
from rtsmap.simulate.terrain.regions import Region

#: The width of the margin around an outline in which a feature may change the ground (m): rills below the outlet, and
#: disturbed edges.
MARGIN_M = 45.0


@dataclass(frozen=True)
class Patch:
    """The effect of a feature on the ground: `bands * (1 - cover) + colour * cover`, multiplied by `shade`.

    Attributes:
        row, column: the position of the first pixel in the raster of the scene.
        cover: the cover with the feature, 0..1, `(rows, columns)`.
        colour: the reflectance of the feature, `(4, rows, columns)`.
        shade: the factor by which light and shadow change the brightness, `(rows, columns)`.
    """

    row: int
    column: int
    cover: FloatArray
    colour: FloatArray
    shade: FloatArray

    def lies_in(self, row: int, column: int, size: int) -> bool:
        """Return whether all pixels lie in a tile."""
        bottom, right = self.row + self.cover.shape[0], self.column + self.cover.shape[1]
        return row <= self.row and bottom <= row + size and column <= self.column and right <= column + size


class PatchRenderer:
    """Renders the patches of one scene."""

    def __init__(self, transform: Affine, region: Region, light: Light, fine: Tile, patches: Tile) -> None:
        self.transform, self.region, self.light = transform, region, light
        self.fine, self.patches = fine, patches
        self._spectra = {
            name: np.array(getattr(region, name), dtype=np.float32) for name in ("scar", "tundra", "dense_vegetation")
        }

    def window(self, feature: Feature) -> tuple[int, int, int, int]:
        """Return the row, column, height and width of a feature's pixels, including the margin."""
        gsd = self.transform.a
        left, bottom, right, top = feature.outline.bounds
        column, row = (int(np.floor(v)) for v in ~self.transform @ (left - MARGIN_M, top + MARGIN_M))
        return (
            row,
            column,
            int(np.ceil((top - bottom + 2 * MARGIN_M) / gsd)) + 1,
            int(np.ceil((right - left + 2 * MARGIN_M) / gsd)) + 1,
        )

    def render(self, feature: Feature) -> Patch:
        """Render the patch of a feature."""
        window = self.window(feature)
        shape = shape_of(feature, window, self.transform, self.light)
        gsd = self.transform.a
        # Noise depends on map coordinates, so that the texture of a slump stays when the footprint shifts.
        row, column = window[0] - round(self.transform.f / gsd), window[1] + round(self.transform.c / gsd)
        noise = np.concatenate(
            [
                self.patches.read(row, column, *window[2:]),
                self.fine.read(row, column, *window[2:]),
                self._flow(feature, shape)[None],
            ]
        )
        make = {"slump": self._slump, "stabilised": self._stabilised, "snow": self._snow}.get(feature.kind, self._bare)
        cover, colour, shade = make(feature, shape, noise)
        return Patch(
            window[0], window[1], cover.astype(np.float32), colour.astype(np.float32), shade.astype(np.float32)
        )

    def _flow(self, feature: Feature, shape: Shape) -> FloatArray:
        """Return a unit field that is stretched sevenfold down the slope, like mud flows, by nearest neighbour."""
        tile = self.patches.values[1]
        gsd, size = self.transform.a, tile.shape[-1]
        start = int(abs(feature.outline.centroid.x * 7 + feature.outline.centroid.y * 13)) % size
        rows = (start + shape.fall / (7 * gsd)).astype(np.int64) % size
        columns = (start + shape.across / gsd + 3 * np.sin(shape.fall / 40)).astype(np.int64) % size
        field: FloatArray = ndimage.uniform_filter(tile[rows, columns], 2)
        return field

    def _slump(self, feature: Feature, shape: Shape, noise: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Render a slump: bare, mottled and wet inside, with a headwall at its upper edge and mud flowing out below."""
        depth = shape.depth + 1.3 * noise[0]
        head = smoothstep(shape.headness, -0.3, 0.6)
        # The edge is sharp at the headwall. It is irregular at the outlet and at the flanks, where sods slide in and
        # plants return.
        fray = 1.6 + 4.5 * (1 - head) + 5 * smoothstep(shape.along, 0.6, 1.0) * (1 - head)
        edge = smoothstep(depth / fray, -1, 1)
        bareness = _bareness(depth, self.region.bare_m)
        sods = smoothstep(noise[1] + 0.6 * noise[4] + 0.8 * (shape.along - 0.6), 0.7, 2.0) * (
            1.1 - 0.6 * feature.activity
        )
        cover = edge * np.clip(bareness * (1 - sods) * (1 - self._regrowth(feature, shape, noise)), 0, 1)
        runnel = smoothstep(shape.along, 0.8, 1.05) * smoothstep(noise[4], 0.2, 1.2) * 0.45 * feature.activity
        cover = np.maximum(cover, runnel * np.exp(np.minimum(shape.depth, 0) / 12) * (shape.headness < 0.3))
        wet = 0.15 * smoothstep(shape.along, 0.2, 0.9) + 0.30 * smoothstep(noise[4], 0.5, 1.8)
        colour = self._bare_colour(feature, noise, wet=wet)
        return cover, colour, self._walls(feature, shape, noise, 0.3 + 0.7 * feature.activity)

    def _regrowth(self, feature: Feature, shape: Shape, noise: FloatArray) -> FloatArray:
        """Return the cover with returning plants, 0..1, which extends from the outlet up to a front.

        The less active a slump is, the closer the front is to the headwall; the most active slumps have no plants.
        """
        front = 0.2 + 1.6 * feature.activity**1.3
        green: FloatArray = 0.85 * smoothstep(shape.along + 0.10 * noise[1] + 0.06 * noise[4], front - 0.2, front + 0.2)
        return green

    def _bare(self, feature: Feature, shape: Shape, noise: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Render bare ground without a headwall and with irregular edges; bluffs have a wall."""
        fray = {"bluff": 1.5, "bar": 3.0}.get(feature.kind, 9.0)
        depth = shape.depth + fray * 0.6 * noise[0]
        bareness = _bareness(depth, self.region.bare_m)
        islands = smoothstep(noise[1], 0.9, 2.0) * (1.15 - 0.6 * feature.activity)
        full = 1.0 if feature.kind == "bare" else 1.1
        cover = smoothstep(depth / fray, -1, 1) * np.clip(
            full * bareness * (0.85 + 0.2 * feature.activity) * (1 - islands), 0, 1
        )
        walls = (
            self._walls(feature, shape, noise, 0.5) if feature.kind == "bluff" else self._surface_texture(noise, shape)
        )
        return cover, self._bare_colour(feature, noise, wet=np.float32(0)), walls

    def _stabilised(
        self, feature: Feature, shape: Shape, noise: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Render an old scar under dense vegetation, with a degraded headwall."""
        cover = smoothstep(shape.depth + 6 * noise[0], -12, 14) * (0.85 + 0.2 * feature.activity)
        dense_vegetation = self._spectra["dense_vegetation"] + 0.35 * (
            self._spectra["dense_vegetation"] - self._spectra["tundra"]
        )
        colour = dense_vegetation[:, None, None] * (feature.brightness**0.5 * (1 + 0.07 * noise[2]))
        bare = smoothstep(noise[1] + 0.5 * noise[4], 1.4, 2.6) * 0.5
        colour = colour * (1 - bare) + self._bare_colour(feature, noise, wet=np.float32(0)) * bare
        return cover, colour, self._walls(feature, shape, noise, 0.35)

    def _snow(self, feature: Feature, shape: Shape, noise: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        low, middle, high = SNOW
        colour = middle + (low if feature.activity < 0.5 else high - middle) * 0.5 * feature.activity - 0.12 * (low > 0)
        cover = smoothstep(shape.depth + 2.5 * noise[0], -3, 3)
        return cover, colour[:, None, None] * (1 + 0.06 * noise[2]), np.ones_like(cover)

    def _bare_colour(self, feature: Feature, noise: FloatArray, wet: FloatArray | np.float32) -> FloatArray:
        """Return the colour of bare ground, mottled and darker where wet, with the greatest loss in the infrared."""
        mottled = feature.brightness * (1 + 0.06 * noise[1] + 0.08 * noise[2] + 0.07 * noise[4])
        damp = np.clip(wet + 0.12 * smoothstep(noise[1], 0.2, 1.6), 0, 0.6)
        factors = np.array([0.55, 0.60, 0.65, 0.85], dtype=np.float32)  # of the loss where wet; most in the infrared
        colour: FloatArray = self._spectra["scar"][:, None, None] * mottled * (1 - factors[:, None, None] * damp)
        colour[3] *= np.float32(feature.brightness)  # dark mud is wet, and water absorbs most in the infrared
        return colour

    def _surface_texture(self, noise: FloatArray, shape: Shape) -> FloatArray:
        shade: FloatArray = 1 + 0.06 * noise[3] * smoothstep(shape.depth, -8, 4)
        return shade

    def _walls(self, feature: Feature, shape: Shape, noise: FloatArray, strength: float) -> FloatArray:
        """Return the shading by the headwall and by the ridges below it.

        The height of the headwall grows with the size of the scar, from 2 to 12 m, and is less where banks are low. Its
        shadow is longer when the sun is lower, and its face is lit where it faces the sun.
        """
        tall = np.clip(0.035 * np.sqrt(feature.outline.area), 1.5, 12) * min(self.region.bank_m / 14, 1.3) * strength
        head = smoothstep(shape.headness + 0.05 * noise[1], 0.0, 0.7)
        face = head * np.exp(-(((shape.depth - 0.35 * tall) / (0.4 * tall + 1.8)) ** 2))
        shade = 1 + 0.30 * face * np.maximum(shape.sunward, 0)
        reach = tall / self.light.tangent * np.maximum(-shape.sunward, 0) * (1 + 0.12 * noise[0])
        dark = head * smoothstep(shape.depth, -2, 1.5) * (1 - smoothstep(shape.depth - reach, -2.5, 3.5))
        shade = shade * (1 - 0.45 * dark * smoothstep(-shape.sunward, 0.0, 0.7))
        ridges = noise[4] * (1 - 0.6 * np.clip(shape.along, 0, 1)) + 0.5 * noise[3]
        relief = 0.09 * ridges * smoothstep(shape.depth, 0, 8) * strength
        result: FloatArray = np.clip(shade + relief * min(tall / 4, 1.0), 0.35, 1.5).astype(np.float32)
        return result


def _bareness(depth: FloatArray, bare_m: float) -> FloatArray:
    """Return the share of bare ground at a depth inside an outline (m), for slumps and look-alikes; see `Region`."""
    bare: FloatArray = 1 - np.float32(0.42) * np.exp(-np.maximum(depth, 0) / np.float32(bare_m)).astype(np.float32)
    return bare


def clip_to(patch: Patch, row: int, column: int, size: int) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """Return the slices of a tile and of a patch where they overlap, or None where they do not overlap."""
    top, left = max(patch.row, row), max(patch.column, column)
    bottom = min(patch.row + patch.cover.shape[0], row + size)
    right = min(patch.column + patch.cover.shape[1], column + size)
    if top >= bottom or left >= right:
        return None
    return (
        np.s_[top - row : bottom - row, left - column : right - column],
        np.s_[top - patch.row : bottom - patch.row, left - patch.column : right - patch.column],
    )
