"""What becomes of the slumps of a place from one year to the next.

Every slump either heals away, merges with a neighbour, parts, or goes on at another size; new ones appear. Rates,
ratios and distances are those measured (`statistics`); a step depends on the state of the year before alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from shapely import Polygon

from rtsmap.simulate import statistics
from rtsmap.simulate.features import Feature
from rtsmap.simulate.growth import GAP_M, merged, resized, split
from rtsmap.simulate.library import Library
from rtsmap.simulate.neighbours import Neighbours
from rtsmap.simulate.occupied import Occupied
from rtsmap.simulate.placing import LARGEST_AREA_M2, LEAST_AREA_M2, WIDER, Ground, beside, draw_area
from rtsmap.simulate.regions import Region
from rtsmap.simulate.statistics import quantile

#: Years from the first that a slump heals until it is gone. Chosen: the labels show only the end of it.
HEALING_YEARS = 3
#: Vigour at the beginning and at the end of healing.
_WANING, _GONE = 0.6, 0.15
_LEFT_M2 = 100.0  # smaller pieces of ground that a slump leaves show nothing
_NEIGHBOURS_M = 30.0  # beyond the gaps of measured merges
_PARTED_M2 = 1500.0
_TRIES = 25


@dataclass(frozen=True)
class State:
    """The slumps of a place in one year.

    Attributes:
        slumps: with their numbers. A slump keeps its number as long as it neither merges nor parts.
        healing: numbers of those that plants are taking back.
        scars: ground that slumps have left, features of the kind `healed`.
        parents: of each slump, the numbers that it had a year before; none of new ones.
        issued: numbers given so far.
    """

    slumps: tuple[Feature, ...]
    healing: frozenset[int]
    scars: tuple[Feature, ...]
    parents: Mapping[int, frozenset[int]]
    issued: int


def first_state(rng: np.random.Generator, slumps: Sequence[Feature]) -> State:
    """Number the slumps of the first year; some of the least vigorous are healing already."""
    numbered = [replace(slump, number=number) for number, slump in enumerate(slumps, start=1)]
    count = int(rng.binomial(len(numbered), statistics.LOST * HEALING_YEARS))
    healing = frozenset(slump.number for slump in sorted(numbered, key=lambda slump: slump.vigour)[:count])
    vigour = np.exp(rng.uniform(np.log(_GONE), np.log(_WANING), len(numbered)))
    waning = [
        replace(slump, vigour=float(low)) if slump.number in healing else slump
        for slump, low in zip(numbered, vigour, strict=True)
    ]
    return State(tuple(waning), healing, (), {slump.number: frozenset() for slump in numbered}, len(numbered))


def next_state(
    rng: np.random.Generator, state: State, ground: Ground, region: Region, library: Library, home: Polygon
) -> State:
    """A year later.

    Args:
        rng: of that year.
        state: of the year before.
        ground: surveyed.
        region: sets the sizes of new slumps.
        library: of their outlines.
        home: the ground that the series looks at.
    """
    year = _Year(rng, state, ground)
    year.heal()
    year.merge()
    year.part()
    year.go_on()
    year.appear(region, library, home)
    return year.state()


class _Year:
    """One step: takes slumps from `waiting`, adds what becomes of them to `done`."""

    def __init__(self, rng: np.random.Generator, state: State, ground: Ground) -> None:
        self.rng, self.before, self.ground = rng, state, ground
        self.waiting = {slump.number: slump for slump in state.slumps}
        self.done: list[Feature] = []
        self.healing: set[int] = set()
        self.parents: dict[int, frozenset[int]] = {}
        self.scars = list(state.scars)
        self.issued = state.issued
        self._neighbours = Neighbours(state.slumps)

    def state(self) -> State:
        """What has become of all."""
        return State(tuple(self.done), frozenset(self.healing), tuple(self.scars), self.parents, self.issued)

    def heal(self) -> None:
        """Healing slumps lose vigour, until nothing of them is bare."""
        self.healing = set(self.before.healing)
        yearly = (_GONE / _WANING) ** (1 / HEALING_YEARS)
        for number in sorted(self.healing):
            slump = self.waiting[number]
            self.waiting[number] = replace(slump, vigour=slump.vigour * yearly)
            if self.waiting[number].vigour < _GONE:
                self._become((slump,), [])
        for number in self.waiting:
            if number not in self.healing and self.rng.random() < statistics.LOST:
                self.healing.add(number)
                slump = self.waiting[number]
                self.waiting[number] = replace(slump, vigour=min(slump.vigour, _WANING) * self.rng.uniform(0.8, 1))

    def merge(self) -> None:
        """Join neighbours, as many as measured and as far from each other."""
        pairs = self._neighbours.pairs(_NEIGHBOURS_M)
        for _ in range(self._number_of(statistics.MERGED)):
            apt = self._active()
            pairs = [pair for pair in pairs if apt.keys() >= set(pair[1:])]
            if not pairs:
                return
            wanted = self._draw(statistics.MERGE_GAP)
            pair = min(pairs, key=lambda pair: abs(pair[0] - wanted))
            pairs.remove(pair)
            second, first = sorted((apt[number] for number in pair[1:]), key=lambda slump: slump.outline.area)
            area = (first.outline.area + second.outline.area) * self._draw(statistics.MERGE_RATIO)
            others = self._neighbours.others(first, second)
            joined = merged(self.rng, first.outline, second.outline, first.down, _possible(area), others)
            if joined is not None and self._is_dry(joined):
                self._become((replace(first, vigour=max(first.vigour, second.vigour)), second), [joined])

    def part(self) -> None:
        """Divide slumps by a rib that has turned green."""
        for _ in range(self._number_of(statistics.PARTED)):
            large = [slump for slump in self._active().values() if slump.outline.area > _PARTED_M2]
            if not large:
                return
            slump = large[int(self.rng.integers(len(large)))]
            smaller = self._draw(statistics.PART_SMALLER)
            gap = max(self._draw(statistics.PART_GAP), 2 * GAP_M)
            parts = split(self.rng, slump.outline, slump.down, smaller / (1 + smaller), gap)
            if parts is not None and parts[1].area > LEAST_AREA_M2:
                self._become((slump,), self._parts_resized(slump, parts, gap))

    def _parts_resized(self, slump: Feature, parts: tuple[Polygon, Polygon], gap: float) -> list[Polygon]:
        """Each part grown or shrunk by the same ratio, and still apart from the other."""
        factor = slump.outline.area * self._draw(statistics.PART_RATIO) / (parts[0].area + parts[1].area)
        others, changed = self._neighbours.others(slump), list(parts)
        for index in (0, 1):
            taken = others.union(changed[1 - index].buffer(gap / 2))
            part = resized(self.rng, parts[index], slump.down, _possible(parts[index].area * factor), taken)
            changed[index] = part if self._is_dry(part) else parts[index]
        return changed

    def go_on(self) -> None:
        """Grow or shrink what is left."""
        for slump in list(self.waiting.values()):
            is_healing = slump.number in self.healing
            table = [table for least, table in statistics.AREA_RATIO if slump.outline.area >= least][-1]
            ratio = float(quantile(table, np.array([self._share_of_ratios(is_healing=is_healing)]))[0])
            area, others = _possible(slump.outline.area * ratio), self._neighbours.others(slump)
            outline = resized(self.rng, slump.outline, slump.down, area, others)
            vigour = slump.vigour
            if not is_healing:
                vigour = float(np.clip(vigour + 0.15 * np.log(ratio) + self.rng.normal(0, 0.04), 0.25, 1))
            self._become((replace(slump, vigour=vigour),), [outline if self._is_dry(outline) else slump.outline])

    def appear(self, region: Region, library: Library, home: Polygon) -> None:
        """New slumps near those that were there."""
        standing, taken = list(self.done), Occupied(slump.outline for slump in self.done)
        for _ in range(self._number_of(statistics.APPEARED) if standing else 0):
            area = max(draw_area(self.rng, region, home) * np.exp(statistics.NEW_LOG_AREA), LEAST_AREA_M2)
            outline = library.draw(self.rng, area)
            for _ in range(_TRIES):
                gap = float(quantile(statistics.NEW_GAP, self.rng.random(1) ** WIDER)[0])
                found = beside(self.rng, self.ground, outline, standing, gap)
                if found is not None and home.contains(found[0]) and taken.is_free(found[0]):
                    vigour, brightness = self.rng.uniform(0.7, 1), float(np.exp(self.rng.normal(0, 0.13)))
                    self._add(Feature("slump", *found, vigour, brightness), None, frozenset())
                    taken.add(found[0])
                    break

    def _become(self, sources: tuple[Feature, ...], outlines: Sequence[Polygon]) -> None:
        """Let slumps of the year before be those outlines now; they look as the first of them."""
        numbers = frozenset(source.number for source in sources)
        number = sources[0].number if len(sources) == len(outlines) == 1 else None
        for outline in outlines:
            self._add(replace(sources[0], outline=outline), number, numbers)
        now = shapely.union_all(outlines)
        for source in sources:
            del self.waiting[source.number]
            self._neighbours.become(source.number, now)
            if number is None:
                self.healing.discard(source.number)
            left = shapely.get_parts(source.outline.difference(now))
            scars = (part for part in left if isinstance(part, Polygon) and part.area > _LEFT_M2)
            self.scars += [Feature("healed", part, source.down, 0.5, source.brightness) for part in scars]

    def _add(self, slump: Feature, number: int | None, parents: frozenset[int]) -> None:
        """One slump of this year; without a number it gets the next one."""
        if number is None:
            self.issued = number = self.issued + 1
        self.done.append(replace(slump, number=number))
        self.parents[number] = parents

    def _active(self) -> dict[int, Feature]:
        """Slumps that still wait for what becomes of them and are not healing."""
        return {number: slump for number, slump in self.waiting.items() if number not in self.healing}

    def _share_of_ratios(self, *, is_healing: bool) -> float:
        """Where in the measured ratios a slump's own lies: healing ones shrink, others shrink the less often."""
        shrinking, healing = statistics.SHRINKING, statistics.LOST * HEALING_YEARS
        if is_healing or self.rng.random() < (shrinking - healing) / (1 - healing):
            return float(self.rng.uniform(0, shrinking))
        return float(self.rng.uniform(shrinking, 1))

    def _number_of(self, rate: float) -> int:
        """How many slumps meet with what happens to this share of them each year."""
        return int(self.rng.poisson(rate * len(self.before.slumps)))

    def _draw(self, table: statistics.Table) -> float:
        return float(quantile(table, self.rng.random(1))[0])

    def _is_dry(self, outline: Polygon) -> bool:
        """Whether no lake is in the way."""
        return float(self.ground.shore(shapely.get_coordinates(outline.exterior)).min()) >= 0


def _possible(area_m2: float) -> float:
    """Within the areas that are mapped."""
    return float(np.clip(area_m2, LEAST_AREA_M2, LARGEST_AREA_M2))
