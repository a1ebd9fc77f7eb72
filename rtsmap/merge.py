"""Slumps seen by several chips become one: a streaming merge, row of chips by row of chips.

The rule, which does not depend on the order of the instances:

1. *Core.* An instance that shares no area with its chip's core is dropped: a neighbour, in whose core it lies, sees it
   with more of its surroundings.
2. *Agreement.* Two instances of different chips are the same slump when they agree on the zone that both chips see,
   the intersection of their windows: the intersection over union (IoU) of the two outlines, cut to the zone, is more
   than `agreement`. A cut outline may come apart, as the two arms of a slump whose headwall lies beyond the zone; one
   piece that agrees with one piece of the other is enough. Ratios of whole outlines fail once a slump is much larger
   than the overlap, since each chip sees another part of it.
3. *Best view.* Slumps are the connected components of these pairs, `n_chips` the number of distinct chips. A chip sees
   a slump the better, the farther its outline keeps from those borders of the window beyond which other chips see
   more. Where the best view keeps an eighth of the overlap from them, it is whole, and outline and score are its own.
   If moreover it lies around a point that is another chip's by as much, the slump is left out: the chip that sees it
   better still has not found it, and what is found must not depend on how many chips looked.
4. *Union.* Otherwise no chip sees all of it, and the outline is the union, the score the highest. Instances of one chip
   are never compared, so neighbours that touch stay apart. One slump takes in two of them only if another chip's
   instance agrees with each. As `agreement` is at least one half and nothing shares more than half of itself with
   each of two outlines that do not overlap, that takes one piece for each: the other chip sees them joined on ground
   that their own chip does not see. A neighbour that sees two slumps as one on common ground cannot glue them.
5. *Leftovers.* Slumps of different chips may overlap without agreement. From the largest to the smallest, the smaller
   ones that lie within a slump by more than half of their area are other views of it and are left out; a quarter is
   enough for an outline of one chip that this chip's border cuts, since it is a partial view for certain. Unless one
   chip sees two or more of them, each with a higher score than the slump, and most of the slump lies in its window:
   then the slump has glued neighbours and is left out instead. Smaller overlaps stay as they are.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, groupby
from math import ceil, inf
from typing import Any, NamedTuple, cast

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from rtsmap.records import PRECISION_PX, ChipWindow, Instance, MergedInstance, Window

#: A hole that the union of two outlines leaves between them is an artefact below this area (px²).
MIN_HOLE_PX = 1.0

#: A quarter of half an overlap: see steps 3 and 4 of the rule.
WHOLE = 0.25

_Geometries = NDArray[np.object_]
_Indices = NDArray[np.intp]
_Floats = NDArray[np.float64]


class Merger:
    """Takes the instances of a scene row by row and gives back the slumps that can no longer change.

    Only slumps that reach the windows of rows still to come are held, so memory does not grow with the scene.

    Args:
        agreement: intersection over union in the common zone above which two instances are the same slump, 0.5..1.

    Raises:
        ValueError: `agreement` is outside its range.
    """

    def __init__(self, *, agreement: float = 0.5) -> None:
        if not 0.5 <= agreement <= 1.0:
            raise ValueError(f"agreement must be within 0.5..1, not {agreement}: below, one outline could match two")
        self._agreement = agreement
        self._row: int | None = None
        self._held: list[Instance] = []
        self._links = _Links(np.empty((0, 2), dtype=np.intp), np.empty(0, dtype=np.bool_))

    def add_row(self, row_index: int, instances: Sequence[Instance]) -> list[MergedInstance]:
        """Add all instances of a row of chips; rows without any may be left out.

        Args:
            row_index: of the chips, `ChipWindow.row`; larger than in the call before.
            instances: in any order, with valid polygons within their chips' windows.

        Returns:
            The slumps that no later row can change, in the order of `in_order`.

        Raises:
            ValueError: rows do not ascend, or an instance is of another row.
        """
        if self._row is not None and row_index <= self._row:
            raise ValueError(f"rows must ascend: {row_index} after {self._row}")
        if any(instance.place.row != row_index for instance in instances):
            raise ValueError(f"all instances must be of row {row_index}")
        self._row = row_index
        first = len(self._held)
        self._held += _in_core(instances)
        new = _overlaps(self._held, first, self._agreement)
        self._links = _Links(*(np.concatenate(both) for both in zip(self._links, new, strict=True)))
        return self._release(row_index)

    def finish(self) -> list[MergedInstance]:
        """Give back the slumps that are still held, and start anew."""
        self._row = None
        return self._release(None)

    def _release(self, row: int | None) -> list[MergedInstance]:
        """Resolve the groups of linked instances that rows after `row` cannot reach; all of them for None."""
        groups = _components(len(self._held), self._links.pairs)
        latest = np.full(len(self._held), -np.inf)  # by group, of which there are no more than instances
        np.maximum.at(latest, groups, [_last_row(instance) for instance in self._held])
        done = latest[groups] <= (inf if row is None else row)
        slumps = _resolve(list(compress(self._held, done)), self._links.among(done))
        self._held, self._links = list(compress(self._held, ~done)), self._links.among(~done)
        return in_order(slumps)


def merge(instances: Iterable[Instance], *, agreement: float = 0.5) -> list[MergedInstance]:
    """Merge the instances of a whole scene.

    Args:
        instances: of all chips, in any order.
        agreement: see `Merger`.

    Returns:
        The slumps in the order of `in_order`; the same as from the rows one by one.
    """
    merger = Merger(agreement=agreement)
    rows = groupby(sorted(instances, key=lambda one: one.place.row), key=lambda one: one.place.row)
    slumps = [slump for row, group in rows for slump in merger.add_row(row, list(group))]
    return in_order(slumps + merger.finish())


def in_order(slumps: Iterable[MergedInstance]) -> list[MergedInstance]:
    """Sorted by position: the topmost row of each outline, its leftmost column, then the rest of it."""

    def position(slump: MergedInstance) -> tuple[Any, ...]:
        left, top, right, bottom = slump.geometry.bounds
        return top, left, bottom, right, slump.geometry.wkb, slump.score, slump.n_chips

    return sorted(slumps, key=position)


class _Links(NamedTuple):
    """Overlapping instances of different chips."""

    pairs: _Indices  # (n, 2), of instances
    agree: NDArray[np.bool_]  # (n,), true where the two are the same slump

    def among(self, chosen: NDArray[np.bool_]) -> "_Links":
        """The links between chosen instances, renumbered; a link never leaves its group."""
        inside = chosen[self.pairs].all(axis=1)
        renumbered = np.cumsum(chosen) - 1
        return _Links(renumbered[self.pairs[inside]], self.agree[inside])


class _View(NamedTuple):
    """An instance, and how well its chip sees it: distances from the window's border in half overlaps."""

    instance: Instance
    clearance: float  # of its outline
    centre: float  # of the centre of its bounds; below 1 it lies in another chip's core


