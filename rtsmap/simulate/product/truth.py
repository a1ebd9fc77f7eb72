"""The truth of a simulated scene: the outlines that were rendered, and the labels that a person would have drawn."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyogrio
from shapely import Polygon

from rtsmap import __version__
from rtsmap.geometry import geodesic_areas_m2, largest_polygon
from rtsmap.layer.geopackage import check_rows
from rtsmap.simulate.product.labelling import drawn
from rtsmap.simulate.scene import SimulatedScene
from rtsmap.simulate.slumps.features import Feature
from rtsmap.simulate.slumps.lookalikes import LOOKALIKES
from rtsmap.simulate.slumps.placement import LEAST_AREA_M2

_TYPES = {"id": "int64", "activity": "float64", "kind": "str", "options": "str", "rtsmap_version": "str"}
_LAYERS = {
    "rts": "Slumps as rendered",
    "labels": "Slumps as a person would have drawn them, with the measured disagreement",
    "lookalikes": "Rendered ground that looks like slumps but is not",
    "footprint": "Area that the sensor saw",
}
#: Fields and kinds under their names in files of earlier versions, and their present names.
_FORMER_FIELDS = {"vigour": "activity", "healing": "stabilising"}
_FORMER_KINDS = {"healed": "stabilised"}


def write_truth(path: Path, scene: SimulatedScene) -> int:
    """Write `<id>_truth.gpkg` with the layers rts, labels, lookalikes and footprint, in the scene's CRS.

    All layers have the fields area_m2 (geodesic), scene_id and date. The layers rts and labels have the id of the
    slump, rts also its activity (0 hardly bare .. 1 all mud), lookalikes the kind, and footprint the options and the
    version of rtsmap. Empty layers have typed fields.

    Args:
        path: the file to write.
        scene: the scene.

    Returns:
        The number of slumps.
    """
    rng = np.random.default_rng([scene.options.seed, 7, *scene.drawing])
    seen = seen_slumps(scene)
    slumps = [feature.outline for feature in seen]
    others = [feature for feature in scene.scenery.features if feature.kind in LOOKALIKES]
    ids = [feature.number or index for index, feature in enumerate(seen, start=1)]
    activity = [round(feature.activity, 3) for feature in seen]
    kinds = [feature.kind for feature in others]
    _write(path, "rts", scene, slumps, {"id": ids, "activity": activity})
    _write(path, "labels", scene, [drawn(rng, outline) for outline in slumps], {"id": ids})
    _write(path, "lookalikes", scene, [feature.outline for feature in others], {"kind": kinds})
    options = json.dumps(vars(scene.options), default=str)
    _write(
        path, "footprint", scene, [scene.acquisition.footprint], {"options": [options], "rtsmap_version": [__version__]}
    )
    check_rows(path, {"rts": len(slumps), "labels": len(slumps), "lookalikes": len(others), "footprint": 1})
    return len(slumps)


def seen_slumps(scene: SimulatedScene) -> list[Feature]:
    """Return the slumps in the footprint. Those at its edge are clipped, and left out if little of them is visible."""
    footprint, seen = scene.acquisition.footprint, []
    for slump in scene.scenery.slumps:
        whole = footprint.contains(slump.outline)
        part = slump.outline if whole else largest_polygon(slump.outline.intersection(footprint))
        if part.area >= LEAST_AREA_M2:
            seen.append(replace(slump, outline=part))
    return seen


def read_truth(path: Path, layer: str) -> geopandas.GeoDataFrame:
    """Read a layer of a truth file of a scene or a series; fields of earlier versions get their present names.

    Args:
        path: `<id>_truth.gpkg` or `series_truth.gpkg`.
        layer: the name of the layer.
    """
    table = pyogrio.read_dataframe(path, layer=layer).rename(columns=_FORMER_FIELDS)
    if "kind" in table:
        table["kind"] = table["kind"].replace(_FORMER_KINDS)
    return table


def _write(
    path: Path, layer: str, scene: SimulatedScene, outlines: list[Polygon], fields: Mapping[str, Sequence[object]]
) -> None:
    """Add a layer whose columns have their types even if there is no row."""
    crs = scene.acquisition.grid.crs
    areas = geodesic_areas_m2(geopandas.GeoSeries(outlines, crs=crs)).round(1)
    count = len(outlines)
    columns: dict[str, pd.Series] = {
        name: pd.Series(list(values), dtype=_TYPES[name]) for name, values in fields.items()
    }
    columns["area_m2"] = pd.Series(areas, dtype="float64")
    columns["scene_id"] = pd.Series([scene.acquisition.item_id] * count, dtype="str")
    columns["date"] = pd.Series([f"{scene.acquisition.acquired:%Y-%m-%d}"] * count, dtype="str")
    pyogrio.write_dataframe(
        geopandas.GeoDataFrame(columns, geometry=outlines, crs=crs),
        path,
        layer=layer,
        driver="GPKG",
        append=path.exists(),
        geometry_type="Polygon",
        layer_options={"IDENTIFIER": layer, "DESCRIPTION": _LAYERS[layer], "GEOMETRY_NAME": "geom"},
    )
