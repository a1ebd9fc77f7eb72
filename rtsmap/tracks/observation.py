"""What was observed in which epoch: the difference between "no slump" and "not looked at"."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rtsmap.tracks.outlines import Bools, Floats, Ints, Objects, areas_of

#: A slump counts as observed from this share of its outline on.
MOST = 0.5


@dataclass(frozen=True)
class Observation:
    """Observed areas in one place.

    Attributes:
        areas: by number of the scene, its observed area.
        years: by number of the scene, its epoch.
        known: epochs of which the observed area is known; of others nothing can be said.
    """

    areas: Mapping[int, BaseGeometry]
    years: Mapping[int, int]
    known: frozenset[int]
    _unions: dict[int, BaseGeometry] = field(default_factory=dict)

    def is_known(self, year: int) -> bool:
        """Whether anything is known of what was observed in an epoch."""
        return year in self.known

    def observed(self, shapes: Objects, year: int) -> Bools:
        """Whether most of each polygon was observed in an epoch; false where nothing is known."""
        return share_inside(shapes, self._union(year)) > MOST

    def views(self, shapes: Objects, year: int) -> Ints:
        """Scenes of an epoch that observed most of each polygon."""
        counts = np.zeros(len(shapes), dtype=np.int64)
        for area in self._of(year):
            counts += share_inside(shapes, area) > MOST
        return counts

    def _of(self, year: int) -> list[BaseGeometry]:
        return [area for scene, area in self.areas.items() if self.years[scene] == year]

    def _union(self, year: int) -> BaseGeometry:
        if year not in self._unions:
            self._unions[year] = shapely.union_all(self._of(year))
        return self._unions[year]


def share_inside(shapes: Objects, area: BaseGeometry) -> Floats:
    """Share of each polygon that lies in an area, 0..1."""
    shapely.prepare(area)
    inside = shapely.contains(area, shapes).astype(np.float64)
    cut = np.flatnonzero((inside == 0) & shapely.intersects(area, shapes))
    inside[cut] = areas_of(shapely.intersection(shapes[cut], area)) / np.maximum(areas_of(shapes[cut]), 1e-9)
    return inside
