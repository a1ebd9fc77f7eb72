"""A layer for looking at errors: what was found, what is wrong, what was missed."""

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

#: Fields of labels that may tell which one it is: rtsmap's, ARTS', and other usual names, in order of preference.
_ID_FIELDS = ("uid", "UID", "slump_id", "id", "ID", "fid", "name")


def matches_layer(layers: LabelledMap, matching: Matching, threshold: float) -> geopandas.GeoDataFrame:
    """Predictions from a score on, and the labels that none of them finds.

    Returns:
        A frame in the predicted layer's CRS with `kind` (true_positive, false_positive, miss), `score` (null for a
        miss), `iou` (null for all but a true positive), `area_m2` (geodesic) and `label` (the label's own id or, where
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
    """Write `matches_layer` as layer `matches` of a GeoPackage, with a style for QGIS; whole or not at all.

    A file that is there is replaced if `overwrite`.

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
