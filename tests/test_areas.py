"""Areas in longitude and latitude are what they are on a map, wherever the scene lies and however large they are."""

import geopandas
import numpy as np
import pytest
import shapely
from pyproj import CRS, Transformer
from shapely import MultiPolygon, Polygon, box

from rtsmap.errors import InputError
from rtsmap.geometry import geodesic_areas_m2
from rtsmap.polygons import project_frame, read_area, read_polygons, utm_of

SIDE = 121  # points a side at which an area is compared with its definition


def surroundings(crs, longitude, latitude, size):
    """Bounds of a square scene around a place."""
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(longitude, latitude)
    return x - size / 2, y - size / 2, x + size / 2, y + size / 2


def points_in(near):
    part = (np.arange(SIDE) + 0.4867) / SIDE  # not on the lines that areas begin at
    return np.meshgrid(near[0] + part * (near[2] - near[0]), near[1] + part * (near[3] - near[1]))


def in_box(west, south, east, north, longitude, latitude):
    return (np.mod(longitude - west, 360) <= east - west) & (latitude >= south) & (latitude <= north)


def wrong_points(path, crs, near, *boxes, source=4326):
    """At how many points of a scene an area differs from boxes of parallels and meridians; and how many lie in it."""
    x, y = points_in(near)
    longitude, latitude = Transformer.from_crs(crs, source, always_xy=True).transform(x, y)
    expected = np.any([in_box(*one, longitude, latitude) for one in boxes], axis=0)
    found = shapely.contains_xy(read_area(path, crs, near), x, y)
    return np.count_nonzero(found != expected), np.count_nonzero(expected)


def write(path, *shapes, crs=4326, layer=None):
    geopandas.GeoDataFrame(geometry=list(shapes), crs=crs).to_file(path, **({"layer": layer} if layer else {}))
    return path


UTM_41, UTM_01, UTM_60, POLAR, SOUTH = 32641, 32601, 32660, 3413, 3031


@pytest.mark.parametrize(
    ("crs", "longitude", "latitude", "size", "shape", "boxes"),
    [
        pytest.param(UTM_41, 61.4, 70.6, 2e4, box(50, 70.6, 72, 73), [(50, 70.6, 72, 73)], id="wide"),
        pytest.param(UTM_41, 61.4, 70.6, 2e4, box(-95, 60, 95, 70.6), [(-95, 60, 95, 70.6)], id="half the globe"),
        pytest.param(UTM_41, 61.4, 70.6, 2e4, box(-30, 70.6, 180, 90), [(-30, 70.6, 180, 90)], id="more than half"),
        pytest.param(UTM_41, 61.4, 70.6, 2e4, box(-180, 70.6, 180, 90), [(-180, 70.6, 180, 90)], id="all round"),
        pytest.param(UTM_41, 61.4, 70.6, 2e4, box(0, 70.6, 360, 90), [(0, 70.6, 360, 90)], id="all round from 0"),
        pytest.param(UTM_01, 180, 67, 2e4, box(165, 67, 180.07, 75), [(165, 67, 180.07, 75)], id="beyond 180"),
        pytest.param(UTM_60, 180, 67, 2e4, box(-195, 67, -179.93, 75), [(165, 67, 180.07, 75)], id="beyond -180"),
        pytest.param(
            UTM_60, 180, 67, 2e4,
            MultiPolygon([box(179.9, 66.95, 180, 67.05), box(-180, 66.95, -179.95, 67.05)]),
            [(179.9, 66.95, 180.05, 67.05)],
            id="cut at the antimeridian",
        ),
        pytest.param(
            UTM_01, 180, 67, 2e4,
            Polygon([(179.9, 66.95), (-179.95, 66.95), (-179.95, 67.05), (179.9, 67.05)]),
            [(179.9, 66.95, 180.05, 67.05)],
            id="a jump of longitudes",
        ),
        pytest.param(
            UTM_01, 180, 67, 2e4,
            Polygon([(179.9, 67), (180, 67), (-180, 67), (-179.95, 67), (-179.95, 68), (-180, 68), (179.9, 68)]),
            [(179.9, 67, 180.05, 68)],
            id="a jump from 180 to -180",
        ),
        pytest.param(POLAR, 0, 89.5, 3e5, box(-180, 88.9, 180, 90), [(-180, 88.9, 180, 90)], id="the pole"),
        pytest.param(POLAR, 0, 89.5, 3e5, box(20, 87, 140, 90), [(20, 87, 140, 90)], id="a wedge up to the pole"),
        pytest.param(POLAR, 0, 89.5, 3e5, box(150, 87, 250, 89.7), [(150, 87, 250, 89.7)], id="a wedge over 180"),
        pytest.param(POLAR, -45, 90, 7e6, box(-20, 61, 175, 78), [(-20, 61, 175, 78)], id="the whole Arctic"),
        pytest.param(SOUTH, 40, -72, 4e4, box(-180, -90, 180, -72), [(-180, -90, 180, -72)], id="south"),
        pytest.param(
            POLAR, 0, 89.5, 3e5,
            Polygon([(lon if lon <= 180 else lon - 360, 89) for lon in np.arange(5, 365, 0.25)]),
            [(-180, 89, 180, 90)],
            id="a ring round the pole",
        ),
        pytest.param(4326, -179.9, 66, 0.4, box(-190, 66.01, -180.01, 70), [(170, 66.01, 179.99, 70)], id="degrees"),
        pytest.param(4326, 0, 0, 360, box(150, -50, 230, 40), [(150, -50, 230, 40)], id="the world in degrees"),
        pytest.param(3857, 180, 68, 3e4, box(179.9, 68, 180.03, 69), [(179.9, 68, 180.03, 69)], id="Mercator"),
    ],
)  # fmt: skip
def test_an_area_in_degrees_is_bounded_by_parallels_and_meridians(
    tmp_path, crs, longitude, latitude, size, shape, boxes
):
    near = surroundings(crs, longitude, latitude, size)
    wrong, inside = wrong_points(write(tmp_path / "aoi.geojson", shape), crs, near, *boxes)
    assert wrong == 0
    assert 0 < inside < SIDE**2


