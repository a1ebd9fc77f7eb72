"""Opening rasters, on this machine or elsewhere."""

import warnings
from typing import Any

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from rtsmap.errors import SceneError
from rtsmap.failures import readable


def is_remote(path: str) -> bool:
    """Whether only GDAL can reach a path: `https://`, `s3://`, `/vsicurl/` and the like."""
    return "://" in path or path.startswith("/vsi")


def check_placed(path: str, dataset: Any) -> None:
    """Check that a dataset has a place on Earth.

    Raises:
        SceneError: it has no CRS or no geotransform.
    """
    if dataset.crs is None or dataset.transform.is_identity:
        missing = "coordinate reference system" if dataset.crs is None else "position (geotransform)"
        raise SceneError(f"{path}: has no {missing}; give it one with gdal_translate -a_srs and -a_ullr")


def open_raster(path: str) -> Any:
    """Open a dataset.

    Raises:
        SceneError: it is not there, GDAL knows no such format, or its numbers are complex.
    """
    # Without it GDAL asks a server for the list of the folder; with it, it would miss the sidecars of local files.
    options = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"} if is_remote(path) else {}
    try:
        with rasterio.Env(**options), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # who needs a place says so, as an error
            return _of_real_numbers(path, rasterio.open(path))
    except UnicodeEncodeError as error:
        raise SceneError(f"{readable(path)}: its name is not UTF-8; rename it") from error
    except RasterioIOError as error:
        what = "cannot be reached or is not a raster" if is_remote(path) else "is not a raster that can be read"
        raise SceneError(f"{path}: {what} ({error}); give a GeoTIFF") from error


def _of_real_numbers(path: str, dataset: Any) -> Any:
    if any(name.startswith("complex") for name in dataset.dtypes):
        dataset.close()
        raise SceneError(f"{path}: holds complex numbers, as radar products do; give surface reflectance")
    return dataset
