"""Reading of a raster by window: reflectance, valid and clear pixels, and terrain if an elevation model is given."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import numpy as np
import rasterio
import rasterio.windows
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Interleaving, MaskFlags
from rasterio.errors import RasterioIOError

from rtsmap.bands import BANDS, to_reflectance
from rtsmap.errors import SceneError
from rtsmap.records import BoolArray, Grid, Pixels, PixelSource, SceneInfo, Window
from rtsmap.scene.calibration import Calibration
from rtsmap.scene.elevation import Elevation
from rtsmap.scene.files import check_placed
from rtsmap.scene.ground_distance import pixel_size_m
from rtsmap.scene.masks import OpenMask
from rtsmap.scene.placed import check_on_earth, crs_of
from rtsmap.scene.resample import ResampledSource

_DARKEST, _BRIGHTEST = -0.5, 2.0  # limits that no reflectance of ground exceeds, whatever the offset of the product
_NO_REAL = 1e30  # floating-point fill values are larger: GDAL and others use -3.4e38, some programs 1e38

_SMALLEST_CACHE = 32 << 20  # bytes
_LARGEST_CACHE = 160 << 20  # enough for a frame, and for a strip of a tiled mosaic


def grid_of(path: str, dataset: Any) -> Grid:
    """The pixel grid of a dataset.

    Raises:
        SceneError: it is not georeferenced on the Earth, or is not north-up.
    """
    check_placed(path, dataset)
    transform = dataset.transform
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        turned = "rotated" if transform.b or transform.d else "not north-up"
        raise SceneError(f"{path}: is {turned}; make it north-up with gdalwarp first")
    grid = Grid(crs_of(path, dataset.crs.to_wkt()), transform, dataset.height, dataset.width)
    check_on_earth(path, grid)
    return grid


class Scene:
    """An open scene, a source of pixels. It is returned by `open_scene`; close it, or use it in a `with` statement.

    Only one thread at a time may read.

    Attributes:
        info: metadata of the scene.
        grid: pixel grid of the scene.
        mask_path: path of the cloud mask; None if there is none, so that every valid pixel counts as clear.
        dem_path: path of the elevation model; None if none was given.
    """

    def __init__(
        self,
        dataset: Any,
        info: SceneInfo,
        grid: Grid,
        calibration: Calibration,
        mask: OpenMask | None = None,
        elevation: Elevation | None = None,
    ) -> None:
        self.info = info
        self.grid = grid
        self.mask_path: str | None = None if mask is None else mask.path
        self.dem_path: str | None = None if elevation is None else elevation.path
        self._dataset = dataset
        self._elevation = elevation
        self._calibration = calibration
        self._mask = mask
        self._mask_source = _mask_source(dataset, calibration.numbers)
        self._nodata = _nodata_of(dataset, calibration.numbers[0])
        self._fill_limits = _fill_limits(dataset, calibration)

    @property
    def clouds_masked(self) -> bool:
        """Whether a cloud mask is read and at least one class is masked; otherwise clouds are unknown."""
        return self._mask is not None and bool(self._mask.classes)

    @property
    def calibration(self) -> Calibration:
        """Scale and offset from digital numbers to reflectance."""
        return self._calibration

    @property
    def block_shape(self) -> tuple[int, int]:
        """Rows and columns of the blocks of the file."""
        height, width = self._dataset.block_shapes[0]
        return int(height), int(width)

    @property
    def striped(self) -> bool:
        """Whether blocks are as wide as the image, so that reading a part of a row costs as much as the whole row."""
        return self.block_shape[1] >= self.grid.width

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        with ExitStack() as stack:
            stack.callback(self._dataset.close)
            if self._mask is not None:
                stack.callback(self._mask.dataset.close)
            if self._elevation is not None:
                stack.callback(self._elevation.close)

    def read(self, window: Window) -> Pixels:
        """Read the pixels of a window; pixels beyond the edges of the grid are not valid.

        Raises:
            SceneError: the image, its mask or the elevation model cannot be read in this window.
        """
        pixels = self._read_padded(window)
        if self._elevation is None:
            return pixels
        return replace(pixels, terrain=self._elevation.read(window, pixels.valid))

    def _read_padded(self, window: Window) -> Pixels:
        inside = window.intersection(self.grid.window)
        shape = inside.height, inside.width
        if inside == window:
            return self._read(inside, shape)
        reflectance = np.zeros((len(BANDS), window.height, window.width), dtype=np.float32)
        valid = np.zeros((window.height, window.width), dtype=np.bool_)
        clear = np.zeros_like(valid)
        if inside.height and inside.width:
            row, column = inside.row - window.row, inside.column - window.column
            rows, columns = slice(row, row + inside.height), slice(column, column + inside.width)
            pixels = self._read(inside, shape)
            reflectance[:, rows, columns] = pixels.reflectance
            valid[rows, columns] = pixels.valid
            clear[rows, columns] = pixels.clear
        return Pixels(reflectance, valid, clear)

    def read_decimated(self, max_pixels_per_side: int) -> Pixels:
        """Read the whole scene with at most that many rows and columns, by nearest neighbour and from overviews if any.

        Raises:
            SceneError: the image or its mask cannot be read.
        """
        factor = max(1.0, max(self.grid.height, self.grid.width) / max_pixels_per_side)
        shape = max(1, int(self.grid.height / factor)), max(1, int(self.grid.width / factor))
        return self._read(self.grid.window, shape)

    def clear_numbers(self, window: Window, step: int = 1) -> NDArray[np.float64]:
        """Stored values `(4, pixels)` of the clear pixels in a window, from every `step`-th row and column.

        Raises:
            SceneError: the image or its mask cannot be read in this window.
        """
        shape = math.ceil(window.height / step), math.ceil(window.width / step)
        numbers, _, clear = self._stored(window, shape)
        return numbers[:, clear].astype(np.float64)

    def at_gsd(self, gsd_m: float, accepted_m: tuple[float, float]) -> PixelSource:
        """The scene at a ground sampling distance that a model accepts.

        Args:
            gsd_m: pixel size to resample to, in metres.
            accepted_m: lowest and highest pixel size, in metres, that need no resampling.

        Returns:
            The scene itself if both sides of its pixels lie in `accepted_m`, else a resampled view with square pixels.
        """
        lowest, highest = accepted_m
        if all(lowest <= size <= highest for size in pixel_size_m(self.grid)):
            return self
        return ResampledSource(self, gsd_m)

    def read_cache_bytes(self, rows: int, columns: int | None = None, grid: Grid | None = None) -> int:
        """Size of the block cache with which GDAL decodes every block once for a row of chips: 32 to 160 MiB.

        Args:
            rows: height of the row of chips, in px of `grid`.
            columns: width of the row of chips, in px of `grid`; by default the width of the scene.
            grid: the grid of the scene (default), or of a view from `at_gsd`.

        Returns:
            The size in bytes.
        """
        if grid is not None:
            rows = math.ceil(rows * grid.transform.e / self.grid.transform.e) + 2
        if grid is not None and columns is not None:
            columns = math.ceil(columns * grid.transform.a / self.grid.transform.a) + 2
        needed = _stripe_bytes(self._dataset, rows, columns, len(self._calibration.numbers))
        if self._mask is not None:
            needed += _stripe_bytes(self._mask.dataset, rows, columns, len(self._mask.bands))
        return min(max(needed, _SMALLEST_CACHE), _LARGEST_CACHE)

    @contextmanager
    def read_cache(self, rows: int, columns: int | None = None, grid: Grid | None = None) -> Iterator[None]:
        """Set the size of GDAL's block cache, which the process shares, to `read_cache_bytes` in a `with` block."""
        cache = self.read_cache_bytes(rows, columns, grid)
        with rasterio.Env(GDAL_CACHEMAX=cache):  # rasterio takes integers as bytes
            yield

    def _read(self, window: Window, shape: tuple[int, int]) -> Pixels:
        numbers, valid, clear = self._stored(window, shape)
        if not valid.any():  # frequent, because PlanetScope frames are rotated within their bounding box
            return Pixels(np.zeros(numbers.shape, dtype=np.float32), valid, valid.copy())
        known = self._calibration
        return Pixels(to_reflectance(numbers, known.scale, valid, known.offset), valid, clear)

    def _stored(self, window: Window, shape: tuple[int, int]) -> tuple[NDArray[Any], BoolArray, BoolArray]:
        """Stored values, valid pixels and clear pixels."""
        numbers = self._load(self._dataset, list(self._calibration.numbers), window, shape)
        valid = self._valid(numbers, window, shape)
        if self._mask is None or not valid.any():
            return numbers, valid, valid
        stored = self._load(self._mask.dataset, self._mask.bands, window, shape, self._mask.path)
        no_data, masked = self._mask.interpret(stored)
        valid &= ~no_data
        return numbers, valid, valid & ~masked

    def _valid(self, numbers: NDArray[Any], window: Window, shape: tuple[int, int]) -> BoolArray:
        valid: BoolArray
        if np.issubdtype(numbers.dtype, np.floating):
            valid = np.isfinite(numbers).all(axis=0)
        else:
            valid = np.ones(shape, dtype=np.bool_)
        if self._mask_source is not None:
            valid &= self._load(self._dataset, self._mask_source, window, shape)[0] > 0
            return valid
        valid &= (numbers != 0).any(axis=0)  # a single band may be 0 in water, but no ground is 0 in all bands
        if self._nodata != 0:
            valid &= (numbers != self._nodata).all(axis=0)
        return self._without_fill(numbers, valid)

    def _without_fill(self, numbers: NDArray[Any], valid: BoolArray) -> BoolArray:
        """Exclude undeclared fill values: pixels with the same impossible number in all bands, such as -9999."""
        lowest, highest = self._fill_limits
        fill = (numbers[0] < lowest) | (numbers[0] >= highest)
        if fill.any():
            valid &= ~(fill & (numbers == numbers[0]).all(axis=0))
        return valid

    def _load(
        self, dataset: Any, indexes: list[int], window: Window, shape: tuple[int, int], path: str | None = None
    ) -> NDArray[Any]:
        """Read bands by number, or the mask band of the dataset if `indexes` is empty.

        Args:
            dataset: the open raster.
            indexes: band numbers from 1.
            window: the window to read.
            shape: rows and columns of the result, `(bands, rows, columns)`.
            path: path of the raster, for messages; by default that of the scene.

        Raises:
            SceneError: the rows cannot be read.
        """
        part = rasterio.windows.Window(window.column, window.row, window.width, window.height)
        read = dataset.read if indexes else dataset.read_masks
        try:
            numbers: NDArray[Any] = read(indexes or [1], window=part, out_shape=(len(indexes) or 1, *shape))
            return numbers
        except RasterioIOError as error:
            rows = f"rows {window.row} to {window.row + window.height - 1}"
            raise SceneError(
                f"{path or self.info.path}: {rows} cannot be read, the file is truncated or damaged; fetch it again"
            ) from error


