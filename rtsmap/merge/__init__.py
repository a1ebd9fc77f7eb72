"""Merge the detections of a slump in several chips: a streaming merge, one row of chips after another.

The rule, which does not depend on the order of the instances:

1. *Core.* An instance that shares no area with the core of its chip is dropped: the neighbour in whose core it lies
   sees it with more of its surroundings.
2. *Agreement.* Two instances of different chips are the same slump if they agree in the zone that both chips see, the
   intersection of their windows: the intersection over union (IoU) of the two outlines, cut to the zone, is more than
   `agreement`. The cut may split an outline, for example into the two arms of a slump whose headwall lies beyond the
   zone; it is enough that one piece agrees with one piece of the other outline. The IoU of whole outlines would fail
   for slumps much larger than the overlap, because each chip sees a different part of them.
3. *Best instance.* Slumps are the connected components of these pairs, and `n_chips` is the number of distinct chips.
   The instances of a slump are ranked by the distance of the outline from those borders of its chip's window beyond
   which other chips see more. If the best instance keeps a distance of an eighth of the overlap, it is complete, and
   the slump gets its outline and its score. If moreover the centre of its bounds lies in the core of another chip by
   the same distance, the slump is dropped: the chip that sees it better has not found it, and the result must not
   depend on the number of chips that see a place.
4. *Union.* Otherwise no chip sees the whole slump. Its outline is the union of the instances, and its score the highest
   of theirs. Instances of one chip are never compared with each other, so adjacent slumps remain separate. Two of them
   are joined only if an instance of another chip agrees with each. Because `agreement` is at least one half, and
   nothing shares more than half of itself with each of two outlines that do not overlap, this takes one piece for
   each: the other chip sees them joined in an area that their own chip does not see. An under-segmented instance of a
   neighbour, which covers two slumps in the common zone, therefore cannot join them.
5. *Remaining overlaps.* Slumps of different chips may overlap without agreement. In descending order of area, a slump
   removes the smaller ones of which it covers more than half of the area, since they are further detections of it. A
   quarter is enough for an outline of a single chip that the border of the chip cuts, because it is certainly
   incomplete. There is one exception: if one chip sees two or more of these smaller ones, each with a higher score than
   the slump, and most of the slump lies in its window, then the slump wrongly joins neighbours (it is under-segmented)
   and is dropped instead. Smaller overlaps are kept.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from math import inf

import numpy as np
import shapely

from rtsmap.merge.instance_table import InstanceTable, in_core, sorted_order, turn
from rtsmap.merge.matches import Matches, components, match
from rtsmap.merge.slumps import WHOLE, resolve
from rtsmap.records import Instance, MergedInstance

__all__ = ["WHOLE", "Merger", "in_order", "merge"]


class Merger:
    """Takes the instances of a scene row by row and returns the slumps that can no longer change.

    It holds only slumps that reach into the windows of later rows and strips, so memory does not grow with the scene.

    Args:
        agreement: the IoU in the common zone above which two instances are the same slump, 0.5..1.
        strip_columns: number of columns of chips in a strip; None if every row is added as a whole.

    Raises:
        ValueError: `agreement` is outside its range.
    """

    def __init__(self, *, agreement: float = 0.5, strip_columns: int | None = None) -> None:
        if not 0.5 <= agreement <= 1.0:
            raise ValueError(f"agreement must be within 0.5..1, not {agreement}: below, one outline could match two")
        self._agreement = agreement
        self._strip_columns = strip_columns
        self._turn = -inf
        self._held = InstanceTable.of([])
        self._matches = Matches.none()

    def add_row(self, row_index: int, instances: Sequence[Instance], *, strip: int = 0) -> list[MergedInstance]:
        """Add all instances of one row of chips of a strip; rows without instances may be omitted.

        Args:
            row_index: the row of the chips, `ChipWindow.row`; it must increase from call to call within a strip.
            instances: in any order, with valid polygons within the windows of their chips.
            strip: the strip of the chips; it must not decrease.

        Returns:
            The slumps that no later row can change, in the order of `in_order`.

        Raises:
            ValueError: the rows do not ascend, or an instance belongs to another row.
        """
        now = turn(row_index, strip)
        if now <= self._turn:
            raise ValueError(f"rows must ascend: {row_index} of strip {strip} comes too late")
        if any(instance.window.row != row_index for instance in instances):
            raise ValueError(f"all instances must be of row {row_index}")
        self._turn = now
        first = len(self._held)
        self._held = self._held.and_then(in_core(InstanceTable.of(instances)))
        self._matches = self._matches.and_then(match(self._held, first, self._agreement))
        return self._release(now)

    def finish(self) -> list[MergedInstance]:
        """Return the slumps that are still held, and reset the merger."""
        self._turn = -inf
        return self._release(inf)

    def _release(self, now: float) -> list[MergedInstance]:
        """Resolve the groups of overlapping instances that nothing after the turn `now` can reach."""
        groups = components(len(self._held), self._matches.pairs)
        latest = np.full(len(self._held), -np.inf)  # by group; there are at most as many groups as instances
        np.maximum.at(latest, groups, self._held.last_turns(self._strip_columns))
        done = latest[groups] <= now
        slumps = resolve(self._held.among(done), self._matches.among(done))
        self._held, self._matches = self._held.among(~done), self._matches.among(~done)
        return in_order(slumps)


def merge(instances: Iterable[Instance], *, agreement: float = 0.5) -> list[MergedInstance]:
    """Merge the instances of a whole scene.

    Args:
        instances: the instances of all chips, in any order.
        agreement: see `Merger`.

    Returns:
        The slumps in the order of `in_order`; the same as if the rows were added one by one.
    """
    merger = Merger(agreement=agreement)
    rows = groupby(sorted(instances, key=lambda one: one.window.row), key=lambda one: one.window.row)
    slumps = [slump for row, group in rows for slump in merger.add_row(row, list(group))]
    return in_order(slumps + merger.finish())


def in_order(slumps: Iterable[MergedInstance]) -> list[MergedInstance]:
    """Sort slumps by position: by the top row of each outline, then its left column, then its other bounds."""
    slumps = list(slumps)
    geometries = np.fromiter((slump.geometry for slump in slumps), dtype=np.object_, count=len(slumps))
    left, top, right, bottom = shapely.bounds(geometries).reshape(-1, 4).T
    others = [[slump.score, slump.n_chips] for slump in slumps]
    keys = np.column_stack([top, left, bottom, right, np.array(others, dtype=np.float64).reshape(-1, 2)])
    return [slumps[k] for k in sorted_order(keys, geometries)]