class _Union(NamedTuple):
    """A component of instances that agree."""

    geometry: BaseGeometry
    score: float
    chips: frozenset[ChipWindow]
    partial: bool  # seen by one chip, whose border cuts it

    def lies_in(self, area: BaseGeometry, share: float) -> bool:
        return bool(self.geometry.intersection(area).area > share * self.geometry.area)


def _bounds(windows: Iterable[Window]) -> _Floats:
    return np.array([window.bounds for window in windows], dtype=np.float64).reshape(-1, 4)


def _geometries(instances: Sequence[Instance]) -> _Geometries:
    return np.fromiter((one.polygon for one in instances), dtype=np.object_, count=len(instances))


def _in_core(instances: Sequence[Instance]) -> list[Instance]:
    """Those that share area with their core, sorted so that nothing after this depends on the order of the input."""
    inside = _cut(_geometries(instances), _bounds(one.place.core for one in instances))
    return sorted(
        compress(instances, shapely.area(inside) > 0),
        key=lambda one: (one.place.row, one.place.column, one.polygon.bounds, one.score, one.polygon.wkb),
    )


def _last_row(instance: Instance) -> float:
    """The last row of chips whose windows the instance may reach.

    The lattice follows from one chip: its core ends half an overlap before its window, and the next window starts half
    an overlap before the next core. In the last row, whose core may end with the scene long before its window, this
    gives too short a stride; slumps are then held until `finish`.
    """
    window, core = instance.place.window, instance.place.core
    stride = 2 * (core.row + core.height) - (window.row + window.height) - window.row
    if stride <= 0:
        return inf
    return instance.place.row + max(ceil((instance.polygon.bounds[3] - window.row) / stride) - 1, 0)


