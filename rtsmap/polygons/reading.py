"""Reading of polygons: choice of the layer, repair of invalid geometries, and checks of the CRS."""

from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from rtsmap.errors import InputError
from rtsmap.polygons.longitudes import full_circle, unwrapped
from rtsmap.polygons.neighbourhood import Bounds
from rtsmap.polygons.projecting import project, united_polygons

POLYGONS = ["Polygon", "MultiPolygon"]

#: The layer of slumps in a map by `rtsmap predict`, which also contains a layer of the observed area.
MAP_LAYER = "thaw_slumps"

_COLLECTION = "GeometryCollection"
_OF_POLYGONS = ("Polygon", "Surface", _COLLECTION, "Unknown")


def read_polygons(
    path: Path, layer: str | None = None, *, option: str = "--layer", usual: str | None = None
) -> geopandas.GeoDataFrame:
    """Read the polygons of a file with their attributes, in the CRS of the file.

    Invalid polygons are repaired, and other geometries are dropped. Longitudes are continuous across the antimeridian,
    see `longitudes.unwrapped`.

    Args:
        path: GeoPackage, GeoJSON, shapefile, ..., or GeoParquet.
        layer: the layer of the file; required if several layers contain polygons.
        option: the option that specifies a layer, for the error message.
        usual: the layer to read if `layer` is None and the file has a layer of this name.

    Raises:
        InputError: the file cannot be read, has several layers of polygons, lacks the specified layer, has no CRS, or
            has a geographic CRS but coordinates that cannot be longitudes and latitudes.
    """
    if path.is_fifo():
        raise InputError(f"{path}: is a pipe, which allows no random access; save it as a file")
    chosen = polygon_layer(path, layer, option=option, usual=usual)
    try:
        frame = geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path, layer=chosen)
    except Exception as error:  # pyogrio's and pyarrow's errors share no base class
        reason = str(error).partition(";")[0].rstrip(".")  # the rest is advice of pyogrio to programmers
        raise InputError(
            f"{path}: cannot be read as a layer of polygons ({reason}); give a GeoPackage, GeoJSON or shapefile"
        ) from error
    if not isinstance(frame, geopandas.GeoDataFrame):  # a layer without geometries
        raise InputError(f"{path}: holds no geometries; give a layer of polygons")
    if frame.crs is None:
        raise InputError(f"{path}: has no coordinate reference system; assign the one that its coordinates are in")
    frame = frame[frame.geom_type.isin([*POLYGONS, _COLLECTION]) & ~frame.is_empty]
    shapes = np.array([united_polygons(shape) for shape in frame.geometry], dtype=object)
    shapes = _continuous(path, shapes, CRS.from_user_input(frame.crs))
    valid = shapely.make_valid(shapes, method="structure", keep_collapsed=False)
    frame = frame.set_geometry(geopandas.GeoSeries(valid, index=frame.index, crs=frame.crs))
    return frame[~frame.is_empty]


def _continuous(path: Path, shapes: np.ndarray, crs: CRS) -> np.ndarray:
    if not crs.is_geographic or not len(shapes):
        return shapes
    circle = full_circle(crs)
    left, bottom, right, top = shapely.total_bounds(shapes)
    if not (max(-bottom, top) <= circle / 4 * 1.0001 and max(-left, right) <= 1.5 * circle):
        raise InputError(
            f"{path}: has coordinates from ({left:g}, {bottom:g}) to ({right:g}, {top:g}), which are no longitudes and "
            "latitudes; assign the coordinate reference system that they are in"
        )
    return unwrapped(shapes, circle)


def read_area(path: Path, crs: object, near: Bounds, layer: str | None = None) -> BaseGeometry:
    """Read the union of the polygons of a file in the CRS of a scene, exact around the scene; see `project`.

    Args:
        path: the file.
        crs: CRS of the scene.
        near: bounds of the scene in `crs`.
        layer: the layer of the file; required if several layers contain polygons.

    Returns:
        A polygon or multipolygon, which is empty if no polygon lies around the scene.

    Raises:
        InputError: see `read_polygons`; or the file contains no polygon.
    """
    frame = _read_area(path, layer)
    source, target = CRS.from_user_input(frame.crs), CRS.from_user_input(crs)
    area: BaseGeometry = shapely.union_all(project(frame.geometry.to_numpy(), source, target, near))
    return area


def check_area(path: Path, layer: str | None = None) -> None:
    """Fail before any work if `read_area` would fail.

    Raises:
        InputError: see `read_area`.
    """
    _read_area(path, layer)


def _read_area(path: Path, layer: str | None) -> geopandas.GeoDataFrame:
    frame = read_polygons(path, layer, option="--aoi-layer")
    if frame.empty:
        raise InputError(f"{path}: holds no polygon; give a layer of polygons, or leave --aoi out")
    return frame


def polygon_layer(path: Path, layer: str | None, *, option: str = "--layer", usual: str | None = None) -> str | None:
    """The layer of a file that contains polygons, if it is unambiguous; see `read_polygons`.

    Returns:
        The name of the layer; None if the format has no layers, no layer may contain polygons, or the layers cannot be
        listed.

    Raises:
        InputError: several layers contain polygons, or there is no layer of the specified name.
    """
    if path.suffix == ".parquet":
        if layer is not None:
            raise InputError(f"{path}: GeoParquet has no layers; leave {option} out")
        return None
    try:
        layers = [(str(name), kind) for name, kind in pyogrio.list_layers(path)]
    except Exception:  # the reading of the file then reports the error
        return layer
    if layer is not None:
        names = [name for name, kind in layers if kind is not None]
        if names and layer not in names:
            raise InputError(f"{path}: has no layer {layer}; it has {', '.join(names)}")
        return layer
    suited = [name for name, kind in layers if kind is not None and any(word in kind for word in _OF_POLYGONS)]
    if usual in suited:
        return usual
    if len(suited) > 1:
        raise InputError(f"{path}: has several layers, {', '.join(suited)}; choose one with {option}")
    return suited[0] if suited else None
