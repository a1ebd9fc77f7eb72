"""The labels of one chip: the visible part of each slump, and the areas that training and scores ignore."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, STRtree
from shapely.geometry.base import BaseGeometry

from rtsmap.dataset.images import Label
from rtsmap.dataset.visibility import is_visible
from rtsmap.geometry import polygonal
from rtsmap.records import BoolArray, Window

#: A label that covers more than this share of a chip probably outlines a region rather than a slump.
WHOLE_CHIP = 0.9


@dataclass(frozen=True)
class SceneLabels:
    """The labels of a scene, in pixel coordinates of its grid.

    Attributes:
        outlines: outlines of the slumps.
        uids: identifier of each slump.
        annotated_area: area that the labeller searched for slumps; None stands for the whole scene.
        hard_negatives: `(n, 2)` points, column and row, on ground that resembles a slump but is none.
    """

    outlines: NDArray[Any]
    uids: Sequence[str]
    annotated_area: BaseGeometry | None = None
    hard_negatives: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))

    @cached_property
    def tree(self) -> STRtree:
        """A spatial index of the outlines."""
        return STRtree(self.outlines)


@dataclass(frozen=True)
class ChipLabels:
    """The labels of a chip, in pixel coordinates of the chip.

    Attributes:
        slumps: slumps that a network should find.
        ignored: slumps of which too little is visible, and areas that the labeller did not search.
        hard_negatives: points, column and row.
        observed: share of the chip that is clear and was searched by the labeller, 0..1.
    """

    slumps: tuple[Label, ...]
    ignored: tuple[BaseGeometry, ...]
    hard_negatives: tuple[tuple[float, float], ...]
    observed: float

    @property
    def whole(self) -> tuple[str, ...]:
        """Identifiers of the labels that cover nearly the whole chip; see `WHOLE_CHIP`."""
        return tuple(label.uid for label in self.slumps if label.outline.area > WHOLE_CHIP * self._size)

    _size: float = 0.0


def chip_labels(labels: SceneLabels, window: Window, clear: BoolArray, min_visible: float) -> ChipLabels:
    """Cut the labels of a scene to a chip.

    Args:
        labels: the labels of the scene.
        window: the window of the chip in the grid of the scene.
        clear: `(rows, columns)`, true where a pixel of the chip is observed and free of clouds.
        min_visible: least share of a slump's area that must be visible, 0..1; see `visibility.is_visible`.
    """
    box = shapely.box(*window.bounds)
    slumps: list[Label] = []
    ignored: list[BaseGeometry] = []
    for row in labels.tree.query(box, predicate="intersects"):
        whole = labels.outlines[row]
        part = polygonal(shapely.intersection(whole, box))
        if part.is_empty:
            continue
        outline = _moved(part, window)
        drawn = _drawn(outline, clear.shape)
        seen = int(np.count_nonzero(drawn & clear))
        visible = part.area / whole.area * seen / max(np.count_nonzero(drawn), 1)
        if is_visible(visible, seen, min_visible):
            slumps.append(Label(outline, min(visible, 1.0), labels.uids[row]))
        else:
            ignored.append(outline)
    unseen, observed = _not_annotated(labels, window, clear)
    if not unseen.is_empty:
        ignored.append(unseen)
    points = _points_in(labels.hard_negatives, window, clear)
    return ChipLabels(tuple(slumps), tuple(ignored), points, observed, box.area)


def _not_annotated(labels: SceneLabels, window: Window, clear: BoolArray) -> tuple[BaseGeometry, float]:
    """Return the part of a chip outside the annotated area, and the share of the chip that is observed."""
    box = shapely.box(*window.bounds)
    if labels.annotated_area is None or shapely.contains_properly(labels.annotated_area, box):
        return MultiPolygon(), float(clear.mean())
    unseen = _moved(polygonal(shapely.difference(box, labels.annotated_area)), window)
    observed = clear if unseen.is_empty else clear & ~_drawn(unseen, clear.shape)
    slumps = labels.outlines[labels.tree.query(box, predicate="intersects")]
    # the ground of a slump that was drawn has been searched, even outside the footprint
    without = polygonal(shapely.difference(unseen, _moved(shapely.union_all(slumps), window)))
    return without, float(observed.mean())


def _points_in(points: NDArray[np.float64], window: Window, clear: BoolArray) -> tuple[tuple[float, float], ...]:
    """Return the points on clear pixels of a window, in coordinates of the window."""
    moved = points - (window.column, window.row)
    inside = ((moved >= 0) & (moved < (window.width, window.height))).all(axis=1)
    return tuple((round(float(x), 3), round(float(y), 3)) for x, y in moved[inside] if clear[int(y), int(x)])


def _moved(geometry: BaseGeometry, window: Window) -> BaseGeometry:
    moved: BaseGeometry = shapely.transform(geometry, lambda points: points - (window.column, window.row))
    return moved


def _drawn(geometry: BaseGeometry, shape: tuple[int, ...]) -> BoolArray:
    return np.asarray(rasterio.features.rasterize([geometry], out_shape=shape, dtype="uint8"), dtype=np.bool_)
