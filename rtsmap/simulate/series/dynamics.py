"""What becomes of the slumps of a place from one year to the next.

Every slump either stabilises away, merges with a neighbour, splits, or goes on at another size; new ones appear. Rates,
ratios and distances are those measured (`statistics`); a step depends on the state of the year before alone.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from shapely import Polygon

from rtsmap.simulate import statistics
from rtsmap.simulate.series import stabilisation
from rtsmap.simulate.series.growth import GAP_M, merged, resized, split
from rtsmap.simulate.series.year import State, Year, possible
from rtsmap.simulate.slumps.features import Feature
from rtsmap.simulate.slumps.library import Library
from rtsmap.simulate.slumps.occupancy import Occupancy
from rtsmap.simulate.slumps.placement import LEAST_AREA_M2, WIDER, Terrain, beside, draw_area, draw_brightness
from rtsmap.simulate.statistics import quantile
from rtsmap.simulate.terrain.regions import Region

_NEIGHBOURS_M = 30.0  # beyond the gaps of measured merges
_SPLIT_M2 = 1500.0
_TRIES = 25


def first_state(rng: np.random.Generator, slumps: Sequence[Feature]) -> State:
    """Number the slumps of the first year; some are stabilising already."""
    numbered = {number: replace(slump, number=number) for number, slump in enumerate(slumps, start=1)}
    waning = {slump.number: slump for slump in stabilisation.already_stabilising(rng, list(numbered.values()))}
    standing = tuple((numbered | waning).values())
    return State(standing, frozenset(waning), (), dict.fromkeys(numbered, frozenset()), len(numbered))


def next_state(
    rng: np.random.Generator, state: State, terrain: Terrain, region: Region, library: Library, study_area: Polygon
) -> State:
    """A year later.

    Args:
        rng: of that year.
        state: of the year before.
        terrain: from `analyse_terrain`.
        region: sets the sizes of new slumps.
        library: of their outlines.
        study_area: the ground that the series looks at.
    """
    year = Year(rng, state, terrain)
    stabilisation.stabilise(year)
    _merge(year)
    _split_some(year)
    _go_on(year)
    _appear(year, region, library, study_area)
    return year.state()


def _merge(year: Year) -> None:
    """Join neighbours, as many as measured and as far from each other."""
    pairs = year.neighbours.pairs(_NEIGHBOURS_M)
    for _ in range(year.number_of(statistics.MERGED)):
        apt = year.active()
        pairs = [pair for pair in pairs if apt.keys() >= set(pair[1:])]
        if not pairs:
            return
        wanted = year.draw(statistics.MERGE_GAP)
        pair = min(pairs, key=lambda pair: abs(pair[0] - wanted))
        pairs.remove(pair)
        second, first = sorted((apt[number] for number in pair[1:]), key=lambda slump: slump.outline.area)
        area = (first.outline.area + second.outline.area) * year.draw(statistics.MERGE_RATIO)
        others = year.neighbours.others(first, second)
        joined = merged(year.rng, first.outline, second.outline, first.down, possible(area), others)
        if joined is not None and year.is_dry(joined):
            year.become((replace(first, activity=max(first.activity, second.activity)), second), [joined])


def _split_some(year: Year) -> None:
    """Divide slumps by a rib that has turned green."""
    for _ in range(year.number_of(statistics.SPLIT)):
        large = [slump for slump in year.active().values() if slump.outline.area > _SPLIT_M2]
        if not large:
            return
        slump = large[int(year.rng.integers(len(large)))]
        smaller = year.draw(statistics.SPLIT_SMALLER)
        gap = max(year.draw(statistics.SPLIT_GAP), 2 * GAP_M)
        parts = split(year.rng, slump.outline, slump.down, smaller / (1 + smaller), gap)
        if parts is not None and parts[1].area > LEAST_AREA_M2:
            year.become((slump,), _resized_parts(year, slump, parts, gap))


def _resized_parts(year: Year, slump: Feature, parts: tuple[Polygon, Polygon], gap: float) -> list[Polygon]:
    """Each part grown or shrunk by the same ratio, and still apart from the other."""
    factor = slump.outline.area * year.draw(statistics.SPLIT_RATIO) / (parts[0].area + parts[1].area)
    others, changed = year.neighbours.others(slump), list(parts)
    for index in (0, 1):
        taken = others.union(changed[1 - index].buffer(gap / 2))
        part = resized(year.rng, parts[index], slump.down, possible(parts[index].area * factor), taken)
        changed[index] = part if year.is_dry(part) else parts[index]
    return changed


def _go_on(year: Year) -> None:
    """Grow or shrink what is left."""
    for slump in list(year.waiting.values()):
        is_stabilising = slump.number in year.stabilising
        table = [table for least, table in statistics.AREA_RATIO if slump.outline.area >= least][-1]
        ratio = float(quantile(table, np.array([_share_of_ratios(year.rng, is_stabilising=is_stabilising)]))[0])
        area, others = possible(slump.outline.area * ratio), year.neighbours.others(slump)
        outline = resized(year.rng, slump.outline, slump.down, area, others)
        activity = slump.activity
        if not is_stabilising:
            changed = activity + 0.15 * np.log(ratio) + year.rng.normal(0, 0.04)
            activity = float(np.clip(changed, min(activity, 0.25), 1))
        year.become((replace(slump, activity=activity),), [outline if year.is_dry(outline) else slump.outline])


def _share_of_ratios(rng: np.random.Generator, *, is_stabilising: bool) -> float:
    """Where in the measured ratios a slump's own lies: stabilising ones shrink, others shrink the less often."""
    shrinking = statistics.SHRINKING
    if is_stabilising or rng.random() < (shrinking - stabilisation.SHARE) / (1 - stabilisation.SHARE):
        return float(rng.uniform(0, shrinking))
    return float(rng.uniform(shrinking, 1))


def _appear(year: Year, region: Region, library: Library, study_area: Polygon) -> None:
    """New slumps near those that were there."""
    standing, taken = list(year.done), Occupancy(slump.outline for slump in year.done)
    for _ in range(year.number_of(statistics.APPEARED) if standing else 0):
        area = max(draw_area(year.rng, region, study_area) * np.exp(statistics.NEW_LOG_AREA), LEAST_AREA_M2)
        outline = library.draw(year.rng, area)
        for _ in range(_TRIES):
            gap = float(quantile(statistics.NEW_GAP, year.rng.random(1) ** WIDER)[0])
            found = beside(year.rng, year.terrain, outline, standing, gap)
            if found is not None and study_area.contains(found[0]) and taken.is_free(found[0]):
                year.add(Feature("slump", *found, year.rng.uniform(0.7, 1), draw_brightness(year.rng)))
                taken.add(found[0])
                break
