"""Opening of local and remote rasters, and checks of their georeference."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from rtsmap.errors import SceneError
from rtsmap.files.inputs import is_pipe
from rtsmap.runtime.failures import readable

#: The driver in GDAL names such as `GTIFF_DIR:2:image.tif`, `SENTINEL2_L2A:...:10m:EPSG_32607`, `NETCDF:"cube.nc":red`.
#: It has at least two letters, because a single letter is a drive of Windows.
_DRIVER_PREFIX = re.compile(r"[A-Z][A-Z0-9_]+:(?!//)")

_SCHEMES = {
    "http": "/vsicurl/http://",
    "https": "/vsicurl/https://",
    "s3": "/vsis3/",
    "gs": "/vsigs/",
    "az": "/vsiaz/",
    "file": "",
}


def is_remote(path: str) -> bool:
    """Whether a path can be opened only by GDAL: `https://`, `s3://`, `/vsicurl/` and the like."""
    return "://" in path or path.startswith("/vsi")


def is_gdal_name(path: str) -> bool:
    """Whether a name is not a path but begins with the name of a GDAL driver, such as `GTIFF_DIR:2:image.tif`."""
    return _DRIVER_PREFIX.match(path) is not None and not Path(path).exists()


def vsi_path(path: str) -> str:
    """Convert a path to GDAL's own notation, which a virtual raster needs: `https://` becomes `/vsicurl/https://`."""
    scheme, separator, rest = path.partition("://")
    return _SCHEMES[scheme] + rest if separator and scheme in _SCHEMES else path


def check_placed(path: str, dataset: Any) -> None:
    """Check that a dataset is georeferenced.

    Raises:
        SceneError: it has no CRS or no geotransform.
    """
    if dataset.crs is None or dataset.transform.is_identity:
        missing = "coordinate reference system" if dataset.crs is None else "position (geotransform)"
        raise SceneError(f"{path}: has no {missing}; give it one with gdal_translate -a_srs and -a_ullr")


def on_one_grid(first: Any, second: Any, ratio: int = 1) -> bool:
    """Whether two datasets have the same CRS, corner and extent, the second with pixels `ratio` times as large."""
    fine, coarse = first.transform, second.transform
    expected = (fine.a * ratio, fine.b, fine.c, fine.d, fine.e * ratio, fine.f)
    return bool(
        first.shape == (second.height * ratio, second.width * ratio)
        and first.crs == second.crs
        and np.allclose(coarse[:6], expected, rtol=0, atol=1e-3 * abs(fine.a))
    )


def open_raster(path: str) -> Any:
    """Open a dataset.

    Raises:
        SceneError: it does not exist, GDAL does not support the format, or its numbers are complex.
    """
    # Without this option GDAL asks a server for a listing of the folder; with it, GDAL misses sidecars of local files.
    options = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"} if is_remote(path) else {}
    if is_pipe(Path(path)):
        raise SceneError(f"{path}: is a pipe, which allows no random access; save it as a file")
    try:
        with rasterio.Env(**options), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # `check_placed` raises an error where it matters
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
