"""The slumps of a place in one year, and the step to the next: what still waits, and what has become of the others."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from shapely import Polygon

from rtsmap.simulate import statistics
from rtsmap.simulate.series.neighbours import Neighbours
from rtsmap.simulate.slumps.features import Feature
from rtsmap.simulate.slumps.placement import LARGEST_AREA_M2, LEAST_AREA_M2, Terrain

_LEFT_M2 = 100.0  # smaller pieces of ground that a slump leaves show nothing


@dataclass(frozen=True)
class State:
    """The slumps of a place in one year.

    Attributes:
        slumps: with their numbers. A slump keeps its number as long as it neither merges nor splits.
        stabilising: numbers of those that plants are taking back.
        scars: ground that slumps have left, features of the kind `stabilised`.
        parents: of each slump, the numbers that it had a year before; none of new ones.
        issued: numbers given so far.
    """

    slumps: tuple[Feature, ...]
    stabilising: frozenset[int]
    scars: tuple[Feature, ...]
    parents: Mapping[int, frozenset[int]]
    issued: int


class Year:
    """One step: slumps leave `waiting`, and what becomes of them is added to `done`.

    Attributes:
        rng: of this year.
        before: the state of the year before, from which alone the step depends.
        terrain: from `analyse_terrain`.
        waiting: by their numbers, slumps that nothing has happened to yet.
        done: slumps of this year.
        stabilising: numbers of those that plants are taking back.
        neighbours: what stands where each slump of the year before stood.
    """

    def __init__(self, rng: np.random.Generator, before: State, terrain: Terrain) -> None:
        self.rng, self.before, self.terrain = rng, before, terrain
        self.waiting = {slump.number: slump for slump in before.slumps}
        self.done: list[Feature] = []
        self.stabilising = set(before.stabilising)
        self.neighbours = Neighbours(before.slumps)
        self._parents: dict[int, frozenset[int]] = {}
        self._scars = list(before.scars)
        self._issued = before.issued

    def state(self) -> State:
        """What has become of all."""
        return State(tuple(self.done), frozenset(self.stabilising), tuple(self._scars), self._parents, self._issued)

    def active(self) -> dict[int, Feature]:
        """Slumps that still wait for what becomes of them and are not stabilising."""
        return {number: slump for number, slump in self.waiting.items() if number not in self.stabilising}

    def become(self, sources: tuple[Feature, ...], outlines: Sequence[Polygon]) -> None:
        """Let slumps of the year before be those outlines now; they look as the first of them."""
        numbers = frozenset(source.number for source in sources)
        number = sources[0].number if len(sources) == len(outlines) == 1 else None
        for outline in outlines:
            self.add(replace(sources[0], outline=outline), number, numbers)
        now = shapely.union_all(outlines)
        for source in sources:
            del self.waiting[source.number]
            self.neighbours.become(source.number, now)
            if number is None:
                self.stabilising.discard(source.number)
            left = shapely.get_parts(source.outline.difference(now))
            self._scars += _scars(source, left)

    def add(self, slump: Feature, number: int | None = None, parents: frozenset[int] = frozenset()) -> None:
        """One slump of this year; without a number it gets the next one."""
        if number is None:
            self._issued = number = self._issued + 1
        self.done.append(replace(slump, number=number))
        self._parents[number] = parents

    def number_of(self, rate: float) -> int:
        """How many slumps meet with what happens to this share of them each year."""
        return int(self.rng.poisson(rate * len(self.before.slumps)))

    def draw(self, table: statistics.Table) -> float:
        """A value of a table of quantiles."""
        return float(statistics.quantile(table, self.rng.random(1))[0])

    def is_dry(self, outline: Polygon) -> bool:
        """Whether no lake is in the way."""
        return float(self.terrain.shore(shapely.get_coordinates(outline.exterior)).min()) >= 0


def possible(area_m2: float) -> float:
    """Within the areas that are mapped."""
    return float(np.clip(area_m2, LEAST_AREA_M2, LARGEST_AREA_M2))


def _scars(slump: Feature, left: Iterable[object]) -> list[Feature]:
    """Stabilised scars on the ground that a slump has left."""
    parts = (part for part in left if isinstance(part, Polygon) and part.area > _LEFT_M2)
    return [Feature("stabilised", part, slump.down, 0.5, slump.brightness) for part in parts]