def _overlaps(instances: Sequence[Instance], first: int, agreement: float) -> _Links:
    """Links of the instances from `first` on with each other and with those before."""
    polygons = _geometries(instances)
    windows = _bounds(one.place.window for one in instances)
    pairs = _candidates(polygons, windows, _bounds(one.place.core for one in instances), first)
    a, b = pairs.T
    zones = np.hstack([np.maximum(windows[a], windows[b])[:, :2], np.minimum(windows[a], windows[b])[:, 2:]])
    cut_a, cut_b = _cut(polygons[a], zones), _cut(polygons[b], zones)
    shared, ratio = _agreement(cut_a, cut_b)
    agree = ratio > agreement
    for k in np.flatnonzero((shared > 0) & ~agree):
        agree[k] = _best_of_pieces(cut_a[k], cut_b[k]) > agreement
    return _Links(pairs[shared > 0], agree[shared > 0])


def _candidates(polygons: _Geometries, windows: _Floats, cores: _Floats, first: int) -> _Indices:
    """Pairs of polygons of different chips that meet, at least one of them new, the later one first.

    Only those enter the index that leave the part of their window that no neighbour sees.
    """
    alone = 2 * cores - windows  # the core without half an overlap on each side
    bounds = shapely.bounds(polygons).reshape(-1, 4)
    shared = (bounds[:, :2] < alone[:, :2]).any(axis=1) | (bounds[:, 2:] > alone[:, 2:]).any(axis=1)
    indexed = np.flatnonzero(shared)
    new = indexed[indexed >= first]
    found = shapely.STRtree(polygons[indexed]).query(polygons[new], predicate="intersects")
    pairs = np.column_stack([new[found[0]], indexed[found[1]]])
    pairs = pairs[(pairs[:, 0] > pairs[:, 1]) & (windows[pairs[:, 0]] != windows[pairs[:, 1]]).any(axis=1)]
    return cast(_Indices, pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))])


def _cut(polygons: _Geometries, boxes: _Floats) -> _Geometries:
    """Polygons cut to a box each; those that lie within are not touched, for cutting costs."""
    bounds = shapely.bounds(polygons).reshape(-1, 4)
    over = (bounds[:, :2] < boxes[:, :2]).any(axis=1) | (bounds[:, 2:] > boxes[:, 2:]).any(axis=1)
    pieces = polygons.copy()
    pieces[over] = shapely.intersection(polygons[over], shapely.box(*boxes[over].T))
    return pieces


def _agreement(a: _Geometries, b: _Geometries) -> tuple[_Floats, _Floats]:
    """Shared area (px²) and IoU of each pair."""
    shared = shapely.area(shapely.intersection(a, b))
    union = shapely.area(a) + shapely.area(b) - shared
    return shared, np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _best_of_pieces(a: BaseGeometry, b: BaseGeometry) -> float:
    """The highest IoU of any piece of the one with any piece of the other."""
    pieces_a, pieces_b = shapely.get_parts(a), shapely.get_parts(b)
    return float(_agreement(np.repeat(pieces_a, len(pieces_b)), np.tile(pieces_b, len(pieces_a)))[1].max())


def _components(count: int, pairs: _Indices) -> _Indices:
    """The number of the connected component that each of `count` nodes belongs to."""
    if not count:
        return np.empty(0, dtype=np.intp)
    graph = coo_array((np.ones(len(pairs), dtype=np.bool_), pairs.T), shape=(count, count))
    return cast(_Indices, connected_components(graph, directed=False)[1].astype(np.intp))


