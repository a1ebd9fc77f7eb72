"""Import of images of other data sets, in any format that GDAL reads."""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from rtsmap.bands import BANDS, to_reflectance
from rtsmap.dataset.images import LabelledImage
from rtsmap.errors import DatasetError
from rtsmap.records import BoolArray, Grid, Pixels
from rtsmap.scene.calibration import Calibration, calibrate
from rtsmap.scene.ground_distance import gsd_m, is_on_earth, is_square, pixel_size_m

IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")

#: Folder names that describe the content of a folder rather than a site.
_PLAIN_FOLDERS = {"images", "image", "imgs", "img", "tif", "tiff", "train", "val", "test"}


@dataclass(frozen=True)
class ImportSettings:
    """Properties of the imported images that their files do not state.

    Attributes:
        band_numbers: number, from 1, of each band (blue, green, red, nir, ndvi, mask); None to derive them, see
            `band_numbers_of`.
        scale: reflectance per digital number; None for that of the file, or else 1e-4, 1 for floating point, and 1/255
            for 8 bits, whose values are brightness on a display rather than reflectance.
        offset: reflectance of the number 0; None for that of the file, or else 0.
        gsd_m: ground sampling distance of images without a CRS, m.
        site: site of all images.
        site_pattern: regular expression that finds the site in the name of an image: its first group, or the whole
            match.
        scene_pattern: regular expression that finds the scene in the same way; None to take each image as a scene.
    """

    band_numbers: Mapping[str, int] | None = None
    scale: float | None = None
    offset: float | None = None
    gsd_m: float | None = None
    site: str | None = None
    site_pattern: str | None = None
    scene_pattern: str | None = None


@dataclass(frozen=True)
class SourceImage:
    """An image file as it was read.

    Attributes:
        image: the image, without labels.
        pixels: reflectance of the bands that the file has.
        ndvi: `(rows, columns)`, the NDVI band as stored; None where the file has none.
        mask: `(rows, columns)`, the mask band as stored; None where the file has none.
    """

    image: LabelledImage
    pixels: Pixels
    ndvi: NDArray[Any] | None = None
    mask: NDArray[Any] | None = None


def image_names(files: Sequence[Path], folder: Path) -> list[str]:
    """Return a name for each file: its stem, preceded by its folders where two files have the same stem."""
    stems = Counter(file.stem for file in files)
    paths = [file.relative_to(folder).with_suffix("") for file in files]
    return [path.name if stems[path.name] == 1 else "_".join(path.parts) for path in paths]


