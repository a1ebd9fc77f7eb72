"""A layer of true positives, false positives and misses, to inspect errors in a GIS."""

from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyogrio
from numpy.typing import NDArray

from rtsmap.evaluation.map_scores import LabelledMap
from rtsmap.evaluation.matching import Matching
from rtsmap.files.writing import replacing
from rtsmap.layer import plain_errors
from rtsmap.layer.geopackage import add_style, check_rows

#: Fields that may identify a label, in order of preference: those of rtsmap and ARTS, and other usual names.
_ID_FIELDS = ("uid", "UID", "slump_id", "id", "ID", "fid", "name")


def matches_layer(layers: LabelledMap, matching: Matching, threshold: float) -> geopandas.GeoDataFrame:
    """Return the predictions from a score on, and the labels that none of them matches.

    Returns:
        A frame in the CRS of the predicted layer with `kind` (true_positive, false_positive, miss), `score` (null for a
        miss), `iou` (null except for a true positive), `area_m2` (geodesic) and `label` (the id of the label or, if
        it has none, its number).
    """
    kept = matching.counts & (layers.predictions["score"].to_numpy() >= threshold)
    right = kept & matching.correct
    names = _names(layers.labels)
    missed = np.setdiff1d(np.arange(len(names)), matching.label[right])
    shown = geopandas.GeoDataFrame(
        {
            "kind": np.where(right, "true_positive", "false_positive")[kept],
            "score": layers.predictions["score"].to_numpy(dtype=np.float64)[kept],
            "iou": np.where(right, matching.iou, np.nan)[kept].round(4),
            "area_m2": layers.comparison.prediction_m2[kept].round(1),
            "label": [
                names[label] if hit else None for label, hit in zip(matching.label[kept], right[kept], strict=True)
            ],
        },
        geometry=layers.predictions.geometry.to_numpy()[kept],
        crs=layers.predictions.crs,
    )
    misses = geopandas.GeoDataFrame(
        {
            "kind": "miss",
            "score": np.nan,
            "iou": np.nan,
            "area_m2": layers.comparison.label_m2[missed].round(1),
            "label": names[missed],
        },
        geometry=layers.labels.geometry.to_numpy()[missed],
        crs=layers.labels.crs,
    )
    both = pd.concat([frame for frame in (shown, misses) if len(frame)] or [shown], ignore_index=True)
    return geopandas.GeoDataFrame(both, geometry="geometry", crs=layers.predictions.crs).explode(ignore_index=True)


def write_matches(
    path: Path, layers: LabelledMap, matching: Matching, threshold: float, *, overwrite: bool = True
) -> None:
    """Write `matches_layer` as layer `matches` of a GeoPackage, with a style for QGIS, completely or not at all.

    Args:
        path: path of the GeoPackage.
        layers: the predicted layer and the labels.
        matching: a matching of their comparison.
        threshold: least score of the predictions that are written.
        overwrite: replace an existing file.

    Raises:
        OutputError: the file cannot be written.
    """
    frame = matches_layer(layers, matching, threshold)
    with plain_errors(path), replacing(path, overwrite=overwrite) as temporary:
        options = {"IDENTIFIER": "Matches", "GEOMETRY_NAME": "geom"}
        pyogrio.write_dataframe(
            frame, temporary, layer="matches", driver="GPKG", geometry_type="Polygon", layer_options=options
        )
        check_rows(temporary, {"matches": len(frame)})
        add_style(temporary, "matches", "Found, wrong, missed")


def _names(labels: geopandas.GeoDataFrame) -> NDArray[np.object_]:
    field = next((name for name in _ID_FIELDS if name in labels), None)
    numbers: pd.Series[int] | pd.Series[str] = pd.Series(range(len(labels))) if field is None else labels[field]
    return numbers.astype(str).to_numpy(dtype=np.object_)
