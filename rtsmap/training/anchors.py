"""Anchors fitted to a data set: to the sizes and shapes of the boxes of its slumps in chips."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from rtsmap.dataset.images import Dataset
from rtsmap.errors import DatasetError

#: Number of pyramid levels that make proposals, p2 to p6; the finest level has the smallest anchors.
LEVELS = 5

#: Number of scales, evenly spaced in logarithm, at which each box is counted; training draws scales at random.
SCALES = 9

Boxes = NDArray[np.float64]


@dataclass(frozen=True)
class AnchorFit:
    """Anchors, and how well they fit the boxes of a data set.

    Attributes:
        sizes: square roots of the areas of the anchors, px, one tuple per level.
        ratios: heights of the anchors divided by their widths.
        boxes: number of slumps.
        mean_iou: mean IoU, 0..1, of the boxes with the best anchor for each, both centred on the same point.
        well_fitted: share of the boxes for which this IoU is at least 0.7, the bound for a positive anchor in training.
    """

    sizes: tuple[tuple[float, ...], ...]
    ratios: tuple[float, ...]
    boxes: int
    mean_iou: float
    well_fitted: float


def box_sizes(dataset: Dataset, gsd_m: float, scale_range: tuple[float, float]) -> Boxes:
    """Return width and height of the box of every slump in chip pixels, `(n * SCALES, 2)`, at the scales of training.

    Args:
        dataset: labelled images.
        gsd_m: ground sampling distance of the chips, m.
        scale_range: smallest and largest ground sampling distance in training, relative to `gsd_m`.

    Raises:
        DatasetError: the data set has no slump.
    """
    bounds = [
        np.multiply(shapely.bounds(slump.outline), image.gsd_m) for image in dataset.images for slump in image.slumps
    ]
    if not bounds:
        raise DatasetError(f"{dataset.folder}: has no slump to fit anchors to; give a data set with labelled slumps")
    edges = np.array(bounds)
    metres = edges[:, 2:] - edges[:, :2]
    scaled_gsd_m = gsd_m * np.geomspace(*scale_range, SCALES)
    sizes: Boxes = (metres[None] / scaled_gsd_m[:, None, None]).reshape(-1, 2)
    return sizes


def fit_anchors(boxes: Boxes, *, per_level: int = 2, ratios: int = 3) -> AnchorFit:
    """Fit anchor sizes and ratios by k-means on the logarithms of the sizes and ratios of the boxes.

    Training rotates chips by multiples of 90 degrees, so each box is counted both ways round.

    Args:
        boxes: `(n, 2)`, width and height, px.
        per_level: number of anchor sizes on each level.
        ratios: number of anchor shapes.
    """
    upright = np.concatenate([boxes, boxes[:, ::-1]])
    levels = np.exp(_k_means(np.log(np.sqrt(boxes.prod(axis=1))), LEVELS * per_level)).reshape(LEVELS, per_level)
    sizes = tuple(tuple(round(float(size), 1) for size in level) for level in levels)
    shapes = _k_means(np.log(upright[:, 1] / upright[:, 0]), ratios)
    return judge_anchors(boxes, sizes, tuple(round(float(ratio), 2) for ratio in np.exp(shapes)))


def judge_anchors(boxes: Boxes, sizes: tuple[tuple[float, ...], ...], ratios: tuple[float, ...]) -> AnchorFit:
    """Measure how well given anchors fit; see `AnchorFit` and `fit_anchors` for the arguments."""
    size, ratio = (grid.ravel() for grid in np.meshgrid([one for level in sizes for one in level], ratios))
    anchors = np.column_stack([size / np.sqrt(ratio), size * np.sqrt(ratio)])
    shared = np.minimum(boxes[:, None], anchors[None]).prod(axis=2)
    iou = shared / (boxes.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - shared)
    best = iou.max(axis=1)
    return AnchorFit(sizes, ratios, len(boxes) // SCALES, float(best.mean()), float((best >= 0.7).mean()))


def _k_means(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return cluster centres of one-dimensional values, ascending; starting from quantiles makes it deterministic."""
    centres = np.quantile(values, (np.arange(count) + 0.5) / count)
    for _ in range(100):
        nearest = np.abs(values[:, None] - centres[None]).argmin(axis=1)
        moved = np.array([values[nearest == k].mean() if (nearest == k).any() else centres[k] for k in range(count)])
        if np.allclose(moved, centres):
            break
        centres = moved
    return np.sort(centres)
