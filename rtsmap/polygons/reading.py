"""Reading polygons: the layer that is meant, valid, of a known CRS."""

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

#: The layer of slumps in a map by `rtsmap predict`, which holds the observed area too.
MAP_LAYER = "thaw_slumps"

_COLLECTION = "GeometryCollection"
_OF_POLYGONS = ("Polygon", "Surface", _COLLECTION, "Unknown")


def read_polygons(
    path: Path, layer: str | None = None, *, option: str = "--layer", usual: str | None = None
) -> geopandas.GeoDataFrame:
    """The polygons of a file with their attributes, in its CRS; invalid ones are mended, other geometries left out.

    Longitudes are continuous across the antimeridian, see `longitudes.unwrapped`.

    Args:
        path: GeoPackage, GeoJSON, shapefile, ..., or GeoParquet.
        layer: of the file; needed where it has several with polygons.
        option: that names a layer, for the error.
        usual: the layer to take where the file has one of this name and none is asked for.

    Raises:
        InputError: the file cannot be read, has several layers or not the one asked for, has no CRS, or coordinates
            that cannot be degrees although its CRS says so.
    """
    if path.is_fifo():
        raise InputError(f"{path}: is a pipe, which cannot be read from any place in it; save it as a file")
    chosen = polygon_layer(path, layer, option=option, usual=usual)
    try:
        frame = geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path, layer=chosen)
    except Exception as error:  # pyogrio's and pyarrow's errors share no base class
        reason = str(error).partition(";")[0].rstrip(".")  # after it pyogrio recommends what only programs can do
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
    """The union of a file's polygons in the CRS of a scene, exact around the scene; see `project`.

    Args:
        path: of the file.
        crs: of the scene.
        near: bounds of the scene.
        layer: of the file; needed where it has several with polygons.

    Returns:
        Polygons; empty where none lies around the scene.

    Raises:
        InputError: see `read_polygons`; or there is no polygon.
    """
    frame = _read_area(path, layer)
    source, target = CRS.from_user_input(frame.crs), CRS.from_user_input(crs)
    area: BaseGeometry = shapely.union_all(project(frame.geometry.to_numpy(), source, target, near))
    return area


def check_area(path: Path, layer: str | None = None) -> None:
    """Fail before any work where `read_area` would.

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
    """The layer of polygons of a file, where there is no doubt which; see `read_polygons`.

    Raises:
        InputError: there are several, or there is none of that name.
    """
    if path.suffix == ".parquet":
        if layer is not None:
            raise InputError(f"{path}: GeoParquet has no layers; leave {option} out")
        return None
    try:
        layers = [(str(name), kind) for name, kind in pyogrio.list_layers(path)]
    except Exception:  # reading it says what is wrong
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
