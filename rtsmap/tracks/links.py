"""Which outlines of an earlier epoch are the slumps of a later one."""

from dataclasses import dataclass

import numpy as np
import shapely
from scipy.optimize import linear_sum_assignment

from rtsmap.tracks.options import TrackOptions
from rtsmap.tracks.outlines import Bools, Floats, Ints, Objects, areas_of, components

_QUARTER = 4  # segments in a quarter circle of a buffer: 2 % of its width are lost


@dataclass(frozen=True)
class Links:
    """Pairs of an earlier and a later outline that show the same slump, or parts of it.

    Attributes:
        earlier: number of the earlier outline.
        later: number of the later one.
        overlap: common area by that of the smaller outline, 0..1, without buffer.
        iou: common area by that of both, 0..1.
        is_main: the later one is the earlier one; else a further part of a merge or split.
    """

    earlier: Ints
    later: Ints
    overlap: Floats
    iou: Floats
    is_main: Bools


def link(earlier: Objects, later: Objects, options: TrackOptions) -> Links:
    """Link two epochs.

    One-to-one links are the assignment with the largest sum of IoU among the pairs whose overlap, after a buffer of the
    placement error, is at least `min_overlap`: a small slump that the images show some metres apart is still the same.
    Further links, which make merges and splits, need an overlap of `min_part` without buffer, for neighbours that
    touch overlap by little more than the buffer; and one of both must have no link of its own, for two slumps that go
    on beside each other only overlap where they were drawn differently.

    Args:
        earlier: polygons, m.
        later: polygons in the same CRS.
        options: of the overlaps and of the placement error.
    """
    error = options.placement_error_m
    first, second = shapely.STRtree(later).query(earlier, predicate="dwithin", distance=error)
    one, other = earlier[first], later[second]
    common = areas_of(shapely.intersection(one, other))
    areas, other_areas = areas_of(one), areas_of(other)
    smaller = np.minimum(areas, other_areas)
    overlap, iou = common / smaller, common / (areas + other_areas - common)
    buffered = np.minimum(overlap, 1.0)
    unsure = overlap < options.min_overlap  # a buffer only adds
    widened = shapely.buffer(one[unsure], error, quad_segs=_QUARTER)
    buffered[unsure] = np.minimum(areas_of(shapely.intersection(widened, other[unsure])) / smaller[unsure], 1.0)
    apt = buffered >= options.min_overlap
    # Outlines that only meet through the buffer have no IoU; the buffered overlap then tells the best of them.
    is_main = apt.copy()
    is_main[apt] = assign(first[apt], second[apt], iou[apt] + 1e-6 * buffered[apt])
    kept = is_main | ((overlap >= options.min_part) & ~_both_go_on(first, second, is_main))
    return Links(first[kept], second[kept], overlap[kept], iou[kept], is_main[kept])


def assign(first: Ints, second: Ints, weights: Floats) -> Bools:
    """The pairs of the one-to-one assignment with the largest sum of weights.

    Args:
        first: one end of each pair.
        second: the other end.
        weights: above 0.

    Returns:
        `(n,)`, true for pairs that are taken.
    """
    taken = np.zeros(len(first), dtype=np.bool_)
    if not len(first):
        return taken
    beyond = int(first.max()) + 1
    group = components((first, second + beyond), beyond + int(second.max()) + 1)[first]
    size = np.bincount(group)
    taken[size[group] == 1] = True
    rest = np.flatnonzero(~taken)
    order = rest[np.argsort(group[rest], kind="stable")]
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(order) else []:
        taken[rows] = _best(first[rows], second[rows], weights[rows])
    return taken


def _both_go_on(first: Ints, second: Ints, is_main: Bools) -> Bools:
    """Whether both outlines of each pair have a one-to-one link, with the other or elsewhere."""
    both: Bools = np.isin(first, first[is_main]) & np.isin(second, second[is_main])
    return both


def _best(first: Ints, second: Ints, weights: Floats) -> Bools:
    """The assignment of one group of pairs."""
    ones, row = np.unique(first, return_inverse=True)
    others, column = np.unique(second, return_inverse=True)
    table = np.zeros((len(ones), len(others)))
    table[row, column] = weights
    chosen = np.zeros_like(table, dtype=np.bool_)
    chosen[linear_sum_assignment(table, maximize=True)] = True
    best: Bools = chosen[row, column]
    return best
