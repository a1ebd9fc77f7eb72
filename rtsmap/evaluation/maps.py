"""Scores of a predicted layer against outlines drawn by people, on the map rather than chip by chip."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rtsmap.polygons import read_polygons


@dataclass(frozen=True)
class MapScore:
    """Scores of a layer.

    Attributes:
        labels: number of outlines drawn by people.
        predictions: number of polygons in the layer.
        matched: predictions that match an outline, each outline counted once.
        average_precision: area under the interpolated precision-recall curve, 0..1.
        recall: matched over labels.
        precision: matched over predictions.
        interval: 95 % confidence interval of the average precision, by bootstrap over blocks of the map.
    """

    labels: int
    predictions: int
    matched: int
    average_precision: float
    recall: float
    precision: float
    interval: tuple[float, float]

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.matched / max(self.labels + self.predictions, 1)


def evaluate_files(predicted: Path, labels: Path, *, min_iou: float = 0.5, score: float = 0.0) -> MapScore:
    """Score a layer that `rtsmap predict` wrote against labels inside the area that it observed.

    Args:
        predicted: GeoPackage or GeoParquet of rtsmap.
        labels: polygons in any format that GDAL reads.
        min_iou: what counts as found.
        score: polygons below do not count for recall and precision; all count for the average precision.

    Raises:
        InputError: a file cannot be read.
    """
    is_parquet = predicted.suffix == ".parquet"
    observed_path = predicted.with_name(f"{predicted.stem}_observed.parquet") if is_parquet else predicted
    observed = read_polygons(observed_path, layer=None if is_parquet else "observed_area")
    # IoU is taken in the zone's UTM projection where the layer is in degrees
    crs = observed.crs if observed.crs.is_projected else observed.estimate_utm_crs()
    slumps = read_polygons(predicted, crs, layer=None if is_parquet else "thaw_slumps")
    truth = read_polygons(labels, crs).explode(ignore_index=True)
    inside = truth.representative_point().within(observed.to_crs(crs).union_all())
    curve = score_map(slumps, truth[inside], min_iou=min_iou)
    kept = score_map(slumps[slumps["score"] >= score], truth[inside], min_iou=min_iou, resamples=0)
    return replace(kept, average_precision=curve.average_precision, interval=curve.interval)


def match(
    predictions: Sequence[BaseGeometry], scores: NDArray[np.float64], labels: Sequence[BaseGeometry], min_iou: float
) -> NDArray[np.intp]:
    """Which label each prediction finds, -1 for none.

    As COCO does: the predictions choose in order of their scores, each takes the label of highest IoU that is still
    free, and the IoU must reach `min_iou`.
    """
    found = np.full(len(predictions), -1, dtype=np.intp)
    if not len(predictions) or not len(labels):
        return found
    shapes, truths = np.asarray(predictions), np.asarray(labels)
    which, label = shapely.STRtree(truths).query(shapes, predicate="intersects")
    shared = shapely.area(shapely.intersection(shapes[which], truths[label]))
    iou = shared / (shapely.area(shapes[which]) + shapely.area(truths[label]) - shared)
    taken: set[int] = set()
    for index in np.lexsort((label, -iou, -scores[which])):
        prediction, truth = which[index], int(label[index])
        if iou[index] >= min_iou and found[prediction] < 0 and truth not in taken:
            found[prediction] = truth
            taken.add(truth)
    return found


def average_precision(scores: NDArray[np.float64], correct: NDArray[np.bool_], labels: int) -> float:
    """Area under the precision-recall curve, precision made monotonic as COCO does; 0..1, NaN without labels."""
    if not labels:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(correct[order])
    precision = hits / np.arange(1, len(order) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[correct[order]].sum() / labels)


def score_map(
    predictions: geopandas.GeoDataFrame,
    labels: geopandas.GeoDataFrame,
    *,
    min_iou: float = 0.5,
    block_m: float = 2000.0,
    resamples: int = 1000,
) -> MapScore:
    """Score a layer with a column `score` against labels in the same projected CRS.

    Args:
        predictions: the layer.
        labels: outlines.
        min_iou: what counts as found; 0.5 gives the paper's AP50.
        block_m: the bootstrap draws blocks of this size, because neighbouring slumps are not independent.
        resamples: number of bootstrap draws.
    """
    scores = predictions["score"].to_numpy(dtype=np.float64)
    found = match(predictions.geometry.to_numpy(), scores, labels.geometry.to_numpy(), min_iou)
    correct = found >= 0
    return MapScore(
        labels=len(labels),
        predictions=len(predictions),
        matched=int(correct.sum()),
        average_precision=average_precision(scores, correct, len(labels)),
        recall=float(correct.sum() / max(len(labels), 1)),
        precision=float(correct.sum() / max(len(predictions), 1)),
        interval=_bootstrap(predictions, labels, scores, found, block_m, resamples),
    )


def _bootstrap(
    predictions: geopandas.GeoDataFrame,
    labels: geopandas.GeoDataFrame,
    scores: NDArray[np.float64],
    found: NDArray[np.intp],
    block_m: float,
    resamples: int,
) -> tuple[float, float]:
    """A found label is drawn with its own block, and its prediction with it."""
    if not len(labels) or not resamples:
        return float("nan"), float("nan")
    label_block = _blocks(labels, block_m)
    block = np.where((found >= 0)[:, None], label_block[found], _blocks(predictions, block_m))
    names, number = np.unique(np.concatenate((label_block, block)), axis=0, return_inverse=True)
    of_label, of_prediction = number.ravel()[: len(labels)], number.ravel()[len(labels) :]
    rng = np.random.default_rng(0)
    values = []
    for _ in range(resamples):
        times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        repeats = times[of_prediction]
        values.append(
            average_precision(scores.repeat(repeats), (found >= 0).repeat(repeats), int(times[of_label].sum()))
        )
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def _blocks(frame: geopandas.GeoDataFrame, block_m: float) -> NDArray[np.int64]:
    centers = shapely.get_coordinates(shapely.centroid(frame.geometry.to_numpy()))
    return np.floor(centers / block_m).astype(np.int64).reshape(-1, 2)
