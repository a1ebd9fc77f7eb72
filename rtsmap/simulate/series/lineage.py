"""The lineage of slumps: the slumps of the years that are shown, and the links from each such year to the next."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from rtsmap.simulate.series.year import State
from rtsmap.simulate.slumps.features import Feature

LinkKind = Literal["continued", "merged", "split", "new", "stabilised"]


@dataclass(frozen=True)
class Epoch:
    """A year that is shown.

    Attributes:
        year: the year.
        state: the slumps of that year.
        ancestors: the numbers of the ancestors of each slump in the year shown before.
    """

    year: int
    state: State
    ancestors: Mapping[int, frozenset[int]]


@dataclass(frozen=True)
class Link:
    """A link from a slump of one year to a slump of a later year.

    New slumps have no earlier end, and stabilised slumps no later end.

    Attributes:
        year_from: the earlier year.
        id_from: the number of the slump in the earlier year.
        year_to: the later year.
        id_to: the number of the slump in the later year.
        kind: `merged` if the later slump has several ancestors, `split` if the earlier slump has several descendants.
        area_ratio: the ratio of the total area of the descendants to the total area of the ancestors.
        overlap: the common area of both outlines divided by the area of the smaller one, 0..1.
        iou: the common area of both outlines divided by the area of their union, 0..1.
    """

    year_from: int
    id_from: int | None
    year_to: int
    id_to: int | None
    kind: LinkKind
    area_ratio: float | None = None
    overlap: float | None = None
    iou: float | None = None


def epochs(states: Iterable[tuple[int, State]], years: Sequence[int]) -> list[Epoch]:
    """Select the years that are shown, with the lineage across the other years.

    Args:
        states: the years and states of all years, in order.
        years: the years that are shown.
    """
    shown: list[Epoch] = []
    ancestors: dict[int, frozenset[int]] = {}
    for year, state in states:
        ancestors = {
            number: frozenset().union(*(ancestors.get(parent, frozenset()) for parent in parents))
            for number, parents in state.parents.items()
        }
        if year in years:
            shown.append(Epoch(year, state, ancestors))
            ancestors = {slump.number: frozenset({slump.number}) for slump in state.slumps}
    return shown


def all_links(shown: Sequence[Epoch]) -> list[Link]:
    """Return the links between all years that are shown, in order."""
    return [link for earlier, later in pairwise(shown) for link in links(earlier, later)]


def links(earlier: Epoch, later: Epoch) -> Iterator[Link]:
    """Yield the links from one year to the next that is shown; every slump of both years is in at least one link."""
    before = {slump.number: slump for slump in earlier.state.slumps}
    after = {slump.number: slump for slump in later.state.slumps}
    descendants: dict[int, list[int]] = {number: [] for number in before}
    for number in after:
        for ancestor in later.ancestors[number]:
            descendants[ancestor].append(number)
    for number, slump in after.items():
        sources = sorted(later.ancestors[number])
        if not sources:
            yield Link(earlier.year, None, later.year, number, "new")
        for source in sources:
            is_merged, is_split = len(sources) > 1, len(descendants[source]) > 1
            kind: LinkKind = "merged" if is_merged else "split" if is_split else "continued"
            came_of = sum(before[one].outline.area for one in sources)
            became = slump.outline.area if is_merged else sum(after[one].outline.area for one in descendants[source])
            measures = (became / came_of, *_overlaps(before[source], slump))
            yield Link(earlier.year, source, later.year, number, kind, *measures)
    for number in before:
        if not descendants[number]:
            yield Link(earlier.year, number, later.year, None, "stabilised")


def _overlaps(first: Feature, second: Feature) -> tuple[float, float]:
    """Return the common area divided by that of the smaller outline, and divided by that of the union."""
    a, b = first.outline, second.outline
    common = a.intersection(b).area
    return common / min(a.area, b.area), common / (a.area + b.area - common)
