"""Polygons that others made: labels, areas of interest, finished layers, in any format that GDAL reads."""

from pathlib import Path

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from rtsmap.errors import InputError

POLYGONS = ["Polygon", "MultiPolygon"]
_GEOD = Geod(ellps="WGS84")


def read_polygons(path: Path, crs: object | None = None, layer: str | None = None) -> geopandas.GeoDataFrame:
    """The polygons of a file with their attributes; invalid ones are mended, other geometries left out.

    Args:
        path: GeoPackage, GeoJSON, shapefile, ..., or GeoParquet.
        crs: of the result; that of the file without it.
        layer: of the file; its first without it.

    Raises:
        InputError: the file cannot be read, or has no CRS.
    """
    try:
        frame = geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path, layer=layer)
    except Exception as error:  # pyogrio's and pyarrow's errors share no base class
        raise InputError(f"{path}: cannot be read as a layer of polygons ({error})") from error
    if frame.crs is None:
        raise InputError(f"{path}: has no coordinate reference system; assign one")
    frame = frame[frame.geom_type.isin(POLYGONS) & ~frame.is_empty]
    valid = shapely.make_valid(frame.geometry.to_numpy(), method="structure", keep_collapsed=False)
    frame = frame.set_geometry(geopandas.GeoSeries(valid, index=frame.index, crs=frame.crs))
    return frame if crs is None else frame.to_crs(crs)


def read_area(path: Path, crs: object) -> BaseGeometry:
    """The union of a file's polygons in a CRS.

    Raises:
        InputError: see `read_polygons`; or there is no polygon.
    """
    frame = read_polygons(path, crs)
    if frame.empty:
        raise InputError(f"{path}: holds no polygon")
    area: BaseGeometry = frame.union_all()
    return area


def geodesic_m2(shapes: geopandas.GeoSeries) -> NDArray[np.float64]:
    """Areas on the WGS 84 ellipsoid, m2, whatever the sense of the rings."""
    on_earth = shapely.orient_polygons(shapes.to_crs("EPSG:4326").to_numpy())
    return np.array([abs(_GEOD.geometry_area_perimeter(shape)[0]) for shape in on_earth], dtype=np.float64)
