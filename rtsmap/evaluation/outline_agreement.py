"""How well a map's outlines follow those that people drew: areas in common, and distances between boundaries."""

from dataclasses import dataclass

import geopandas
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rtsmap.evaluation.map_scores import LabelledMap
from rtsmap.evaluation.matching import Floats, Matching

#: Boundaries are sampled at least this densely, m: finer than a pixel of PlanetScope.
STEP_M = 2.0


@dataclass(frozen=True)
class AreaScore:
    """Areas inside the observed area, in m2 of the map plane, overlaps counted once.

    Attributes:
        predicted: by the layer.
        labelled: by people.
        shared: by both.
    """

    predicted: float
    labelled: float
    shared: float

    @property
    def iou(self) -> float:
        """Shared over united area, 0..1; what pixels would give if they were infinitely small."""
        return self.shared / max(self.predicted + self.labelled - self.shared, 1e-9)

    @property
    def f1(self) -> float:
        """Harmonic mean of the shares that are right and found, 0..1."""
        return 2 * self.shared / max(self.predicted + self.labelled, 1e-9)


def area_score(layers: LabelledMap, threshold: float) -> AreaScore:
    """Areas of the predictions from a score on, and of all labels, cut to the observed area."""
    chosen = layers.predictions[layers.predictions["score"] >= threshold]
    predicted, labelled = (_inside(frame, layers.observed) for frame in (chosen, layers.all_labels))
    return AreaScore(predicted.area, labelled.area, predicted.intersection(labelled).area)


def boundary_errors(layers: LabelledMap, matching: Matching, threshold: float) -> Floats:
    """Mean distance between the boundaries of each prediction and the label it finds, both ways, in m.

    Args:
        layers: the map.
        matching: of its comparison.
        threshold: predictions below are left out.
    """
    chosen = np.flatnonzero(matching.correct & (layers.predictions["score"].to_numpy() >= threshold))
    predictions, labels = layers.predictions.geometry.to_numpy(), layers.labels.geometry.to_numpy()
    pairs = [(predictions[index].boundary, labels[matching.label[index]].boundary) for index in chosen]
    return np.array([(_distance(one, other) + _distance(other, one)) / 2 for one, other in pairs], dtype=np.float64)


def _distance(boundary: BaseGeometry, other: BaseGeometry) -> float:
    """Mean distance of points along a boundary from another one."""
    number = max(int(np.ceil(boundary.length / STEP_M)), 8)
    lines = shapely.get_parts(boundary)
    lengths = shapely.length(lines)
    places = (np.arange(number) + 0.5) / number * lengths.sum()
    ends = np.cumsum(lengths)
    which = np.minimum(np.searchsorted(ends, places), len(lines) - 1)
    points = shapely.line_interpolate_point(lines[which], places - (ends - lengths)[which])
    return float(shapely.distance(points, other).mean())


def _inside(frame: geopandas.GeoDataFrame, area: BaseGeometry) -> BaseGeometry:
    united: BaseGeometry = shapely.union_all(frame.geometry.to_numpy())
    return united.intersection(area)
