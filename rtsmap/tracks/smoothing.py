"""Smoothed areas that never shrink, by isotonic regression."""

import numpy as np
from scipy.optimize import isotonic_regression

from rtsmap.tracks.outlines import Bools, Floats, Ints, run_starts


def never_shrinking(track: Ints, order: Ints, jumps: Bools, areas: Floats, errors: Floats) -> Floats:
    """Smooth the areas of each track by weighted isotonic regression, which restarts at every merge and split.

    Slump scars rarely become smaller within a few years, so that most shrinkage of outlines is noise. This is a prior
    assumption and not an observation; rates are therefore fitted to the original areas.

    Args:
        track: number of the track of each outline.
        order: numbers of the outlines, sorted by track and date.
        jumps: true for outlines that result from a merge or a split.
        areas: areas of the outlines, m2.
        errors: standard errors of the areas, m2.

    Returns:
        `(n,)` areas, m2.
    """
    result = areas.copy()
    ordered = track[order]
    begins = run_starts(ordered) | jumps[order]
    for rows in np.split(order, np.flatnonzero(begins)[1:]):
        if len(rows) > 1:
            result[rows] = isotonic_regression(areas[rows], weights=1 / errors[rows] ** 2).x
    return result
