"""The layers of the output and the types of their fields, which docs/guide/tracks.md explains."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from rtsmap.geometry import polygon_parts
from rtsmap.tracks.outlines import Objects
from rtsmap.tracks.reading import reproject

_TEXT, _REAL, _INT, _BOOL, _TIME = "string", "float64", "Int32", "boolean", "datetime64[ms, UTC]"

TRACK_FIELDS: Mapping[str, str] = {
    "track_id": _TEXT,
    "status": _TEXT,
    "trend": _TEXT,
    "first_seen": _TIME,
    "last_seen": _TIME,
    "n_seen": _INT,
    "n_observed": _INT,
    "n_missed": _INT,
    "n_not_observed": _INT,
    "score_mean": _REAL,
    "area_first_m2": _REAL,
    "area_last_m2": _REAL,
    "area_max_m2": _REAL,
    "rate_m2_per_year": _REAL,
    "rate_low_m2_per_year": _REAL,
    "rate_high_m2_per_year": _REAL,
    "rate_from": _TIME,
    "rate_to": _TIME,
    "rate_n": _INT,
    "rate_chi2": _REAL,
    "retreat_median_m": _REAL,
    "retreat_p95_m": _REAL,
    "retreat_max_m": _REAL,
    "retreat_m_per_year": _REAL,
    "retreat_azimuth_deg": _REAL,
    "retreat_by": _TEXT,
    "split_from": _TEXT,
    "merged_into": _TEXT,
    "n_models": _INT,
    "smoothed": _BOOL,
    "centroid_lon": _REAL,
    "centroid_lat": _REAL,
    "rtsmap_version": _TEXT,
}
OUTLINE_FIELDS: Mapping[str, str] = {
    "outline_id": _TEXT,
    "track_id": _TEXT,
    "epoch": _INT,
    "acquired": _TIME,
    "valid_from": _TIME,
    "valid_to": _TIME,
    "event": _TEXT,
    "area_m2": _REAL,
    "area_error_m2": _REAL,
    "area_smoothed_m2": _REAL,
    "score": _REAL,
    "n_views": _INT,
    "n_hits": _INT,
    "model": _TEXT,
    "source_id": _TEXT,
    "centroid_lon": _REAL,
    "centroid_lat": _REAL,
    "MergedRTS": _TEXT,
    "SplitRTS": _TEXT,
    "NewRTS": _TEXT,
    "StabilizedRTS": _TEXT,
}
EVENT_FIELDS: Mapping[str, str] = {
    "track_id": _TEXT,
    "epoch": _INT,
    "valid_from": _TIME,
    "valid_to": _TIME,
    "kind": _TEXT,
    "related": _TEXT,
    "change_m2": _REAL,
    "change_error_m2": _REAL,
}
GROWTH_FIELDS: Mapping[str, str] = {
    "track_id": _TEXT,
    "epoch_from": _INT,
    "epoch_to": _INT,
    "valid_from": _TIME,
    "valid_to": _TIME,
    "years": _REAL,
    "gained_m2": _REAL,
    "lost_m2": _REAL,
    "gained_m2_per_year": _REAL,
    "retreat_median_m": _REAL,
    "retreat_p95_m": _REAL,
    "retreat_max_m": _REAL,
    "retreat_m_per_year": _REAL,
    "retreat_azimuth_deg": _REAL,
    "retreat_by": _TEXT,
}


@dataclass(frozen=True)
class LayerKind:
    """The name, description, geometry type and fields of an output layer."""

    name: str
    title: str
    description: str
    geometry: str
    fields: Mapping[str, str]


#: The layers in the order in which QGIS draws them, with the first one on top.
LAYERS = (
    LayerKind("events", "Events", "A point for each event of a slump", "Point", EVENT_FIELDS),
    LayerKind("tracks", "Tracks", "A row for each slump, with its latest outline", "MultiPolygon", TRACK_FIELDS),
    LayerKind(
        "growth", "Growth", "Ground gained from one outline of a slump to the next", "MultiPolygon", GROWTH_FIELDS
    ),
    LayerKind(
        "outlines", "Outlines", "A row for each slump in each epoch that shows it", "MultiPolygon", OUTLINE_FIELDS
    ),
)
BY_NAME = {kind.name: kind for kind in LAYERS}


def table(name: str, columns: Mapping[str, Any], shapes: Objects, plane: CRS, crs: CRS) -> gpd.GeoDataFrame:
    """Make the rows of a layer with the types of its fields, even if there are no rows.

    Args:
        name: name of the layer.
        columns: values of all fields of the layer.
        shapes: geometries in `plane`.
        plane: CRS of the tile.
        crs: CRS of the output.
    """
    kind = BY_NAME[name]
    projected = in_output(shapes, plane, crs)
    if kind.geometry == "MultiPolygon":
        projected = _multi(projected)
    typed = {field: pd.Series(columns[field], dtype=dtype) for field, dtype in kind.fields.items()}
    return gpd.GeoDataFrame(typed, geometry=gpd.GeoSeries(list(projected), crs=crs), crs=crs)


def in_output(shapes: Objects, plane: CRS, crs: CRS) -> Objects:
    """The shapes in the CRS of the output; in a geographic CRS they are cut at the antimeridian."""
    projected = reproject(shapes, plane, crs)
    if not crs.is_geographic or not len(projected):
        return projected
    west, _, east, _ = shapely.bounds(projected).T
    for row in np.flatnonzero(east - west > 180):
        projected[row] = _cut(projected[row])
    return projected


def _cut(shape: BaseGeometry) -> BaseGeometry:
    """A polygon that crosses the antimeridian, divided into its parts on both sides."""
    unrolled = shapely.make_valid(
        shapely.transform(shape, lambda points: np.column_stack([points[:, 0] % 360, points[:, 1]]))
    )
    east = shapely.intersection(unrolled, shapely.box(0, -90, 180, 90))
    west = shapely.transform(
        shapely.intersection(unrolled, shapely.box(180, -90, 360, 90)), lambda points: points - (360, 0)
    )
    return shapely.MultiPolygon([*polygon_parts(east), *polygon_parts(west)])


def _multi(shapes: Objects) -> Objects:
    """The shapes with polygons as multipolygons of one part; other types are unchanged."""
    single = shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON
    result = shapes.copy()
    if single.any():
        result[single] = shapely.multipolygons(shapes[single], indices=np.arange(single.sum()))
    return result