def _mask_source(dataset: Any, numbers: tuple[int, ...]) -> list[int] | None:
    """The `indexes` with which `_load` reads the mask: an alpha band, a mask band (an empty list), or None without one.

    The colour tags of PlanetScope and of many 4-band files label the near infrared as alpha, and GDAL then uses it as
    the mask. GDAL also ignores the alpha band of a file with 5 bands. Therefore the tags are evaluated here.
    """
    alpha = [index for index, tag in enumerate(dataset.colorinterp, start=1) if tag == ColorInterp.alpha]
    if alpha:
        return None if alpha[0] in numbers else alpha[:1]
    return [] if MaskFlags.per_dataset in dataset.mask_flag_enums[0] else None


def _nodata_of(dataset: Any, number: int) -> Any:
    """The nodata value in the type of the dataset; 0 if none is declared, because no ground is 0 in all bands."""
    dtype = np.dtype(dataset.dtypes[number - 1])
    declared = dataset.nodatavals[number - 1]
    if np.issubdtype(dtype, np.floating):
        return dtype.type(declared if declared is not None and math.isfinite(declared) else 0)
    limits = np.iinfo(dtype)
    if declared is None or not limits.min <= declared <= limits.max:
        return dtype.type(0)
    return dtype.type(declared)


def _fill_limits(dataset: Any, calibration: Calibration) -> tuple[float, float]:
    """Limits of fill values: a pixel has no data if all bands equal one number below the first or not below the second.

    The highest number of a type, such as 65535, is not a fill value if it stands for a reflectance of up to 2, which
    may be snow or cloud.
    """
    dtype = np.dtype(dataset.dtypes[calibration.numbers[0] - 1])
    scale, offset = calibration.scale[0], calibration.offset[0]
    highest = _NO_REAL if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).max
    bright = highest * scale + offset <= _BRIGHTEST
    return (_DARKEST - offset) / scale, math.inf if bright else highest


def _stripe_bytes(dataset: Any, rows: int, columns: int | None, bands: int) -> int:
    """The most bytes of decoded blocks that a stripe can touch, wherever it starts."""
    sizes = (dataset.height, rows), (dataset.width, columns or dataset.width)
    blocks = [
        min(math.ceil(part / side) + 1, math.ceil(whole / side))
        for side, (whole, part) in zip(dataset.block_shapes[0], sizes, strict=True)
    ]
    together = dataset.count if dataset.interleaving == Interleaving.pixel else bands
    itemsize: int = np.dtype(dataset.dtypes[0]).itemsize
    return int(math.prod(blocks) * math.prod(dataset.block_shapes[0]) * together * itemsize)
