"""Outlines of slumps of several dates, as columns of equal length."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import shapely
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Objects = NDArray[np.object_]


@dataclass(frozen=True)
class Outlines:
    """Columns of equal length with one row for each outline.

    Attributes:
        shapes: polygons in one equal-area CRS, m.
        years: calendar years, which are the epochs.
        days: dates, days since 1970-01-01 UTC.
        scores: scores, 0..1; NaN where the layer has none.
        names: ids of the outlines in their layers, separated by commas where scenes were combined.
        scenes: numbers of the scenes that show the outlines.
        models: numbers of the models; -1 where the layer does not name one.
        n_views: number of scenes of the epoch that observed the location; 0 where no observed area is known.
        n_hits: number of scenes of the epoch that show the slump.
    """

    shapes: Objects
    years: Ints
    days: Floats
    scores: Floats
    names: Objects
    scenes: Ints
    models: Ints
    n_views: Ints
    n_hits: Ints

    def __len__(self) -> int:
        return len(self.shapes)

    def take(self, rows: Ints | Bools) -> Self:
        """The rows that are selected by their numbers or by a mask."""
        return type(self)(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The rows of several sets of outlines, in their order."""
        return cls(**{one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)})


def shapes_of(geometries: Sequence[object]) -> Objects:
    """An object array of geometries, which numpy would otherwise try to unpack."""
    shapes = np.empty(len(geometries), dtype=np.object_)
    shapes[:] = geometries
    return shapes


def components(pairs: Sequence[Ints], count: int) -> Ints:
    """The number of the connected component that each node of a graph belongs to.

    Args:
        pairs: numbers of the first and of the second node of each edge.
        count: number of nodes.

    Returns:
        `(count,)` numbers from 0.
    """
    from scipy.sparse import coo_array  # noqa: PLC0415  (slow to import)
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    graph = coo_array((np.ones(len(pairs[0]), dtype=np.bool_), (pairs[0], pairs[1])), shape=(count, count))
    labels: Ints = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def run_starts(values: Ints) -> Bools:
    """Whether each value begins a run of equal values: `(n,)`, true where it differs from the value before."""
    starts = np.ones(len(values), dtype=np.bool_)
    starts[1:] = np.diff(values) != 0
    return starts


def areas_of(shapes: Objects) -> Floats:
    """The planar areas of polygons, m2."""
    return np.asarray(shapely.area(shapes), dtype=np.float64)
