"""The landscape of one scene on a coarse grid: hills, lakes, and the drainage.

The grid has at most `CELLS` points, whatever the size of the scene; the renderer interpolates between them.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from shapely import Point, Polygon

from rtsmap.records import FloatArray, Grid
from rtsmap.simulate.terrain.noise import Spectrum, Tile, bell, fractal, make_tile, smoothstep
from rtsmap.simulate.terrain.regions import Region

#: The largest number of grid points. Their spacing is 24 m times a power of two (96 m for a scene of 120 km).
CELLS = 2_000_000
SPACING_M = 24.0
#: The width of the margin around the raster (m), so that drainage, shadows and neighbours are right at its edges.
MARGIN_M = 960.0
#: The smallest catchment (m2) of a stream whose bed is rendered.
STREAM_CATCHMENT_M2 = 0.8e6


class Extent(NamedTuple):
    """The grid points: their spacing (m), the first row and column, and the numbers of rows and columns."""

    spacing_m: float
    row: int
    column: int
    rows: int
    columns: int


class Relief(Protocol):
    """Landforms that change hills and lakes before the drainage is computed; see `rtsmap.simulate.terrain.forms`."""

    @property
    def basin(self) -> FloatArray:
        """The signed distance to the rim of drained basins, m, negative inside."""

    def flooded(self, shore: FloatArray) -> FloatArray:
        """Return the signed distance to water of any kind (m), given that to lakes."""


@dataclass(frozen=True)
class Landscape:
    """Fields `(rows, columns)` on the points of a grid.

    Attributes:
        spacing_m: the spacing of the points, m; their coordinates are whole multiples of it.
        row, column: the position of the first point, counted southward and eastward from the origin of the CRS.
        height: the height of the ground, m.
        shore: the distance to the nearest shore, m, negative in lakes; exact near the shore, approximate farther away.
        lake: the number of the nearest lake, 0 where there is none.
        catchment: the area that drains through a point, m2.
        receiver: the flat index of the point that each point drains to, -1 at the outlet.
    """

    spacing_m: float
    row: int
    column: int
    height: FloatArray
    shore: FloatArray
    lake: NDArray[np.int32]
    catchment: FloatArray
    receiver: NDArray[np.int32]

    def coordinates(self, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.float64]:
        """Return the map coordinates `(n, 2)` of rows and columns of the grid."""
        return np.stack([(columns + self.column) * self.spacing_m, -(rows + self.row) * self.spacing_m], axis=-1)


def make_landscape(rng: np.random.Generator, grid: Grid, region: Region, forms: Relief | None = None) -> Landscape:
    """Make the hills, lakes and drainage of a raster and its margin.

    Args:
        rng: the random numbers.
        grid: the raster.
        region: sets the relief and the lakes.
        forms: landforms of lowland or of a coast, if there are any.
    """
    extent = extent_of(grid)
    spacing, row, column, _, _ = extent
    hills = field_of(rng, fractal(4.0, 5000), extent)
    creased = field_of(rng, bell(420), extent)
    # Valleys lie along the lines where a smooth field changes sign.
    height = region.relief_m * (hills + 0.45 * np.sqrt(creased**2 + 0.02))
    shore = _shore(rng, region, extent, hills)
    bank = region.bank_m * smoothstep(field_of(rng, bell(500), extent), -1.0, 1.2)
    if forms is not None:
        shore = forms.flooded(shore)
    rim = shore if forms is None else np.minimum(shore, forms.basin)
    # Lakes are flat. Their shores rise over about 80 m to a bank whose height varies along the shore.
    height = height * smoothstep(rim, -30, 500) + bank * np.tanh(np.maximum(rim, 0) / 80)
    receiver, order = _drain(height + 0.15 * field_of(rng, bell(40), extent))
    catchment = _accumulate(receiver, order).reshape(height.shape) * np.float32(spacing**2)
    height -= _incision(catchment, shore, bank, region)
    labels, count = ndimage.label(shore < 0)
    return Landscape(
        spacing, row, column, height.astype(np.float32), shore, nearest_label(labels, count), catchment, receiver
    )


def _spacing(grid: Grid) -> float:
    spacing = SPACING_M
    while grid.width * grid.height * (grid.transform.a / spacing) ** 2 > CELLS:
        spacing *= 2
    return spacing


def extent_of(grid: Grid) -> Extent:
    """Return the grid points of a raster and its margin."""
    spacing = _spacing(grid)
    margin = int(np.ceil(MARGIN_M / spacing)) + 2
    left, top, gsd = grid.transform.c, grid.transform.f, grid.transform.a
    row, column = int(np.floor(-top / spacing)) - margin, int(np.floor(left / spacing)) - margin
    rows, columns = (int(np.ceil(side * gsd / spacing)) + 2 * margin for side in (grid.height, grid.width))
    return Extent(spacing, row, column, rows, columns)


def field_of(rng: np.random.Generator, spectrum: Spectrum, extent: Extent) -> FloatArray:
    """Return a unit field as a function of position: two tiles of different periods, so that it does not repeat."""
    tiles: list[Tile] = [make_tile(rng, spectrum, fields=1, size=size, spacing_m=SPACING_M) for size in (1024, 900)]
    spacing, row, column, rows, columns = extent
    step = round(spacing / SPACING_M)
    parts = []
    for tile in tiles:
        size = tile.values.shape[-1]
        r, c = (np.arange(row, row + rows) * step) % size, (np.arange(column, column + columns) * step) % size
        parts.append(tile.values[0][r[:, None], c])
    mixed: FloatArray = (parts[0] + parts[1]) / np.float32(np.sqrt(2))
    return mixed


def _shore(rng: np.random.Generator, region: Region, extent: Extent, hills: FloatArray) -> FloatArray:
    """Return the signed distance to lake shores (m): contours of a smooth field, rounded like thermokarst lakes."""
    spacing = extent.spacing_m
    large = field_of(rng, bell(region.lake_m), extent)
    small = field_of(rng, bell(region.lake_m / 4), extent)
    # Lakes tend to lie on low ground. The short waves make bays, and ponds beside the lakes.
    field = large + 0.3 * small + 0.5 * ndimage.gaussian_filter(hills, 500 / spacing)
    level = np.quantile(_sample(field), region.lakes)
    slope = np.hypot(*np.gradient(field, spacing))
    steepness = ndimage.gaussian_filter(slope, 2) + 0.15 / region.lake_m
    shore: FloatArray = np.clip((field - level) / steepness, -600, 900).astype(np.float32)
    return shore


def _sample(field: FloatArray) -> FloatArray:
    return field[::3, ::3]


def _drain(height: FloatArray) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the receiver of every point, without pits, and the points in order from the outlet upstream.

    Water follows the minimum spanning tree of the lowest passes when it fills every hollow up to its brim.
    """
    index = np.arange(height.size, dtype=np.int32).reshape(height.shape)
    lifted = height - height.min() + 1
    pairs = [
        (np.s_[:, :-1], np.s_[:, 1:], 1.0),
        (np.s_[:-1, :], np.s_[1:, :], 1.0),
        (np.s_[:-1, :-1], np.s_[1:, 1:], 1.0004),  # a longer way, taken only if it is clearly lower
        (np.s_[:-1, 1:], np.s_[1:, :-1], 1.0004),
    ]
    first = np.concatenate([index[a].ravel() for a, _, _ in pairs])
    second = np.concatenate([index[b].ravel() for _, b, _ in pairs])
    passes = [(np.maximum(lifted[a], lifted[b]) + 0.02 * np.minimum(lifted[a], lifted[b])) * f for a, b, f in pairs]
    weights = np.concatenate([part.ravel() for part in passes])
    tree = minimum_spanning_tree(coo_array((weights, (first, second)), shape=(height.size, height.size)).tocsr())
    border = np.concatenate([index[0], index[-1], index[:, 0], index[:, -1]])
    outlet = int(border[np.argmin(height.ravel()[border])])
    order, receiver = breadth_first_order(tree, outlet, directed=False)
    return np.where(receiver < 0, -1, receiver).astype(np.int32), order.astype(np.int32)


