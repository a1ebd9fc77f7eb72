"""Import of images with binary masks: GeoTIFFs of RGB, NDVI and NIR, in the form of Li et al. (2025)."""

import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
import rasterio.features
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from rtsmap.bands import ndvi
from rtsmap.dataset.image_import import ImportSettings, SourceImage, files_in, image_names, read_image
from rtsmap.dataset.images import Label, LabelledImage
from rtsmap.dataset.segmentation import outlines_of
from rtsmap.errors import DatasetError
from rtsmap.records import BoolArray, Pixels

#: If the NDVI of a file differs by more than this, in the median, from that of its red and NIR, these bands are not
#: reflectance.
NDVI_TOLERANCE = 0.05

_log = logging.getLogger(__name__)

#: How integers may encode NDVI: signed, shifted by 1, and as 8 bits of -1..1 or of 0..1.
_NDVI_CODES: tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], ...] = (
    lambda numbers: numbers / 1e4,
    lambda numbers: numbers / 1e4 - 1,
    lambda numbers: numbers / 127.5 - 1,
    lambda numbers: numbers / 255,
)


def masked_images(folder: Path, settings: ImportSettings) -> Iterator[tuple[LabelledImage, Pixels]]:
    """Yield the images of a folder with the slumps of their masks, one at a time.

    The mask is 0 where there is no slump and 1 (or 255) where there is: a band of the image itself, `<name>_mask.tif`
    beside it, or a file of the same name in a folder `masks`. Its 8-connected components are the slumps, as OpenCV's
    `findContours` traces them, but with their holes; slumps that touch, even at a corner, become one. NDVI is not
    imported, because it is computed from red and NIR when chips are made.

    Args:
        folder: folder of GeoTIFFs; its subfolders are searched too, and name the sites.
        settings: properties that the files do not state.

    Raises:
        DatasetError: the folder holds no image, or a file is missing or wrong.
    """
    found = files_in(folder, (".tif", ".tiff"))
    files = [path for path in found if not path.stem.endswith("_mask") and path.parent.name != "masks"]
    if not files:
        raise DatasetError(f"{folder}: holds no GeoTIFF; give the folder of the images")
    for path, name in zip(files, image_names(files, folder), strict=True):
        source = read_image(path, name, folder, settings)
        _compare_ndvi(path, source)
        mask, known = _mask(path, folder, source)
        slumps = tuple(Label(outline) for outline in outlines_of(mask & known))
        yield replace(source.image, slumps=slumps, ignored=tuple(outlines_of(mask & ~known))), source.pixels


def _mask(path: Path, folder: Path, source: SourceImage) -> tuple[BoolArray, BoolArray]:
    """Return where the mask is set, and where it is known, each `(rows, columns)`."""
    numbers, known, where = source.mask, None, path
    if numbers is None:
        where = _mask_file(path, folder)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with rasterio.open(where) as dataset:
                    numbers, known = dataset.read(1), dataset.read_masks(1) > 0
        except RasterioError as error:
            raise DatasetError(f"{where}: cannot be read as a mask ({error}); copy it again") from error
    size = (source.image.height, source.image.width)
    if numbers.shape != size:
        raise DatasetError(
            f"{where}: is {_size(numbers.shape)} px, its image is {_size(size)} px; it must fit {path.name}"
        )
    numbers = np.nan_to_num(numbers) if numbers.dtype.kind == "f" else numbers
    if other := sorted(set(np.unique(numbers).tolist()) - {0, 1, 255}):
        raise DatasetError(
            f"{where}: a mask is 0 and 1 (or 255), but this one holds {other[0]:g}; convert it, or check --bands"
        )
    set_ = numbers > 0
    # with nodata = 0 GDAL calls the background unknown, although it is known to be no slump
    return set_, np.ones(size, dtype=np.bool_) if known is None else known | ~set_


def _mask_file(path: Path, folder: Path) -> Path:
    candidates = [path.with_name(f"{path.stem}_mask{path.suffix}"), path.parent / "masks" / path.name]
    candidates += [path.parent.parent / "masks" / path.name] if path.parent != folder.parent else []
    for candidate in candidates:
        if candidate.exists():
            return candidate
    usual = f"{candidates[0].name} or masks/{path.name}"
    raise DatasetError(f"{path}: has no mask; add {usual}, or name its band with --bands")


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"


def _compare_ndvi(path: Path, source: SourceImage) -> None:
    """Warn if the NDVI of a file differs from that of its red and NIR bands."""
    valid = source.pixels.valid
    if source.ndvi is None or "nir" not in source.image.bands or not valid.any():
        return
    numbers = source.ndvi[valid].astype(np.float64)
    codes = (numbers,) if source.ndvi.dtype.kind == "f" else tuple(code(numbers) for code in _NDVI_CODES)
    own = ndvi(source.pixels.reflectance)[valid]
    difference = min(float(np.median(np.abs(stored - own))) for stored in codes)
    if not difference <= NDVI_TOLERANCE:  # true for NaN too
        _log.warning(
            "%s: its NDVI differs by %.2f from (nir - red) / (nir + red), so these bands are not reflectance; "
            "check --bands and --scale",
            path,
            difference,
        )
