"""The observed areas of each epoch, which distinguish "no slump" from "not observed"."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rtsmap.tracks.outlines import Bools, Floats, Ints, Objects, areas_of

#: A slump counts as observed if more than this share of its outline was observed.
MIN_SHARE = 0.5


@dataclass(frozen=True)
class Observation:
    """The observed areas of the scenes of a tile.

    Attributes:
        areas: observed area of each scene, by the number of the scene.
        years: epoch of each scene, by the number of the scene.
        known: epochs whose observed area is known.
    """

    areas: Mapping[int, BaseGeometry]
    years: Mapping[int, int]
    known: frozenset[int]
    _unions: dict[int, BaseGeometry] = field(default_factory=dict)

    def is_known(self, year: int) -> bool:
        """Whether the observed area of an epoch is known."""
        return year in self.known

    def observed(self, shapes: Objects, year: int) -> Bools:
        """Whether most of each polygon was observed in an epoch; false if the observed area is not known."""
        return share_inside(shapes, self._union(year)) > MIN_SHARE

    def views(self, shapes: Objects, year: int) -> Ints:
        """The number of scenes of an epoch that observed most of each polygon."""
        counts = np.zeros(len(shapes), dtype=np.int64)
        for area in self._of(year):
            counts += share_inside(shapes, area) > MIN_SHARE
        return counts

    def _of(self, year: int) -> list[BaseGeometry]:
        return [area for scene, area in self.areas.items() if self.years[scene] == year]

    def _union(self, year: int) -> BaseGeometry:
        if year not in self._unions:
            self._unions[year] = shapely.union_all(self._of(year))
        return self._unions[year]


def share_inside(shapes: Objects, area: BaseGeometry) -> Floats:
    """The share of each polygon that lies within an area, 0..1."""
    shapely.prepare(area)
    inside = shapely.contains(area, shapes).astype(np.float64)
    cut = np.flatnonzero((inside == 0) & shapely.intersects(area, shapes))
    inside[cut] = areas_of(shapely.intersection(shapes[cut], area)) / np.maximum(areas_of(shapes[cut]), 1e-9)
    return inside
