"""Labels as a person would draw them: the true outlines with the measured disagreement between two people."""

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.special import ndtr
from shapely import Polygon, affinity

from rtsmap.geometry import largest_polygon
from rtsmap.simulate.statistics import LOG_AREA, REDRAW_BY_AREA, REDRAW_IOU, quantile

Vectors = NDArray[np.float64]

_STEPS = 14
_CLICK_M = 6.0  # distance between the points of a drawn outline; PlanetScope labels have a point every two pixels


def drawn(rng: np.random.Generator, outline: Polygon) -> Polygon:
    """Draw an outline as another person would; its overlap (IoU) with the true one follows `statistics.REDRAW_IOU`.

    People agree better on large slumps than on small ones. A drawing is too large or too small, displaced, and
    irregular along its edge. The proportions of these errors are random, and their common amount is chosen to give the
    overlap that was drawn.

    Args:
        rng: the random numbers.
        outline: the true outline, in metres.
    """
    large = (np.log(outline.area) - LOG_AREA[0]) / LOG_AREA[1]
    rank = ndtr(REDRAW_BY_AREA * large + np.sqrt(1 - REDRAW_BY_AREA**2) * rng.standard_normal(1))
    wanted = float(quantile(REDRAW_IOU, rank)[0])
    reach = np.sqrt(outline.area)
    grow = rng.normal(0, 0.12) * reach
    move = rng.normal(0, 0.10, 2) * reach
    phases, bends = rng.uniform(0, 2 * np.pi, 4), rng.normal(0, 0.03, 4) * reach
    low, high = 0.0, 6.0
    best = outline
    for _ in range(_STEPS):
        middle = (low + high) / 2
        candidate = _distorted(outline, middle * grow, middle * move, phases, middle * bends)
        if not candidate.is_empty:
            best = candidate
        overlap = _iou(outline, candidate)
        low, high = (middle, high) if overlap > wanted else (low, middle)
    return best


def _distorted(
    outline: Polygon,
    grow: float,
    move: Vectors,
    phases: Vectors,
    bends: Vectors,
) -> Polygon:
    """Return the outline resized, moved and bent, or its largest part; an empty polygon if nothing remains."""
    changed = affinity.translate(outline.buffer(grow), *move)
    if changed.is_empty:
        return Polygon()
    dense = shapely.segmentize(changed, _CLICK_M * 2)
    wave = 2 * np.pi / (0.8 * np.sqrt(outline.area) + 20)
    centre = outline.centroid

    def bend(points: Vectors) -> Vectors:
        x, y = (points - (centre.x, centre.y)).T * wave
        east = bends[0] * np.sin(y + phases[0]) + bends[1] * np.sin(1.9 * x + phases[1])
        north = bends[2] * np.sin(x + phases[2]) + bends[3] * np.sin(2.1 * y + phases[3])
        bent: Vectors = points + np.stack([east, north], axis=-1)
        return bent

    bent = shapely.make_valid(shapely.transform(dense, bend).simplify(_CLICK_M / 4))
    return largest_polygon(bent)


def _iou(first: Polygon, second: Polygon) -> float:
    both = first.intersection(second).area
    return float(both / (first.area + second.area - both))
