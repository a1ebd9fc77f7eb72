"""The attributes of each slump: geodesic measures, spectra, quality flags and identifier.

All lengths and areas are geodesic on the WGS 84 ellipsoid: at 72 N the perimeter in an equal-area projection of the
Arctic is wrong by more than a half, and a grid in degrees has no metres at all.
"""

import math
import uuid
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import TypedDict, TypeVar

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import rasterize
from scipy.ndimage import binary_dilation
from shapely import MultiPolygon
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from rtsmap import __version__, bands
from rtsmap.fields import SceneAttributes, Slump
from rtsmap.geometry import GEOD, geodesic_area_m2, geodesic_area_perimeter, geodesic_distance_m, polygon_parts
from rtsmap.records import BoolArray, Grid, MergedInstance, Pixels, SceneInfo, Window

#: Width of the ring around a slump with whose NDVI its own is compared.
RING_M = 50.0

_NAMESPACE = uuid.UUID("f1b5c6a2-6c1e-5d0b-9a53-2f0d4a6f7e11")  # of slump_id; another would change them all
_TOUCH_PX = 1  # an outline that a border cuts comes this close to it
_Shape = TypeVar("_Shape", bound=BaseGeometry)


class _Measures(TypedDict):
    """The attributes of `Slump` that follow from the outline alone."""

    area_m2: float
    perimeter_m: float
    length_m: float
    width_m: float
    orientation_deg: float
    compactness: float
    centroid_lon: float
    centroid_lat: float


class _Spectra(TypedDict):
    """The attributes of `Slump` that follow from the pixels inside and around the outline."""

    ndvi_mean: float | None
    ndvi_contrast: float | None
    nir_mean: float | None
    clear_fraction: float
    touches_edge: bool
    touches_mask: bool


