"""Links between the outlines of an earlier and a later epoch that show the same slump."""

from dataclasses import dataclass

import numpy as np
import shapely
from scipy.optimize import linear_sum_assignment

from rtsmap.tracks.options import TrackOptions
from rtsmap.tracks.outlines import Bools, Floats, Ints, Objects, areas_of, components

_QUARTER = 4  # segments in a quarter circle of a buffer, which lose 2 % of its width


@dataclass(frozen=True)
class Links:
    """Pairs of an earlier and a later outline that show the same slump, or parts of the same slump.

    Attributes:
        earlier: numbers of the earlier outlines.
        later: numbers of the later outlines.
        overlap: common area divided by the area of the smaller outline, 0..1, without a buffer.
        iou: common area divided by the area of the union, 0..1.
        is_main: true for one-to-one links; false for further links, which belong to a merge or a split.
    """

    earlier: Ints
    later: Ints
    overlap: Floats
    iou: Floats
    is_main: Bools


def link(earlier: Objects, later: Objects, options: TrackOptions) -> Links:
    """Link the outlines of two epochs.

    One-to-one links are the assignment with the largest sum of IoU among the pairs whose overlap is at least
    `min_overlap` after the earlier outline was buffered by the placement error. The buffer keeps the links of small
    slumps whose images are displaced by some metres. Further links, which indicate merges and splits, need an overlap
    of `min_part` without a buffer, because neighbours that touch each other overlap when buffered. One of the two
    outlines must also have no one-to-one link, because neighbours that both continue overlap only where their
    boundaries were drawn differently.

    Args:
        earlier: polygons in a projected CRS, m.
        later: polygons in the same CRS.
        options: minimum overlaps and placement error.
    """
    error = options.placement_error_m
    first, second = shapely.STRtree(later).query(earlier, predicate="dwithin", distance=error)
    one, other = earlier[first], later[second]
    common = areas_of(shapely.intersection(one, other))
    areas, other_areas = areas_of(one), areas_of(other)
    smaller = np.minimum(areas, other_areas)
    overlap, iou = common / smaller, common / (areas + other_areas - common)
    buffered = np.minimum(overlap, 1.0)
    below = overlap < options.min_overlap  # only these need the buffer, which cannot reduce an overlap
    widened = shapely.buffer(one[below], error, quad_segs=_QUARTER)
    buffered[below] = np.minimum(areas_of(shapely.intersection(widened, other[below])) / smaller[below], 1.0)
    linkable = buffered >= options.min_overlap
    # The IoU is 0 for outlines that overlap only within the buffer; the buffered overlap then ranks them.
    is_main = linkable.copy()
    is_main[linkable] = assign(first[linkable], second[linkable], iou[linkable] + 1e-6 * buffered[linkable])
    kept = is_main | ((overlap >= options.min_part) & ~_both_continue(first, second, is_main))
    return Links(first[kept], second[kept], overlap[kept], iou[kept], is_main[kept])


def assign(first: Ints, second: Ints, weights: Floats) -> Bools:
    """Select the pairs of the one-to-one assignment with the largest sum of weights.

    Args:
        first: `(n,)` numbers of the first elements of the pairs.
        second: `(n,)` numbers of the second elements of the pairs.
        weights: `(n,)` weights, above 0.

    Returns:
        `(n,)`, true for the selected pairs.
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


def _both_continue(first: Ints, second: Ints, is_main: Bools) -> Bools:
    """Whether both outlines of each pair have a one-to-one link, with each other or with other outlines."""
    both: Bools = np.isin(first, first[is_main]) & np.isin(second, second[is_main])
    return both


def _best(first: Ints, second: Ints, weights: Floats) -> Bools:
    """The assignment within one connected group of pairs."""
    ones, row = np.unique(first, return_inverse=True)
    others, column = np.unique(second, return_inverse=True)
    table = np.zeros((len(ones), len(others)))
    table[row, column] = weights
    chosen = np.zeros_like(table, dtype=np.bool_)
    chosen[linear_sum_assignment(table, maximize=True)] = True
    best: Bools = chosen[row, column]
    return best
