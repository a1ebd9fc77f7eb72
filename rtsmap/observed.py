"""The area of a scene that was observed, so that "no slump" and "not observed" can be told apart."""

import math

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import rasterize, shapes
from shapely import MultiPolygon, Polygon
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from rtsmap.geometry import geodesic_area_m2, polygon_parts
from rtsmap.records import BoolArray, Grid, Window

#: Side of the cells in which the observed area is drawn; sums are exact to the pixel all the same.
CELL_M = 30.0

_BLOCK_CELLS = 32  # of about 1 km, within which a pixel's geodesic area is one number to 1e-6


class ObservedArea:
    """Counts valid and clear pixels, window by window, in a coarse mask.

    Args:
        grid: the grid of the scene.
        aoi: area of interest in the grid's CRS; pixels whose centres lie outside it do not count.
        cell_m: side of a cell of the drawn outline, in m on the ground; at least one pixel.
    """

    def __init__(self, grid: Grid, aoi: BaseGeometry | None = None, cell_m: float = CELL_M) -> None:
        self._grid = grid
        self._to_wgs84 = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
        self._step = max(1, round(cell_m / math.sqrt(self._pixel_m2(grid))))
        cells = math.ceil(grid.height / self._step), math.ceil(grid.width / self._step)
        self._clear: NDArray[np.unsignedinteger] = np.zeros(cells, dtype=np.min_scalar_type(self._step**2))
        self._aoi = None if aoi is None else affine_transform(aoi, (~grid.transform).to_shapely())
        self.valid_pixels = 0
        self.clear_pixels = 0

    def add(self, core: Window, valid: BoolArray, clear: BoolArray) -> None:
        """Count the pixels of a window; every pixel of the grid must come exactly once, in any order.

        Args:
            core: a window; pixels beyond the grid are ignored.
            valid: `(height, width)` of the core.
            clear: `(height, width)` of the core; true only where `valid` is.
        """
        inside = core.intersection(self._grid.window)
        if not inside.height or not inside.width:
            return
        cut = np.s_[
            inside.row - core.row : inside.row - core.row + inside.height,
            inside.column - core.column : inside.column - core.column + inside.width,
        ]
        looked_at = valid[cut] if self._aoi is None else valid[cut] & self._of_interest(inside)
        seen = looked_at & clear[cut]
        self.valid_pixels += int(np.count_nonzero(looked_at))
        self.clear_pixels += int(np.count_nonzero(seen))
        self._into_cells(inside, seen)

    @property
    def cloud_fraction(self) -> float:
        """Masked part of the valid pixels, 0..1; 0 where none is valid."""
        return 1.0 - self.clear_pixels / self.valid_pixels if self.valid_pixels else 0.0

    @property
    def observed_km2(self) -> float:
        """Geodesic area of the clear pixels in km2: their number, block by block, times the area of a pixel there."""
        starts = np.arange(0, self._clear.shape[1], _BLOCK_CELLS)
        slabs = (self._clear[row : row + _BLOCK_CELLS] for row in range(0, self._clear.shape[0], _BLOCK_CELLS))
        counts = np.stack([np.add.reduceat(slab.sum(axis=0, dtype=np.int64), starts) for slab in slabs])
        total = 0.0
        side = self._step * _BLOCK_CELLS
        for row, column in np.argwhere(counts):
            block = Window(int(row) * side, int(column) * side, side, side).intersection(self._grid.window)
            total += int(counts[row, column]) * self._area_m2(block) / (block.height * block.width)
        return total / 1e6

    def polygon(self) -> MultiPolygon:
        """The observed area in the grid's CRS: cells of which at least half of the pixels are clear.

        Returns:
            A valid MultiPolygon, empty where nothing was observed. Its outline follows cells, so its area differs
            from `observed_km2` by what is clear in cells that are mostly masked, and the other way round.
        """
        mask = (self._clear >= self._half_of_cells()) & (self._clear > 0)
        drawn = shapes(mask.view(np.uint8), mask=mask, transform=Affine.scale(self._step))
        # Joined by their sides only, the shapes neither overlap nor cross themselves: no union is needed, which would
        # take many times as long under scattered clouds.
        rings = (geometry["coordinates"] for geometry, _ in drawn)
        cells = MultiPolygon([Polygon(outer, holes) for outer, *holes in rings])
        last = self._grid.width, self._grid.height
        outline = shapely.transform(cells, lambda points: np.minimum(points, last))  # the last cells stick out
        if self._aoi is not None:
            outline = MultiPolygon(polygon_parts(outline.intersection(self._aoi)))
        return affine_transform(outline, self._grid.transform.to_shapely())

    def _of_interest(self, window: Window) -> BoolArray:
        size = window.height, window.width
        origin = Affine.translation(window.column, window.row)
        burnt = rasterize([self._aoi], out_shape=size, transform=origin, dtype="uint8")
        return np.asarray(burnt, dtype=np.bool_)

    def _into_cells(self, window: Window, seen: BoolArray) -> None:
        """Add pixels to their cells; windows need not begin where cells do."""
        first_row, row_starts = _cell_starts(window.row, window.height, self._step)
        first_column, column_starts = _cell_starts(window.column, window.width, self._step)
        rows = np.add.reduceat(seen, row_starts, axis=0, dtype=np.int64)
        sums = np.add.reduceat(rows, column_starts, axis=1)
        height, width = sums.shape
        cells = np.s_[first_row : first_row + height, first_column : first_column + width]
        self._clear[cells] += sums.astype(self._clear.dtype)

    def _half_of_cells(self) -> NDArray[np.unsignedinteger]:
        """Half of the pixels of every cell, rounded up; of the type of the counts, for a mosaic has many."""
        heights, widths = (_cell_sizes(size, self._step) for size in (self._grid.height, self._grid.width))
        half = np.full(self._clear.shape, -(-(self._step**2) // 2), dtype=self._clear.dtype)
        half[-1], half[:, -1] = -(-heights[-1] * widths // 2), -(-heights * widths[-1] // 2)  # the others are whole
        return half

    def _pixel_m2(self, grid: Grid) -> float:
        return self._area_m2(Window(grid.height // 2, grid.width // 2, 1, 1))

    def _area_m2(self, window: Window) -> float:
        """Geodesic area of a window."""
        corners = affine_transform(shapely.box(*window.bounds), self._grid.transform.to_shapely()).exterior.coords.xy
        longitudes, latitudes = self._to_wgs84.transform(*corners)
        return geodesic_area_m2(Polygon(np.column_stack([longitudes, latitudes])))


def _cell_starts(start: int, length: int, step: int) -> tuple[int, NDArray[np.int64]]:
    """The first cell that `start .. start + length` lies in, and where each cell begins, counted from `start`."""
    first = start // step
    cells = np.arange(first, (start + length - 1) // step + 1, dtype=np.int64)
    return first, np.maximum(cells * step - start, 0)


def _cell_sizes(length: int, step: int) -> NDArray[np.int64]:
    starts = np.arange(0, length, step, dtype=np.int64)
    return np.minimum(step, length - starts)