class AttributeComputer:
    """Computes the attributes of the merged instances of one scene.

    Args:
        grid: the grid to whose pixels the coordinates of the instances refer.
        info: the scene.
        model: the model's name.
        model_sha256: hexadecimal checksum of its weights.
    """

    def __init__(self, grid: Grid, info: SceneInfo, *, model: str, model_sha256: str) -> None:
        self._grid = grid
        self._scene = SceneAttributes.of(info)
        self._model = model
        self._sha256 = model_sha256
        self._to_wgs84 = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)

    def area_m2(self, merged: MergedInstance) -> float:
        """The geodesic area of an instance in m2, without its holes."""
        return geodesic_area_m2(self._on_earth(merged.geometry))

    def at_least(self, merged: Iterable[MergedInstance], min_area_m2: float) -> Iterator[MergedInstance]:
        """The instances of at least `min_area_m2`, in order; cheaper than computing all attributes of small ones."""
        return (one for one in merged if self.area_m2(one) >= min_area_m2)

    def buffer_window(self, merged: MergedInstance) -> Window:
        """The window of pixels that `compute` needs: the instance and the ring around it.

        The window may extend beyond the grid, where pixels are not valid, so that slumps at the edge are recognised.
        """
        step_x, step_y = self._pixel_m(merged.geometry)
        margin_x = math.ceil(RING_M / step_x) + _TOUCH_PX + 1
        margin_y = math.ceil(RING_M / step_y) + _TOUCH_PX + 1
        left, top, right, bottom = merged.geometry.bounds
        column, row = math.floor(left) - margin_x, math.floor(top) - margin_y
        return Window(row, column, math.ceil(bottom) + margin_y - row, math.ceil(right) + margin_x - column)

    def compute(self, merged: MergedInstance, window: Window, pixels: Pixels) -> Slump:
        """All attributes of one slump.

        Args:
            merged: an instance with at least one polygon of positive area.
            window: the `buffer_window` of the instance, or a larger one.
            pixels: the pixels of that window.

        Returns:
            The slump as a MultiPolygon in the grid's CRS. Its spectral attributes are None if no pixel is clear.
        """
        world = MultiPolygon([orient(self._to_world(part)) for part in polygon_parts(merged.geometry)])
        return Slump(
            geometry=world,
            slump_id=self._identity(merged.geometry),
            score=round(float(merged.score), 4),
            **self._measures(merged.geometry),
            **self._spectra(merged.geometry, window, pixels),
            n_chips=int(merged.n_chips),
            scene=self._scene,
            model=self._model,
            model_sha256=self._sha256,
            rtsmap_version=__version__,
        )

    def _identity(self, geometry: BaseGeometry) -> str:
        """A UUID that is the same for the same scene, model and location.

        The location is the representative point of the outline (a point inside it, so that two slumps never share it)
        in degrees, rounded to 1e-6 (0.1 m). It depends neither on the origin of the grid nor on the number of chips.
        """
        longitude, latitude = self._lon_lat(geometry.representative_point())
        location = f"{longitude:.6f},{latitude:.6f}"
        return str(uuid.uuid5(_NAMESPACE, f"{self._scene.scene_id}\n{self._sha256}\n{location}"))

    def _measures(self, geometry: BaseGeometry) -> _Measures:
        on_earth = self._on_earth(geometry)
        area, perimeter = geodesic_area_perimeter(on_earth)
        longitude, latitude = self._lon_lat(geometry.centroid)
        length, width, azimuth = _extent(polygon_parts(on_earth), longitude, latitude)
        return _Measures(
            area_m2=round(area, 1),
            perimeter_m=round(perimeter, 1),
            length_m=round(length, 1),
            width_m=round(width, 1),
            orientation_deg=round(azimuth, 1) % 180.0,
            compactness=round(4 * math.pi * area / perimeter**2, 3),
            centroid_lon=round(longitude, 6),
            centroid_lat=round(latitude, 6),
        )

    def _spectra(self, geometry: BaseGeometry, window: Window, pixels: Pixels) -> _Spectra:
        touched = _burn([geometry], window, all_touched=True) > 0
        zones = _burn([self._widened(geometry), geometry], window)
        inside, ring = zones == 2, (zones == 1) & ~touched
        if not inside.any():  # a sliver between pixel centres
            inside = touched
        index, nir = bands.ndvi(pixels.reflectance), pixels.reflectance[bands.BANDS.index("nir")]
        clear = pixels.clear & pixels.valid
        ndvi_mean, ndvi_around = _mean(index, inside & clear), _mean(index, ring & clear)
        contrast = None if ndvi_mean is None or ndvi_around is None else ndvi_mean - ndvi_around
        reached = binary_dilation(touched, np.ones((3, 3), dtype=bool), iterations=_TOUCH_PX)
        return _Spectra(
            ndvi_mean=_rounded(ndvi_mean),
            ndvi_contrast=_rounded(contrast),
            nir_mean=_rounded(_mean(nir, inside & clear)),
            clear_fraction=round(int((inside & clear).sum()) / int(inside.sum()), 4),
            touches_edge=bool((reached & ~pixels.valid).any()),
            touches_mask=bool((reached & pixels.valid & ~pixels.clear).any()),
        )

    def _to_world(self, geometry: _Shape) -> _Shape:
        return affine_transform(geometry, self._grid.transform.to_shapely())

    def _on_earth(self, geometry: _Shape) -> _Shape:
        """From pixel coordinates to longitude and latitude."""

        def to_degrees(points: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.column_stack(self._to_wgs84.transform(points[:, 0], points[:, 1]))

        return shapely.transform(self._to_world(geometry), to_degrees)

    def _lon_lat(self, point: BaseGeometry) -> tuple[float, float]:
        """Longitude from -180 to 180, even if a grid in degrees extends beyond these, and latitude."""
        longitude, latitude = shapely.get_coordinates(self._on_earth(point))[0]
        inside = -180 <= longitude <= 180
        return float(longitude if inside else (longitude + 180) % 360 - 180), float(latitude)

    def _pixel_m(self, geometry: BaseGeometry) -> tuple[float, float]:
        """The geodesic width and height of a pixel at the centre of a geometry, in m."""
        x, y = shapely.get_coordinates(geometry.centroid)[0]
        corners = [self._lon_lat(shapely.Point(x + dx, y + dy)) for dx, dy in ((0, 0), (1, 0), (0, 1))]
        origin = corners[0]
        step_x, step_y = (geodesic_distance_m(origin, corner) for corner in corners[1:])
        return step_x, step_y

    def _widened(self, geometry: BaseGeometry) -> BaseGeometry:
        """The geometry buffered by the width of the ring, in pixel coordinates; pixels need not be square."""
        step_x, step_y = self._pixel_m(geometry)
        metres = affine_transform(geometry, [step_x, 0, 0, step_y, 0, 0])
        return affine_transform(metres.buffer(RING_M), [1 / step_x, 0, 0, 1 / step_y, 0, 0])


def _extent(parts: Iterable[BaseGeometry], longitude: float, latitude: float) -> tuple[float, float, float]:
    """Length and width (m) of the smallest rotated rectangle, and its long side's azimuth from true north (0..180).

    Vertices are projected to an azimuthal equidistant plane around the centre, with true north up. Over the few
    kilometres of a slump, its lengths differ from geodesic ones by a few parts in a million.
    """
    points = np.concatenate([shapely.get_coordinates(part) for part in parts])
    start = np.full(len(points), longitude), np.full(len(points), latitude)
    azimuth, _, distance = GEOD.inv(*start, points[:, 0], points[:, 1])
    angle = np.radians(azimuth)
    plane = shapely.multipoints(np.column_stack((distance * np.sin(angle), distance * np.cos(angle))))
    corners = shapely.get_coordinates(shapely.oriented_envelope(plane))
    sides = np.diff(corners[:3], axis=0)
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    east, north = sides[int(np.argmax(lengths))]
    return float(lengths.max()), float(lengths.min()), math.degrees(math.atan2(east, north)) % 180.0


def _burn(geometries: Sequence[BaseGeometry], window: Window, *, all_touched: bool = False) -> NDArray[np.uint8]:
    """The number (1, 2, ...) of the last geometry that contains the centre of each pixel or, if asked, touches it."""
    shape = window.height, window.width
    origin = Affine.translation(window.column, window.row)
    numbered = zip(geometries, count(1), strict=False)
    burnt: NDArray[np.uint8] = rasterize(numbered, shape, transform=origin, all_touched=all_touched, dtype="uint8")
    return burnt


def _mean(values: NDArray[np.float32], where: BoolArray) -> float | None:
    chosen = values[where]
    return float(chosen.mean(dtype=np.float64)) if chosen.size else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
