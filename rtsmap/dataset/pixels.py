"""Reading the pixels of images of a data set, whole or by window."""

import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from rtsmap.bands import BANDS, TERRAIN
from rtsmap.dataset.images import ANNOTATIONS, SCALE, LabelledImage
from rtsmap.dataset.terrain_encoding import decode_terrain
from rtsmap.errors import DatasetError
from rtsmap.records import FloatArray, Pixels, Window


def pixels_of(folder: Path, image: LabelledImage, window: Window | None = None) -> Pixels:
    """Read the pixels of an image, or of a window of it.

    Bands that the image lacks are 0. A pixel that is 0 in all bands is not valid, as is a pixel beyond the image. The
    pixels hold a terrain if the image has both terrain bands.

    Raises:
        DatasetError: the file cannot be read.
    """
    path = folder / image.file
    window = window or Window(0, 0, image.height, image.width)
    inside = window.intersection(Window(0, 0, image.height, image.width))
    reflectance = np.zeros((len(BANDS), window.height, window.width), dtype=np.float32)
    terrain = np.zeros_like(reflectance[: len(TERRAIN)]) if set(TERRAIN) <= set(image.bands) else None
    valid = np.zeros((window.height, window.width), dtype=np.bool_)
    if inside.height and inside.width:
        row, column = inside.row - window.row, inside.column - window.column
        part = np.s_[row : row + inside.height, column : column + inside.width]
        numbers = _read(path, inside)
        if numbers.shape != (len(image.bands), inside.height, inside.width):
            raise DatasetError(f"{path}: does not have the size and bands of {ANNOTATIONS}; build the data set again")
        for band, plane in zip(image.bands, numbers, strict=True):
            if band in BANDS:
                reflectance[BANDS.index(band)][part] = plane
            elif terrain is not None:
                terrain[TERRAIN.index(band)][part] = decode_terrain(band, plane)
        valid[part] = numbers.any(axis=0)
    reflectance *= np.float32(SCALE)
    return Pixels(reflectance, valid, valid, terrain)


def gdal_name(path: Path) -> str:
    """Return the name by which GDAL opens the file of an image, also inside a tar file."""
    return f"/vsitar/{path}" if any(parent.suffix == ".tar" for parent in path.parents) else str(path)


def _read(path: Path, window: Window) -> FloatArray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(gdal_name(path)) as dataset:
                box = rasterio.windows.Window(window.column, window.row, window.width, window.height)
                numbers: FloatArray = dataset.read(window=box)
    except RasterioError as error:
        raise DatasetError(f"{path}: cannot be read ({error}); build the data set again") from error
    if numbers.dtype.kind == "c":
        raise DatasetError(f"{path}: holds complex numbers, which cannot be reflectance; build the data set again")
    return numbers


class ImagePixels:
    """An image of a data set as a source of pixels, like a scene.

    Args:
        folder: folder of the data set.
        image: one of its images.
    """

    def __init__(self, folder: Path, image: LabelledImage) -> None:
        self.folder, self.image, self.grid = folder, image, image.grid

    def read(self, window: Window) -> Pixels:
        """Read the pixels of a window; those beyond the image are not valid."""
        return pixels_of(self.folder, self.image, window)
