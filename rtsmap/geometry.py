"""Parts of polygons, and areas and lengths on the WGS 84 ellipsoid: one definition for the whole package."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod
from shapely import LinearRing, MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

if TYPE_CHECKING:
    import geopandas

GEOD = Geod(ellps="WGS84")


def polygon_parts(geometry: BaseGeometry) -> list[Polygon]:
    """The polygons of a geometry, without empty ones, points and lines.

    Args:
        geometry: of any type; a geometry collection may hold multipolygons.

    Returns:
        The polygons in their order; an empty list if the geometry holds none.
    """
    flat = shapely.get_parts(shapely.get_parts([geometry]))  # the second step opens multipolygons in a collection
    return [part for part in flat if isinstance(part, Polygon) and not part.is_empty]


def polygonal(geometry: BaseGeometry) -> Polygon | MultiPolygon:
    """The polygons of a geometry as a single polygon, or else as a multipolygon, which is empty if there are none."""
    parts = polygon_parts(geometry)
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def largest_polygon(geometry: BaseGeometry) -> Polygon:
    """The polygon with the largest area (the first of equal ones); an empty polygon if the geometry holds none."""
    return max(polygon_parts(geometry), key=lambda part: part.area, default=Polygon())


def polygon_rings(geometry: BaseGeometry) -> Iterator[LinearRing]:
    """The exterior ring and the holes of every polygon of a geometry."""
    for part in polygon_parts(geometry):
        yield part.exterior
        yield from part.interiors


def geodesic_distance_m(start: tuple[float, float], end: tuple[float, float]) -> float:
    """The length of the geodesic between two points.

    Args:
        start: longitude and latitude in degrees.
        end: longitude and latitude in degrees.

    Returns:
        The distance in m; NaN if a coordinate is not finite.
    """
    return float(GEOD.inv(*start, *end)[2])


def geodesic_area_perimeter(geometry: BaseGeometry) -> tuple[float, float]:
    """The geodesic area and perimeter of a geometry in longitude and latitude.

    Every ring is measured by itself, because its direction is ambiguous where longitudes jump from 180 to -180.

    Args:
        geometry: polygons in degrees; their rings may have any direction.

    Returns:
        The area in m2 without the holes, and the perimeter in m including that of the holes.
    """
    area = perimeter = 0.0
    for part in polygon_parts(geometry):
        for number, ring in enumerate((part.exterior, *part.interiors)):
            ring_area, ring_length = GEOD.polygon_area_perimeter(*ring.coords.xy)
            area += abs(ring_area) if number == 0 else -abs(ring_area)
            perimeter += ring_length
    return area, perimeter


def geodesic_area_m2(geometry: BaseGeometry) -> float:
    """The geodesic area of a geometry in longitude and latitude (degrees), in m2, without the holes."""
    return geodesic_area_perimeter(geometry)[0]


def geodesic_areas_m2(shapes: "geopandas.GeoSeries") -> NDArray[np.float64]:
    """The geodesic areas of polygons in any CRS.

    Args:
        shapes: `n` polygons or multipolygons, which may cross the antimeridian.

    Returns:
        `(n,)`, in m2, without the holes.
    """
    return np.array([geodesic_area_m2(shape) for shape in shapes.to_crs("EPSG:4326")], dtype=np.float64)
