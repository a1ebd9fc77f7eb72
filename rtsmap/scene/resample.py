"""Resampling of pixels to another ground sampling distance.

Weights are applied here rather than by GDAL's warper because invalid pixels of every kind (nodata, blackfill, a mask
band, NaN) must not affect their neighbours, and because the result must not depend on how a scene is divided into
windows. For valid pixels the weights equal those of the warper (a test compares the two).
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from affine import Affine
from scipy.sparse import csr_array

from rtsmap.bands import BANDS, TERRAIN
from rtsmap.records import FloatArray, Grid, Pixels, PixelSource, Window
from rtsmap.scene.ground_distance import pixel_size_m

_SOURCE_PIXELS = 2_000_000  # pixels of the source read at a time, whatever the ratio of the two pixel sizes


class ResampledSource:
    """A view of a source on a grid with the same upper-left corner and square pixels of another size on the ground.

    Reflectance and terrain are interpolated linearly to smaller pixels and averaged by area to larger ones, from valid
    pixels only; masks take the nearest pixel.

    Args:
        source: source of pixels in any CRS; pixels need not be square on the ground (in a geographic CRS they are not).
        gsd: side of the new pixels on the ground, in metres.

    Attributes:
        grid: pixel grid of the view.
    """

    def __init__(self, source: PixelSource, gsd: float) -> None:
        self._source = source
        grid = source.grid
        width_m, height_m = pixel_size_m(grid)
        self._ratio_x, self._ratio_y = gsd / width_m, gsd / height_m
        corner = grid.transform
        self.grid = Grid(
            crs=grid.crs,
            transform=Affine(corner.a * self._ratio_x, 0.0, corner.c, 0.0, corner.e * self._ratio_y, corner.f),
            height=_cells(grid.height, self._ratio_y),
            width=_cells(grid.width, self._ratio_x),
        )

    def read(self, window: Window) -> Pixels:
        """Read the pixels of a window; pixels beyond the edges of the grid are not valid."""
        result = Pixels(
            np.zeros((len(BANDS), window.height, window.width), dtype=np.float32),
            np.zeros((window.height, window.width), dtype=np.bool_),
            np.zeros((window.height, window.width), dtype=np.bool_),
        )
        inside = window.intersection(self.grid.window)
        if not inside.height or not inside.width:
            return result
        source_row_pixels = inside.width * self._ratio_x * self._ratio_y
        step = max(1, int(_SOURCE_PIXELS / source_row_pixels))
        for row in range(inside.row, inside.row + inside.height, step):
            slab = Window(row, inside.column, min(step, inside.row + inside.height - row), inside.width)
            result = self._filled(slab, window, result)
        return result

    def _filled(self, slab: Window, window: Window, result: Pixels) -> Pixels:
        grid = self._source.grid
        down = _Axis(slab.row, slab.height, grid.height, self._ratio_y)
        across = _Axis(slab.column, slab.width, grid.width, self._ratio_x)
        pixels = self._source.read(Window(down.first, across.first, down.count, across.count))
        if pixels.terrain is not None and result.terrain is None:
            result = replace(result, terrain=np.zeros((len(TERRAIN), *result.valid.shape), dtype=np.float32))
        row, column = slab.row - window.row, slab.column - window.column
        slices = np.s_[row : row + slab.height, column : column + slab.width]
        inside = down.inside[:, None] & across.inside
        for mask, target in ((pixels.valid, result.valid), (pixels.clear, result.clear)):
            np.logical_and(mask.take(down.nearest, axis=0).take(across.nearest, axis=1), inside, out=target[slices])
        if not pixels.valid.any():
            return result
        weight = _weighted(pixels.valid.astype(np.float32), down, across)
        usable = result.valid[slices] & (weight > 0)
        everywhere: Any = True if usable.all() else usable  # without a mask the division takes a third of the time
        for band, plane in zip(result.reflectance, pixels.reflectance, strict=True):
            np.divide(_weighted(plane, down, across), weight, out=band[slices], where=everywhere)
            np.minimum(band[slices], 1.0, out=band[slices])  # rounding may exceed the top of the range
        if pixels.terrain is not None and result.terrain is not None:
            for band, plane in zip(result.terrain, pixels.terrain, strict=True):
                np.divide(_weighted(plane, down, across), weight, out=band[slices], where=everywhere)
        return result


class _Axis:
    """Weights along one axis, by which `size` cells of the source give `count` cells of the view from `start` on."""

    def __init__(self, start: int, count: int, size: int, ratio: float) -> None:
        cells = np.arange(start, start + count)
        centre = (cells + 0.5) * ratio
        if ratio > 1:
            base = np.floor(cells * ratio).astype(np.intp)
            taps = base[:, None] + np.arange(math.ceil(ratio) + 1)
            upper, lower = np.minimum((cells[:, None] + 1) * ratio, taps + 1), np.maximum(cells[:, None] * ratio, taps)
            weights = np.maximum(upper - lower, 0) / ratio
        else:
            base = np.floor(centre - 0.5).astype(np.intp)
            taps = base[:, None] + np.arange(2)
            weights = np.maximum(1 - np.abs(taps + 0.5 - centre[:, None]), 0)
        weights[(taps < 0) | (taps >= size)] = 0
        taps = np.clip(taps, 0, size - 1)
        self.first = int(taps[0, 0])
        self.count = int(taps[-1, -1]) - self.first + 1
        self.nearest = np.clip(np.floor(centre).astype(np.intp), 0, size - 1) - self.first
        self.inside = centre < size  # the last cell may extend beyond the source
        starts = np.arange(count + 1) * taps.shape[1]
        columns = (taps - self.first).ravel()
        self.weights = csr_array((weights.astype(np.float32).ravel(), columns, starts), shape=(count, self.count))


def _weighted(plane: FloatArray, down: _Axis, across: _Axis) -> FloatArray:
    narrow = across.weights @ np.ascontiguousarray(plane.T)
    result: FloatArray = down.weights @ np.ascontiguousarray(narrow.T)
    return result


def _cells(size: int, ratio: float) -> int:
    return max(1, math.ceil(round(size / ratio, 6)))  # 100 cells of 3 m give 300 of 1 m, not 301 through rounding
