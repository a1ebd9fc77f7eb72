"""Changes of slumps from one year to the next.

Every slump stabilises, merges with a neighbour, splits or changes its size, and new slumps appear. Rates, ratios and
distances are the measured ones (`statistics`). A step depends only on the state of the year before.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from shapely import Polygon

from rtsmap.simulate import statistics
from rtsmap.simulate.series import stabilisation
from rtsmap.simulate.series.growth import GAP_M, merged, resized, split
from rtsmap.simulate.series.year import State, Year, within_mapped_areas
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
    """Number the slumps of the first year; some of them are already stabilising."""
    numbered = {number: replace(slump, number=number) for number, slump in enumerate(slumps, start=1)}
    stabilising = {slump.number: slump for slump in stabilisation.already_stabilising(rng, list(numbered.values()))}
    standing = tuple((numbered | stabilising).values())
    return State(standing, frozenset(stabilising), (), dict.fromkeys(numbered, frozenset()), len(numbered))


def next_state(
    rng: np.random.Generator, state: State, terrain: Terrain, region: Region, library: Library, study_area: Polygon
) -> State:
    """Simulate one year.

    Args:
        rng: the random numbers of that year.
        state: the state of the year before.
        terrain: the result of `analyse_terrain`.
        region: sets the sizes of new slumps.
        library: the outlines of new slumps.
        study_area: the area in which new slumps may appear.
    """
    year = Year(rng, state, terrain)
    stabilisation.stabilise(year)
    _merge_neighbours(year)
    _split_slumps(year)
    _resize_others(year)
    _add_new(year, region, library, study_area)
    return year.state()


def _merge_neighbours(year: Year) -> None:
    """Merge neighbours, with the measured rate and distances."""
    pairs = year.neighbours.pairs(_NEIGHBOURS_M)
    for _ in range(year.number_of(statistics.MERGED)):
        active = year.active()
        pairs = [pair for pair in pairs if active.keys() >= set(pair[1:])]
        if not pairs:
            return
        wanted = year.draw(statistics.MERGE_GAP)
        pair = min(pairs, key=lambda pair: abs(pair[0] - wanted))
        pairs.remove(pair)
        second, first = sorted((active[number] for number in pair[1:]), key=lambda slump: slump.outline.area)
        area = (first.outline.area + second.outline.area) * year.draw(statistics.MERGE_RATIO)
        others = year.neighbours.others(first, second)
        joined = merged(year.rng, first.outline, second.outline, first.down, within_mapped_areas(area), others)
        if joined is not None and year.is_dry(joined):
            year.record((replace(first, activity=max(first.activity, second.activity)), second), [joined])


def _split_slumps(year: Year) -> None:
    """Split slumps along a rib that has become vegetated."""
    for _ in range(year.number_of(statistics.SPLIT)):
        large = [slump for slump in year.active().values() if slump.outline.area > _SPLIT_M2]
        if not large:
            return
        slump = large[int(year.rng.integers(len(large)))]
        smaller = year.draw(statistics.SPLIT_SMALLER)
        gap = max(year.draw(statistics.SPLIT_GAP), 2 * GAP_M)
        parts = split(year.rng, slump.outline, slump.down, smaller / (1 + smaller), gap)
        if parts is not None and parts[1].area > LEAST_AREA_M2:
            year.record((slump,), _resized_parts(year, slump, parts, gap))


def _resized_parts(year: Year, slump: Feature, parts: tuple[Polygon, Polygon], gap: float) -> list[Polygon]:
    """Resize both parts by the same ratio, and keep them apart."""
    factor = slump.outline.area * year.draw(statistics.SPLIT_RATIO) / (parts[0].area + parts[1].area)
    others, changed = year.neighbours.others(slump), list(parts)
    for index in (0, 1):
        taken = others.union(changed[1 - index].buffer(gap / 2))
        part = resized(year.rng, parts[index], slump.down, within_mapped_areas(parts[index].area * factor), taken)
        changed[index] = part if year.is_dry(part) else parts[index]
    return changed


def _resize_others(year: Year) -> None:
    """Grow or shrink the slumps that neither merge, split nor vanish."""
    for slump in list(year.pending.values()):
        is_stabilising = slump.number in year.stabilising
        table = [table for least, table in statistics.AREA_RATIO if slump.outline.area >= least][-1]
        ratio = float(quantile(table, np.array([_share_of_ratios(year.rng, is_stabilising=is_stabilising)]))[0])
        area, others = within_mapped_areas(slump.outline.area * ratio), year.neighbours.others(slump)
        outline = resized(year.rng, slump.outline, slump.down, area, others)
        activity = slump.activity
        if not is_stabilising:
            changed = activity + 0.15 * np.log(ratio) + year.rng.normal(0, 0.04)
            activity = float(np.clip(changed, min(activity, 0.25), 1))
        year.record((replace(slump, activity=activity),), [outline if year.is_dry(outline) else slump.outline])


def _share_of_ratios(rng: np.random.Generator, *, is_stabilising: bool) -> float:
    """Draw the quantile of a slump's area ratio: stabilising slumps shrink, and others shrink correspondingly less."""
    shrinking = statistics.SHRINKING
    if is_stabilising or rng.random() < (shrinking - stabilisation.SHARE) / (1 - stabilisation.SHARE):
        return float(rng.uniform(0, shrinking))
    return float(rng.uniform(shrinking, 1))


def _add_new(year: Year, region: Region, library: Library, study_area: Polygon) -> None:
    """Add new slumps near the existing ones."""
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
