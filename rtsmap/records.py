"""The records that the stages pass on to one another, from the scene to the layer.

Arrays are `(bands, rows, columns)`. Pixel coordinates are `(column, row)` with the origin at the upper-left corner of
the upper-left pixel of a `Grid`; world coordinates are in the grid's CRS.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

#: Coordinates of outlines are rounded to multiples of this size (px). A power of two is exact in floating point, so
#: results are identical byte by byte.
PRECISION_PX = 1 / 64

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, order=True)
class Window:
    """A rectangle of pixels of a grid; it may reach beyond the grid's edges."""

    row: int
    column: int
    height: int
    width: int

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """`(min column, min row, max column, max row)`, the order of shapely's bounds."""
        return self.column, self.row, self.column + self.width, self.row + self.height

    def intersection(self, other: "Window") -> "Window":
        """The pixels in both windows; height or width is 0 when there are none."""
        left, top, right, bottom = self.bounds
        other_left, other_top, other_right, other_bottom = other.bounds
        row, column = max(top, other_top), max(left, other_left)
        height, width = min(bottom, other_bottom) - row, min(right, other_right) - column
        return Window(row, column, max(height, 0), max(width, 0))


@dataclass(frozen=True)
class Grid:
    """A georeferenced, north-up raster grid."""

    crs: CRS
    transform: Affine
    height: int
    width: int

    @property
    def window(self) -> Window:
        """The whole grid."""
        return Window(0, 0, self.height, self.width)


@dataclass(frozen=True)
class Pixels:
    """The pixels of a scene in one window.

    Attributes:
        reflectance: `(4, rows, columns)` float32 in 0..1, in the order of `bands.BANDS`; 0 where not valid.
        valid: `(rows, columns)`, true where the sensor saw the ground or a cloud (neither nodata nor blackfill).
        clear: `(rows, columns)`, true where the pixel is valid and in none of the masked classes (cloud, shadow, ...).
        terrain: `(2, rows, columns)` float32 in the order of `bands.TERRAIN`: elevation in m relative to the mean of
            the surroundings, and slope in degrees 0..90. Both are 0 where the pixel is not valid and where the
            elevation model has no height. None if no elevation model was given.
    """

    reflectance: FloatArray
    valid: BoolArray
    clear: BoolArray
    terrain: FloatArray | None = None


@dataclass(frozen=True)
class SceneInfo:
    """The metadata of a scene; a value is None if the product does not give it.

    Angles are in degrees; `cloud_fraction` is the one that the product states, 0..1.
    """

    scene_id: str
    path: str
    product: str
    gsd_m: float
    acquired: datetime | None = None
    satellite_id: str | None = None
    instrument: str | None = None
    view_angle_deg: float | None = None
    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None
    cloud_fraction: float | None = None


class PixelSource(Protocol):
    """Anything that returns pixels by window: an open scene, or a simulated one."""

    @property
    def grid(self) -> Grid:
        """The grid that windows refer to."""

    def read(self, window: Window) -> Pixels:
        """Read the pixels of a window; those beyond the edges of the grid are not valid."""


@dataclass(frozen=True)
class ChipWindow:
    """The window of one chip of a chip grid.

    Attributes:
        row: of the chip in the chip grid, counted from 0 in the north.
        column: of the chip in the chip grid, counted from 0 in the west.
        extent: all pixels of the chip, with the margins that it shares with its neighbours.
        core: the part of the extent that belongs to this chip alone; the cores of all chips tile the scene.
    """

    row: int
    column: int
    extent: Window
    core: Window


@dataclass(frozen=True)
class Chip:
    """A chip with its pixels."""

    window: ChipWindow
    pixels: Pixels


@dataclass(frozen=True)
class Detections:
    """The detections of the network in one chip, highest score first.

    Attributes:
        boxes: `(n, 4)` float32, `x0, y0, x1, y1` in pixels of the chip.
        scores: `(n,)` float32 in 0..1.
        masks: `(n, m, m)` float32 in 0..1, the probability grid stretched over each box.
    """

    boxes: FloatArray
    scores: FloatArray
    masks: FloatArray


@dataclass(frozen=True)
class Instance:
    """The outline of one detection in one chip, in pixel coordinates of the scene's grid."""

    window: ChipWindow
    polygon: Polygon
    score: float


@dataclass(frozen=True)
class MergedInstance:
    """One slump in pixel coordinates of the scene's grid.

    Attributes:
        geometry: a Polygon or MultiPolygon.
        score: 0..1.
        n_chips: number of chips in which it was detected.
    """

    geometry: BaseGeometry
    score: float
    n_chips: int
