"""How the outline of a slump changes: its headwall eats up the slope, plants take back its outlet, neighbours meet."""

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

Vectors = NDArray[np.float64]

#: Terrain that stays between slumps which have not merged (m).
GAP_M = 0.4
#: How fast the flanks move where the headwall moves by 1. Chosen: slumps widen more slowly than they lengthen.
_FLANKS = 0.15
_STEPS = 10
_BRIDGE_M = 3.0
_SPIKE_M = 1.5


def resized(
    rng: np.random.Generator, outline: Polygon, down: tuple[float, float], area_m2: float, others: BaseGeometry
) -> Polygon:
    """The outline at another size: grown up the slope, or withdrawn from its outlet.

    Args:
        rng: of what makes the headwall uneven.
        outline: in metres.
        down: unit vector `(east, north)` down the slope.
        area_m2: wanted; it is missed where others leave no room, and by some tenths of a percent elsewhere.
        others: ground that it must not enter.
    """
    grows = area_m2 > outline.area
    ring, push = _pushes(rng, outline, np.array(down), grows=grows)
    # What a small push sweeps: the push towards the outside times the length of the ring that it acts on.
    swept = max(float(np.abs(_cross(push, np.roll(ring, -1, axis=0) - np.roll(ring, 1, axis=0))).sum()) / 2, 1e-6)
    low, high = 0.0, 5 * abs(area_m2 - outline.area) / swept
    best, holes = outline, list(outline.interiors)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        moved = shapely.make_valid(Polygon(ring + middle * push, holes), method="structure")
        changed = outline.union(moved).difference(others) if grows else outline.intersection(moved)
        candidate = largest(changed)
        enough = candidate is None or (candidate.area > area_m2) == grows
        if candidate is not None and candidate.area > 0:
            best = candidate
        low, high = (low, middle) if enough else (middle, high)
    return _without_spikes(best) if grows else best


def _without_spikes(outline: Polygon) -> Polygon:
    """Without what is narrower than a pixel, and with fewer points."""
    opened = largest(outline.buffer(-_SPIKE_M).buffer(_SPIKE_M).simplify(0.2))
    return outline if opened is None else opened


def merged(
    rng: np.random.Generator,
    first: Polygon,
    second: Polygon,
    down: tuple[float, float],
    area_m2: float,
    others: BaseGeometry,
) -> Polygon | None:
    """Two slumps grown into one that holds both; None where a third lies between.

    Args:
        rng: of what makes the headwall uneven.
        first: one of them.
        second: its neighbour.
        down: unit vector down the slope.
        area_m2: wanted; larger where it takes more ground to join them.
        others: ground that it must not enter.
    """
    both = first.union(second)
    radius = first.distance(second) / 2 + _BRIDGE_M
    joined = both.buffer(radius).buffer(-radius).union(both).difference(others)
    if not isinstance(joined, Polygon):
        return None
    if joined.area >= area_m2:
        return joined
    grown = resized(rng, joined, down, area_m2, others)
    # A neck too narrow for a pixel goes with the spikes, and with it the smaller slump.
    return joined if grown.disjoint(first) or grown.disjoint(second) else grown


def split(
    rng: np.random.Generator, outline: Polygon, down: tuple[float, float], share: float, gap_m: float
) -> tuple[Polygon, Polygon] | None:
    """Two parts beside each other on the slope, where a rib between them has turned green; None if it leaves but one.

    Args:
        rng: of the rib's windings.
        outline: to be split.
        down: unit vector down the slope.
        share: of the area, on one side, 0..1.
        gap_m: width of the rib.
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
    left = shapely.get_parts(outline.difference(LineString(line).buffer(gap_m / 2)))
    parts = sorted((part for part in left if isinstance(part, Polygon)), key=lambda part: -part.area)
    return (parts[0], parts[1]) if len(parts) > 1 else None


def largest(shape: BaseGeometry) -> Polygon | None:
    """The largest polygon of a geometry, None where it holds none."""
    parts = [part for part in shapely.get_parts(shape) if isinstance(part, Polygon)]
    return max(parts, key=lambda part: part.area, default=None)


def _pushes(rng: np.random.Generator, outline: Polygon, down: Vectors, *, grows: bool) -> tuple[Vectors, Vectors]:
    """Points along the outline `(n, 2)`, and by how much each moves: the headwall outward, or the outlet inward."""
    size = np.sqrt(outline.area)
    ring = shapely.get_coordinates(outline.exterior.segmentize(max(2.0, size / 40)))[:-1]
    # As elsewhere the headwall follows the outline's large curve, not its notches.
    outward = _smooth(_outward(_smooth(ring)))
    upward = -outward @ down
    active = np.maximum(upward if grows else -upward, 0)
    # Bays of the headwall run ahead of the rest of it.
    place = ring @ (-down[1], down[0])
    wave = 2 * np.pi / (rng.uniform(0.3, 0.8) * size)
    uneven = 1 + 0.3 * np.sin(place * wave + rng.uniform(0, 2 * np.pi)) + 0.2 * np.sin(2.3 * place * wave)
    flanks = _FLANKS * (1 - active) * ((upward if grows else -upward) > -0.5)
    amount = _smooth((active * uneven + flanks)[:, None])
    return ring, amount * outward if grows else -amount * outward


def _outward(ring: Vectors) -> Vectors:
    """Unit vectors out of a ring at its points."""
    ahead = np.roll(ring, -1, axis=0) - np.roll(ring, 1, axis=0)
    outward = np.stack([ahead[:, 1], -ahead[:, 0]], axis=-1) * np.sign(np.sum(_cross(ring, np.roll(ring, -1, axis=0))))
    unit: Vectors = outward / np.maximum(np.hypot(*outward.T), 1e-9)[:, None]
    return unit


def _smooth(along: Vectors) -> Vectors:
    """Values `(n, m)` along a ring without what is shorter than a tenth of the slump."""
    smooth: Vectors = ndimage.gaussian_filter1d(along, 3.0, axis=0, mode="wrap")
    return smooth


def _cross(first: Vectors, second: Vectors) -> Vectors:
    product: Vectors = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    return product
