"""Plausibility of the georeference of a raster: a CRS of the Earth, with coordinates and pixel sizes that fit it."""

import math

from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from rtsmap.errors import SceneError
from rtsmap.records import Grid
from rtsmap.scene.ground_distance import gsd_m

#: Lowest and highest plausible side of a pixel on the ground, m.
PIXEL_M = (0.01, 20_000.0)

_ADVICE = "correct its CRS and geotransform with gdal_translate -a_srs and -a_ullr"


def crs_of(path: str, wkt: str) -> CRS:
    """Parse the CRS of a raster.

    Args:
        path: path of the raster, for messages.
        wkt: the CRS as WKT.

    Raises:
        SceneError: it is neither a projected nor a geographic CRS of the Earth.
    """
    try:
        crs = CRS.from_wkt(wkt)
        if crs.is_projected or crs.is_geographic:
            Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
            return crs
        what = f"its CRS is neither projected nor geographic ({crs.name}: {crs.type_name})"
    except (CRSError, ProjError):
        what = "its CRS is none of the Earth, or cannot be understood"
    raise SceneError(f"{path}: {what}; reproject it to a map projection with gdalwarp -t_srs")


def check_on_earth(path: str, grid: Grid) -> None:
    """Check that the centre of a grid lies on the Earth and that its pixels have a plausible size.

    Coordinates in metres with a geographic CRS, or in degrees with a projected one, fail this check.

    Raises:
        SceneError: the centre or the pixel size is not plausible.
    """
    x, y = grid.transform @ (grid.width / 2, grid.height / 2)
    side = gsd_m(grid)
    if not math.isfinite(side) or (grid.crs.is_geographic and not (-91 < y < 91 and -541 < x < 541)):
        raise SceneError(f"{path}: its centre, {x:g}, {y:g} in {grid.crs.name}, does not lie on the Earth; {_ADVICE}")
    if not PIXEL_M[0] <= side <= PIXEL_M[1]:
        raise SceneError(f"{path}: a pixel size of {side:g} m is not plausible; {_ADVICE}")
