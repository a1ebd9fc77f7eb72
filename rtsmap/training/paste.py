"""Copy-paste augmentation: few slumps are labelled, so they are also pasted into other chips."""

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

#: Width of the surroundings that are pasted with a slump, and width over which they blend into the chip, chip pixels.
MARGIN_PX, FADE_PX = 8, 3.0

#: Slumps are not pasted where the surroundings are brighter or darker than the original surroundings by more than this
#: factor in any band (water, snow).
MAX_GAIN = 1.6


@dataclass(frozen=True)
class Piece:
    """A slump to paste: the image that shows it, its outline there, and image pixels per chip pixel."""

    pixels: Pixels
    outline: BaseGeometry
    step: float

    @property
    def extent(self) -> int:
        """Side in chip pixels of the square that contains the slump and its surroundings."""
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
    """Paste slumps from elsewhere into a chip, where there is room for them.

    Each band of a pasted slump is scaled so that its original surroundings get the brightness of the new ones: the
    contrast is kept, and the illumination is that of the chip.

    The terrain of the slump is pasted as well, because the modality dem shows its headwall and floor; a mask on
    unchanged terrain would teach the network that terrain carries no information. Elevation is shifted so that the
    surroundings match; slope is kept. The orientation of the slump is random, as is that of its shadows.

    Args:
        reflectance: `(4, c, c)`, reflectance of the chip.
        valid: `(c, c)`, valid pixels.
        masks: `(n, c, c)`, masks of the slumps in the chip.
        pieces: the slumps to paste.
        rng: random generator that draws their positions.
        terrain: `(2, c, c)`, terrain of the chip, changed in place; slumps from images without terrain leave it
            unchanged.

    Returns:
        Reflectance, and the masks of all slumps including those that were pasted.
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
            _blend_terrain(terrain[:, *window], land, ring, weight)
        whole = np.zeros((1, size, size), dtype=bool)
        whole[0][window] = mask
        taken[window] |= near
        pasted.append(whole)
    return reflectance, np.concatenate(pasted)


def _blend_terrain(ground: FloatArray, land: FloatArray, ring: BoolArray, weight: FloatArray) -> None:
    """Blend the terrain of a slump into the terrain of the chip."""
    level = TERRAIN.index("elevation")
    land[level] += ground[level][ring].mean() - land[level][ring].mean()
    ground += weight * (land - ground)


def _cut_out(piece: Piece, extent: int, rng: Generator) -> tuple[FloatArray, BoolArray, BoolArray, FloatArray | None]:
    """Cut out a square with a slump and its surroundings at the scale of the chip, rotated at random."""
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
