"""The tables of the layer: which fields, of which types, and how scenes become rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from rtsmap import __version__
from rtsmap.records import SceneInfo, Slump

_TEXT, _REAL, _BOOL, _INT, _TIME = "string", "float64", "bool", "int32", "datetime64[ms, UTC]"

_SCENE_FIELDS = {
    "scene_id": _TEXT,
    "acquired": _TIME,
    "satellite_id": _TEXT,
    "instrument": _TEXT,
    "gsd_m": _REAL,
    "view_angle_deg": _REAL,
    "sun_azimuth_deg": _REAL,
    "sun_elevation_deg": _REAL,
}

#: Fields of `thaw_slumps` and their types in pandas; docs/layer.md explains each.
SLUMP_FIELDS: Mapping[str, str] = {
    "slump_id": _TEXT,
    "score": _REAL,
    "area_m2": _REAL,
    "perimeter_m": _REAL,
    "length_m": _REAL,
    "width_m": _REAL,
    "orientation_deg": _REAL,
    "compactness": _REAL,
    "centroid_lon": _REAL,
    "centroid_lat": _REAL,
    "ndvi_mean": _REAL,
    "ndvi_contrast": _REAL,
    "nir_mean": _REAL,
    "clear_fraction": _REAL,
    "touches_edge": _BOOL,
    "touches_mask": _BOOL,
    "n_chips": _INT,
    **_SCENE_FIELDS,
    "model": _TEXT,
    "model_sha256": _TEXT,
    "rtsmap_version": _TEXT,
}

#: Fields of `observed_area`.
OBSERVED_FIELDS: Mapping[str, str] = {
    **_SCENE_FIELDS,
    "product": _TEXT,
    "observed_km2": _REAL,
    "cloud_fraction": _REAL,
    "n_slumps": _INT,
    "model": _TEXT,
    "rtsmap_version": _TEXT,
}


@dataclass(frozen=True)
class SceneResult:
    """All that the layer says of one scene.

    Attributes:
        info: the scene.
        crs: of the geometries below.
        slumps: with every field of `SLUMP_FIELDS`.
        observed: outline of the valid and clear pixels.
        observed_km2: their geodesic area.
        cloud_fraction: masked part of the valid pixels, 0..1; None: no cloud mask was read.
        model: name of the model that looked.
    """

    info: SceneInfo
    crs: CRS
    slumps: Sequence[Slump]
    observed: BaseGeometry
    observed_km2: float
    cloud_fraction: float | None
    model: str

    def slumps_frame(self) -> gpd.GeoDataFrame:
        """Return the slumps as a GeoDataFrame: one row per slump, with the fields and the CRS of the layer.

        Example:
            >>> import rtsmap
            >>> result = rtsmap.predict_scene("scene.tif", rtsmap.load_detector("rts-mini"))
            >>> slumps = result.slumps_frame()
            >>> slumps[slumps.area_m2 > 2000].sort_values("score").columns[:3].tolist()
            ['slump_id', 'score', 'area_m2']
        """
        return slump_table([self])


def slump_table(results: Sequence[SceneResult]) -> gpd.GeoDataFrame:
    """The slumps of all scenes, typed even when there are none, in the CRS of the first scene."""
    crs = results[0].crs
    rows = [slump.attributes for result in results for slump in result.slumps]
    geometries = [_in_crs([slump.geometry for slump in result.slumps], result.crs, crs) for result in results]
    return _table(rows, SLUMP_FIELDS, [one for scene in geometries for one in scene], crs)


def observed_table(results: Sequence[SceneResult]) -> gpd.GeoDataFrame:
    """One row per scene, in the CRS of the first scene."""
    crs = results[0].crs
    geometries = [_in_crs([result.observed], result.crs, crs, densify=True)[0] for result in results]
    return _table([_observed_row(result) for result in results], OBSERVED_FIELDS, geometries, crs)


def _observed_row(result: SceneResult) -> Mapping[str, object]:
    row: dict[str, object] = {name: getattr(result.info, name) for name in (*_SCENE_FIELDS, "product")}
    return row | {
        "observed_km2": round(result.observed_km2, 4),
        "cloud_fraction": None if result.cloud_fraction is None else round(result.cloud_fraction, 4),
        "n_slumps": len(result.slumps),
        "model": result.model,
        "rtsmap_version": __version__,
    }


def _table(
    rows: Sequence[Mapping[str, object]], fields: Mapping[str, str], geometries: Sequence[BaseGeometry], crs: CRS
) -> gpd.GeoDataFrame:
    columns = {name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in fields.items()}
    return gpd.GeoDataFrame(columns, geometry=gpd.GeoSeries(list(geometries), crs=crs), crs=crs)


def _in_crs(
    geometries: Iterable[BaseGeometry], source: CRS, target: CRS, *, densify: bool = False
) -> list[MultiPolygon]:
    """MultiPolygons in the target CRS; long straight edges are split first where asked, since they would bend."""
    multi = [MultiPolygon([part for part in shapely.get_parts(one) if isinstance(part, Polygon)]) for one in geometries]
    if source == target or not multi:
        return multi
    if densify:
        multi = [_densified(one) for one in multi]
    return list(gpd.GeoSeries(multi, crs=source).to_crs(target))


def _densified(geometry: MultiPolygon) -> MultiPolygon:
    """Without edges longer than a 64th of the extent: a footprint's side then bends by less than 0.1 m."""
    left, bottom, right, top = geometry.bounds
    extent = max(right - left, top - bottom)
    return shapely.segmentize(geometry, extent / 64) if np.isfinite(extent) and extent > 0 else geometry
