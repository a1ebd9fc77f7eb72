"""The slumps of one year, and the step to the next year, in which they are processed one after the other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from shapely import Polygon

from rtsmap.geometry import polygon_parts
from rtsmap.simulate import statistics
from rtsmap.simulate.series.neighbours import Neighbours
from rtsmap.simulate.slumps.features import Feature
from rtsmap.simulate.slumps.placement import LARGEST_AREA_M2, LEAST_AREA_M2, Terrain

_LEFT_M2 = 100.0  # smaller pieces of ground that a slump leaves are not visible


@dataclass(frozen=True)
class State:
    """The slumps of one year.

    Attributes:
        slumps: the slumps with their numbers. A slump keeps its number as long as it neither merges nor splits.
        stabilising: the numbers of the slumps that are stabilising.
        scars: the ground that slumps have left, as features of the kind `stabilised`.
        parents: the numbers of the slumps of the year before that each slump comes from; new slumps have none.
        issued: the largest number that was given so far.
    """

    slumps: tuple[Feature, ...]
    stabilising: frozenset[int]
    scars: tuple[Feature, ...]
    parents: Mapping[int, frozenset[int]]
    issued: int


class Year:
    """One step: slumps are removed from `pending`, and their descendants are added to `done`.

    Attributes:
        rng: the random numbers of this year.
        before: the state of the year before, on which alone the step depends.
        terrain: the result of `analyse_terrain`.
        pending: the slumps that have not been processed yet, by their numbers.
        done: the slumps of this year.
        stabilising: the numbers of the slumps that are stabilising.
        neighbours: the ground that each slump of the year before occupies now.
    """

    def __init__(self, rng: np.random.Generator, before: State, terrain: Terrain) -> None:
        self.rng, self.before, self.terrain = rng, before, terrain
        self.pending = {slump.number: slump for slump in before.slumps}
        self.done: list[Feature] = []
        self.stabilising = set(before.stabilising)
        self.neighbours = Neighbours(before.slumps)
        self._parents: dict[int, frozenset[int]] = {}
        self._scars = list(before.scars)
        self._issued = before.issued

    def state(self) -> State:
        """Return the state at the end of the step."""
        return State(tuple(self.done), frozenset(self.stabilising), tuple(self._scars), self._parents, self._issued)

    def active(self) -> dict[int, Feature]:
        """Return the pending slumps that are not stabilising."""
        return {number: slump for number, slump in self.pending.items() if number not in self.stabilising}

    def record(self, sources: tuple[Feature, ...], outlines: Sequence[Polygon]) -> None:
        """Record what became of slumps of the year before.

        Args:
            sources: the slumps; the appearance of the first one is kept.
            outlines: the outlines of their descendants.
        """
        numbers = frozenset(source.number for source in sources)
        number = sources[0].number if len(sources) == len(outlines) == 1 else None
        for outline in outlines:
            self.add(replace(sources[0], outline=outline), number, numbers)
        now = shapely.union_all(outlines)
        for source in sources:
            del self.pending[source.number]
            self.neighbours.update(source.number, now)
            if number is None:
                self.stabilising.discard(source.number)
            left = polygon_parts(source.outline.difference(now))
            self._scars += _scars(source, left)

    def add(self, slump: Feature, number: int | None = None, parents: frozenset[int] = frozenset()) -> None:
        """Add a slump of this year; without a number, it gets the next free one."""
        if number is None:
            self._issued = number = self._issued + 1
        self.done.append(replace(slump, number=number))
        self._parents[number] = parents

    def number_of(self, rate: float) -> int:
        """Draw the number of slumps to which something happens that happens to this share of them each year."""
        return int(self.rng.poisson(rate * len(self.before.slumps)))

    def draw(self, table: statistics.Table) -> float:
        """Draw a value from a table of quantiles."""
        return float(statistics.quantile(table, self.rng.random(1))[0])

    def is_dry(self, outline: Polygon) -> bool:
        """Return whether an outline lies outside lakes."""
        return float(self.terrain.shore(shapely.get_coordinates(outline.exterior)).min()) >= 0


def within_mapped_areas(area_m2: float) -> float:
    """Limit an area to the range of mapped slumps, m2."""
    return float(np.clip(area_m2, LEAST_AREA_M2, LARGEST_AREA_M2))


def _scars(slump: Feature, left: Iterable[Polygon]) -> list[Feature]:
    """Return the stabilised scars on the ground that a slump has left."""
    parts = (part for part in left if part.area > _LEFT_M2)
    return [Feature("stabilised", part, slump.down, 0.5, slump.brightness) for part in parts]
