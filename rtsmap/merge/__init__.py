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

from collections.abc import Iterable, Sequence
from itertools import groupby
from math import inf

import numpy as np
import shapely

from rtsmap.merge.links import Links, components, link
from rtsmap.merge.slumps import WHOLE, resolve
from rtsmap.merge.views import Views, in_core, sorted_order, turn
from rtsmap.records import Instance, MergedInstance

__all__ = ["WHOLE", "Merger", "in_order", "merge"]


class Merger:
    """Takes the instances of a scene row by row and gives back the slumps that can no longer change.

    Only slumps that reach the windows of rows and strips still to come are held, so memory does not grow with the
    scene.

    Args:
        agreement: intersection over union in the common zone above which two instances are the same slump, 0.5..1.
        strip_columns: columns of chips in a strip; without it all of a row comes at once.

    Raises:
        ValueError: `agreement` is outside its range.
    """

    def __init__(self, *, agreement: float = 0.5, strip_columns: int | None = None) -> None:
        if not 0.5 <= agreement <= 1.0:
            raise ValueError(f"agreement must be within 0.5..1, not {agreement}: below, one outline could match two")
        self._agreement = agreement
        self._strip_columns = strip_columns
        self._turn = -inf
        self._held = Views.of([])
        self._links = Links.none()

    def add_row(self, row_index: int, instances: Sequence[Instance], *, strip: int = 0) -> list[MergedInstance]:
        """Add all instances of a strip's row of chips; rows without any may be left out.

        Args:
            row_index: of the chips, `ChipWindow.row`; larger than in the call before, unless the strip is.
            instances: in any order, with valid polygons within their chips' windows.
            strip: of the chips; no less than in the call before.

        Returns:
            The slumps that nothing later can change, in the order of `in_order`.

        Raises:
            ValueError: rows do not ascend, or an instance is of another row.
        """
        now = turn(row_index, strip)
        if now <= self._turn:
            raise ValueError(f"rows must ascend: {row_index} of strip {strip} comes too late")
        if any(instance.window.row != row_index for instance in instances):
            raise ValueError(f"all instances must be of row {row_index}")
        self._turn = now
        first = len(self._held)
        self._held = self._held.and_then(in_core(Views.of(instances)))
        self._links = self._links.and_then(link(self._held, first, self._agreement))
        return self._release(now)

    def finish(self) -> list[MergedInstance]:
        """Give back the slumps that are still held, and start anew."""
        self._turn = -inf
        return self._release(inf)

    def _release(self, now: float) -> list[MergedInstance]:
        """Resolve the groups of linked instances that nothing after the turn `now` can reach."""
        groups = components(len(self._held), self._links.pairs)
        latest = np.full(len(self._held), -np.inf)  # by group, of which there are no more than instances
        np.maximum.at(latest, groups, self._held.last_turns(self._strip_columns))
        done = latest[groups] <= now
        slumps = resolve(self._held.among(done), self._links.among(done))
        self._held, self._links = self._held.among(~done), self._links.among(~done)
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
    rows = groupby(sorted(instances, key=lambda one: one.window.row), key=lambda one: one.window.row)
    slumps = [slump for row, group in rows for slump in merger.add_row(row, list(group))]
    return in_order(slumps + merger.finish())


def in_order(slumps: Iterable[MergedInstance]) -> list[MergedInstance]:
    """Sorted by position: the topmost row of each outline, its leftmost column, then the rest of it."""
    slumps = list(slumps)
    geometries = np.fromiter((slump.geometry for slump in slumps), dtype=np.object_, count=len(slumps))
    left, top, right, bottom = shapely.bounds(geometries).reshape(-1, 4).T
    others = [[slump.score, slump.n_chips] for slump in slumps]
    keys = np.column_stack([top, left, bottom, right, np.array(others, dtype=np.float64).reshape(-1, 2)])
    return [slumps[k] for k in sorted_order(keys, geometries)]
