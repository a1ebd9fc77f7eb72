"""The features that lie on the ground of a scene: slumps and their look-alikes, streams and tracks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon, STRtree
from shapely.geometry.base import BaseGeometry

Kind = Literal["bar", "bare", "bluff", "stabilised", "slump", "snow"]
#: The kinds in the order of rendering; snow covers everything below it.
KINDS: tuple[Kind, ...] = ("bar", "bare", "bluff", "stabilised", "slump", "snow")


@dataclass(frozen=True)
class Feature:
    """One slump or look-alike.

    Attributes:
        kind: what it is.
        outline: the outline in the scene's CRS.
        down: the unit vector `(east, north)` down the slope.
        activity: 0..1, how active and therefore how bare a slump is; for look-alikes, how bare they are.
        brightness: a factor of the reflectance, around 1.
        number: the number of a slump that is followed through the years, 0 otherwise.
    """

    kind: Kind
    outline: Polygon
    down: tuple[float, float]
    activity: float
    brightness: float
    number: int = 0


@dataclass(frozen=True)
class Scenery:
    """All features of one scene.

    Attributes:
        features: slumps and look-alikes in the order of rendering: slumps are last except for snow.
        streams: polygons of the beds of running water.
        roads: polygons of vehicle tracks.
    """

    features: tuple[Feature, ...]
    streams: tuple[BaseGeometry, ...]
    roads: tuple[BaseGeometry, ...]
    _trees: dict[str, STRtree] = field(default_factory=dict, compare=False)

    @property
    def slumps(self) -> list[Feature]:
        """The slumps, which are the truth of the scene."""
        return [feature for feature in self.features if feature.kind == "slump"]

    def near(self, layer: str, area: BaseGeometry) -> NDArray[np.int64]:
        """Return the indices, ascending, of what intersects the bounds of an area.

        Args:
            layer: features, streams or roads.
            area: the area, in the scene's CRS.
        """
        if layer not in self._trees:
            items: Sequence[Feature | BaseGeometry] = getattr(self, layer)
            self._trees[layer] = STRtree([item.outline if isinstance(item, Feature) else item for item in items])
        return np.sort(self._trees[layer].query(area))


def in_order(features: Sequence[Feature]) -> tuple[Feature, ...]:
    """Sort features by kind, in the order of rendering."""
    return tuple(sorted(features, key=lambda feature: KINDS.index(feature.kind)))