def _accumulate(receiver: NDArray[np.int32], order: NDArray[np.int32]) -> FloatArray:
    """Return the number of points that drain through each point, including itself, level by level from the farthest."""
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order))
    upstream = rank[receiver[order[1:]]].astype(np.intp)  # ascending along the order
    ends = [0, 1]
    while ends[-1] < len(order):
        ends.append(1 + int(np.searchsorted(upstream, ends[-1])))
    total = np.ones(len(order), dtype=np.float64)  # indexed by rank
    for first, last in zip(ends[-2:0:-1], ends[:1:-1], strict=True):
        # Copy the slice: numpy would otherwise copy the whole array, as it is read and written in one call.
        np.add.at(total, upstream[first - 1 : last - 1], total[first:last].copy())
    result = np.empty(len(order), dtype=np.float32)
    result[order] = total
    return result


def _incision(catchment: FloatArray, shore: FloatArray, bank: FloatArray, region: Region) -> FloatArray:
    """Return the depth of the valleys along streams (m), which grows with the catchment and is 0 in lakes."""
    rills = ndimage.gaussian_filter(np.clip(np.log10(catchment / 4e3), 0, 2.5), 0.8)
    valleys = ndimage.gaussian_filter(np.clip(np.log10(catchment / 5e4), 0, 2.5), 3.5)
    deep = (0.06 * rills + 0.15 * valleys) * np.float32(region.relief_m) + 0.5 * rills + 0.06 * rills * bank
    cut: FloatArray = deep * smoothstep(shore, 0, 120)
    return cut


def nearest_label(labels: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """Return at every point the label of the nearest labelled (non-zero) point; 0 everywhere if there is none."""
    if count == 0:
        return np.zeros(labels.shape, dtype=np.int32)
    rows, columns = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    nearest: NDArray[np.int32] = labels[rows, columns].astype(np.int32)
    return nearest


def sample_point(rng: np.random.Generator, area: Polygon) -> Point:
    """Return a random point in a polygon."""
    left, bottom, right, top = area.bounds
    while not area.contains(point := Point(rng.uniform(left, right), rng.uniform(bottom, top))):
        pass
    return point
