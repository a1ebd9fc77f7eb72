"""From pixels to merged outlines, each stage a step ahead of the next.

Three threads work side by side: one reads and prepares chips, one runs the network, and the calling thread makes the
outlines and merges them. Everything passes from one to the next in the order of the chip grid, so the result is that of
one stage after another.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from queue import Empty, SimpleQueue
from threading import Lock
from typing import NamedTuple

import numpy as np

from rtsmap import bands
from rtsmap.chips.grid import ChipGrid
from rtsmap.chips.reading import ChipBlock
from rtsmap.detector import Detector
from rtsmap.instances import outlines
from rtsmap.merge import Merger
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
from rtsmap.runtime.profile import Profile
from rtsmap.runtime.threads import ordered_map, prefetch
from rtsmap.settings.card import ModelCard

#: Batches that are ready or being made before the next stage asks for them. Two are enough to hide that pixels are read
#: several chips at a time; each more takes memory (20 MB for a chip of 1024 px).
PREFETCH = 2


@dataclass(frozen=True)
class Flow:
    """How the work is done. It changes speed and memory, never the result on the CPU.

    Attributes:
        batch_size: chips per call of the detector.
        concurrency: calls of the detector side by side.
        prefetch: batches made before they are asked for; 0: one stage after another, in the calling thread.
        progress: called with how many chips of the chip grid are done.
        profile: takes the times.
    """

    batch_size: int = 1
    concurrency: int = 1
    prefetch: int = PREFETCH
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
    """Chips for one call of the detector, and how many of the chip grid are done after it."""

    windows: tuple[ChipWindow, ...]
    pixels: FloatArray  # (n, channels, rows, columns)
    done: int


class _Buffers:
    """Arrays for the network's input, used again and again: fresh memory costs more than what is written into it."""

    def __init__(self) -> None:
        self._free: SimpleQueue[FloatArray] = SimpleQueue()

    def take(self, shape: tuple[int, ...]) -> FloatArray:
        """One of this shape; all that are given back have the same."""
        try:
            return self._free.get_nowait()
        except Empty:
            return np.empty(shape, dtype=np.float32)

    def give(self, buffer: FloatArray) -> None:
        """Back, when nobody needs it any more."""
        self._free.put(buffer)


def merged_instances(
    blocks: Iterable[ChipBlock],
    chip_grid: ChipGrid,
    card: ModelCard,
    detector: Detector,
    score: float,
    flow: Flow,
) -> Generator[MergedInstance, None, None]:
    """Find the slumps in blocks of chips.

    Close the generator, or use it up: its threads end with it.

    Args:
        blocks: as `read_chips` gives them; with `flow.prefetch` they are taken in another thread.
        chip_grid: theirs.
        card: the model's card.
        detector: the model itself.
        score: the lowest that is kept, 0..1.
        flow: how to do it.

    Yields:
        Outlines in pixel coordinates of the scene's grid, which may leave the grid where their chips do; the order does
        not depend on `flow`.
    """
    profile, buffers = flow.profile, _Buffers()
    read = _batches(blocks, card, buffers, flow)
    with (
        prefetch(read, flow.prefetch, name="reader", waits=profile.inputs) as batches,
        closing(_detected(batches, detector, buffers, flow)) as detected,
        prefetch(detected, flow.prefetch, name="network", waits=profile.detections) as found,
    ):
        yield from _merged(_outlined(found, score, flow), chip_grid, profile)


def _batches(blocks: Iterable[ChipBlock], card: ModelCard, buffers: _Buffers, flow: Flow) -> Iterator[_Batch]:
    """The network's input, across the borders of blocks."""
    channels = len(bands.channels(card.input.modalities))
    chips = _chips(blocks, flow.profile)
    while first := next(chips, None):
        windows: list[ChipWindow] = []
        pixels = buffers.take((flow.batch_size, channels, *first[0].pixels.valid.shape))
        done = 0
        for chip, done_with_it in chain([first], islice(chips, flow.batch_size - 1)):
            done = done_with_it
            with flow.profile.stage("prepare"):
                _prepare(chip, card, pixels[len(windows)])
            windows.append(chip.window)
        yield _Batch(tuple(windows), pixels[: len(windows)], done)


def _chips(blocks: Iterable[ChipBlock], profile: Profile) -> Iterator[tuple[Chip, int]]:
    """All chips, and how many of the chip grid are done after each, as far as is known."""
    done = 0
    for block in profile.timed("read", blocks):
        for index, chip in enumerate(block.chips, start=1):
            yield chip, done + index
        done += block.n_windows
        profile.windows += block.n_windows


def _prepare(chip: Chip, card: ModelCard, out: FloatArray) -> None:
    inputs, pixels = card.input, chip.pixels
    statistics = inputs.modalities, inputs.mean, inputs.deviation
    bands.network_input(pixels.reflectance, pixels.valid, *statistics, pixels.terrain, out=out)


def _detected(
    batches: Iterable[_Batch], detector: Detector, buffers: _Buffers, flow: Flow
) -> Generator[tuple[tuple[ChipWindow, ...], list[Detections], int], None, None]:
    def detect(batch: _Batch) -> tuple[tuple[ChipWindow, ...], list[Detections], int]:
        with flow.profile.network(len(batch.windows)):
            found = detector.detect(batch.pixels)
        if len(batch.windows) == flow.batch_size:  # the last batch may be smaller
            buffers.give(batch.pixels)
        return batch.windows, found, batch.done

    return ordered_map(detect, batches, flow.concurrency)


def _outlined(
    found: Iterable[tuple[tuple[ChipWindow, ...], list[Detections], int]], score: float, flow: Flow
) -> Iterator[tuple[ChipWindow, list[Instance]]]:
    """Place and outlines of every chip."""
    for windows, results, done in found:
        for window, detections in zip(windows, results, strict=True):
            with flow.profile.stage("outlines"):
                instances = outlines(detections, window, score=score)
            yield window, instances
        flow.progress(done)


def _merged(
    found: Iterable[tuple[ChipWindow, list[Instance]]], chip_grid: ChipGrid, profile: Profile
) -> Iterator[MergedInstance]:
    columns = chip_grid.strip_columns
    merger = Merger(strip_columns=columns if chip_grid.strips > 1 else None)
    for (strip, row), chips in groupby(found, key=lambda pair: (pair[0].column // columns, pair[0].row)):
        instances = [instance for _, one_chip in chips for instance in one_chip]
        with profile.stage("merge"):
            slumps = merger.add_row(row, instances, strip=strip)
        yield from slumps
    with profile.stage("merge"):
        slumps = merger.finish()
    yield from slumps
