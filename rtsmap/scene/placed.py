"""Whether the place of a raster can be true: a CRS of the Earth, and coordinates and pixels that fit it."""

import math

from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from rtsmap.errors import SceneError
from rtsmap.records import Grid

#: Ground that a pixel of a scene or of an elevation model can cover, m along a side.
PIXEL_M = (0.01, 20_000.0)

_ADVICE = "mend its CRS and geotransform with gdal_translate -a_srs and -a_ullr"


def crs_of(path: str, wkt: str) -> CRS:
    """The CRS that a text describes.

    Raises:
        SceneError: it is none of a map plane or of longitude and latitude on the Earth.
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
    """Check that the middle of a grid lies on the Earth, and that its pixels have a size that pixels can have.

    Metres that are called degrees, or degrees that are called metres, do neither.

    Raises:
        SceneError: it does not, or they do not.
    """
    to_degrees = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    column, row = grid.width / 2, grid.height / 2
    x, y = grid.transform @ (column, row)
    lon, lat = to_degrees.transform(x, y)
    reach = grid.transform @ (column + 0.5, row + 0.5)
    in_degrees = grid.crs.is_geographic
    if not (math.isfinite(lon) and math.isfinite(lat)) or (in_degrees and not (-91 < y < 91 and -541 < x < 541)):
        raise SceneError(f"{path}: its middle ({x:g}, {y:g}) lies nowhere in {grid.crs.name}; {_ADVICE}")
    per_unit = 111_000.0 if in_degrees else grid.crs.axis_info[0].unit_conversion_factor
    side = 2 * math.sqrt(abs((reach[0] - x) * (reach[1] - y))) * per_unit
    if not PIXEL_M[0] <= side <= PIXEL_M[1]:
        raise SceneError(f"{path}: a pixel of {side:g} m cannot be; {_ADVICE}")
