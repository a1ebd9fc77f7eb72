"""Areas that never shrink."""

import numpy as np
from scipy.optimize import isotonic_regression

from rtsmap.tracks.outlines import Bools, Floats, Ints, run_starts


def never_shrinking(track: Ints, order: Ints, jumps: Bools, areas: Floats, errors: Floats) -> Floats:
    """The weighted isotonic regression of each track's areas, begun anew at every merge and split.

    Scars rarely become smaller within a few years, so that most shrinkage of outlines is jitter. It is a prior, not an
    observation: rates are fitted to the areas as they are.

    Args:
        track: of each outline.
        order: outlines by track and date.
        jumps: outlines that came of a merge or a split.
        areas: m2.
        errors: standard errors of them.

    Returns:
        `(n,)`, m2.
    """
    result = areas.copy()
    ordered = track[order]
    begins = run_starts(ordered) | jumps[order]
    for rows in np.split(order, np.flatnonzero(begins)[1:]):
        if len(rows) > 1:
            result[rows] = isotonic_regression(areas[rows], weights=1 / errors[rows] ** 2).x
    return result
