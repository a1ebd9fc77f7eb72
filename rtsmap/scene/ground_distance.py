"""Size of pixels on the ground, whatever the map projection makes of it.

A projection is true to scale along few lines: Web Mercator's metre is 0.29 m of ground at 73 N, a degree of longitude
32.6 km there. So sizes are geodesic distances on the ellipsoid, measured at the place itself.
"""

import math
from functools import lru_cache

from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from rtsmap.geometry import geodesic_distance_m
from rtsmap.records import Grid

#: Where a projection is as true as this, a pixel has its nominal size, that which its producer gives and which makes
#: grids of round numbers: UTM is true to 0.001 in its zones.
TRUE_TO_SCALE = 0.0025

#: Pixels whose sides differ by more, relatively, are not square.
SQUARE = 0.05

_SPAN_PX = 64


def pixel_size_m(grid: Grid) -> tuple[float, float]:
    """Width and height of a pixel on the ground, at the centre of a grid, in metres.

    Both are nominal where the projection is true to scale (`TRUE_TO_SCALE`) and in a plane without a place on the
    Earth; NaN where the CRS has no such place.
    """
    nominal = _nominal_m(grid)
    if grid.crs.is_engineering:
        return nominal
    width, height = _geodesic_m(grid)
    if all(abs(size - true) <= TRUE_TO_SCALE * true for size, true in zip(nominal, (width, height), strict=True)):
        return nominal
    return width, height


def gsd_m(grid: Grid) -> float:
    """Ground sampling distance in metres; the geometric mean where pixels are not square on the ground."""
    return math.sqrt(math.prod(pixel_size_m(grid)))


def is_square(grid: Grid) -> bool:
    """Whether pixels are about as wide as high on the ground."""
    width, height = pixel_size_m(grid)
    return abs(width - height) <= SQUARE * min(width, height)


def is_on_earth(grid: Grid) -> bool:
    """Whether the centre of a grid has a place on the Earth, and its pixels have a size there."""
    return all(math.isfinite(size) and size > 0 for size in pixel_size_m(grid))


def unevenness(grid: Grid) -> float:
    """How many times larger the sides of pixels are in one corner of a grid than in another; 1 where all are equal."""
    corners = [math.prod(_geodesic_m(grid, across, down)) for across in (0, 1) for down in (0, 1)]
    known = [size for size in corners if math.isfinite(size) and size > 0]
    return math.sqrt(max(known) / min(known)) if known else 1.0


def _nominal_m(grid: Grid) -> tuple[float, float]:
    """Of the map plane; NaN for degrees."""
    if grid.crs.is_geographic:
        return math.nan, math.nan
    axes = grid.crs.axis_info
    metres = axes[0].unit_conversion_factor if axes else 1.0
    return abs(grid.transform.a) * metres, abs(grid.transform.e) * metres


def _geodesic_m(grid: Grid, across: float = 0.5, down: float = 0.5) -> tuple[float, float]:
    """At a place of a grid, in parts of its sides; over some pixels, for projections are inverted to 0.1 mm only."""
    column, row, half = across * grid.width, down * grid.height, min(_SPAN_PX, grid.width, grid.height) / 2
    ends = [(column - half, row), (column + half, row), (column, row - half), (column, row + half)]
    places = [grid.transform @ end for end in ends]
    try:
        longitudes, latitudes = _to_wgs84(grid.crs).transform([x for x, _ in places], [y for _, y in places])
    except ProjError:  # of another planet
        return math.nan, math.nan
    if not all(abs(lon) <= 360 and abs(lat) <= 90 for lon, lat in zip(longitudes, latitudes, strict=True)):
        return math.nan, math.nan
    left, right, top, bottom = zip(longitudes, latitudes, strict=True)
    return geodesic_distance_m(left, right) / (2 * half), geodesic_distance_m(top, bottom) / (2 * half)


@lru_cache(maxsize=16)  # making one takes longer than all else here
def _to_wgs84(crs: CRS) -> Transformer:
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
