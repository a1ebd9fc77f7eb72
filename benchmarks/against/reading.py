"""Reads all chips of a file by one method: `python -m benchmarks.against.reading METHOD FILE CHIP OVERLAP`.

Prints seconds (wall clock, CPU of all threads), chips, and how much the resident memory grew above what it was with
everything imported.
"""

# mypy: disable-error-code="import-not-found"
# ruff: noqa: PLC0415  (what one method needs is imported for it alone, outside the measured time)

import argparse
import json
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Read = Callable[[Path, int, int], Iterator[Any]]

CACHE = 128 << 20  # bytes
TORCHGEO_BATCH = 8


def rtsmap(path: Path, chip: int, overlap: int) -> Iterator[Any]:
    from rtsmap.chips.grid import ChipGrid
    from rtsmap.chips.reading import read_chips
    from rtsmap.scene import open_scene

    yield
    with open_scene(str(path)) as scene:
        chip_grid = ChipGrid(scene.grid, chip, overlap, one_strip=scene.striped)
        with scene.read_cache(chip, chip_grid.strip_px):
            for block in read_chips(scene, chip_grid):
                yield from block.chips


def plain(path: Path, chip: int, overlap: int) -> Iterator[Any]:
    """A window per chip from one open file, numbers as they are."""
    import rasterio
    from rasterio.windows import Window

    yield
    with rasterio.open(path) as dataset:
        for row in _starts(dataset.height, chip, overlap):
            for column in _starts(dataset.width, chip, overlap):
                yield dataset.read(window=Window(column, row, chip, chip), boundless=False)


def plain_cached(path: Path, chip: int, overlap: int) -> Iterator[Any]:
    import rasterio

    with rasterio.Env(GDAL_CACHEMAX=CACHE):
        yield from plain(path, chip, overlap)


def torchgeo(path: Path, chip: int, overlap: int) -> Iterator[Any]:
    """The loop of its tutorials, without worker processes."""
    from torch.utils.data import DataLoader
    from torchgeo.datasets import RasterDataset, stack_samples
    from torchgeo.samplers import GridGeoSampler

    yield
    dataset = RasterDataset(str(path))
    sampler = GridGeoSampler(dataset, size=chip, stride=chip - overlap)
    for batch in DataLoader(dataset, batch_size=TORCHGEO_BATCH, sampler=sampler, collate_fn=stack_samples):
        yield from batch["image"]


def sahi(path: Path, chip: int, overlap: int) -> Iterator[Any]:
    import imagecodecs  # noqa: F401  (what it reads such a TIFF with)
    import numpy as np
    import skimage.io  # noqa: F401
    from sahi.slicing import slice_image

    yield
    ratio = overlap / chip
    slices = slice_image(
        str(path), slice_height=chip, slice_width=chip, overlap_height_ratio=ratio, overlap_width_ratio=ratio
    )
    for image in slices.images:
        yield np.ascontiguousarray(image)  # as it hands them to a network


def detectree2(path: Path, chip: int, overlap: int) -> Iterator[Any]:
    """A GeoTIFF per tile, read again as `predict_on_data` does."""
    import rasterio
    from detectree2.preprocessing.tiling import tile_data

    logging.disable()
    yield
    pixel = _pixel_m(path)
    buffer, width = round(overlap / 2 * pixel), round((chip - overlap) * pixel)
    folder = Path(tempfile.mkdtemp(dir=path.parent))
    try:
        tile_data(str(path), str(folder), buffer, width, width, nan_threshold=1, mode="ms", full_coverage=True)
        for tile in sorted(folder.glob("*.tif")):
            with rasterio.open(tile) as dataset:
                yield dataset.read()
    finally:
        shutil.rmtree(folder)


METHODS: dict[str, Read] = {
    "rtsmap": rtsmap,
    "plain windows, GDAL's cache": plain,
    "plain windows, 128 MiB": plain_cached,
    "torchgeo GridGeoSampler": torchgeo,
    "sahi slice_image": sahi,
    "detectree2 tile_data": detectree2,
}


def _starts(size: int, chip: int, overlap: int) -> range:
    return range(0, max(size - overlap, 1), chip - overlap)


def _pixel_m(path: Path) -> float:
    import rasterio

    with rasterio.open(path) as dataset:
        return float(dataset.res[0])


class _Memory:
    """The largest resident memory while it runs, in MiB above that at its start."""

    def __enter__(self) -> "_Memory":
        self._start, self.growth = _resident_mib(), 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.growth = max(self.growth, _resident_mib() - self._start)


def _resident_mib() -> float:
    words = Path("/proc/self/statm").read_text().split()
    return int(words[1]) * 4096 / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=list(METHODS))
    parser.add_argument("file", type=Path)
    parser.add_argument("chip", type=int)
    parser.add_argument("overlap", type=int)
    options = parser.parse_args()
    chips = METHODS[options.method](options.file, options.chip, options.overlap)
    next(chips)  # everything is imported now
    with _Memory() as memory:
        wall, processor = time.perf_counter(), time.process_time()
        count = sum(1 for _ in chips)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(json.dumps({"chips": count, "wall_s": wall, "cpu_s": processor, "growth_mib": memory.growth}))


if __name__ == "__main__":
    main()
