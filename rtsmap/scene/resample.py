"""Pixels on a grid of another ground sampling distance.

The weights are applied here rather than by GDAL's warper because every kind of pixel that is not valid (nodata,
blackfill, a mask band, NaN) must stay out of its neighbours, and because the result must not depend on how a scene is
cut into windows. On valid pixels they are the warper's own (a test compares the two).
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

_SOURCE_PIXELS = 2_000_000  # read at a time, whatever the ratio of the two pixel sizes


class ResampledSource:
    """A view of a source on a grid with the same upper-left corner and square pixels of another size on the ground.

    Reflectance and terrain are interpolated linearly where pixels become smaller and averaged by area where they become
    larger, from valid pixels only; masks take the nearest pixel.

    Args:
        source: the pixels, in any CRS; they need not be square on the ground (those of a grid in degrees are not).
        gsd: pixel size wanted, in metres.
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
        """The pixels of a window; those beyond the grid's edges are not valid."""
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
        place = np.s_[row : row + slab.height, column : column + slab.width]
        inside = down.inside[:, None] & across.inside
        for mask, target in ((pixels.valid, result.valid), (pixels.clear, result.clear)):
            np.logical_and(mask.take(down.nearest, axis=0).take(across.nearest, axis=1), inside, out=target[place])
        if not pixels.valid.any():
            return result
        weight = _weighted(pixels.valid.astype(np.float32), down, across)
        usable = result.valid[place] & (weight > 0)
        everywhere: Any = True if usable.all() else usable  # without a mask the division takes a third of the time
        for band, plane in zip(result.reflectance, pixels.reflectance, strict=True):
            np.divide(_weighted(plane, down, across), weight, out=band[place], where=everywhere)
            np.minimum(band[place], 1.0, out=band[place])  # rounding may pass the top of the range
        if pixels.terrain is not None and result.terrain is not None:
            for band, plane in zip(result.terrain, pixels.terrain, strict=True):
                np.divide(_weighted(plane, down, across), weight, out=band[place], where=everywhere)
        return result


class _Axis:
    """How `size` cells of one axis of the source make `count` cells of the view, from its cell `start` on."""

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
        self.inside = centre < size  # the last cell may reach beyond the source
        starts = np.arange(count + 1) * taps.shape[1]
        columns = (taps - self.first).ravel()
        self.weights = csr_array((weights.astype(np.float32).ravel(), columns, starts), shape=(count, self.count))


def _weighted(plane: FloatArray, down: _Axis, across: _Axis) -> FloatArray:
    narrow = across.weights @ np.ascontiguousarray(plane.T)
    result: FloatArray = down.weights @ np.ascontiguousarray(narrow.T)
    return result


def _cells(size: int, ratio: float) -> int:
    return max(1, math.ceil(round(size / ratio, 6)))  # 100 cells of 3 m are 300 of 1 m, not 301 by rounding
