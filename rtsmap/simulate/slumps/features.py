"""What the renderer puts on the ground: slumps, and what only looks like them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon, STRtree
from shapely.geometry.base import BaseGeometry

Kind = Literal["bar", "bare", "bluff", "stabilised", "slump", "snow"]
#: In the order of rendering: snow lies on whatever is below.
KINDS: tuple[Kind, ...] = ("bar", "bare", "bluff", "stabilised", "slump", "snow")


@dataclass(frozen=True)
class Feature:
    """One patch of terrain.

    Attributes:
        outline: in the scene's CRS.
        down: unit vector `(east, north)` down the slope.
        activity: 0..1; of a slump, how active (bare) it is.
        brightness: factor of its reflectance, around 1.
        number: of a slump that is followed through years; 0 elsewhere.
    """

    kind: Kind
    outline: Polygon
    down: tuple[float, float]
    activity: float
    brightness: float
    number: int = 0


@dataclass(frozen=True)
class Scenery:
    """All that lies on the ground of one scene, slumps last but for snow.

    Attributes:
        features: in the order of rendering.
        streams: beds of running water, polygons.
        roads: likewise tracks.
    """

    features: tuple[Feature, ...]
    streams: tuple[BaseGeometry, ...]
    roads: tuple[BaseGeometry, ...]
    _trees: dict[str, STRtree] = field(default_factory=dict, compare=False)

    @property
    def slumps(self) -> list[Feature]:
        """The truth."""
        return [feature for feature in self.features if feature.kind == "slump"]

    def near(self, layer: str, area: BaseGeometry) -> NDArray[np.int64]:
        """Indices of what touches an area's bounds, ascending; `layer` is features, streams or roads."""
        if layer not in self._trees:
            items: Sequence[Feature | BaseGeometry] = getattr(self, layer)
            self._trees[layer] = STRtree([item.outline if isinstance(item, Feature) else item for item in items])
        return np.sort(self._trees[layer].query(area))


def in_order(features: Sequence[Feature]) -> tuple[Feature, ...]:
    """Sorted by kind, as they are rendered."""
    return tuple(sorted(features, key=lambda feature: KINDS.index(feature.kind)))
