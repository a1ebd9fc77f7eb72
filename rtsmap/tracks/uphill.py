"""Uphill directions from an elevation model, by which headwalls are identified."""

from dataclasses import dataclass

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import from_bounds
from scipy.ndimage import gaussian_filter

from rtsmap.errors import SceneError
from rtsmap.scene.elevation import HIGHEST_M, LOWEST_M, NODATA
from rtsmap.scene.files import check_placed, open_raster
from rtsmap.tracks.outlines import Floats

#: Heights are smoothed over this distance, so that neither headwalls nor hummocks turn the slope. A choice.
_CELL_M, _SMOOTH_CELLS = 15.0, 2.0
_MARGIN_M = 200.0
_FLAT = 0.01  # m per m; flatter ground has no uphill direction


@dataclass(frozen=True)
class Slopes:
    """The uphill directions on a grid around a tile.

    Attributes:
        left: x of the upper-left corner, m.
        top: y of the upper-left corner, m.
        east: `(rows, columns)`, x of the unit vectors uphill; NaN if the height is not known or the ground is flat.
        north: `(rows, columns)`, y of the unit vectors uphill.
    """

    left: float
    top: float
    east: NDArray[np.float64]
    north: NDArray[np.float64]

    def directions(self, points: Floats) -> Floats:
        """The unit vectors uphill, `(n, 2)`, at points `(n, 2)`; NaN where there is no uphill direction."""
        rows, columns = self.east.shape
        column = np.clip(((points[:, 0] - self.left) / _CELL_M).astype(np.int64), 0, columns - 1)
        row = np.clip(((self.top - points[:, 1]) / _CELL_M).astype(np.int64), 0, rows - 1)
        return np.column_stack([self.east[row, column], self.north[row, column]])


class ElevationModel:
    """An elevation model in any CRS.

    Args:
        path: raster with one band of heights, m.

    Raises:
        SceneError: the raster cannot be read, has several bands or is not georeferenced.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with open_raster(path) as dataset:
            check_placed(path, dataset)
            if dataset.count != 1:
                raise SceneError(
                    f"{path}: has {dataset.count} bands where an elevation model has 1; give the heights alone"
                )

    def around(self, plane: CRS, bounds: Floats) -> Slopes:
        """The uphill directions around some outlines.

        Args:
            plane: projected CRS of the bounds, m.
            bounds: west, south, east, north.

        Raises:
            SceneError: the file is damaged within the bounds.
        """
        west, south, east, north = bounds + _MARGIN_M * np.array([-1, -1, 1, 1])
        width, height = (max(3, int(np.ceil(side / _CELL_M))) for side in (east - west, north - south))
        window = from_bounds(west, north - height * _CELL_M, west + width * _CELL_M, north, _transform(west, north))
        try:
            with (
                open_raster(self._path) as dataset,
                WarpedVRT(
                    dataset,
                    crs=rasterio.CRS.from_wkt(plane.to_wkt()),
                    transform=_transform(west, north),
                    width=width,
                    height=height,
                    resampling=Resampling.average,
                    src_nodata=NODATA if dataset.nodata is None else dataset.nodata,
                    nodata=NODATA,
                    dtype="float32",
                ) as warped,
            ):
                heights = warped.read(1, window=window).astype(np.float64)
        except RasterioError as error:
            raise SceneError(f"{self._path}: cannot be read, it is truncated or damaged; fetch it again") from error
        return Slopes(float(west), float(north), *_uphill(heights))


def _transform(west: float, north: float) -> rasterio.Affine:
    return rasterio.Affine(_CELL_M, 0, west, 0, -_CELL_M, north)


def _uphill(heights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The x and y of the unit vectors along the gradient of smoothed heights."""
    known = (heights != NODATA) & (heights >= LOWEST_M) & (heights <= HIGHEST_M)
    weight = gaussian_filter(known.astype(np.float64), _SMOOTH_CELLS)
    smooth = gaussian_filter(np.where(known, heights, 0.0), _SMOOTH_CELLS) / np.maximum(weight, 1e-9)
    down_rows, east = np.gradient(smooth, _CELL_M)
    north, steep = -down_rows, np.hypot(down_rows, east)
    usable = known & (steep >= _FLAT)
    length = np.where(usable, steep, np.nan)
    return east / length, north / length
