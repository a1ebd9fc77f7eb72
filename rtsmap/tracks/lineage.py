"""Tracks of slumps through the epochs, made from links, with the parents of merges and the parts of splits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rtsmap.tracks.links import Links, link
from rtsmap.tracks.observation import Observation
from rtsmap.tracks.options import TrackOptions
from rtsmap.tracks.outlines import Bools, Ints, Outlines

#: What is known about a slump in an epoch in which it was not found.
OBSERVED, NOT_OBSERVED, UNKNOWN = 1, 0, -1


@dataclass(frozen=True)
class Absence:
    """Tracks that were not found in an epoch.

    Attributes:
        tracks: numbers of the tracks.
        year: epoch.
        seen: for each track, `OBSERVED`, `NOT_OBSERVED` or `UNKNOWN`.
    """

    tracks: Ints
    year: int
    seen: Ints


@dataclass(frozen=True)
class Lineage:
    """The tracks of a set of outlines, and how they are related.

    Attributes:
        track: for each outline, the number of its track.
        links: links between outlines, by their numbers.
        split_from: for each track, the track from which it split, or -1.
        merged_into: for each track, the track into which it merged, or -1.
        absences: tracks that were not found, epoch by epoch until the end of the series.
    """

    track: Ints
    links: Links
    split_from: Ints
    merged_into: Ints
    absences: Sequence[Absence]

    @property
    def n_tracks(self) -> int:
        """The number of tracks."""
        return len(self.split_from)


@dataclass
class _Heads:
    """The latest outline of every track that may continue."""

    outline: Ints
    track: Ints
    missed: Ints

    def take(self, rows: Bools | Ints) -> "_Heads":
        return _Heads(self.outline[rows], self.track[rows], self.missed[rows])

    def with_more(self, outline: Ints, track: Ints) -> "_Heads":
        missed = np.zeros(len(outline), dtype=np.int64)
        parts = zip((self.outline, self.track, self.missed), (outline, track, missed), strict=True)
        return _Heads(*(np.concatenate(pair) for pair in parts))


def follow(outlines: Outlines, years: Sequence[int], observation: Observation, options: TrackOptions) -> Lineage:
    """Follow slumps from epoch to epoch.

    The head of a track is its latest outline. A track that is not found can continue in a later epoch: it stays open
    through any number of epochs in which its location was not observed, and through `options.bridge` epochs in which
    its location was observed, or may have been.

    Args:
        outlines: one outline for each slump and year.
        years: epochs of the whole series, in order.
        observation: observed areas.
        options: options of the links.
    """
    state = _State(outlines, options)
    for year in years:
        state.step(np.flatnonzero(outlines.years == year), int(year), observation)
    return state.lineage()


class _State:
    """The tracks up to the current epoch."""

    def __init__(self, outlines: Outlines, options: TrackOptions) -> None:
        self.outlines, self.options = outlines, options
        none = np.zeros(0, dtype=np.int64)
        self.track = np.full(len(outlines), -1, dtype=np.int64)
        self.heads = _Heads(none, none, none)
        self.closed = none  # tracks that can no longer continue
        self.split_from: list[int] = []
        self.merged_into: dict[int, int] = {}
        self.found: list[Links] = []
        self.absences: list[Absence] = []

    def step(self, new: Ints, year: int, observation: Observation) -> None:
        """Add an epoch with the outlines of these numbers."""
        heads = self.heads
        links = link(self.outlines.shapes[heads.outline], self.outlines.shapes[new], self.options)
        self._continue(links, new)
        self._split(links, new)
        gone = self._merge(links, new)
        is_main = links.is_main
        found = np.zeros(len(heads.outline), dtype=np.bool_)
        found[links.earlier[is_main]] = True
        absent = heads.take(~found & ~gone)
        self.found.append(
            Links(heads.outline[links.earlier], new[links.later], links.overlap, links.iou, links.is_main)
        )
        self.heads = self._waiting(absent, year, observation).with_more(new, self.track[new])

    def _continue(self, links: Links, new: Ints) -> None:
        """Continue a track with each later outline that has a one-to-one link; each other outline begins a track."""
        earlier, later = links.earlier[links.is_main], links.later[links.is_main]
        self.track[new[later]] = self.heads.track[earlier]
        fresh = new[self.track[new] < 0]
        self.track[fresh] = len(self.split_from) + np.arange(len(fresh))
        self.split_from += [-1] * len(fresh)

    def _split(self, links: Links, new: Ints) -> None:
        """Record new tracks that are linked to an earlier outline as parts of its track."""
        has_main = np.zeros(len(new), dtype=np.bool_)
        has_main[links.later[links.is_main]] = True
        part = ~links.is_main & ~has_main[links.later]
        for earlier, later in _largest_first(links, part):
            track = int(self.track[new[later]])
            if self.split_from[track] < 0:
                self.split_from[track] = int(self.heads.track[earlier])

    def _merge(self, links: Links, new: Ints) -> Bools:
        """Record heads that are linked, but not one-to-one, as merged into another track; true for these heads."""
        count = len(self.heads.outline)
        has_main = np.zeros(count, dtype=np.bool_)
        has_main[links.earlier[links.is_main]] = True
        part = ~links.is_main & ~has_main[links.earlier]
        gone = np.zeros(count, dtype=np.bool_)
        for earlier, later in _largest_first(links, part):
            gone[earlier] = True
            self.merged_into.setdefault(int(self.heads.track[earlier]), int(self.track[new[later]]))
        return gone

    def _waiting(self, absent: _Heads, year: int, observation: Observation) -> _Heads:
        """Those of the absent heads that may still continue."""
        known = observation.is_known(year)
        tracks = np.concatenate([absent.track, self.closed])
        if known:
            last = np.concatenate([absent.outline, self._last_of(self.closed)])
            seen = observation.observed(self.outlines.shapes[last], year).astype(np.int64)
        else:
            seen = np.full(len(tracks), UNKNOWN, dtype=np.int64)
        if len(tracks):
            self.absences.append(Absence(tracks, year, seen))
        missed = absent.missed + (seen[: len(absent.track)] != NOT_OBSERVED)
        stays = missed <= self.options.bridge
        self.closed = np.concatenate([self.closed, absent.track[~stays]])
        waiting = absent.take(stays)
        waiting.missed = missed[stays]
        return waiting

    def _last_of(self, tracks: Ints) -> Ints:
        """The latest outline of each of these tracks."""
        if not len(tracks):
            return tracks
        last = np.zeros(len(self.split_from), dtype=np.int64)
        rows = np.flatnonzero(self.track >= 0)
        rows = rows[np.argsort(self.outlines.years[rows], kind="stable")]
        last[self.track[rows]] = rows  # a track's last row is written last
        return last[tracks]

    def lineage(self) -> Lineage:
        """The tracks of all epochs so far."""
        names = ("earlier", "later", "overlap", "iou", "is_main")
        links = Links(*(np.concatenate([getattr(one, name) for one in self.found]) for name in names))
        merged_into = np.full(len(self.split_from), -1, dtype=np.int64)
        for track, other in self.merged_into.items():
            merged_into[track] = other
        return Lineage(self.track, links, np.array(self.split_from, dtype=np.int64), merged_into, self.absences)


def _largest_first(links: Links, chosen: Bools) -> list[tuple[int, int]]:
    """The chosen links, with the largest overlap first."""
    rows = np.flatnonzero(chosen)
    rows = rows[np.lexsort((-links.iou[rows], -links.overlap[rows]))]
    return list(zip(links.earlier[rows].tolist(), links.later[rows].tolist(), strict=True))
