"""The tables of the layer: how the results of scenes become rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS
from shapely import MultiPolygon
from shapely.geometry.base import BaseGeometry

from rtsmap import __version__
from rtsmap.fields import LayerField, ObservedScene, SceneAttributes, Slump, layer_fields, layer_row
from rtsmap.geometry import polygon_parts
from rtsmap.records import SceneInfo

#: The fields of each layer, in their order.
LAYERS: Mapping[str, tuple[LayerField, ...]] = {
    "thaw_slumps": layer_fields(Slump),
    "observed_area": layer_fields(ObservedScene),
}

#: The fields of `thaw_slumps` and their types in pandas.
SLUMP_FIELDS: Mapping[str, str] = {one.name: one.dtype for one in LAYERS["thaw_slumps"]}

#: The fields of `observed_area` and their types in pandas.
OBSERVED_FIELDS: Mapping[str, str] = {one.name: one.dtype for one in LAYERS["observed_area"]}


@dataclass(frozen=True)
class SceneResult:
    """The result of mapping one scene.

    Attributes:
        info: the scene.
        crs: the CRS of the geometries below.
        slumps: the slumps found.
        observed: the outline of the valid and clear pixels.
        observed_km2: the geodesic area of these pixels.
        cloud_fraction: the masked fraction of the valid pixels, 0..1; None if no cloud mask was read.
        model: the name of the model.
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
    rows = [layer_row(slump) for result in results for slump in result.slumps]
    geometries = [_in_crs([slump.geometry for slump in result.slumps], result.crs, crs) for result in results]
    return _table(rows, SLUMP_FIELDS, [one for scene in geometries for one in scene], crs)


def observed_table(results: Sequence[SceneResult]) -> gpd.GeoDataFrame:
    """One row per scene, in the CRS of the first scene."""
    crs = results[0].crs
    geometries = [_in_crs([result.observed], result.crs, crs, densify=True)[0] for result in results]
    rows = [layer_row(_observed_scene(result)) for result in results]
    return _table(rows, OBSERVED_FIELDS, geometries, crs)


def _observed_scene(result: SceneResult) -> ObservedScene:
    return ObservedScene(
        geometry=result.observed,
        scene=SceneAttributes.of(result.info),
        product=result.info.product,
        observed_km2=round(result.observed_km2, 4),
        cloud_fraction=None if result.cloud_fraction is None else round(result.cloud_fraction, 4),
        n_slumps=len(result.slumps),
        model=result.model,
        rtsmap_version=__version__,
    )


def _table(
    rows: Sequence[Mapping[str, object]], fields: Mapping[str, str], geometries: Sequence[BaseGeometry], crs: CRS
) -> gpd.GeoDataFrame:
    columns = {name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in fields.items()}
    return gpd.GeoDataFrame(columns, geometry=gpd.GeoSeries(list(geometries), crs=crs), crs=crs)


def _in_crs(
    geometries: Iterable[BaseGeometry], source: CRS, target: CRS, *, densify: bool = False
) -> list[MultiPolygon]:
    """MultiPolygons in the target CRS; if asked, long straight edges are split, since they may be curves there."""
    multi = [MultiPolygon(polygon_parts(one)) for one in geometries]
    if source == target or not multi:
        return multi
    if densify:
        multi = [_densified(one) for one in multi]
    return list(gpd.GeoSeries(multi, crs=source).to_crs(target))


def _densified(geometry: MultiPolygon) -> MultiPolygon:
    """Edges no longer than a 64th of the extent: the side of a footprint then deviates by less than 0.1 m."""
    left, bottom, right, top = geometry.bounds
    extent = max(right - left, top - bottom)
    return shapely.segmentize(geometry, extent / 64) if np.isfinite(extent) and extent > 0 else geometry
