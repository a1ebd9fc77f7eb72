"""Terrain on the pixel grid of a scene: relative elevation and slope, from a digital elevation model.

Both depend only on differences of height in the neighbourhood, so that heights above the ellipsoid (ArcticDEM) and
above sea level (Copernicus DEM) give the same result at any altitude. Neither depends on how a scene is divided into
windows: heights are warped in tiles at fixed positions of the scene, and their means are sums of integers.
"""

import logging
from collections import OrderedDict
from contextlib import ExitStack
from typing import Any

import numpy as np
import rasterio.windows
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform, transform_bounds

from rtsmap.bands import TERRAIN
from rtsmap.errors import SceneError
from rtsmap.records import FloatArray, Grid, Window
from rtsmap.scene.files import check_placed, open_raster
from rtsmap.scene.ground_distance import pixel_size_m

#: Side of the square window, in m: relative elevation is the height of a pixel above the mean of this window. AWI's
#: darts-nextgen uses a disc of 100 m radius by default. The window here is a little larger, so that a slump of usual
#: size (80 m across) fills only a small part of it. Sums over squares are cheap at any pixel size.
SURROUNDINGS_M = 300.0

#: Range of heights of the Earth's surface, m; values outside it are treated as nodata, whatever the file declares.
LOWEST_M, HIGHEST_M = -500.0, 9000.0

#: The nodata value that is assumed if the file declares none, as in ArcticDEM. Any other nodata value must be declared,
#: or it is averaged into the heights beside it.
NODATA = -9999.0

_TILE = 512  # px
_TILES_KEPT = 64  # tiles of 1 MB, enough for a row of chips of a PlanetScope frame
_STEPS_PER_M = 1024  # heights are summed as integers in this unit, so that the order of summation does not matter
_WIDEST = 500  # px from a pixel to the edge of its window; more would take gigabytes
_SAMPLES = 8  # sample points along each side of the scene, to estimate how much of it the elevation model covers
_WORTH_SAYING = 0.1  # fraction of the scene without heights above which a warning is given

_log = logging.getLogger(__name__)


