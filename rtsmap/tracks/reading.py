"""Layers of outlines and of observed areas, read in batches and transformed to one equal-area projection."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyogrio
import shapely
from pyproj import CRS, Transformer

from rtsmap.errors import InputError
from rtsmap.polygons import MAP_LAYER, polygon_layer
from rtsmap.polygons.longitudes import full_circle, unwrapped
from rtsmap.tracks.dates import days_of
from rtsmap.tracks.outlines import Bools, Floats, Objects

#: EASE-Grid 2.0 North, an equal-area projection without a seam at the antimeridian.
PLANE = CRS.from_epsg(6931)
OBSERVED = "observed_area"

# Names of fields in lower case, the most specific first: rtsmap's own layers, AWI (Nitze, DARTS), Barth, ARTS.
_NAMES = {
    "date": ("acquired", "image_date", "date", "basemapdate", "label_image_date", "year"),
    "name": ("slump_id", "uid", "id"),
    "scene": ("scene_id", "image_id", "image_ids", "basemapid"),
    "score": ("score",),
    "model": ("model",),
    "weights": ("model_sha256",),
    "gsd": ("gsd_m", "sp_res_m", "basemapresolution"),
}
_BATCH = 50_000


@dataclass(frozen=True)
class Batch:
    """Some rows of a layer.

    Attributes:
        shapes: valid polygons in `PLANE`.
        days: dates, days since 1970-01-01 UTC; NaN where there is no date.
        columns: texts or numbers by role (name, scene, score, model, weights, gsd), without roles that have no field.
    """

    shapes: Objects
    days: Floats
    columns: dict[str, "pd.Series[Any]"]

    def take(self, rows: Bools) -> "Batch":
        """The rows that a mask selects."""
        columns = {role: values[rows] for role, values in self.columns.items()}
        return Batch(self.shapes[rows], self.days[rows], columns)


@dataclass(frozen=True)
class Layer:
    """A layer of a file.

    Attributes:
        path: path of the file.
        name: name of the layer; None for GeoParquet.
        crs: CRS of the layer.
        geometry: name of the geometry column in Arrow.
        roles: names of the fields by their role.
    """

    path: Path
    name: str | None
    crs: CRS
    geometry: str
    roles: dict[str, str]

    def batches(self) -> Iterator[Batch]:
        """Read all polygons in batches.

        Raises:
            InputError: the file is damaged.
        """
        columns = list(dict.fromkeys(self.roles.values()))
        try:
            for frame in _frames(self, columns):
                yield self._batch(frame)
        except InputError:
            raise
        except Exception as error:  # the errors of pyogrio and pyarrow share no base class
            raise InputError(f"{self.path}: cannot be read as a layer of polygons ({error})") from error

    def _batch(self, frame: pd.DataFrame) -> Batch:
        shapes = np.asarray(shapely.from_wkb(frame[self.geometry].to_numpy()), dtype=np.object_)
        kept = (shapely.get_dimensions(shapes) == 2) & ~shapely.is_empty(shapes)
        frame = frame[kept].reset_index(drop=True)
        days = days_of(frame[self.roles["date"]])
        columns = {role: frame[field] for role, field in self.roles.items() if role != "date"}
        return Batch(to_plane(shapes[kept], self.crs), days, columns)


def open_layer(path: Path, name: str | None, date_field: str | None = None, wanted: str = MAP_LAYER) -> Layer:
    """Find the layer and the fields of a file.

    Args:
        path: a GeoPackage or another vector format of GDAL, or GeoParquet.
        name: name of the layer; by default `wanted`, or the only layer of polygons.
        date_field: name of the field with the dates; by default, the usual names are tried.
        wanted: name that rtsmap gives to such a layer.

    Raises:
        InputError: the file cannot be read, has no CRS, has several layers, or has no field with dates.
    """
    try:
        layer, crs, geometry, fields = _look(path, name, wanted)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path}: cannot be read as a layer of polygons ({error})") from error
    if crs is None:
        raise InputError(f"{path}: has no coordinate reference system; assign the one that its coordinates are in")
    roles = {role: field for role, names in _NAMES.items() if (field := _field(names, fields)) is not None}
    if date_field is not None:
        if date_field not in fields:
            raise InputError(f"{path}: has no field {date_field}; it has {', '.join(fields) or 'none'}")
        roles["date"] = date_field
    if "date" not in roles:
        raise InputError(
            f"{path}: has no field that is known to hold dates; it has {', '.join(fields) or 'none'}; "
            "name one with --date-field"
        )
    return Layer(path, layer, CRS.from_user_input(crs), geometry, roles)


def observed_layer(path: Path) -> Layer | None:
    """The layer of observed areas that rtsmap wrote with a layer of slumps; None if there is none."""
    if path.suffix.lower() == ".parquet":
        beside = path.with_name(f"{path.stem}_observed{path.suffix}")
        return open_layer(beside, None, wanted=OBSERVED) if beside.exists() else None
    names = [str(name) for name, _ in pyogrio.list_layers(path)]
    return open_layer(path, OBSERVED, wanted=OBSERVED) if OBSERVED in names else None


def to_plane(shapes: Objects, crs: CRS) -> Objects:
    """Valid polygons in `PLANE`; polygons that were cut at the antimeridian become whole."""
    shapes = shapely.force_2d(shapes)
    invalid = ~shapely.is_valid(shapes)
    shapes[invalid] = shapely.make_valid(shapes[invalid], method="structure", keep_collapsed=False)
    if crs.is_geographic:
        shapes = unwrapped(shapes, full_circle(crs))
    return reproject(shapes, crs, PLANE)


def reproject(shapes: Objects, source: CRS, target: CRS) -> Objects:
    """The shapes in another CRS; x is the easting or the longitude."""
    if source == target:
        return shapes
    transformer = Transformer.from_crs(source, target, always_xy=True)

    def move(points: Floats) -> Floats:
        return np.column_stack(transformer.transform(points[:, 0], points[:, 1]))

    return np.asarray(shapely.transform(shapes, move), dtype=np.object_)


def moved_by(shapes: Objects, x: float, y: float) -> Objects:
    """The shapes, moved by x and y in the unit of their CRS."""

    def move(points: Floats) -> Floats:
        moved: Floats = points + np.array([x, y])
        return moved

    return np.asarray(shapely.transform(shapes, move), dtype=np.object_)


def _look(path: Path, name: str | None, wanted: str) -> tuple[str | None, Any, str, list[str]]:
    """The layer, its CRS, its geometry column and its fields."""
    if path.suffix.lower() == ".parquet":
        schema = pq.read_schema(path)
        described = json.loads(schema.metadata[b"geo"])
        geometry = described["primary_column"]
        crs = described["columns"][geometry].get("crs", "OGC:CRS84")  # GeoParquet's default
        return None, crs, geometry, [field for field in schema.names if field != geometry]
    layer = polygon_layer(path, name, usual=wanted)
    info = pyogrio.read_info(path, layer=layer)
    if layer is None:  # a file of which no layer holds polygons
        raise InputError(f"{path}: holds no polygons; give a layer of outlines")
    return layer, info["crs"], info["geometry_name"] or "wkb_geometry", [str(field) for field in info["fields"]]


def _field(names: Iterable[str], fields: Sequence[str]) -> str | None:
    """The first of the usual names that a layer has; shapefiles truncate names to ten characters."""
    lower = {field.lower(): field for field in fields}
    return next((lower[short] for name in names for short in (name, name[:10]) if short in lower), None)


def _frames(layer: Layer, columns: list[str]) -> Iterator[pd.DataFrame]:
    """Read Arrow batches as data frames with geometries as WKB."""
    if layer.name is None:
        for batch in pq.ParquetFile(layer.path).iter_batches(_BATCH, columns=[*columns, layer.geometry]):
            yield batch.to_pandas()
        return
    with pyogrio.open_arrow(layer.path, layer=layer.name, columns=columns, batch_size=_BATCH, use_pyarrow=True) as (
        _,
        reader,
    ):
        for batch in reader:
            yield batch.to_pandas()
