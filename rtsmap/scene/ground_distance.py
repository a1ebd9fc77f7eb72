"""Size of pixels on the ground, independent of the map projection.

A projection is true to scale only along few lines: at 73 N, a metre of Web Mercator is 0.29 m on the ground, and a
degree of longitude is 32.6 km. Sizes are therefore geodesic distances on the ellipsoid, measured at the location.
"""

import math
from functools import lru_cache

from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from rtsmap.geometry import geodesic_distance_m
from rtsmap.records import Grid

#: Relative scale error up to which a pixel counts as having its nominal size, which its producer states and which gives
#: grids with round numbers. UTM is true to 0.001 in its zones.
TRUE_TO_SCALE = 0.0025

#: Relative difference of the sides above which pixels are not square.
SQUARE = 0.05

_SPAN_PX = 64


def pixel_size_m(grid: Grid) -> tuple[float, float]:
    """Width and height of a pixel on the ground, at the centre of a grid, in metres.

    Both are nominal if the projection is true to scale there (`TRUE_TO_SCALE`) or the CRS is a local (engineering)
    one; NaN if the centre cannot be transformed to longitude and latitude.
    """
    nominal = _nominal_m(grid)
    if grid.crs.is_engineering:
        return nominal
    width, height = _geodesic_m(grid)
    if all(abs(size - true) <= TRUE_TO_SCALE * true for size, true in zip(nominal, (width, height), strict=True)):
        return nominal
    return width, height


def gsd_m(grid: Grid) -> float:
    """Ground sampling distance in metres: the geometric mean of the width and height of a pixel on the ground."""
    return math.sqrt(math.prod(pixel_size_m(grid)))


def is_square(grid: Grid) -> bool:
    """Whether pixels are approximately square on the ground."""
    width, height = pixel_size_m(grid)
    return abs(width - height) <= SQUARE * min(width, height)


def is_on_earth(grid: Grid) -> bool:
    """Whether the centre of a grid lies on the Earth and its pixels have a finite, positive size there."""
    return all(math.isfinite(size) and size > 0 for size in pixel_size_m(grid))


def unevenness(grid: Grid) -> float:
    """The ratio of the largest to the smallest mean pixel side among the corners of a grid; 1 if all are equal."""
    corners = [math.prod(_geodesic_m(grid, across, down)) for across in (0, 1) for down in (0, 1)]
    known = [size for size in corners if math.isfinite(size) and size > 0]
    return math.sqrt(max(known) / min(known)) if known else 1.0


def _nominal_m(grid: Grid) -> tuple[float, float]:
    """Pixel width and height in the map plane, in metres; NaN for a geographic CRS."""
    if grid.crs.is_geographic:
        return math.nan, math.nan
    axes = grid.crs.axis_info
    metres = axes[0].unit_conversion_factor if axes else 1.0
    return abs(grid.transform.a) * metres, abs(grid.transform.e) * metres


def _geodesic_m(grid: Grid, across: float = 0.5, down: float = 0.5) -> tuple[float, float]:
    """Geodesic width and height of a pixel, in metres.

    They are averaged over up to 64 pixels, because projections are inverted to 0.1 mm only.

    Args:
        grid: the pixel grid.
        across: position in the grid as a fraction of its width.
        down: position in the grid as a fraction of its height.
    """
    column, row, half = across * grid.width, down * grid.height, min(_SPAN_PX, grid.width, grid.height) / 2
    ends = [(column - half, row), (column + half, row), (column, row - half), (column, row + half)]
    points = [grid.transform @ end for end in ends]
    try:
        longitudes, latitudes = _to_wgs84(grid.crs).transform([x for x, _ in points], [y for _, y in points])
    except ProjError:  # for example, the CRS of another planet
        return math.nan, math.nan
    if not all(abs(lon) <= 360 and abs(lat) <= 90 for lon, lat in zip(longitudes, latitudes, strict=True)):
        return math.nan, math.nan
    left, right, top, bottom = zip(longitudes, latitudes, strict=True)
    return geodesic_distance_m(left, right) / (2 * half), geodesic_distance_m(top, bottom) / (2 * half)


@lru_cache(maxsize=16)  # the creation of a transformer takes longer than everything else here
def _to_wgs84(crs: CRS) -> Transformer:
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