def test_any_box_at_any_scene(tmp_path):
    random = np.random.default_rng(3)
    for number in range(40):
        crs = [UTM_41, UTM_01, POLAR, 4326][number % 4]
        longitude = [61, 179.8, random.uniform(-180, 180), random.uniform(-180, 180)][number % 4]
        latitude = random.uniform(62, 83 if number % 4 < 2 else 89.9)
        near = surroundings(crs, longitude, latitude, 0.5 if crs == 4326 else random.choice([3e3, 6e4]))
        wide, east = random.choice([0.1, 5, 100, 220]), random.uniform(-0.1, 0.1)
        south = latitude - random.uniform(0, 0.2)
        area = (longitude + east - wide, south, longitude + east, min(south + random.choice([0.1, 3, 30]), 90))
        path = write(tmp_path / f"{number}.geojson", box(*area))
        assert wrong_points(path, crs, near, area)[0] == 0, (crs, near, area)


def test_edges_of_a_projected_area_are_straight_in_its_own_projection(tmp_path):
    near = surroundings(UTM_41, 61.4, 70.6, 2e4)
    x, y = points_in(near)
    polar_x, polar_y = Transformer.from_crs(UTM_41, POLAR, always_xy=True).transform(x, y)
    middle = np.median(polar_x), np.median(polar_y)
    area = box(middle[0] - 3e6, middle[1], middle[0] + 1e3, middle[1] + 2e6)
    found = shapely.contains_xy(read_area(write(tmp_path / "aoi.gpkg", area, crs=POLAR), UTM_41, near), x, y)
    expected = shapely.contains_xy(area, polar_x, polar_y)
    assert np.array_equal(found, expected)
    assert 0 < expected.sum() < expected.size


def test_what_does_not_lie_around_the_scene_is_left_out_and_the_rest_is_not_cut(tmp_path):
    near = surroundings(UTM_41, 61.4, 70.6, 2e4)
    slump, far, wrapped = box(61.39, 70.599, 61.41, 70.601), box(10, 10, 20, 20), box(421.5, 70.6, 421.51, 70.61)
    frame = project_frame(read_polygons(write(tmp_path / "labels.gpkg", slump, far, wrapped)), UTM_41, near)
    assert frame.index.tolist() == [0, 2]
    straight = geopandas.GeoSeries([slump], crs=4326).to_crs(UTM_41)
    assert geodesic_areas_m2(frame.geometry)[0] == pytest.approx(geodesic_areas_m2(straight)[0], rel=1e-5)


def test_polygons_are_found_in_collections_and_areas_are_right_across_the_antimeridian(tmp_path):
    hole = box(179.99, 67.0, 180.01, 67.01)
    shape = shapely.GeometryCollection([shapely.Point(180, 67), box(179.9, 66.9, 180.1, 67.1).difference(hole)])
    (found,) = read_polygons(write(tmp_path / "a.geojson", shape)).geometry
    assert found.area == pytest.approx(0.2 * 0.2 - 0.02 * 0.01)
    there = geopandas.GeoSeries([found], crs=4326).to_crs(UTM_01)  # whose longitudes jump on the way back
    elsewhere = geopandas.GeoSeries([shapely.affinity.translate(found, -20)], crs=4326)
    assert geodesic_areas_m2(there)[0] == pytest.approx(geodesic_areas_m2(elsewhere)[0], rel=1e-4)


@pytest.mark.parametrize(
    ("shape", "zone"),
    [
        (box(179.8, 66, 180.1, 66.1), 32660),
        (box(179.9, 66, 180.2, 66.1), 32601),
        (box(-70, -51, -69, -50), 32719),
        (box(10, 84.5, 20, 85), 32661),
    ],
)
def test_layers_in_degrees_have_a_zone(shape, zone):
    assert utm_of(geopandas.GeoDataFrame(geometry=[shape], crs=4326)) == CRS.from_epsg(zone)


@pytest.mark.parametrize(
    ("write_to", "layer", "message"),
    [
        pytest.param(["seen", "drawn"], None, "has several layers, seen, drawn; choose one with --aoi-layer", id="two"),
        pytest.param(["thaw_slumps", "observed_area"], None, "has several layers, thaw_slumps, obs", id="a map"),
        pytest.param(["seen"], "drawn", "has no layer drawn; it has seen", id="another"),
        pytest.param(["seen", "drawn"], "drawn", None, id="chosen"),
        pytest.param(["seen"], None, None, id="one"),
    ],
)
def test_of_several_layers_of_polygons_one_must_be_named(tmp_path, write_to, layer, message):
    path, near = tmp_path / "areas.gpkg", surroundings(UTM_41, 61.4, 70.6, 2e4)
    for name in write_to:
        write(path, box(61, 70, 62, 71), layer=name)
    write(path, shapely.Point(61, 70), layer="notes")
    if message is None:
        assert read_area(path, UTM_41, near, layer).covers(box(*near))
    else:
        with pytest.raises(InputError, match=f"areas.gpkg: {message}"):
            read_area(path, UTM_41, near, layer)


def test_metres_that_are_called_degrees_are_refused(tmp_path):
    path = write(tmp_path / "aoi.geojson", box(500_000, 7_000_000, 501_000, 7_001_000))
    with pytest.raises(InputError, match="which are no longitudes and latitudes; assign the coordinate reference"):
        read_polygons(path)
