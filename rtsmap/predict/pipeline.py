"""From pixels to merged outlines, in a pipeline of threads.

Three threads work at the same time: one reads and prepares chips, one runs the network, and the calling thread makes
the outlines and merges them. Chips pass through the pipeline in the order of the chip grid, so the result is the same
as if the stages ran one after another.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
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
from rtsmap.runtime.execution import Execution
from rtsmap.runtime.profile import Profile
from rtsmap.runtime.threads import ordered_map, prefetch
from rtsmap.settings.card import ModelCard


class LockedSource:
    """A source of pixels that several threads may read; GDAL needs them to read one at a time."""

    def __init__(self, source: PixelSource) -> None:
        self._source, self._lock = source, Lock()

    @property
    def grid(self) -> Grid:
        """The grid of the source."""
        return self._source.grid

    def read(self, window: Window) -> Pixels:
        """Read the pixels of a window; those beyond the grid's edges are not valid."""
        with self._lock:
            return self._source.read(window)


class _Batch(NamedTuple):
    """The chips of one call of the detector, and the number of chips that are done after it."""

    windows: tuple[ChipWindow, ...]
    pixels: FloatArray  # (n, channels, rows, columns)
    done: int


class _Buffers:
    """Arrays for the input of the network that are reused: allocating memory takes longer than writing into it."""

    def __init__(self) -> None:
        self._free: SimpleQueue[FloatArray] = SimpleQueue()

    def take(self, shape: tuple[int, ...]) -> FloatArray:
        """Return an array of this shape; all arrays have the same shape."""
        try:
            return self._free.get_nowait()
        except Empty:
            return np.empty(shape, dtype=np.float32)

    def give(self, buffer: FloatArray) -> None:
        """Take back an array that is no longer in use."""
        self._free.put(buffer)


def merged_instances(
    blocks: Iterable[ChipBlock],
    chip_grid: ChipGrid,
    card: ModelCard,
    detector: Detector,
    score: float,
    execution: Execution,
    progress: Callable[[int], None] = lambda _done: None,
) -> Generator[MergedInstance, None, None]:
    """Find the slumps in blocks of chips.

    Exhaust the generator or close it: either ends its threads.

    Args:
        blocks: as `read_chips` yields them; with prefetching they are read in another thread.
        chip_grid: the chip grid of the blocks.
        card: card of the model.
        detector: computes the network.
        score: lowest score that is kept, 0..1.
        execution: how the work is executed.
        progress: is called with the number of chips that are done.

    Yields:
        Outlines in pixel coordinates of the grid of the scene; they may extend beyond it where their chips do. Their
        order does not depend on `execution`.
    """
    profile, buffers = execution.profile, _Buffers()
    read = _batches(blocks, card, buffers, execution)
    with (
        prefetch(read, execution.prefetch_depth, name="reader", waits=profile.inputs) as batches,
        closing(_detected(batches, detector, buffers, execution)) as detected,
        prefetch(detected, execution.prefetch_depth, name="network", waits=profile.detections) as found,
    ):
        yield from _merged(_outlined(found, score, profile, progress), chip_grid, profile)


def _batches(blocks: Iterable[ChipBlock], card: ModelCard, buffers: _Buffers, execution: Execution) -> Iterator[_Batch]:
    """Fill batches with the input of the network; a batch may take chips from several blocks."""
    channels = len(bands.channels(card.input.modalities))
    chips = _chips(blocks, execution.profile)
    while first := next(chips, None):
        windows: list[ChipWindow] = []
        pixels = buffers.take((execution.batch_size, channels, *first[0].pixels.valid.shape))
        done = 0
        for chip, done_with_it in chain([first], islice(chips, execution.batch_size - 1)):
            done = done_with_it
            with execution.profile.stage("prepare"):
                _prepare(chip, card, pixels[len(windows)])
            windows.append(chip.window)
        yield _Batch(tuple(windows), pixels[: len(windows)], done)


def _chips(blocks: Iterable[ChipBlock], profile: Profile) -> Iterator[tuple[Chip, int]]:
    """All chips, and after each the number of windows of the chip grid that are known to be done."""
    done = 0
    for block in profile.timed("read", blocks):
        for index, chip in enumerate(block.chips, start=1):
            yield chip, done + index
        done += block.n_windows
        profile.windows += block.n_windows


def _prepare(chip: Chip, card: ModelCard, out: FloatArray) -> None:
    inputs, pixels = card.input, chip.pixels
    statistics = inputs.modalities, inputs.mean, inputs.std
    bands.network_input(pixels.reflectance, pixels.valid, *statistics, pixels.terrain, out=out)


def _detected(
    batches: Iterable[_Batch], detector: Detector, buffers: _Buffers, execution: Execution
) -> Generator[tuple[tuple[ChipWindow, ...], list[Detections], int], None, None]:
    def detect(batch: _Batch) -> tuple[tuple[ChipWindow, ...], list[Detections], int]:
        with execution.profile.network(len(batch.windows)):
            found = detector.detect(batch.pixels)
        if len(batch.windows) == execution.batch_size:  # the last batch may be smaller
            buffers.give(batch.pixels)
        return batch.windows, found, batch.done

    return ordered_map(detect, batches, execution.concurrency)


def _outlined(
    found: Iterable[tuple[tuple[ChipWindow, ...], list[Detections], int]],
    score: float,
    profile: Profile,
    progress: Callable[[int], None],
) -> Iterator[tuple[ChipWindow, list[Instance]]]:
    """The window and the outlines of every chip."""
    for windows, results, done in found:
        for window, detections in zip(windows, results, strict=True):
            with profile.stage("outlines"):
                instances = outlines(detections, window, score=score)
            yield window, instances
        progress(done)


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
