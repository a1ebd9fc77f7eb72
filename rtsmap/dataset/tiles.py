"""Reading the images of a data set tile by tile, so that memory does not grow with their size."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray

from rtsmap.dataset.images import LabelledImage
from rtsmap.dataset.pixels import pixels_of
from rtsmap.records import Pixels, Window

#: Longest side of a tile, px.
TILE_PX = 2048


def tiles(folder: Path, image: LabelledImage) -> Iterator[tuple[Window, Pixels]]:
    """Yield all pixels of an image, tile by tile, with the window of each tile.

    Raises:
        DatasetError: the file cannot be read.
    """
    for row in range(0, image.height, TILE_PX):
        for column in range(0, image.width, TILE_PX):
            window = Window(row, column, min(TILE_PX, image.height - row), min(TILE_PX, image.width - column))
            yield window, pixels_of(folder, image, window)


def label_numbers(image: LabelledImage, window: Window) -> NDArray[np.int32]:
    """Return the number of the slump in each pixel of a window, `(rows, columns)`.

    Slumps are numbered from 1 in the order of `image.slumps`; 0 is background and -1 is ignored.
    """
    left, top, right, bottom = window.bounds
    box = shapely.box(left, top, right, bottom)
    shapes = [(area, -1) for area in image.ignored if area.intersects(box)]
    shapes += [(slump.outline, n) for n, slump in enumerate(image.slumps, start=1) if slump.outline.intersects(box)]
    if not shapes:
        return np.zeros((window.height, window.width), dtype=np.int32)
    moved = [(shapely.transform(shape, lambda points: points - (left, top)), number) for shape, number in shapes]
    burnt: NDArray[np.int32] = rasterio.features.rasterize(moved, (window.height, window.width), dtype=np.int32)
    return burnt
