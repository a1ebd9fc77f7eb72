"""Rendering of streams and tracks on the pixels of a tile."""

from collections.abc import Sequence

import numpy as np
from affine import Affine
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from rtsmap.records import BoolArray, FloatArray
from rtsmap.simulate.image.shapes import burn
from rtsmap.simulate.terrain.noise import blend
from rtsmap.simulate.terrain.regions import Region

#: The reflectance of tracks.
GRAVEL = np.array([0.082, 0.102, 0.116, 0.175], dtype=np.float32)
_PAD = 4  # pixels around a tile, so that edges are equally soft at its border


def render_linear_features(
    bands: FloatArray,
    beds: Sequence[BaseGeometry],
    transform: Affine,
    colour: FloatArray,
    shown: BoolArray,
    *,
    all_touched: bool = False,
) -> None:
    """Render streams or tracks over a tile, in place, with edges softened as by the optics.

    Args:
        bands: the reflectance of the ground, `(4, rows, columns)`.
        beds: polygons, which may be narrower than a pixel.
        transform: the geotransform of the tile.
        colour: the reflectance of the streams or tracks in the four bands.
        shown: `(rows, columns)`, False where lakes cover them.
        all_touched: whether to cover every pixel that they touch, so that narrow ones are not interrupted.
    """
    if not beds:
        return
    size = (shown.shape[0] + 2 * _PAD, shown.shape[1] + 2 * _PAD)
    burnt = burn(beds, size, transform @ Affine.translation(-_PAD, -_PAD), all_touched=all_touched)
    soft = ndimage.uniform_filter(burnt.astype(np.float32), 3)[_PAD:-_PAD, _PAD:-_PAD]
    blend(bands, colour, 0.85 * soft * shown)


def stream_water(region: Region) -> FloatArray:
    """Return the reflectance of streams, whose turbidity follows that of the lakes."""
    clear, silty = np.array([0.026, 0.038, 0.036, 0.060]), np.array([0.066, 0.086, 0.088, 0.075])
    mixed: FloatArray = (clear + (silty - clear) * 0.6 * region.turbidity).astype(np.float32)
    return mixed
