"""The area of interest of `--aoi`: polygons in any format that GDAL reads."""

from pathlib import Path

import pyogrio
import pyogrio.errors
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from rtsmap.errors import InputError


def read_area(path: Path, crs: CRS) -> BaseGeometry:
    """The union of a file's polygons, in another CRS.

    Args:
        path: GeoPackage, GeoJSON, shapefile, ...; its first layer is read.
        crs: of the result.

    Raises:
        InputError: the file cannot be read, has no CRS, or no polygon.
    """
    try:
        frame = pyogrio.read_dataframe(path, columns=[])
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise InputError(f"{path}: cannot be read as a layer of polygons ({error})") from error
    if frame.crs is None:
        raise InputError(f"{path}: has no coordinate reference system; assign one")
    polygons = frame.geometry[frame.geometry.geom_type.isin(["Polygon", "MultiPolygon"])]
    if polygons.empty:
        raise InputError(f"{path}: holds no polygon")
    area: BaseGeometry = shapely.make_valid(polygons.to_crs(crs).union_all())
    return area
