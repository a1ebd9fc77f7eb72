"""Streams and tracks on the pixels of a tile."""

from collections.abc import Sequence

import numpy as np
from affine import Affine
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from rtsmap.records import BoolArray, FloatArray
from rtsmap.simulate.image.shapes import burn
from rtsmap.simulate.terrain.noise import blend
from rtsmap.simulate.terrain.regions import Region

#: Reflectance of tracks.
GRAVEL = np.array([0.082, 0.102, 0.116, 0.175], dtype=np.float32)
_PAD = 4  # pixels around a tile, so that edges are as soft at its border as inside


def render_linear_features(
    bands: FloatArray,
    beds: Sequence[BaseGeometry],
    place: Affine,
    colour: FloatArray,
    shown: BoolArray,
    *,
    all_touched: bool = False,
) -> None:
    """Cover a tile with streams or tracks, in place, with soft edges as the optics make them.

    Args:
        bands: `(4, rows, columns)` of the ground.
        beds: polygons that may be narrower than a pixel.
        place: of the tile.
        colour: of the four bands.
        shown: `(rows, columns)`, False where lakes lie over them.
        all_touched: cover every pixel that they touch, so that narrow ones don't break off.
    """
    if not beds:
        return
    size = (shown.shape[0] + 2 * _PAD, shown.shape[1] + 2 * _PAD)
    burnt = burn(beds, size, place @ Affine.translation(-_PAD, -_PAD), all_touched=all_touched)
    soft = ndimage.uniform_filter(burnt.astype(np.float32), 3)[_PAD:-_PAD, _PAD:-_PAD]
    blend(bands, colour, 0.85 * soft * shown)


def stream_water(region: Region) -> FloatArray:
    """Reflectance of streams: muddy where lakes are."""
    clear, silty = np.array([0.026, 0.038, 0.036, 0.060]), np.array([0.066, 0.086, 0.088, 0.075])
    mixed: FloatArray = (clear + (silty - clear) * 0.6 * region.turbidity).astype(np.float32)
    return mixed
