"""Events of slumps: appearance, growth, merges, splits, absences and stabilisation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from rtsmap.tracks.lineage import NOT_OBSERVED, OBSERVED, Lineage
from rtsmap.tracks.outlines import Bools, Floats, Ints, Outlines, run_starts

#: Kinds of events, in the order in which docs/guide/tracks.md explains them.
KINDS = (
    "first_seen",
    "new",
    "growing",
    "stable",
    "shrinking",
    "merged",
    "split",
    "missed",
    "not_observed",
    "lost",
    "stabilised",
)
#: A slump has stabilised if it was observed and not found in this many epochs, and is never found again.
STABILISED_AFTER = 2


@dataclass(frozen=True)
class Event:
    """An event in the history of a track.

    Attributes:
        track: number of the track.
        year: epoch of the event.
        kind: one of `KINDS`.
        outline: number of the outline of this epoch, or of the latest outline before if the track was not found.
        is_found: whether the outline belongs to this epoch.
        related: numbers of related tracks: the parents of a merge, the parts of a split, or the track merged into.
        change_m2: change of area since the previous outline, m2; NaN if there is none.
        change_error_m2: standard error of the change, m2.
    """

    track: int
    year: int
    kind: str
    outline: int
    is_found: bool = True
    related: tuple[int, ...] = ()
    change_m2: float = float("nan")
    change_error_m2: float = float("nan")


@dataclass(frozen=True)
class Series:
    """The chronological order of the outlines of all tracks.

    Attributes:
        order: numbers of the outlines, sorted by track and date.
        previous: for each outline, the previous outline of its track, or -1.
        first: for each track, its first outline.
        last: for each track, its last outline.
    """

    order: Ints
    previous: Ints
    first: Ints
    last: Ints


def series_of(outlines: Outlines, lineage: Lineage) -> Series:
    """Sort the outlines of each track by date."""
    order = np.lexsort((outlines.days, outlines.years, lineage.track))
    ordered = lineage.track[order]
    begins = run_starts(ordered)
    previous = np.full(len(order), -1, dtype=np.int64)
    previous[order[1:]] = np.where(begins[1:], -1, order[:-1])
    ends = np.concatenate([begins[1:], [True]])[: len(order)]
    return Series(order, previous, order[begins], order[ends])


def events_of(
    outlines: Outlines,
    lineage: Lineage,
    series: Series,
    areas: Floats,
    errors: Floats,
    observed_before: Ints,
    significant: float,
) -> list[Event]:
    """All events, sorted by track and epoch.

    Args:
        outlines: outlines of a tile.
        lineage: tracks of these outlines.
        series: order of these outlines.
        areas: areas of the outlines, m2.
        errors: standard errors of the areas, m2.
        observed_before: for each track, `OBSERVED` if its location was observed in an epoch before its first outline,
            `NOT_OBSERVED` if it was not or there is no such epoch, `UNKNOWN` if that is not known.
        significant: number of standard errors above which a change of area counts.
    """
    events = [
        *_beginnings(outlines, lineage, series, observed_before),
        *_changes(outlines, lineage, series, areas, errors, significant),
        *_merges_and_splits(outlines, lineage, series),
        *_absences(outlines, lineage, series),
    ]
    rank = {kind: number for number, kind in enumerate(KINDS)}
    return sorted(events, key=lambda event: (event.track, event.year, rank[event.kind]))


def _beginnings(outlines: Outlines, lineage: Lineage, series: Series, observed_before: Ints) -> Iterator[Event]:
    """The first event of each track, except for the parts of a split."""
    for track, first in enumerate(series.first.tolist()):
        if lineage.split_from[track] < 0:
            kind = "first_seen" if observed_before[track] == 0 else "new"
            yield Event(track, int(outlines.years[first]), kind, first)


def _changes(
    outlines: Outlines, lineage: Lineage, series: Series, areas: Floats, errors: Floats, significant: float
) -> Iterator[Event]:
    """Changes of area between consecutive outlines, except across a merge or a split, where areas jump."""
    jumps = jumps_of(lineage, len(outlines))
    later = np.flatnonzero((series.previous >= 0) & ~jumps)
    earlier = series.previous[later]
    change, error = areas[later] - areas[earlier], np.hypot(errors[later], errors[earlier])
    sign = np.where(np.abs(change) > significant * error, np.sign(change), 0).astype(np.int64)
    kinds = {1: "growing", 0: "stable", -1: "shrinking"}
    for row, outline in enumerate(later.tolist()):
        track, year = int(lineage.track[outline]), int(outlines.years[outline])
        measures = float(change[row]), float(error[row])
        yield Event(track, year, kinds[int(sign[row])], outline, True, (), *measures)


def jumps_of(lineage: Lineage, count: int) -> Bools:
    """Whether each outline results from a merge or a split, so that its change of area is not growth."""
    links = lineage.links
    sources = np.bincount(links.later, minlength=count)
    parts = np.bincount(links.earlier, minlength=count)
    jumps = sources > 1
    jumps[links.later[parts[links.earlier] > 1]] = True
    return jumps


def _merges_and_splits(outlines: Outlines, lineage: Lineage, series: Series) -> Iterator[Event]:
    """Merges and splits, with an event for every track that is involved."""
    links, track = lineage.links, lineage.track
    further = np.flatnonzero(~links.is_main)
    merges: dict[int, set[int]] = {}
    splits: dict[tuple[int, int], set[int]] = {}
    for row in further.tolist():
        earlier, later = int(links.earlier[row]), int(links.later[row])
        parent, child = int(track[earlier]), int(track[later])
        is_part = lineage.split_from[child] == parent and series.first[child] == later
        if is_part:
            splits.setdefault((parent, int(outlines.years[later])), set()).add(child)
            yield Event(child, int(outlines.years[later]), "split", later, True, (parent,))
        else:
            merges.setdefault(later, set()).add(parent)
            if lineage.merged_into[parent] == child:
                yield Event(parent, int(outlines.years[later]), "merged", earlier, False, (child,))
    for later, parents in merges.items():
        yield Event(int(track[later]), int(outlines.years[later]), "merged", later, True, tuple(sorted(parents)))
    own = {(int(track[outline]), int(outlines.years[outline])): outline for outline in range(len(outlines))}
    for (parent, year), children in splits.items():
        found = own.get((parent, year))
        outline = int(series.last[parent]) if found is None else found
        yield Event(parent, year, "split", outline, found is not None, tuple(sorted(children)))


def _absences(outlines: Outlines, lineage: Lineage, series: Series) -> Iterator[Event]:
    """Epochs in which a track was not found: it was missed, not observed, lost, or had stabilised."""
    last_year = outlines.years[series.last]
    gone: dict[int, int] = {}
    before = _latest_before(outlines, lineage, series)
    for absence in lineage.absences:
        for track, seen in zip(absence.tracks.tolist(), absence.seen.tolist(), strict=True):
            outline = before(track, absence.year)
            if seen == NOT_OBSERVED:
                yield Event(track, absence.year, "not_observed", outline, False)
            elif seen == OBSERVED and absence.year < last_year[track]:
                yield Event(track, absence.year, "missed", outline, False)
            elif seen == OBSERVED and lineage.merged_into[track] < 0:
                gone[track] = gone.get(track, 0) + 1
                if gone[track] == 1:
                    yield Event(track, absence.year, "lost", outline, False)
                elif gone[track] == STABILISED_AFTER:
                    yield Event(track, absence.year, "stabilised", outline, False)


def _latest_before(outlines: Outlines, lineage: Lineage, series: Series) -> Callable[[int, int], int]:
    """A function that gives the latest outline of a track before an epoch."""
    ordered = lineage.track[series.order]
    start = np.searchsorted(ordered, np.arange(lineage.n_tracks + 1))
    years = outlines.years[series.order]

    def latest(track: int, year: int) -> int:
        low, high = int(start[track]), int(start[track + 1])
        return int(series.order[max(low, low + int(np.searchsorted(years[low:high], year)) - 1)])

    return latest
