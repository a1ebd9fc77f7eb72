"""From pixels to merged outlines, each stage a step ahead of the next.

Three threads work side by side: one reads and prepares chips, one runs the network, and the calling thread makes the
outlines and merges them. Everything passes from one to the next in the order of the lattice, so the result is that of
one stage after another.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice
from threading import Lock
from typing import NamedTuple

import numpy as np

from rtsmap import bands
from rtsmap.ahead import ahead
from rtsmap.blocks import ChipBlock
from rtsmap.chips import ChipGrid
from rtsmap.config import ModelCard
from rtsmap.detector import Detector
from rtsmap.instances import outlines
from rtsmap.merge import Merger
from rtsmap.profile import Profile
from rtsmap.records import (
    Chip,
    ChipWindow,
    Detections,
    FloatArray,
    Grid,
    Instance,
    MergedInstance,
    Pixels,
    PixelSource,
    Window,
)

#: Batches that are ready or being made before the next stage asks for them. Two are enough to hide that pixels are read
#: several chips at a time; each more takes memory (20 MB for a chip of 1024 px).
AHEAD = 2


@dataclass(frozen=True)
class Flow:
    """How the work is done. It changes speed and memory, never the result on the CPU.

    Attributes:
        batch_size: chips per call of the detector.
        ahead: batches made before they are asked for; 0: one stage after another, in the calling thread.
        progress: called with how many chips of the lattice are done.
        profile: takes the times.
    """

    batch_size: int = 1
    ahead: int = AHEAD
    progress: Callable[[int], None] = lambda _done: None
    profile: Profile = field(default_factory=Profile)


class Shared:
    """A source of pixels that several threads may read: one at a time, as GDAL asks for."""

    def __init__(self, source: PixelSource) -> None:
        self._source, self._lock = source, Lock()

    @property
    def grid(self) -> Grid:
        """That of the source."""
        return self._source.grid

    def read(self, window: Window) -> Pixels:
        """The pixels of a window; those beyond the grid's edges are not valid."""
        with self._lock:
            return self._source.read(window)


class _Batch(NamedTuple):
    """Chips for one call of the detector, and how many of the lattice are done after it."""

    places: tuple[ChipWindow, ...]
    pixels: FloatArray  # (n, channels, rows, columns)
    done: int


def merged_instances(
    blocks: Iterable[ChipBlock],
    lattice: ChipGrid,
    card: ModelCard,
    detector: Detector,
    score: float,
    flow: Flow,
) -> Generator[MergedInstance, None, None]:
    """Find the slumps in blocks of chips.

    Close the generator, or use it up: its threads end with it.

    Args:
        blocks: as `read_chips` gives them; with `flow.ahead` they are taken in another thread.
        lattice: theirs.
        card: the model's card.
        detector: the model itself.
        score: the lowest that is kept, 0..1.
        flow: how to do it.

    Yields:
        Outlines in pixel coordinates of the scene's grid, which may leave the grid where their chips do; the order does
        not depend on `flow`.
    """
    profile = flow.profile
    read = _batches(blocks, card, flow)
    with ahead(read, flow.ahead, name="reader", waits=profile.inputs) as batches:
        detected = _detected(batches, detector, profile)
        with ahead(detected, flow.ahead, name="network", waits=profile.detections) as found:
            yield from _merged(_outlined(found, score, flow), lattice, profile)


def _batches(blocks: Iterable[ChipBlock], card: ModelCard, flow: Flow) -> Iterator[_Batch]:
    """The network's input, across the borders of blocks."""
    prepared = _prepared(blocks, card, flow.profile)
    while chips := list(islice(prepared, flow.batch_size)):
        places, pixels, done = zip(*chips, strict=True)
        yield _Batch(places, pixels[0][None] if len(pixels) == 1 else np.stack(pixels), done[-1])


def _prepared(
    blocks: Iterable[ChipBlock], card: ModelCard, profile: Profile
) -> Iterator[tuple[ChipWindow, FloatArray, int]]:
    """Place and input of every chip, and the chips of the lattice that are done after it, as far as is known."""
    done = 0
    for block in profile.timed("read", blocks):
        for index, chip in enumerate(block.chips, start=1):
            with profile.stage("prepare"):
                pixels = _network_input(chip, card)
            yield chip.place, pixels, done + index
        done += block.places
        profile.places += block.places


def _network_input(chip: Chip, card: ModelCard) -> FloatArray:
    inputs, pixels = card.input, chip.pixels
    return bands.network_input(
        pixels.reflectance, pixels.valid, inputs.modalities, inputs.mean, inputs.deviation, pixels.terrain
    )


def _detected(
    batches: Iterable[_Batch], detector: Detector, profile: Profile
) -> Iterator[tuple[tuple[ChipWindow, ...], list[Detections], int]]:
    for places, pixels, done in batches:
        with profile.network(len(places)):
            found = detector.detect(pixels)
        yield places, found, done


def _outlined(
    found: Iterable[tuple[tuple[ChipWindow, ...], list[Detections], int]], score: float, flow: Flow
) -> Iterator[tuple[ChipWindow, list[Instance]]]:
    """Place and outlines of every chip."""
    for places, results, done in found:
        for place, detections in zip(places, results, strict=True):
            with flow.profile.stage("outlines"):
                instances = outlines(detections, place, score=score)
            yield place, instances
        flow.progress(done)


def _merged(
    found: Iterable[tuple[ChipWindow, list[Instance]]], lattice: ChipGrid, profile: Profile
) -> Iterator[MergedInstance]:
    columns = lattice.strip_columns
    merger = Merger(strip_columns=columns if lattice.strips > 1 else None)
    for (strip, row), chips in groupby(found, key=lambda pair: (pair[0].column // columns, pair[0].row)):
        instances = [instance for _, one_chip in chips for instance in one_chip]
        with profile.stage("merge"):
            slumps = merger.add_row(row, instances, strip=strip)
        yield from slumps
    with profile.stage("merge"):
        slumps = merger.finish()
    yield from slumps
