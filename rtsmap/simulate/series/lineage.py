"""Who became whom: the slumps of the years that are shown, and the links between one such year and the next."""

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
        state: what stands then.
        ancestors: of each slump, the numbers that it had in the year shown before.
    """

    year: int
    state: State
    ancestors: Mapping[int, frozenset[int]]


@dataclass(frozen=True)
class Link:
    """One slump of a year and what it was or became; one end is missing of new and of stabilised slumps.

    Attributes:
        kind: `merged` where the later slump comes of several, `split` where the earlier one became several.
        area_ratio: area of all that came of it by the area of all that it came of.
        overlap: common area of both outlines by that of the smaller one, 0..1.
        iou: common area by that of both together.
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
    """Of the states of all years in order, those of the years that are shown, with lineage across the others."""
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
    """The links of all years that are shown, in their order."""
    return [link for earlier, later in pairwise(shown) for link in links(earlier, later)]


def links(earlier: Epoch, later: Epoch) -> Iterator[Link]:
    """What became of the slumps of one year in the next that is shown; every slump of both is in one link at least."""
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
    """Common area by the smaller one, and by both."""
    a, b = first.outline, second.outline
    common = a.intersection(b).area
    return common / min(a.area, b.area), common / (a.area + b.area - common)
