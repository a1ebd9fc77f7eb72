"""The neighbourhood of slumps while they change one after the other."""

from collections.abc import Sequence

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from rtsmap.simulate.series.growth import GAP_M
from rtsmap.simulate.slumps.features import Feature

_REACH_M = 400.0  # no headwall retreats by more than this in one year


class Neighbours:
    """The ground that each slump of the previous year occupies now."""

    def __init__(self, slumps: Sequence[Feature]) -> None:
        self._numbers = [slump.number for slump in slumps]
        self._tree = STRtree([slump.outline for slump in slumps])
        self._taken = {slump.number: _with_gap(slump.outline) for slump in slumps}

    def update(self, number: int, now: BaseGeometry) -> None:
        """Replace the ground of a slump by a new outline, which may be empty."""
        self._taken[number] = _with_gap(now)

    def others(self, *slumps: Feature) -> BaseGeometry:
        """Return the ground around slumps that others occupy, including the gap that remains between slumps."""
        own = {slump.number for slump in slumps}
        area = shapely.union_all([slump.outline for slump in slumps])
        near = self._tree.query(area, predicate="dwithin", distance=_REACH_M)
        shapes = [self._taken[self._numbers[index]] for index in np.sort(near) if self._numbers[index] not in own]
        taken: BaseGeometry = shapely.union_all(shapes)
        return taken

    def pairs(self, within_m: float) -> list[tuple[float, int, int]]:
        """Return the gap (m) and the numbers of all pairs of slumps that were close to each other, sorted."""
        outlines = self._tree.geometries
        first, second = self._tree.query(outlines, predicate="dwithin", distance=within_m)
        gaps = shapely.distance(outlines[first], outlines[second])
        return sorted(
            (float(gap), self._numbers[a], self._numbers[b])
            for gap, a, b in zip(gaps, first, second, strict=True)
            if a < b
        )


def _with_gap(outline: BaseGeometry) -> BaseGeometry:
    """Return an outline with the gap around it; a few points for each corner are sufficient."""
    wider: BaseGeometry = outline.buffer(GAP_M, quad_segs=2)
    return wider
