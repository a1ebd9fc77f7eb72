"""Anchors that fit a data set: the sizes and shapes of its slumps' boxes, as the network will see them."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from rtsmap.dataset.images import Dataset
from rtsmap.errors import DatasetError

#: Levels of the pyramid that propose, p2 to p6; the finest gets the smallest anchors.
LEVELS = 5

#: Scales, evenly spread in logarithm, at which each box counts: what training draws at random.
SCALES = 9

Boxes = NDArray[np.float64]


@dataclass(frozen=True)
class AnchorFit:
    """Anchors, and how well they fit.

    Attributes:
        sizes: square root of the anchors' areas, px, one tuple per level.
        ratios: height over width.
        boxes: number of slumps.
        mean_iou: of each box with the anchor of the most similar shape, both around one centre.
        well_fitted: share of the boxes where this is at least 0.7, the network's bound for a positive anchor.
    """

    sizes: tuple[tuple[float, ...], ...]
    ratios: tuple[float, ...]
    boxes: int
    mean_iou: float
    well_fitted: float


def box_sizes(dataset: Dataset, gsd_m: float, scale_range: tuple[float, float]) -> Boxes:
    """Width and height of every slump's box in chip pixels, `(n * SCALES, 2)`, at the scales of training.

    Args:
        dataset: labelled images.
        gsd_m: of the chips.
        scale_range: times `gsd_m`.

    Raises:
        DatasetError: there is no slump.
    """
    bounds = [
        np.multiply(shapely.bounds(slump.outline), image.gsd_m) for image in dataset.images for slump in image.slumps
    ]
    if not bounds:
        raise DatasetError(f"{dataset.folder}: there is no slump to fit anchors to")
    edges = np.array(bounds)
    metres = edges[:, 2:] - edges[:, :2]
    scaled_gsd_m = gsd_m * np.geomspace(*scale_range, SCALES)
    sizes: Boxes = (metres[None] / scaled_gsd_m[:, None, None]).reshape(-1, 2)
    return sizes


def fit_anchors(boxes: Boxes, *, per_level: int = 2, ratios: int = 3) -> AnchorFit:
    """Sizes and ratios by k-means on the logarithms of those of the boxes.

    Chips are turned by quarters, so every box counts upright and lying.

    Args:
        boxes: `(n, 2)` width and height, px.
        per_level: anchor sizes on each level.
        ratios: number of shapes.
    """
    upright = np.concatenate([boxes, boxes[:, ::-1]])
    levels = np.exp(_k_means(np.log(np.sqrt(boxes.prod(axis=1))), LEVELS * per_level)).reshape(LEVELS, per_level)
    sizes = tuple(tuple(round(float(size), 1) for size in level) for level in levels)
    shapes = _k_means(np.log(upright[:, 1] / upright[:, 0]), ratios)
    return judge_anchors(boxes, sizes, tuple(round(float(ratio), 2) for ratio in np.exp(shapes)))


def judge_anchors(boxes: Boxes, sizes: tuple[tuple[float, ...], ...], ratios: tuple[float, ...]) -> AnchorFit:
    """How well given anchors fit; arguments as in `AnchorFit` and `fit_anchors`."""
    size, ratio = (grid.ravel() for grid in np.meshgrid([one for level in sizes for one in level], ratios))
    anchors = np.column_stack([size / np.sqrt(ratio), size * np.sqrt(ratio)])
    shared = np.minimum(boxes[:, None], anchors[None]).prod(axis=2)
    iou = shared / (boxes.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - shared)
    best = iou.max(axis=1)
    return AnchorFit(sizes, ratios, len(boxes) // SCALES, float(best.mean()), float((best >= 0.7).mean()))


def _k_means(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Centres of clusters along a line, ascending; they start at even quantiles, so no chance is in it."""
    centres = np.quantile(values, (np.arange(count) + 0.5) / count)
    for _ in range(100):
        nearest = np.abs(values[:, None] - centres[None]).argmin(axis=1)
        moved = np.array([values[nearest == k].mean() if (nearest == k).any() else centres[k] for k in range(count)])
        if np.allclose(moved, centres):
            break
        centres = moved
    return np.sort(centres)
