"""Overlapping instances of different chips, and which of them are the same slump: step 2 of the rule."""

from typing import NamedTuple, Self, cast

import numpy as np
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry.base import BaseGeometry

from rtsmap.merge.instance_table import Booleans, Floats, Indices, InstanceTable, clipped_area


class Matches(NamedTuple):
    """Overlapping instances of different chips."""

    pairs: Indices  # (n, 2), of instances
    agree: Booleans  # (n,), true where the two are the same slump

    @classmethod
    def none(cls) -> Self:
        """No pairs."""
        return cls(np.empty((0, 2), dtype=np.intp), np.empty(0, dtype=np.bool_))

    def and_then(self, others: "Matches") -> "Matches":
        """These pairs followed by others."""
        return Matches(np.concatenate([self.pairs, others.pairs]), np.concatenate([self.agree, others.agree]))

    def among(self, chosen: Booleans) -> "Matches":
        """The pairs of chosen instances, renumbered; both instances of a pair belong to the same group."""
        inside = chosen[self.pairs].all(axis=1)
        renumbered = np.cumsum(chosen) - 1
        return Matches(renumbered[self.pairs[inside]], self.agree[inside])


def match(table: InstanceTable, first: int, agreement: float) -> Matches:
    """Match the instances from `first` on with each other and with earlier ones."""
    pairs = _candidates(table, first)
    a, b = pairs.T
    windows, polygons = table.windows, table.polygons
    # Each outline lies within its window, so the intersection of two lies within the zone.
    shared = shapely.area(shapely.intersection(polygons[a], polygons[b]))
    pairs, shared = pairs[shared > 0], shared[shared > 0]
    a, b = pairs.T
    both = clipped_area(polygons[a], windows[b]) + clipped_area(polygons[b], windows[a])  # within the zone, too
    agree = shared / (both - shared) > agreement
    zones = np.hstack([np.maximum(windows[a], windows[b])[:, :2], np.minimum(windows[a], windows[b])[:, 2:]])
    for k in np.flatnonzero(~agree):
        agree[k] = _best_of_pieces(polygons[a[k]], polygons[b[k]], zones[k]) > agreement
    return Matches(pairs, agree)


def components(count: int, pairs: Indices) -> Indices:
    """The number of the connected component that each of `count` nodes belongs to."""
    if not count:
        return np.empty(0, dtype=np.intp)
    graph = coo_array((np.ones(len(pairs), dtype=np.bool_), pairs.T), shape=(count, count))
    return cast(Indices, connected_components(graph, directed=False)[1].astype(np.intp))


def _candidates(table: InstanceTable, first: int) -> Indices:
    """Pairs of polygons of different chips that meet, at least one of them new, the later one first.

    Only those enter the index that leave the part of their window that no neighbour sees.
    """
    alone = 2 * table.cores - table.windows  # the core without half an overlap on each side
    bounds = table.bounds
    shared = (bounds[:, :2] < alone[:, :2]).any(axis=1) | (bounds[:, 2:] > alone[:, 2:]).any(axis=1)
    indexed = np.flatnonzero(shared)
    new = indexed[indexed >= first]
    found = shapely.STRtree(table.polygons[indexed]).query(table.polygons[new], predicate="intersects")
    pairs = np.column_stack([new[found[0]], indexed[found[1]]])
    other_chip = (table.chips[pairs[:, 0]] != table.chips[pairs[:, 1]]).any(axis=1)
    pairs = pairs[(pairs[:, 0] > pairs[:, 1]) & other_chip]
    return cast(Indices, pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))])


def _best_of_pieces(a: BaseGeometry, b: BaseGeometry, zone: Floats) -> float:
    """The highest IoU of any piece of `a` with any piece of `b`, both cut to the zone."""
    pieces_a, pieces_b = (shapely.get_parts(one.intersection(shapely.box(*zone))) for one in (a, b))
    if len(pieces_a) == len(pieces_b) == 1:
        return 0.0  # they are known to disagree
    pairs = np.repeat(pieces_a, len(pieces_b)), np.tile(pieces_b, len(pieces_a))
    shared = shapely.area(shapely.intersection(*pairs))
    union = shapely.area(pairs[0]) + shapely.area(pairs[1]) - shared
    return float(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0).max())
