import geopandas
import numpy as np
import pytest
import shapely
from pyproj import Geod
from shapely import GeometryCollection, LineString, MultiPolygon, Point, Polygon, box

from rtsmap.geometry import (
    geodesic_area_perimeter,
    geodesic_areas_m2,
    geodesic_distance_m,
    largest_polygon,
    polygon_parts,
    polygon_rings,
    polygonal,
)

SMALL, LARGE = box(0, 0, 1, 1), box(5, 0, 8, 3)
MIXED = GeometryCollection([Point(0, 0), MultiPolygon([LARGE, SMALL]), LineString([(0, 0), (1, 1)])])
HOLED = Polygon(box(10, 0, 20, 10).exterior, [box(12, 2, 14, 4).exterior])


@pytest.mark.parametrize(
    ("geometry", "parts", "largest"),
    [
        (SMALL, [SMALL], SMALL),
        (MultiPolygon([SMALL, LARGE]), [SMALL, LARGE], LARGE),
        (MultiPolygon([SMALL, box(2, 0, 3, 1)]), [SMALL, box(2, 0, 3, 1)], SMALL),  # equal areas: the first
        (MIXED, [LARGE, SMALL], LARGE),
        (LineString([(0, 0), (9, 9)]), [], Polygon()),
        (Polygon(), [], Polygon()),
        (GeometryCollection(), [], Polygon()),
    ],
)
def test_polygons_of_any_geometry(geometry, parts, largest):
    assert polygon_parts(geometry) == parts
    assert largest_polygon(geometry) == largest
    assert polygonal(geometry) == (parts[0] if len(parts) == 1 else MultiPolygon(parts))
    assert len(list(polygon_rings(geometry))) == len(parts)


def test_rings_include_holes():
    assert [round(Polygon(ring).area) for ring in polygon_rings(MultiPolygon([HOLED, SMALL]))] == [100, 4, 1]


@pytest.mark.parametrize("latitude", [0.0, 72.5, -60.0])
def test_area_and_perimeter_are_those_of_the_ellipsoid_whatever_the_direction_of_the_rings(latitude):
    shape = shapely.segmentize(box(100, latitude, 100.01, latitude + 0.01), 1e-4)
    expected_m2, expected_m = Geod(ellps="WGS84").geometry_area_perimeter(shape)
    for same in (shape, shape.reverse()):
        assert geodesic_area_perimeter(same) == pytest.approx((abs(expected_m2), expected_m), rel=1e-12)


def test_holes_reduce_the_area_and_lengthen_the_perimeter():
    whole, hole = box(20, 70, 20.1, 70.1), box(20.04, 70.04, 20.06, 70.06)
    (area, perimeter), (hole_area, hole_perimeter) = map(geodesic_area_perimeter, (whole, hole))
    holed = geodesic_area_perimeter(whole.difference(hole))
    assert holed == pytest.approx((area - hole_area, perimeter + hole_perimeter))


def test_areas_are_the_same_across_the_antimeridian():
    east, across = box(150, 70, 151, 71), box(179.5, 70, 180.5, 71)
    wrapped = shapely.transform(across, lambda p: np.column_stack([(p[:, 0] + 180) % 360 - 180, p[:, 1]]))
    areas = geodesic_areas_m2(geopandas.GeoSeries([east, across, wrapped], crs="EPSG:4326"))
    assert areas == pytest.approx(areas[0])


@pytest.mark.parametrize(("end", "metres"), [((0.0, 1.0), 110_574.4), ((1.0, 0.0), 111_319.5), ((0.0, 0.0), 0.0)])
def test_distance_follows_the_geodesic(end, metres):
    assert geodesic_distance_m((0.0, 0.0), end) == pytest.approx(metres, abs=0.1)
