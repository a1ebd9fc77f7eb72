"""Agreement of predicted and drawn outlines on a map: shared area, and distances between boundaries."""

from dataclasses import dataclass

import geopandas
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rtsmap.evaluation.map_scores import LabelledMap
from rtsmap.evaluation.matching import Floats, Matching

#: Greatest distance between sample points on a boundary, m: finer than a pixel of PlanetScope.
STEP_M = 2.0


@dataclass(frozen=True)
class AreaScore:
    """Areas inside the observed area, in m2 of the map projection; overlapping polygons count once.

    Attributes:
        predicted: area of the predictions.
        labelled: area of the labels.
        shared: area of both.
    """

    predicted: float
    labelled: float
    shared: float

    @property
    def iou(self) -> float:
        """Intersection over union of the areas, 0..1: the pixel-wise IoU in the limit of small pixels."""
        return self.shared / max(self.predicted + self.labelled - self.shared, 1e-9)

    @property
    def f1(self) -> float:
        """F1 of the areas, 0..1: the harmonic mean of area precision and area recall."""
        return 2 * self.shared / max(self.predicted + self.labelled, 1e-9)


def area_score(layers: LabelledMap, threshold: float) -> AreaScore:
    """Measure the predictions from a score on, and all labels, clipped to the observed area."""
    chosen = layers.predictions[layers.predictions["score"] >= threshold]
    predicted, labelled = (_inside(frame, layers.observed) for frame in (chosen, layers.all_labels))
    return AreaScore(predicted.area, labelled.area, predicted.intersection(labelled).area)


def boundary_errors(layers: LabelledMap, matching: Matching, threshold: float) -> Floats:
    """Return the mean distance between the boundaries of each prediction and its label, averaged both ways, m.

    Args:
        layers: the predicted layer and the labels.
        matching: a matching of their comparison.
        threshold: least score of the predictions.
    """
    chosen = np.flatnonzero(matching.correct & (layers.predictions["score"].to_numpy() >= threshold))
    predictions, labels = layers.predictions.geometry.to_numpy(), layers.labels.geometry.to_numpy()
    pairs = [(predictions[index].boundary, labels[matching.label[index]].boundary) for index in chosen]
    return np.array([(_distance(one, other) + _distance(other, one)) / 2 for one, other in pairs], dtype=np.float64)


def _distance(boundary: BaseGeometry, other: BaseGeometry) -> float:
    """Return the mean distance of points along a boundary from another boundary."""
    number = max(int(np.ceil(boundary.length / STEP_M)), 8)
    lines = shapely.get_parts(boundary)
    lengths = shapely.length(lines)
    positions = (np.arange(number) + 0.5) / number * lengths.sum()
    ends = np.cumsum(lengths)
    which = np.minimum(np.searchsorted(ends, positions), len(lines) - 1)
    points = shapely.line_interpolate_point(lines[which], positions - (ends - lengths)[which])
    return float(shapely.distance(points, other).mean())


def _inside(frame: geopandas.GeoDataFrame, area: BaseGeometry) -> BaseGeometry:
    united: BaseGeometry = shapely.union_all(frame.geometry.to_numpy())
    return united.intersection(area)
