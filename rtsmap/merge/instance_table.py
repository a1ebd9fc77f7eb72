"""The instances as arrays: a loop over Python objects would cost more than the geometry."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
import shapely
from numpy.typing import NDArray

from rtsmap.records import Instance

Geometries = NDArray[np.object_]
Indices = NDArray[np.intp]
Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

#: More than the number of rows of any chip grid.
ROWS = 1e9


@dataclass(frozen=True)
class InstanceTable:
    """Instances as arrays with one entry each.

    Attributes:
        polygons: `(n,)`.
        scores: `(n,)`, 0..1.
        chips: `(n, 2)`, row and column of the chip in the chip grid.
        windows: `(n, 4)`, bounds of the chip's window, px.
        cores: `(n, 4)`, bounds of its core, px.
    """

    polygons: Geometries
    scores: Floats
    chips: Indices
    windows: Floats
    cores: Floats

    @classmethod
    def of(cls, instances: Sequence[Instance]) -> Self:
        """The table of a sequence of instances."""
        # Instances of one chip share their place as a rule, so it is taken apart once.
        places = {id(one.window): one.window for one in instances}
        numbers = {key: number for number, key in enumerate(places)}
        chip = np.array([numbers[id(one.window)] for one in instances], dtype=np.intp)
        rows = [(one.row, one.column, *one.extent.bounds, *one.core.bounds) for one in places.values()]
        table = np.array(rows, dtype=np.intp).reshape(-1, 10)[chip]
        return cls(
            np.fromiter((one.polygon for one in instances), dtype=np.object_, count=len(instances)),
            np.array([one.score for one in instances], dtype=np.float64),
            table[:, :2],
            table[:, 2:6].astype(np.float64),
            table[:, 6:].astype(np.float64),
        )

    def __len__(self) -> int:
        return len(self.polygons)

    def among(self, chosen: Booleans | Indices) -> Self:
        """The chosen instances, by mask or by index."""
        return type(self)(*(values[chosen] for values in self._arrays))

    def and_then(self, others: Self) -> Self:
        """These instances followed by others."""
        return type(self)(*(np.concatenate(both) for both in zip(self._arrays, others._arrays, strict=True)))

    @property
    def _arrays(self) -> tuple[Any, ...]:
        return self.polygons, self.scores, self.chips, self.windows, self.cores

    @property
    def bounds(self) -> Floats:
        """`(n, 4)`, the bounds of the outlines, px."""
        return cast(Floats, shapely.bounds(self.polygons).reshape(-1, 4))

    def last_turns(self, strip_columns: int | None) -> Floats:
        """The turn of the last chips whose windows each instance may reach; see `turn`.

        The chip grid follows from one chip: its core ends half an overlap before its window, and the next window starts
        half an overlap before the next core. In the last row and column, whose cores may end with the scene long before
        their windows, this gives too short a stride; slumps are then held until the end.
        """
        columns, rows = (self._last_chips(axis) for axis in (0, 1))
        strips = np.zeros_like(columns) if strip_columns is None else np.floor(columns / strip_columns)
        return strips * ROWS + rows

    def _last_chips(self, axis: int) -> Floats:
        """Column (axis 0) or row (axis 1) of the last chip that each instance may reach."""
        near, far = self.windows[:, axis], self.windows[:, axis + 2]
        stride = 2 * self.cores[:, axis + 2] - far - near
        with np.errstate(divide="ignore", invalid="ignore"):
            beyond = np.ceil((self.bounds[:, axis + 2] - near) / stride) - 1
        return cast(Floats, np.where(stride > 0, self.chips[:, 1 - axis] + np.maximum(beyond, 0), np.inf))

    def clearance(self) -> tuple[Floats, Floats]:
        """The distances of outlines and of the centres of their bounds from the window's border, in half overlaps.

        Only borders beyond which other chips see more are counted. An outline that touches one has 0; a centre below 1
        lies in the core of another chip.
        """
        inwards = np.array([1, 1, -1, -1])
        margin = (self.cores - self.windows) * inwards  # half an overlap; 0 where the scene ends
        bounds = self.bounds
        centres = np.tile((bounds[:, :2] + bounds[:, 2:]) / 2, 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            outline, centre = (
                np.where(margin > 0, (sides - self.windows) * inwards / margin, np.inf).min(axis=1)
                for sides in (bounds, centres)
            )
        return outline, centre


def turn(row: int, strip: int) -> float:
    """A number that increases as the chip grid is processed: strip by strip, and within a strip row by row."""
    return strip * ROWS + row


def in_core(table: InstanceTable) -> InstanceTable:
    """The instances that share area with their core, sorted so that the order of the input does not matter."""
    table = table.among(clipped_area(table.polygons, table.cores) > 0)
    keys = np.column_stack([table.chips, table.bounds, table.scores])
    return table.among(sorted_order(keys, table.polygons))


def sorted_order(keys: Floats, geometries: Geometries) -> Indices:
    """The order of rows of keys, by the first column first; equal rows are ordered by the bytes of the outlines."""
    order = np.lexsort(keys.T[::-1])
    if not (keys[order[1:]] == keys[order[:-1]]).all(axis=1).any():
        return order
    outlines = np.unique(shapely.to_wkb(geometries), return_inverse=True)[1]
    return np.lexsort([outlines, *keys.T[::-1]])


def clipped_area(polygons: Geometries, boxes: Floats) -> Floats:
    """Area of each polygon within its box, px2; the boxes are those of chips, so many polygons share one."""
    bounds = shapely.bounds(polygons).reshape(-1, 4)
    over = np.flatnonzero((bounds[:, :2] < boxes[:, :2]).any(axis=1) | (bounds[:, 2:] > boxes[:, 2:]).any(axis=1))
    pieces = polygons.copy()
    over = over[np.lexsort(boxes[over].T)]
    starts = np.flatnonzero((np.diff(boxes[over], axis=0, prepend=np.nan) != 0).any(axis=1))
    # A piece may not be valid where its outline runs along the border; its area is right.
    for same in np.split(over, starts[1:]) if len(over) else []:
        pieces[same] = shapely.clip_by_rect(polygons[same], *boxes[same[0]].tolist())
    areas: Floats = shapely.area(pieces)
    return areas