def read_image(path: Path, name: str, folder: Path, settings: ImportSettings) -> SourceImage:
    """Read an image file.

    A pixel is invalid where the file marks it so (nodata, transparency, NaN), and where it is 0 in all bands.

    Args:
        path: path of the image.
        name: name of the image in the data set.
        folder: folder that is imported; its subfolders name the sites.
        settings: properties that the files do not state.

    Raises:
        DatasetError: the file cannot be read, or its bands or its pixel size are not known.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as dataset:
                return _read(dataset, path, name, folder, settings)
    except RasterioError as error:
        raise DatasetError(f"{path}: cannot be read as an image ({error}); leave it out or copy it again") from error


def _read(dataset: Any, path: Path, name: str, folder: Path, settings: ImportSettings) -> SourceImage:
    numbers = settings.band_numbers or band_numbers_of(dataset, path)
    if max(numbers.values()) > dataset.count:
        raise DatasetError(f"{path}: has {dataset.count} bands, not {max(numbers.values())}; correct --bands")
    names = tuple(band for band in BANDS if band in numbers)
    if not {"red", "green", "blue"} <= set(names):
        raise DatasetError(f"{path}: needs at least red, green and blue; say which bands they are with --bands")
    indexes = [numbers[band] for band in names]
    stored = dataset.read(indexes)
    if stored.dtype.kind == "c":
        raise DatasetError(f"{path}: holds complex numbers, which cannot be reflectance; leave it out")
    valid: BoolArray = dataset.read_masks(indexes).any(axis=0) & stored.any(axis=0)
    valid &= np.isfinite(stored).all(axis=0)
    reflectance = np.zeros((len(BANDS), *valid.shape), dtype=np.float32)
    known = _reflectance_scale(dataset, tuple(indexes), path, settings)
    scaled = to_reflectance(stored, known.scale, valid, known.offset)
    _check_range(path, stored[:, valid], known)
    for band, plane in zip(names, scaled, strict=True):
        reflectance[BANDS.index(band)] = plane
    height, width = valid.shape
    image = LabelledImage(
        name, "", _site(path, folder, settings), _scene(name, settings), height, width, gsd_m=0.0, bands=names
    )
    extra = {band: dataset.read(numbers[band]) for band in ("ndvi", "mask") if band in numbers}
    return SourceImage(_placed(image, dataset, path, settings.gsd_m), Pixels(reflectance, valid, valid), **extra)


def band_numbers_of(dataset: Any, path: Path) -> dict[str, int]:
    """Return the number of each band, from the descriptions of the bands or else from their count.

    Bands without descriptions are taken in the order red, green, blue, NDVI, NIR, mask.

    Raises:
        DatasetError: neither descriptions nor count tell what the bands are.
    """
    described = {str(text).strip().lower(): number for number, text in enumerate(dataset.descriptions, start=1) if text}
    known = {name: described[name] for name in (*BANDS, "ndvi", "mask") if name in described}
    if {"red", "green", "blue"} <= set(known):
        return known
    colours = sum(meaning != ColorInterp.alpha for meaning in dataset.colorinterp)
    if colours not in {3, 5, 6}:
        raise DatasetError(
            f"{path}: has {colours} bands without names; say which they are with --bands red=1,green=2,..."
        )
    order = ("red", "green", "blue", "ndvi", "nir", "mask")
    return {name: number for number, name in enumerate(order[:colours], start=1)}


def _reflectance_scale(dataset: Any, numbers: tuple[int, ...], path: Path, settings: ImportSettings) -> Calibration:
    """Return scale and offset as for scenes, except that 8-bit numbers without a stated scale are display values."""
    of_display = np.dtype(dataset.dtypes[numbers[0] - 1]).itemsize == 1 and {*dataset.scales} == {1.0}
    scale = 1 / 255 if settings.scale is None and of_display else settings.scale
    return calibrate(str(path), dataset, numbers, scale=scale, offset=settings.offset)


def _check_range(path: Path, stored: NDArray[Any], known: Calibration) -> None:
    """Check that the median of the numbers `(bands, pixels)` of an image can be a reflectance."""
    median = np.median(stored) * known.scale[0] + known.offset[0] if stored.size else 0.0
    if not 0 <= median <= 1:
        side, bound = ("above", 1) if median > 1 else ("below", 0)
        raise DatasetError(
            f"{path}: half of its values are {side} a reflectance of {bound}; give a --scale other than "
            f"{known.scale[0]:g}, or an --offset other than {known.offset[0]:g}"
        )


def _placed(image: LabelledImage, dataset: Any, path: Path, given_gsd_m: float | None) -> LabelledImage:
    if dataset.crs is None:
        if given_gsd_m is None:
            raise DatasetError(f"{path}: has no CRS, so its pixel size is not known; give it with --gsd")
        return replace(image, gsd_m=given_gsd_m)
    transform = Affine(*tuple(dataset.transform)[:6])
    if transform.b or transform.d or transform.e >= 0:
        raise DatasetError(f"{path}: is not north-up; warp it with gdalwarp first")
    crs = CRS.from_user_input(dataset.crs)
    grid = Grid(crs, transform, image.height, image.width)
    if not is_on_earth(grid):
        raise DatasetError(f"{path}: lies outside the Earth in its CRS, {crs.name}; assign the right CRS")
    if not is_square(grid):
        width, height = pixel_size_m(grid)
        raise DatasetError(
            f"{path}: its pixels are {width:.2f} m wide and {height:.2f} m high on the ground; "
            "warp image and mask to UTM with gdalwarp first"
        )
    return replace(image, gsd_m=gsd_m(grid), crs=dataset.crs.to_string(), transform=transform)


def _site(path: Path, folder: Path, settings: ImportSettings) -> str:
    if settings.site:
        return settings.site
    if settings.site_pattern:
        return _found(settings.site_pattern, path.stem, "--site-from-name")
    parents = [part for part in path.relative_to(folder).parent.parts if part.lower() not in _PLAIN_FOLDERS]
    return parents[0] if parents else "all"


def _scene(name: str, settings: ImportSettings) -> str:
    return _found(settings.scene_pattern, name, "--scene-from-name") if settings.scene_pattern else name


def _found(pattern: str, name: str, option: str) -> str:
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise DatasetError(f"{option} {pattern}: is not a regular expression ({error})") from error
    if match is None:
        raise DatasetError(f"{name}: {option} {pattern} matches nothing in this name; correct the expression")
    return str(match.group(1) if match.groups() else match.group())


def files_in(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """Return the files with one of these suffixes in a folder and its subfolders, sorted, without hidden files.

    Raises:
        DatasetError: the folder does not exist.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: is not a folder; give the folder of the images")
    wanted = set(suffixes)
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in wanted and not p.name.startswith("."))
