"""Areas on the Earth."""

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

_GEOD = Geod(ellps="WGS84")


def geodesic_m2(shapes: geopandas.GeoSeries) -> NDArray[np.float64]:
    """Areas on the WGS 84 ellipsoid, m2, whatever the sense of the rings, also across the antimeridian."""
    return np.array([_area(shape) for shape in shapes.to_crs("EPSG:4326")], dtype=np.float64)


def _area(shape: BaseGeometry) -> float:
    """Rings one by one: how a ring turns cannot be seen where its longitudes jump from 180 to -180."""
    total = 0.0
    for polygon in shapely.get_parts(shape):
        rings = [abs(float(_GEOD.geometry_area_perimeter(ring)[0])) for ring in (polygon.exterior, *polygon.interiors)]
        total += 2 * rings[0] - sum(rings)
    return total
