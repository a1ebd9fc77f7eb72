"""Copy-paste: slumps of one place set into another, for few are labelled and each is seen hundreds of times."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import rasterio.features
from affine import Affine
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from rtsmap.bands import TERRAIN
from rtsmap.records import BoolArray, FloatArray, Pixels
from rtsmap.training.cutting import cut, cut_terrain, turn

#: Surroundings pasted with a slump, and the width over which they fade into the new ones, chip pixels.
MARGIN_PX, FADE_PX = 8, 3.0

#: New surroundings that are brighter or darker than the old ones by more than this in any band (water, snow) are no
#: place for a slump.
MAX_GAIN = 1.6


@dataclass(frozen=True)
class Piece:
    """A slump to paste: the image that holds it, its outline there, and pixels of that image per pixel of the chip."""

    pixels: Pixels
    outline: BaseGeometry
    step: float

    @property
    def extent(self) -> int:
        """Side of the square that holds it and its surroundings, pixels of the chip."""
        left, top, right, bottom = self.outline.bounds
        return int(np.ceil(max(right - left, bottom - top) / self.step)) + 2 * MARGIN_PX


def paste(
    reflectance: FloatArray,
    valid: BoolArray,
    masks: BoolArray,
    pieces: Sequence[Piece],
    rng: Generator,
    terrain: FloatArray | None = None,
) -> tuple[FloatArray, BoolArray]:
    """Set slumps of other places into a chip, where there is room for them.

    Each band of the pasted piece is scaled so that the slump's old surroundings get the brightness of its new ones: the
    contrast stays, the light is that of the chip.

    A slump brings its own terrain, for its headwall and floor are what the modality dem shows of it: a mask on the
    untouched ground of another place would teach that the terrain says nothing. Elevation is raised or lowered so that
    the surroundings meet; the slope stays. Which way the slump faces goes by chance, as its shadows do.

    Args:
        reflectance: `(4, c, c)` of the chip.
        valid: `(c, c)`.
        masks: `(n, c, c)` of its own slumps.
        pieces: the slumps.
        rng: where they go.
        terrain: `(2, c, c)` of the chip, changed in place; slumps of images without one then leave it as it is.

    Returns:
        Reflectance and masks with those that found room.
    """
    reflectance, pasted = reflectance.copy(), [masks]
    taken: BoolArray = np.any(masks, axis=0)
    size = len(valid)
    for one in pieces:
        if (extent := one.extent) >= size * 0.7:
            continue
        piece, piece_valid, mask, land = _cut_out(one, extent, rng)
        row, column = rng.integers(0, size - extent, size=2)
        window = slice(row, row + extent), slice(column, column + extent)
        near = ndimage.binary_dilation(mask, iterations=MARGIN_PX // 2)
        if not mask.any() or (near & (taken[window] | ~valid[window] | ~piece_valid)).any():
            continue
        weight = np.minimum(ndimage.gaussian_filter(near.astype(np.float32), FADE_PX) * 1.2, 1)
        ring = near & ~mask
        gain = (reflectance[:, *window][:, ring].mean(axis=1) + 0.01) / (piece[:, ring].mean(axis=1) + 0.01)
        if max(gain.max(), 1 / gain.min()) > MAX_GAIN:
            continue
        matched = piece * gain[:, None, None]
        reflectance[:, *window] += weight * (matched - reflectance[:, *window])
        if terrain is not None and land is not None:
            _lay(terrain[:, *window], land, ring, weight)
        whole = np.zeros((1, size, size), dtype=bool)
        whole[0][window] = mask
        taken[window] |= near
        pasted.append(whole)
    return reflectance, np.concatenate(pasted)


def _lay(ground: FloatArray, land: FloatArray, ring: BoolArray, weight: FloatArray) -> None:
    """Set the terrain of a slump into that of its new place."""
    level = TERRAIN.index("elevation")
    land[level] += ground[level][ring].mean() - land[level][ring].mean()
    ground += weight * (land - ground)


def _cut_out(piece: Piece, extent: int, rng: Generator) -> tuple[FloatArray, BoolArray, BoolArray, FloatArray | None]:
    """A slump with its surroundings, square, at the chip's scale, turned at random."""
    left, top, right, bottom = piece.outline.bounds
    center: NDArray[np.float64] = np.array([left + right, top + bottom]) / 2
    origin = center - extent * piece.step / 2
    reflectance, valid = cut(piece.pixels, origin, piece.step, extent)
    terrain = cut_terrain(piece.pixels, origin, piece.step, extent)
    to_image = Affine(piece.step, 0, origin[0], 0, piece.step, origin[1])
    mask = rasterio.features.geometry_mask([piece.outline], (extent, extent), to_image, invert=True)
    how = int(rng.integers(4)), bool(rng.integers(2))
    land = None if terrain is None else turn(terrain, *how)
    return turn(reflectance, *how), turn(valid, *how), turn(mask, *how), land
