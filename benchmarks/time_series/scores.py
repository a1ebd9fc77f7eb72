"""Scores of the links that were found, against the known ones."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rtsmap.tracks.collect import Series
from rtsmap.tracks.options import TrackOptions
from rtsmap.tracks.run import error_model, tracked_tiles
from rtsmap.tracks.tracking import Tracked


@dataclass(frozen=True)
class LinkScore:
    """The precision, recall and F1 of links."""

    found: int
    known: int
    right: int

    @property
    def precision(self) -> float:
        """The share of the found links that are right."""
        return self.right / max(self.found, 1)

    @property
    def recall(self) -> float:
        """The share of the known links that were found."""
        return self.right / max(self.known, 1)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.right / max(self.found + self.known, 1)


def score(found: set[tuple[Hashable, Hashable]], known: set[tuple[Hashable, Hashable]]) -> LinkScore:
    """Compare the found pairs with the known ones."""
    return LinkScore(len(found), len(known), len(found & known))


def tracked(paths: Sequence[Path], options: TrackOptions | None = None) -> Iterator[Tracked]:
    """The tracks of some layers, tile by tile, as `rtsmap track` computes them."""
    options = options or TrackOptions()
    with TemporaryDirectory() as folder, Series(Path(folder)) as series:
        series.read(paths, options)
        yield from tracked_tiles(series, options, error_model(series, options))


def links_by_name(tile: Tracked) -> set[tuple[str, str]]:
    """The links as pairs of the ids of the outlines in their layers."""
    links, names = tile.lineage.links, tile.outlines.names
    return {
        (first, second)
        for earlier, later in zip(links.earlier, links.later, strict=True)
        for first in names[earlier].split(",")
        for second in names[later].split(",")
    }