class Elevation:
    """An elevation model on the pixel grid of a scene.

    Where the model has no height, both relative elevation and slope are 0, as on a plain; the pixels stay valid and
    clear, because the scene observed them.

    Args:
        path: a raster with one band of heights in metres, in any CRS and any format that GDAL opens.
        grid: pixel grid of the scene.
        scene: path of the scene, for messages.

    Attributes:
        path: path of the elevation model.

    Raises:
        SceneError: the file cannot be read, has several bands, is not georeferenced, or does not overlap the scene; or
            the pixels of the scene are smaller than 0.3 m.
    """

    def __init__(self, path: str, grid: Grid, scene: str) -> None:
        self.path, self._scene, self._grid = path, scene, grid
        width_m, height_m = pixel_size_m(grid)
        self._half_x, self._half_y = (max(1, round(SURROUNDINGS_M / 2 / size)) for size in (width_m, height_m))
        self._size_m = width_m, height_m
        if max(self._half_x, self._half_y) > _WIDEST:
            raise SceneError(
                f"{scene}: its pixels of {min(self._size_m):.2f} m are too fine for relative elevation; "
                f"resample it to {SURROUNDINGS_M / 2 / _WIDEST:g} m or more with gdalwarp first"
            )
        self._tiles: OrderedDict[tuple[int, int], FloatArray] = OrderedDict()
        self._looked_over = False
        with ExitStack() as stack:
            self._dataset = stack.enter_context(open_raster(path))
            _check(path, self._dataset, grid, scene)
            self._heights = stack.enter_context(self._warped())
            stack.pop_all()

    def close(self) -> None:
        """Close the elevation model."""
        with ExitStack() as stack:
            stack.callback(self._dataset.close)
            stack.callback(self._heights.close)

    def read(self, window: Window, valid: NDArray[np.bool_]) -> FloatArray:
        """Read the terrain of a window.

        Args:
            window: a window of the scene's grid; it may extend beyond the grid.
            valid: `(rows, columns)` valid pixels.

        Returns:
            `(2, rows, columns)` float32 in the order of `bands.TERRAIN`: relative elevation in m and slope in degrees;
            0 for pixels that are not valid.

        Raises:
            SceneError: the elevation model cannot be read in this window.
        """
        terrain = np.zeros((len(TERRAIN), window.height, window.width), dtype=np.float32)
        inside = window.intersection(self._grid.window)
        if not valid.any() or not inside.height or not inside.width:
            return terrain
        try:
            self._look_over()
            heights = self._around(inside)
        except RasterioError as error:
            raise SceneError(f"{self.path}: cannot be read, it is truncated or damaged; fetch it again") from error
        row, column = inside.row - window.row, inside.column - window.column
        slices = np.s_[row : row + inside.height, column : column + inside.width]
        terrain[0][slices] = relative_elevation(heights, self._half_y, self._half_x)
        y, x = self._half_y - 1, self._half_x - 1
        terrain[1][slices] = slope(heights[y : len(heights) - y, x : heights.shape[1] - x], *self._size_m)
        terrain *= valid
        return terrain

    def _warped(self) -> Any:
        """Heights on the scene's grid, extended by half the averaging window on each side."""
        grid, dataset = self._grid, self._dataset
        try:
            return WarpedVRT(
                dataset,
                crs=_crs(grid),
                transform=grid.transform @ Affine.translation(-self._half_x, -self._half_y),
                height=grid.height + 2 * self._half_y,
                width=grid.width + 2 * self._half_x,
                resampling=Resampling.bilinear,
                src_nodata=NODATA if dataset.nodata is None else dataset.nodata,
                nodata=NODATA,
                dtype="float32",
            )
        except (RasterioError, ValueError) as error:
            raise SceneError(
                f"{self.path}: cannot be warped to the CRS of {self._scene} ({error}); warp it with gdalwarp first"
            ) from error

    def _around(self, window: Window) -> FloatArray:
        """Heights of a window of the scene, extended by half the averaging window on each side; NaN for nodata."""
        height, width = window.height + 2 * self._half_y, window.width + 2 * self._half_x
        heights = np.empty((height, width), dtype=np.float32)
        for down in range(window.row // _TILE, (window.row + height - 1) // _TILE + 1):
            for across in range(window.column // _TILE, (window.column + width - 1) // _TILE + 1):
                row, column = down * _TILE - window.row, across * _TILE - window.column
                part = self._tile(down, across)[max(-row, 0) : height - row, max(-column, 0) : width - column]
                row, column = max(row, 0), max(column, 0)
                heights[row : row + part.shape[0], column : column + part.shape[1]] = part
        return heights

    def _tile(self, down: int, across: int) -> FloatArray:
        key = down, across
        if key in self._tiles:
            self._tiles.move_to_end(key)
            return self._tiles[key]
        row, column = down * _TILE, across * _TILE
        size = min(_TILE, self._heights.width - column), min(_TILE, self._heights.height - row)
        heights: FloatArray = self._heights.read(1, window=rasterio.windows.Window(column, row, *size))
        self._tiles[key] = _known(heights, self._dataset)
        if len(self._tiles) > _TILES_KEPT:
            self._tiles.popitem(last=False)
        return self._tiles[key]

    def _look_over(self) -> None:
        """Warn once if the model has no heights for more than a tenth of the scene."""
        if self._looked_over:
            return
        self._looked_over = True
        steps = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
        corner, grid = self._grid.transform, self._grid
        xs, ys = np.meshgrid(corner.c + steps * grid.width * corner.a, corner.f + steps * grid.height * corner.e)
        points = np.column_stack(transform(_crs(grid), self._dataset.crs, xs.ravel(), ys.ravel()))
        found = self._dataset.sample(points[np.isfinite(points).all(axis=1)], masked=True)
        heights = (_known(value.astype(np.float32).filled(NODATA), self._dataset) for value in found)
        missing = 1 - sum(int(np.isfinite(height).sum()) for height in heights) / len(points)
        if missing > _WORTH_SAYING:
            _log.warning(
                "%s: has no height on about %.0f %% of %s; the terrain counts as level there",
                self.path,
                100 * missing,
                self._scene,
            )


def relative_elevation(heights: FloatArray, half_rows: int, half_columns: int) -> FloatArray:
    """Height above the mean of a rectangular window around each pixel, m.

    Args:
        heights: `(rows + 2 half_rows, columns + 2 half_columns)` in m, NaN without a height.
        half_rows: rows of the window above and below the pixel in its centre.
        half_columns: columns of the window to the left and right of that pixel.

    Returns:
        `(rows, columns)` float32 in m; 0 without a height.
    """
    known = np.isfinite(heights)
    steps = np.rint(np.where(known, heights, np.float32(0)) * np.float32(_STEPS_PER_M)).astype(np.int64)
    sums = _box_sums(steps, half_rows, half_columns)
    rows, columns = sums.shape
    counts = np.full_like(sums, (2 * half_rows + 1) * (2 * half_columns + 1))
    if not known.all():
        counts = _box_sums(known.astype(np.int64), half_rows, half_columns)
    own = np.s_[half_rows : half_rows + rows, half_columns : half_columns + columns]
    relative = (steps[own] - sums / np.maximum(counts, 1)) / _STEPS_PER_M
    return np.where(known[own], relative, 0).astype(np.float32)


def slope(heights: FloatArray, width_m: float, height_m: float) -> FloatArray:
    """Steepest slope in degrees, 0..90, by central differences (Zevenbergen and Thorne 1987).

    Args:
        heights: `(rows + 2, columns + 2)` in m, NaN without a height.
        width_m: width of a pixel in m.
        height_m: height of a pixel in m.

    Returns:
        `(rows, columns)` in degrees; 0 if one of the four neighbours has no height.
    """
    across = (heights[1:-1, 2:] - heights[1:-1, :-2]) / np.float32(2 * width_m)
    down = (heights[2:, 1:-1] - heights[:-2, 1:-1]) / np.float32(2 * height_m)
    degrees: FloatArray = np.degrees(np.arctan(np.hypot(across, down)))
    return np.nan_to_num(degrees, nan=0.0)


def _box_sums(values: NDArray[np.int64], half_rows: int, half_columns: int) -> NDArray[np.int64]:
    for axis, half in enumerate((half_rows, half_columns)):
        before = [(0, 0), (0, 0)]
        before[axis] = (1, 0)
        totals = np.moveaxis(np.cumsum(np.pad(values, before), axis=axis), axis, 0)
        side = 2 * half + 1
        values = np.moveaxis(totals[side:] - totals[:-side], 0, axis)
    return values


def _known(heights: FloatArray, dataset: Any) -> FloatArray:
    """Convert stored values to heights in metres, with NaN for nodata and for values outside the valid range."""
    metres = heights * np.float32(dataset.scales[0]) + np.float32(dataset.offsets[0])
    absent = (heights == NODATA) | ~(metres >= LOWEST_M) | ~(metres <= HIGHEST_M)
    metres[absent] = np.nan
    return metres


def _crs(grid: Grid) -> Any:
    return rasterio.CRS.from_wkt(grid.crs.to_wkt())


def _check(path: str, dataset: Any, grid: Grid, scene: str) -> None:
    if dataset.count != 1:
        raise SceneError(f"{path}: has {dataset.count} bands where an elevation model has 1; give the heights alone")
    check_placed(path, dataset)
    if not _overlaps(dataset, grid):
        raise SceneError(f"{path}: does not cover {scene}; give an elevation model of that area")


def _overlaps(dataset: Any, grid: Grid) -> bool:
    """Whether the bounding boxes of both overlap in the CRS of the elevation model."""
    right, bottom = grid.transform @ (grid.width, grid.height)
    bounds = grid.transform.c, bottom, right, grid.transform.f
    try:
        west, south, east, north = transform_bounds(_crs(grid), dataset.crs, *bounds)
    except RasterioError:  # the bounds cannot be transformed to that CRS
        return False
    box = dataset.bounds
    low, high = sorted((box.bottom, box.top))
    sides = west < box.right, box.left < east
    across = any(sides) if west > east else all(sides)  # west > east if the box crosses the antimeridian
    return bool(across and south < high and low < north)