def _resolve(instances: Sequence[Instance], links: _Links) -> list[MergedInstance]:
    labels = _components(len(instances), links.pairs[links.agree])
    members: dict[int, list[_View]] = {}
    for view, label in zip(_views(instances), labels.tolist(), strict=True):
        members.setdefault(label, []).append(view)
    slumps = [_one_slump(members[label]) for label in range(len(members))]
    left_over = labels[links.pairs[~links.agree]]
    kept = _without_duplicates(slumps, left_over[left_over[:, 0] != left_over[:, 1]])
    return [MergedInstance(slump.geometry, slump.score, len(slump.chips)) for slump in kept]


def _views(instances: Sequence[Instance]) -> list[_View]:
    """How far each instance, and its centre, keep from the borders of the window beyond which other chips see more."""
    bounds = shapely.bounds(_geometries(instances)).reshape(-1, 4)
    windows, cores = _bounds(one.place.window for one in instances), _bounds(one.place.core for one in instances)
    inwards = np.array([1, 1, -1, -1])
    margin = (cores - windows) * inwards  # half an overlap; 0 where the scene ends
    with np.errstate(divide="ignore", invalid="ignore"):
        outline, centre = (
            np.where(margin > 0, (sides - windows) * inwards / margin, np.inf).min(axis=1)
            for sides in (bounds, np.tile((bounds[:, :2] + bounds[:, 2:]) / 2, 2))
        )
    return [_View(*view) for view in zip(instances, outline.tolist(), centre.tolist(), strict=True)]


def _one_slump(views: Sequence[_View]) -> _Union | None:
    """Steps 3 and 4 of the rule."""
    members = [view.instance for view in views]
    best = max(views, key=lambda view: (view.clearance, view.instance.score))
    if best.clearance < WHOLE or sum(member.place == best.instance.place for member in members) > 1:
        return _unite(members)
    if best.centre < 1 - WHOLE:
        return None
    chips = frozenset(member.place for member in members)
    return _Union(shapely.normalize(best.instance.polygon), best.instance.score, chips, partial=False)


def _unite(members: Sequence[Instance]) -> _Union:
    """The outline is valid, on the lattice, and starts at the same vertex whatever the order."""
    geometry: BaseGeometry = members[0].polygon
    if len(members) > 1:
        united = shapely.set_precision(shapely.union_all([member.polygon for member in members]), PRECISION_PX)
        parts = [
            Polygon(part.exterior, [hole for hole in part.interiors if Polygon(hole).area >= MIN_HOLE_PX])
            for part in shapely.get_parts(united)
        ]
        geometry = parts[0] if len(parts) == 1 else MultiPolygon(parts)
    chips = frozenset(member.place for member in members)
    touches = np.equal(geometry.bounds, members[0].place.window.bounds).any()
    score = max(member.score for member in members)
    return _Union(shapely.normalize(geometry), score, chips, partial=len(members) == 1 and bool(touches))


def _without_duplicates(slumps: Sequence[_Union | None], overlaps: _Indices) -> Iterator[_Union]:
    """Leave out what lies mostly within another, or glues others: step 5 of the rule."""
    unions = {index: slump for index, slump in enumerate(slumps) if slump}
    neighbours: dict[int, set[int]] = {}
    for a, b in np.concatenate([overlaps, overlaps[:, ::-1]]).tolist():
        if a in unions and b in unions:
            neighbours.setdefault(a, set()).add(b)
    gone: set[int] = set()
    for large in sorted(neighbours, key=lambda index: (-unions[index].geometry.area, index)):
        if large in gone:
            continue
        area = unions[large].geometry
        others = {k for k in neighbours[large] - gone if unions[k].geometry.area <= area.area}
        inside = {k for k in others if unions[k].lies_in(area, 0.25 if unions[k].partial else 0.5)}
        gone |= {large} if _glues(unions[large], [unions[k] for k in inside]) else inside
    return (union for index, union in unions.items() if index not in gone)


def _glues(large: _Union, inside: Sequence[_Union]) -> bool:
    """Whether one chip sees most of `large`, and in it two or more slumps that it is surer of."""
    better = Counter(chip for union in inside if union.score > large.score for chip in union.chips)
    return any(n > 1 and large.lies_in(shapely.box(*chip.window.bounds), 0.5) for chip, n in better.items())
