"""Changes of slump outlines: headwall retreat, revegetation from the outlet, merging and splitting."""

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from rtsmap.geometry import largest_polygon, polygon_parts

Vectors = NDArray[np.float64]

#: The smallest distance between slumps that have not merged (m).
GAP_M = 0.4
#: The movement of the flanks relative to the headwall. It is chosen: slumps widen more slowly than they lengthen.
_FLANKS = 0.15
_STEPS = 10
_BRIDGE_M = 3.0
_SPIKE_M = 1.5


def resized(
    rng: np.random.Generator, outline: Polygon, down: tuple[float, float], area_m2: float, others: BaseGeometry
) -> Polygon:
    """Change the size of an outline: it grows up the slope or shrinks from its outlet.

    Args:
        rng: draws the irregularities of the headwall.
        outline: the outline, in metres.
        down: the unit vector `(east, north)` down the slope.
        area_m2: the requested area, m2. It is met to a few tenths of a percent, except where others leave no room.
        others: the ground that the outline must not enter.
    """
    grows = area_m2 > outline.area
    ring, displacement = _displacements(rng, outline, np.array(down), grows=grows)
    # The area swept by a small displacement: its outward component times the length of the ring that it acts on.
    swept = max(
        float(np.abs(_cross(displacement, np.roll(ring, -1, axis=0) - np.roll(ring, 1, axis=0))).sum()) / 2, 1e-6
    )
    low, high = 0.0, 5 * abs(area_m2 - outline.area) / swept
    best, holes = outline, list(outline.interiors)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        moved = shapely.make_valid(Polygon(ring + middle * displacement, holes), method="structure")
        changed = outline.union(moved).difference(others) if grows else outline.intersection(moved)
        candidate = largest_polygon(changed)
        enough = (candidate.area > area_m2) == grows
        if candidate.area > 0:
            best = candidate
        low, high = (low, middle) if enough else (middle, high)
    return _without_spikes(best) if grows else best


def _without_spikes(outline: Polygon) -> Polygon:
    """Remove what is narrower than a pixel, and simplify."""
    opened = largest_polygon(outline.buffer(-_SPIKE_M).buffer(_SPIKE_M).simplify(0.2))
    return outline if opened.is_empty else opened


def merged(
    rng: np.random.Generator,
    first: Polygon,
    second: Polygon,
    down: tuple[float, float],
    area_m2: float,
    others: BaseGeometry,
) -> Polygon | None:
    """Merge two slumps into one that contains both.

    Args:
        rng: draws the irregularities of the headwall.
        first: the outline of one slump.
        second: the outline of its neighbour.
        down: the unit vector `(east, north)` down the slope.
        area_m2: the requested area, m2. The result is larger if joining them takes more ground.
        others: the ground that the outline must not enter.

    Returns:
        The outline, or None if a third slump lies between them.
    """
    both = first.union(second)
    radius = first.distance(second) / 2 + _BRIDGE_M
    joined = both.buffer(radius).buffer(-radius).union(both).difference(others)
    if not isinstance(joined, Polygon):
        return None
    if joined.area >= area_m2:
        return joined
    grown = resized(rng, joined, down, area_m2, others)
    # A neck narrower than a pixel is removed with the spikes, and the smaller slump would be lost with it.
    return joined if grown.disjoint(first) or grown.disjoint(second) else grown


def split(
    rng: np.random.Generator, outline: Polygon, down: tuple[float, float], share: float, gap_m: float
) -> tuple[Polygon, Polygon] | None:
    """Split a slump into two parts side by side on the slope, with a revegetated rib between them.

    Args:
        rng: draws the course of the rib.
        outline: the outline to split.
        down: the unit vector `(east, north)` down the slope.
        share: the share of the area on one side, 0..1.
        gap_m: the width of the rib, m.

    Returns:
        The larger and the smaller part, or None if only one part remains.
    """
    along, middle = np.array(down), np.array(outline.centroid.coords[0])
    across = np.array([-along[1], along[0]])
    points = shapely.get_coordinates(outline) - middle
    reach = float(np.abs(points).sum(axis=1).max())
    steps = np.linspace(-1, 1, 25)
    winding = 0.04 * reach * np.sin(steps * rng.uniform(3, 7) + rng.uniform(0, 2 * np.pi))
    rib = middle + np.outer(steps * reach, along) + np.outer(winding, across)
    low, high = float((points @ across).min()), float((points @ across).max())
    for _ in range(_STEPS):
        offset = (low + high) / 2
        line = rib + offset * across
        side = shapely.make_valid(Polygon([*line, *(line[::-1] - 3 * reach * across)]))
        low, high = (offset, high) if side.intersection(outline).area < share * outline.area else (low, offset)
    left = outline.difference(LineString(line).buffer(gap_m / 2))
    parts = sorted(polygon_parts(left), key=lambda part: -part.area)
    return (parts[0], parts[1]) if len(parts) > 1 else None


def _displacements(
    rng: np.random.Generator, outline: Polygon, down: Vectors, *, grows: bool
) -> tuple[Vectors, Vectors]:
    """Return points along the outline `(n, 2)` and their displacements, outward at the headwall or inward below."""
    size = np.sqrt(outline.area)
    ring = shapely.get_coordinates(outline.exterior.segmentize(max(2.0, size / 40)))[:-1]
    # The headwall follows the large-scale shape of the outline, not its notches.
    outward = _smooth(_outward(_smooth(ring)))
    upward = -outward @ down
    active = np.maximum(upward if grows else -upward, 0)
    # Bays of the headwall retreat faster than the rest of it.
    position = ring @ (-down[1], down[0])
    wave = 2 * np.pi / (rng.uniform(0.3, 0.8) * size)
    uneven = 1 + 0.3 * np.sin(position * wave + rng.uniform(0, 2 * np.pi)) + 0.2 * np.sin(2.3 * position * wave)
    flanks = _FLANKS * (1 - active) * ((upward if grows else -upward) > -0.5)
    amount = _smooth((active * uneven + flanks)[:, None])
    return ring, amount * outward if grows else -amount * outward


def _outward(ring: Vectors) -> Vectors:
    """Return outward unit vectors at the points of a ring."""
    tangent = np.roll(ring, -1, axis=0) - np.roll(ring, 1, axis=0)
    outward = np.stack([tangent[:, 1], -tangent[:, 0]], axis=-1) * np.sign(
        np.sum(_cross(ring, np.roll(ring, -1, axis=0)))
    )
    unit: Vectors = outward / np.maximum(np.hypot(*outward.T), 1e-9)[:, None]
    return unit


def _smooth(along: Vectors) -> Vectors:
    """Smooth values `(n, m)` along a ring over about a tenth of the size of the slump."""
    smooth: Vectors = ndimage.gaussian_filter1d(along, 3.0, axis=0, mode="wrap")
    return smooth


def _cross(first: Vectors, second: Vectors) -> Vectors:
    product: Vectors = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    return product
