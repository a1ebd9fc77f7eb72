"""Outlines of many slumps and dates, as columns side by side."""

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
    """Columns of one length, one outline each.

    Attributes:
        shapes: polygons in one equal-area CRS, m.
        years: calendar year, which is the epoch.
        days: date, days since 1970-01-01 UTC.
        scores: 0..1, NaN where the layer has none.
        names: the outline's own id; several with commas between them where scenes were combined.
        scenes: number of the scene that it was found in.
        models: number of the model, -1 where the layer does not say.
        n_views: scenes of the epoch that observed the place; 0 where no observed area is known.
        n_hits: scenes of the epoch that show the slump.
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
        """Some of the rows, by their numbers or a mask."""
        return type(self)(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """All rows of several, in their order."""
        return cls(**{one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)})


def shapes_of(geometries: Sequence[object]) -> Objects:
    """An array of geometries that numpy does not look into."""
    shapes = np.empty(len(geometries), dtype=np.object_)
    shapes[:] = geometries
    return shapes


def components(pairs: Sequence[Ints], count: int) -> Ints:
    """Which of the connected groups each of `count` things is in.

    Args:
        pairs: first and second end of each pair.
        count: of things.
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
    """Planar areas, m2."""
    return np.asarray(shapely.area(shapes), dtype=np.float64)
