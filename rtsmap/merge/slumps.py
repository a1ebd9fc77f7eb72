"""From matched instances to slumps: steps 3 to 5 of the rule."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from rtsmap.merge.instance_table import Booleans, Floats, Geometries, Indices, InstanceTable
from rtsmap.merge.matches import Matches, components
from rtsmap.records import PRECISION_PX, MergedInstance

#: A hole that the union of two outlines leaves between them is an artefact below this area (px²).
MIN_HOLE_PX = 1.0

#: A quarter of half an overlap: see steps 3 and 4 of the rule.
WHOLE = 0.25


def resolve(table: InstanceTable, matches: Matches) -> list[MergedInstance]:
    """The slumps of all groups of matching instances, without those that others make redundant."""
    if not len(table):
        return []
    labels = components(len(table), matches.pairs[matches.agree])
    slumps = _unions(table, labels)
    left_over = labels[matches.pairs[~matches.agree]]
    gone = _superfluous(slumps, left_over[left_over[:, 0] != left_over[:, 1]])
    return [
        MergedInstance(geometry, score, n_chips)
        for k, (geometry, score, n_chips) in enumerate(
            zip(slumps.geometries, slumps.scores.tolist(), slumps.n_chips.tolist(), strict=True)
        )
        if geometry is not None and k not in gone
    ]


@dataclass(frozen=True)
class _Unions:
    """Slumps as arrays with one entry per group of matching instances.

    Attributes:
        geometries: valid, with vertices on multiples of `PRECISION_PX`, each starting at the same vertex whatever the
            order of the input; None where step 3 of the rule drops the slump.
        scores: the score of the best instance if it is complete, else the highest.
        n_chips: number of distinct chips with an instance of the slump.
        partial: true if the slump was detected in one chip, whose border cuts it.
        windows: bounds of the windows of its instances, px.
    """

    geometries: Geometries
    scores: Floats
    n_chips: Indices
    partial: Booleans
    windows: Sequence[Floats]

    def lies_in(self, index: int, area: BaseGeometry, share: float) -> bool:
        geometry = self.geometries[index]
        return bool(geometry.intersection(area).area > share * geometry.area)


def _unions(table: InstanceTable, labels: Indices) -> _Unions:
    """Steps 3 and 4 of the rule; group k holds the instances of label k."""
    clearance, centre = table.clearance()
    order = np.lexsort((-table.scores, -clearance, labels))
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    best = order[starts]  # of each group
    sizes = np.diff(starts, append=len(order))
    in_best_chip = (table.chips == table.chips[best][labels]).all(axis=1)
    whole = (clearance[best] >= WHOLE) & (np.bincount(labels[in_best_chip]) == 1)
    geometries = shapely.normalize(table.polygons[best])
    members = np.split(order, starts[1:])
    in_parts = np.flatnonzero(~whole & (sizes > 1))
    geometries[in_parts] = _united([table.polygons[np.sort(members[k])] for k in in_parts])
    geometries[whole & (centre[best] < 1 - WHOLE)] = None
    cut = (table.bounds[best] == table.windows[best]).any(axis=1)
    return _Unions(
        geometries,
        np.where(whole, table.scores[best], np.maximum.reduceat(table.scores[order], starts)),
        _distinct_chips(table, labels),
        ~whole & (sizes == 1) & cut,
        [table.windows[group] for group in members],
    )


def _distinct_chips(table: InstanceTable, labels: Indices) -> Indices:
    keys = np.column_stack([labels, table.chips])
    keys = keys[np.lexsort(keys.T)]
    first = np.append(True, (keys[1:] != keys[:-1]).any(axis=1))
    return np.bincount(keys[first, 0])


def _united(groups: Sequence[Geometries]) -> Geometries:
    """The union of each group, with vertices on multiples of `PRECISION_PX`."""
    unions = np.fromiter(map(shapely.union_all, groups), dtype=np.object_, count=len(groups))
    rounded = shapely.set_precision(unions, PRECISION_PX, mode="pointwise")
    crossed = ~shapely.is_valid(rounded)  # seldom; rounding that keeps all valid costs as much as the union
    rounded[crossed] = shapely.set_precision(unions[crossed], PRECISION_PX)
    parts, owners = shapely.get_parts(rounded, return_index=True)
    for k in np.unique(owners[shapely.get_num_interior_rings(parts) > 0]):
        whole = [_without_gaps(part) for part in shapely.get_parts(rounded[k])]
        rounded[k] = whole[0] if len(whole) == 1 else MultiPolygon(whole)
    return shapely.normalize(rounded)


def _without_gaps(part: Polygon) -> Polygon:
    """The polygon without the small holes that two outlines leave between them."""
    if not part.interiors:
        return part
    return Polygon(part.exterior, [hole for hole in part.interiors if Polygon(hole).area >= MIN_HOLE_PX])


def _superfluous(slumps: _Unions, overlaps: Indices) -> set[int]:
    """Slumps that lie mostly within another one, or that are under-segmented: step 5 of the rule."""
    neighbours: dict[int, set[int]] = {}
    for a, b in np.concatenate([overlaps, overlaps[:, ::-1]]).tolist():
        if slumps.geometries[a] is not None and slumps.geometries[b] is not None:
            neighbours.setdefault(a, set()).add(b)
    area = {index: slumps.geometries[index].area for index in neighbours}
    gone: set[int] = set()
    for large in sorted(neighbours, key=lambda index: (-area[index], index)):
        if large in gone:
            continue
        others = {k for k in neighbours[large] - gone if area[k] <= area[large]}
        outline = slumps.geometries[large]
        inside = {k for k in others if slumps.lies_in(k, outline, 0.25 if slumps.partial[k] else 0.5)}
        gone |= {large} if _under_segmented(slumps, large, inside) else inside
    return gone


def _under_segmented(slumps: _Unions, large: int, inside: set[int]) -> bool:
    """Whether one chip sees most of `large`, and within it two or more slumps with a higher score."""
    higher_scoring = (k for k in inside if slumps.scores[k] > slumps.scores[large])
    seen = Counter(
        window for k in higher_scoring for window in {tuple(window) for window in slumps.windows[k].tolist()}
    )
    return any(n > 1 and slumps.lies_in(large, shapely.box(*window), 0.5) for window, n in seen.items())
