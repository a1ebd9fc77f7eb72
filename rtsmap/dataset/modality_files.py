"""Writing the modalities of images as separate files, for software that does not compute them."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.features
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from rtsmap.bands import MODALITY_CHANNELS, channel
from rtsmap.dataset.images import LabelledImage
from rtsmap.records import Pixels

FOLDER = "modalities"

#: Value in `_mask.tif` of pixels that are neither slump nor background.
IGNORED = 255


def write_modalities(folder: Path, image: LabelledImage, pixels: Pixels) -> None:
    """Write `<image>_rgb.tif`, `_ndvi.tif`, `_nir.tif`, `_dem.tif` and `_mask.tif` into a folder of a data set.

    Args:
        folder: folder of the data set.
        image: the image, whose name the files get.
        pixels: the pixels of the image. Reflectance 0..1, NDVI -1..1, elevation in m and slope in degrees are written
            as float32, with NaN where a pixel is not clear; elevation and slope are written only if there is a terrain.
            In the mask 1 is slump, 0 is background, and 255 is ignored or not clear.
    """
    target = folder / FOLDER
    target.mkdir(exist_ok=True)
    for modality, names in MODALITY_CHANNELS.items():
        if modality == "dem" and pixels.terrain is None:
            continue
        planes = [channel(name, pixels.reflectance, pixels.terrain) for name in names]
        values = np.where(pixels.clear, np.stack(planes), np.float32("nan"))
        _write(target / f"{image.name}_{modality}.tif", image, values, names, float("nan"))
    _write(target / f"{image.name}_mask.tif", image, _mask(image, pixels)[None], ("slump",), IGNORED)


def _mask(image: LabelledImage, pixels: Pixels) -> NDArray[np.uint8]:
    """Burn slumps over ignored areas over background."""
    shapes = [(area, IGNORED) for area in image.ignored] + [(label.outline, 1) for label in image.slumps]
    mask = np.zeros(pixels.clear.shape, dtype=np.uint8)
    if shapes:
        rasterio.features.rasterize(shapes, out=mask)
    mask[~pixels.clear] = IGNORED
    return mask


def _write(path: Path, image: LabelledImage, values: NDArray[Any], names: tuple[str, ...], nodata: float) -> None:
    profile = {"driver": "GTiff", "count": len(values), "dtype": values.dtype, "nodata": nodata, "compress": "deflate"}
    crs = rasterio.CRS.from_user_input(image.crs)
    size = {"height": image.height, "width": image.width}
    with MemoryFile() as memory:  # GDAL may swallow the error of a full disk
        with memory.open(crs=crs, transform=image.transform, **size, **profile) as dataset:
            dataset.write(values)
            dataset.descriptions = names
        path.write_bytes(memory.getbuffer())
