"""Test-time augmentation: detection in several mirrored and rotated views of each chip.

The detections of the views are combined by weighted boxes fusion (Solovyev et al. 2021): the boxes and the masks of one
slump are averaged with their scores as weights. The score of the slump is the sum of the scores divided by the number
of views, so that a detection in only one view gets a low score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtsmap.detector.protocol import Detector
from rtsmap.records import Detections, FloatArray

Floats = NDArray[np.float64]

#: Possible numbers of views: the chip; the chip, its mirror images and its rotation by 180 degrees; these and their
#: transposed images.
VIEWS = (1, 4, 8)

#: Boxes of two views with at least this IoU belong to the same slump; the value is that of Solovyev et al.
SAME_IOU = 0.55

#: Detections of a view with a lower score are ignored, unless the combined scores may be lower still. This limit does
#: not depend on `--score`; otherwise a higher `--score` would change the scores of the remaining slumps.
LOWEST_OF_VIEW = 0.05

_TINY = 1e-12  # keeps the sum of the weights above 0


@dataclass(frozen=True)
class _View:
    """A symmetry of the square: a transposition, followed by reflections."""

    transposed: bool
    mirrored: bool  # left to right
    upended: bool  # top to bottom

    def of(self, chips: FloatArray) -> FloatArray:
        """Transform arrays whose last two axes are rows and columns."""
        turned = chips.swapaxes(-1, -2) if self.transposed else chips
        turned = turned[..., ::-1] if self.mirrored else turned
        return np.ascontiguousarray(turned[..., ::-1, :] if self.upended else turned)

    def undone(self, found: Detections, height: int, width: int) -> Detections:
        """Transform detections in the view of a chip of this size back to the coordinates of the chip."""
        left, top, right, bottom = found.boxes.T
        masks = found.masks
        tall, wide = (width, height) if self.transposed else (height, width)
        if self.mirrored:
            left, right, masks = wide - right, wide - left, masks[..., ::-1]
        if self.upended:
            top, bottom, masks = tall - bottom, tall - top, masks[..., ::-1, :]
        sides = (top, left, bottom, right) if self.transposed else (left, top, right, bottom)
        masks = masks.swapaxes(-1, -2) if self.transposed else masks
        return Detections(np.stack(sides, axis=1), found.scores, np.ascontiguousarray(masks))


_ALL_VIEWS = [
    _View(transposed, mirrored, upended)
    for transposed in (False, True)
    for mirrored in (False, True)
    for upended in (False, True)
]


class AugmentedDetector:
    """Runs a detector on several views of each chip and combines the detections.

    Args:
        detector: the detector; it must return detections down to the score `LOWEST_OF_VIEW`.
        views: number of views of each chip: 4 or 8, or 1 for no augmentation.
        min_score: combined detections with a lower score are not returned.

    Raises:
        ValueError: the number of views is not possible.
    """

    def __init__(self, detector: Detector, views: int, *, min_score: float = 0.0) -> None:
        if views not in VIEWS:
            raise ValueError(f"views must be one of {VIEWS}, not {views}")
        self._detector, self._views, self._min_score = detector, _ALL_VIEWS[:views], min_score

    def detect(self, chips: FloatArray) -> list[Detections]:
        """See `Detector.detect`."""
        height, width = chips.shape[-2:]
        seen = [
            [view.undone(found, height, width) for found in self._detector.detect(view.of(chips))]
            for view in self._views
        ]
        return [_above(joined(of_chip), self._min_score) for of_chip in zip(*seen, strict=True)]


def _above(found: Detections, score: float) -> Detections:
    kept = found.scores >= score
    return Detections(found.boxes[kept], found.scores[kept], found.masks[kept])


def joined(views: Sequence[Detections]) -> Detections:
    """Combine the detections of several views of a chip, in coordinates of the chip; highest score first."""
    boxes = np.concatenate([one.boxes for one in views]).astype(np.float64)
    scores = np.concatenate([one.scores for one in views]).astype(np.float64)
    masks = np.concatenate([one.masks for one in views])
    view = np.repeat(np.arange(len(views)), [len(one.scores) for one in views])
    clusters = _clusters(boxes, scores, view)
    sums = np.array([scores[members].sum() / len(views) for members in clusters])
    order = np.argsort(-sums, kind="stable")
    means = np.array([_mean_box(boxes, scores, clusters[k]) for k in order]).reshape(-1, 4)
    grids = np.empty((len(order), *masks.shape[1:]), dtype=np.float32)
    for grid, box, k in zip(grids, means, order, strict=True):
        grid[:] = _mean_mask(masks, boxes, scores, clusters[k], box)
    return Detections(means.astype(np.float32), sums[order].astype(np.float32), grids)


def _clusters(boxes: Floats, scores: Floats, view: NDArray[np.intp]) -> list[list[int]]:
    """Group the detections of each slump, at most one of each view.

    In the order of decreasing scores, each detection is added to the cluster whose mean box it overlaps most, by at
    least `SAME_IOU`, if the cluster has no detection of the same view; else it starts a new cluster.
    """
    clusters: list[list[int]] = []
    means, full = np.empty_like(boxes), np.zeros((len(boxes), view.max(initial=0) + 1), dtype=np.bool_)
    for index in np.argsort(-scores, kind="stable").tolist():
        overlap = _iou(boxes[index], means[: len(clusters)])
        overlap[full[: len(clusters), view[index]]] = 0.0
        best = int(np.argmax(overlap)) if len(overlap) else 0
        if not len(overlap) or overlap[best] < SAME_IOU:
            best = len(clusters)
            clusters.append([])
        clusters[best].append(index)
        full[best, view[index]] = True
        means[best] = _mean_box(boxes, scores, clusters[best])
    return clusters


def _mean_box(boxes: Floats, scores: Floats, members: list[int]) -> Floats:
    mean: Floats = np.average(boxes[members], axis=0, weights=scores[members] + _TINY)
    return mean


def _iou(box: Floats, others: Floats) -> Floats:
    """Intersection over union of a box with each of several others, 0..1."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - shared
    iou: Floats = shared / np.maximum(union, 1e-12)
    return iou


def _mean_mask(
    masks: FloatArray,
    boxes: Floats,
    scores: Floats,
    members: list[int],
    box: Floats,
) -> Floats:
    """Resample masks, each of which covers its box, to the grid of another box, and average them."""
    grids = [
        _taps(box[[1, 3]], boxes[k][[1, 3]], masks.shape[1])
        @ masks[k]
        @ _taps(box[[0, 2]], boxes[k][[0, 2]], masks.shape[2]).T
        for k in members
    ]
    mean: Floats = np.average(grids, axis=0, weights=scores[members] + _TINY)
    return mean


def _taps(wanted: Floats, given: Floats, cells: int) -> Floats:
    """Weights `(cells, cells)` that interpolate the cells of one interval of an axis at the cell centres of another.

    Within half a cell of its ends an interval has the value of its last cell, and beyond them the value 0.
    """
    centres = wanted[0] + (np.arange(cells) + 0.5) / cells * (wanted[1] - wanted[0])
    positions = (centres - given[0]) / max(given[1] - given[0], 1e-6) * cells - 0.5
    inside = (positions > -0.5 - 1e-9) & (positions < cells - 0.5 + 1e-9)
    weights = np.clip(1 - np.abs(np.clip(positions, 0, cells - 1)[:, None] - np.arange(cells)), 0, None)
    taps: Floats = weights * inside[:, None]
    return taps
