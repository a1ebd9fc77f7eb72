"""Who stands beside whom, while the slumps of a place change one after the other."""

from collections.abc import Sequence

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from rtsmap.simulate.series.growth import GAP_M
from rtsmap.simulate.slumps.features import Feature

_REACH_M = 400.0  # no headwall retreats farther in a year


class Neighbours:
    """What stands where each slump of a year stood."""

    def __init__(self, slumps: Sequence[Feature]) -> None:
        self._numbers = [slump.number for slump in slumps]
        self._tree = STRtree([slump.outline for slump in slumps])
        self._taken = {slump.number: _with_gap(slump.outline) for slump in slumps}

    def become(self, number: int, now: BaseGeometry) -> None:
        """Let a slump be that from now on; it may be empty."""
        self._taken[number] = _with_gap(now)

    def others(self, *slumps: Feature) -> BaseGeometry:
        """Terrain around slumps that belongs to others, with the strip that stays between slumps."""
        own = {slump.number for slump in slumps}
        area = shapely.union_all([slump.outline for slump in slumps])
        near = self._tree.query(area, predicate="dwithin", distance=_REACH_M)
        shapes = [self._taken[self._numbers[index]] for index in np.sort(near) if self._numbers[index] not in own]
        taken: BaseGeometry = shapely.union_all(shapes)
        return taken

    def pairs(self, within_m: float) -> list[tuple[float, int, int]]:
        """Gap (m) and numbers of slumps that stood close to each other, by number."""
        outlines = self._tree.geometries
        first, second = self._tree.query(outlines, predicate="dwithin", distance=within_m)
        gaps = shapely.distance(outlines[first], outlines[second])
        return sorted(
            (float(gap), self._numbers[a], self._numbers[b])
            for gap, a, b in zip(gaps, first, second, strict=True)
            if a < b
        )


def _with_gap(outline: BaseGeometry) -> BaseGeometry:
    """An outline and the strip around it; its corners need no more than a few points."""
    wider: BaseGeometry = outline.buffer(GAP_M, quad_segs=2)
    return wider
