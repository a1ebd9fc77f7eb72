"""Scoring a predicted layer against outlines drawn by people, on the map rather than image by image."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import cast

import geopandas
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rtsmap.errors import InputError
from rtsmap.evaluation.matching import Comparison, Indices, compare
from rtsmap.evaluation.precision import RESAMPLES, Score, score_of
from rtsmap.evaluation.report import Group, Report, by_size, report_of
from rtsmap.geometry import geodesic_areas_m2
from rtsmap.polygons import MAP_LAYER, project_frame, read_polygons, utm_of
from rtsmap.records import Grid
from rtsmap.scene.ground_distance import pixel_size_m

#: Side of the blocks of the map that the bootstrap draws, m, because neighbouring slumps are not independent.
BLOCK_M = 2000.0

_TRUE_TO_SCALE = 0.02  # relative scale error of a projection above which outlines are compared in UTM instead
_WIDEST_M = 1e6  # greatest extent of a layer that fits into a UTM zone, m


@dataclass(frozen=True)
class LabelledMap:
    """A predicted layer and labels, in one projected CRS.

    Attributes:
        predictions: polygons of the layer, with a column `score`.
        labels: labels with their representative point inside the observed area.
        all_labels: all labels, inside and outside the observed area.
        observed: the observed area.
    """

    predictions: geopandas.GeoDataFrame
    labels: geopandas.GeoDataFrame
    all_labels: geopandas.GeoDataFrame
    observed: BaseGeometry

    @cached_property
    def comparison(self) -> Comparison:
        """The comparison of predictions and labels, with geodesic areas."""
        return compare_layers(self.predictions, self.labels)


def read_map(
    predicted: Path, labels: Path, *, predicted_layer: str | None = None, layer: str | None = None
) -> LabelledMap:
    """Read a layer that `rtsmap predict` wrote, and labels.

    Args:
        predicted: GeoPackage or GeoParquet of rtsmap.
        labels: polygons in any format that GDAL reads.
        predicted_layer: layer of the slumps; None for the name that `rtsmap predict` gives it.
        layer: layer of the labels; needed where their file has several layers with polygons.

    Raises:
        InputError: a file cannot be read, the predicted layer has no scores, the file of the labels has several layers
            and none is chosen, or no label lies in the observed area.
    """
    is_parquet = predicted.suffix == ".parquet"
    observed_path = predicted.with_name(f"{predicted.stem}_observed.parquet") if is_parquet else predicted
    observed = read_polygons(observed_path, None if is_parquet else "observed_area")
    # IoU is computed in UTM where distances in the projection of the layer differ from those on the ground
    crs = observed.crs if _is_true_to_scale(observed) else utm_of(observed)
    area = project_frame(observed, crs).union_all()
    if area.is_empty:
        raise InputError(f"{observed_path}: the observed area is empty, so that nothing can be scored")
    chosen = predicted_layer if is_parquet else predicted_layer or MAP_LAYER
    slumps = read_polygons(predicted, chosen, option="--predicted-layer")
    if "score" not in slumps:
        raise InputError(f"{predicted}: has no field score; give a layer that rtsmap predict wrote")
    slumps = project_frame(slumps, crs, area.bounds)
    drawn = read_polygons(labels, layer, usual=MAP_LAYER).explode(ignore_index=True)
    truth = project_frame(drawn, crs, area.bounds).reset_index(drop=True)
    inside = truth[truth.representative_point().within(area)].reset_index(drop=True)
    if inside.empty:
        raise InputError(f"{labels}: none of its {len(drawn)} polygons lies in the area that {predicted} observed")
    return LabelledMap(slumps.reset_index(drop=True), inside, truth, area)


def _is_true_to_scale(observed: geopandas.GeoDataFrame) -> bool:
    """Whether distances in the projection of a layer are those on the ground, as boundaries and blocks need them."""
    if not observed.crs.is_projected:
        return False
    left, bottom, right, top = observed.total_bounds
    x, y = (left + right) / 2, (bottom + top) / 2
    grid = Grid(observed.crs, Affine(100.0, 0.0, x - 3200, 0.0, -100.0, y + 3200), 64, 64)
    width, height = pixel_size_m(grid)
    wide = max((right - left) * width, (top - bottom) * height) / 100 > _WIDEST_M
    return wide or all(abs(size / 100 - 1) <= _TRUE_TO_SCALE for size in (width, height))


def evaluate_files(predicted: Path, labels: Path, *, min_iou: float = 0.5, score: float = 0.0) -> Score:
    """Score a layer that `rtsmap predict` wrote against labels inside the area that it observed.

    Args:
        predicted: GeoPackage or GeoParquet of rtsmap.
        labels: polygons in any format that GDAL reads.
        min_iou: least IoU of a match.
        score: least score of the polygons that count for recall and precision; all count for the average precision.

    Raises:
        InputError: the files cannot be scored; see `read_map`.
    """
    return score_of(read_map(predicted, labels).comparison, min_iou=min_iou, threshold=score)


def score_map(
    predictions: geopandas.GeoDataFrame,
    labels: geopandas.GeoDataFrame,
    *,
    min_iou: float = 0.5,
    block_m: float = BLOCK_M,
    resamples: int = RESAMPLES,
) -> Score:
    """Score a layer with a column `score` against labels in the same projected CRS.

    Args:
        predictions: the polygons of the layer.
        labels: the outlines drawn by people.
        min_iou: least IoU of a match; 0.5 gives the AP50 of the paper.
        block_m: side of the blocks that the bootstrap draws, m.
        resamples: number of bootstrap draws.
    """
    comparison = compare_layers(predictions, labels, block_m)
    return score_of(comparison, min_iou=min_iou, resamples=resamples, over_ious=False)


def compare_layers(
    predictions: geopandas.GeoDataFrame, labels: geopandas.GeoDataFrame, block_m: float = BLOCK_M
) -> Comparison:
    """Compare a layer with labels in the same projected CRS, with geodesic areas."""
    scores = predictions["score"].to_numpy(dtype=np.float64)
    planar = compare(predictions.geometry.to_numpy(), scores, labels.geometry.to_numpy())
    blocks = np.concatenate([_blocks(predictions, block_m), _blocks(labels, block_m)])
    units = np.unique(blocks, axis=0, return_inverse=True)[1].ravel().astype(np.intp)
    return replace(
        planar,
        prediction_m2=geodesic_areas_m2(predictions.geometry),
        label_m2=geodesic_areas_m2(labels.geometry),
        prediction_unit=units[: len(predictions)],
        label_unit=units[len(predictions) :],
    )


def report_map(layers: LabelledMap, *, by: str | None = None, threshold: float = 0.0, min_iou: float = 0.5) -> Report:
    """Score a map, its size classes and its regions.

    Args:
        layers: the map.
        by: field of the labels that names their region. An unmatched prediction belongs to the region of the nearest
            label.
        threshold: least score of the predictions that count for precision, recall and F1.
        min_iou: least IoU of a match.

    Raises:
        InputError: the labels have no such field.
    """
    comparison = layers.comparison
    regions = [] if by is None else _regions(layers, by)
    blocks = len(np.unique(np.concatenate([comparison.label_unit, comparison.prediction_unit])))
    drawn = f"{blocks} blocks of {BLOCK_M / 1000:g} km"
    groups = [*regions, *by_size(comparison)]
    return report_of(comparison, groups, threshold=threshold, drawn=drawn, min_iou=min_iou)


def _regions(layers: LabelledMap, field: str) -> list[Group]:
    labels = layers.labels
    if field not in labels or field == labels.geometry.name:
        fields = ", ".join(name for name in labels.columns if name != labels.geometry.name)
        raise InputError(f"--by {field}: the labels have no such field; they have {fields}")
    region = labels[field].astype(str).to_numpy(dtype=np.str_)
    shapes = layers.predictions.geometry.to_numpy()
    which, label = shapely.STRtree(labels.geometry.to_numpy()).query_nearest(shapes, all_matches=False)
    nearest: Indices = np.zeros(len(shapes), dtype=np.intp)
    nearest[which] = label
    return [Group(field, name, region == name, region[nearest] == name) for name in np.unique(region).tolist()]


def _blocks(frame: geopandas.GeoDataFrame, block_m: float) -> NDArray[np.int64]:
    centers = shapely.get_coordinates(shapely.centroid(frame.geometry.to_numpy()))
    return cast(NDArray[np.int64], np.floor(centers / block_m).astype(np.int64).reshape(-1, 2))
