"""Metres on the ground in any projection: pixel sizes, resampling, areas, data sets."""

import math
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.warp import Resampling, reproject
from shapely.affinity import affine_transform

from rtsmap.errors import SceneError
from rtsmap.predict.detector import ReadyDetector
from rtsmap.predict.options import Options
from rtsmap.predict.planning import plan_scene
from rtsmap.predict.scene import predict_scene
from rtsmap.records import Grid
from rtsmap.scene import open_scene
from rtsmap.scene.ground_distance import gsd_m, is_on_earth, is_square, pixel_size_m, unevenness
from tests import scenes
from tests.detectors import BareGround, card, tundra

UTM = CRS.from_epsg(32647)
PLACE = 97.0, 74.5  # longitude, latitude; on another meridian than that of any projection below
SIZE_M = 1800.0
SLUMPS = [(30, 40, 30, 40), (100, 20, 24, 24), (90, 110, 40, 30)]  # row, column, height, width, px of 10 m


def grid_at(crs: str, width: float, height: float, *, lon: float = PLACE[0], lat: float = PLACE[1]) -> Grid:
    """A hundred pixels a side around a place."""
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat)
    return Grid(CRS.from_user_input(crs), Affine(width, 0, x - 50 * width, 0, -height, y + 50 * height), 100, 100)


SIZES: list[tuple[str, str, float, float, float, float]] = [
    # CRS, true scale there, nominal width and height, latitude, tolerance: k of the projection's own formula
    ("EPSG:3857", "mercator", 4.777, 4.777, 74.5, 5e-3),
    ("EPSG:3857", "mercator", 38.2, 38.2, 61.0, 5e-3),
    ("EPSG:3395", "mercator", 10.0, 10.0, 68.0, 5e-3),
    ("EPSG:3413", "stereographic 70", 10.0, 10.0, 81.0, 1e-3),
    ("EPSG:3995", "stereographic 71", 10.0, 10.0, 60.0, 1e-3),
    ("EPSG:6931", "equal area", 25.0, 25.0, 65.0, 2e-3),
    ("EPSG:3571", "equal area", 3.0, 3.0, 76.0, 2e-3),
]


def factor(kind: str, lat: float) -> float:
    """Length on the map of a metre on the ground, by the sphere's formulae; of equal areas the geometric mean."""
    if kind == "mercator":
        return 1 / math.cos(math.radians(lat))
    if kind == "equal area":
        return 1.0
    true = math.radians(float(kind.split()[1]))
    return (1 + math.sin(true)) / (1 + math.sin(math.radians(lat)))


@pytest.mark.parametrize(("crs", "kind", "width", "height", "lat", "tolerance"), SIZES)
def test_true_size(crs: str, kind: str, width: float, height: float, lat: float, tolerance: float) -> None:
    grid = grid_at(crs, width, height, lat=lat)
    assert gsd_m(grid) == pytest.approx(math.sqrt(width * height) / factor(kind, lat), rel=tolerance)
    assert is_on_earth(grid)


@pytest.mark.parametrize("lat", [52.0, 65.0, 78.0])
def test_degrees_are_not_square(lat: float) -> None:
    width, height = pixel_size_m(grid_at("EPSG:4326", 2e-4, 1e-4, lat=lat))
    assert width == pytest.approx(2e-4 * 111_320 * math.cos(math.radians(lat)), rel=5e-3)
    assert height == pytest.approx(1e-4 * 111_500, rel=5e-3)
    assert not is_square(grid_at("EPSG:4326", 1e-4, 1e-4, lat=lat))


@pytest.mark.parametrize(("crs", "lon"), [("EPSG:32647", 97.0), ("EPSG:32647", 101.9), ("EPSG:2157", -8.0)])
def test_true_projections_keep_the_nominal_size(crs: str, lon: float) -> None:
    lat = 53.0 if crs == "EPSG:2157" else 74.5
    assert pixel_size_m(grid_at(crs, 3.0, 3.0, lon=lon, lat=lat)) == (3.0, 3.0)


def test_unevenness_is_that_of_the_corners() -> None:
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(90, 70)
    tall = Grid(CRS.from_epsg(3857), Affine(1000, 0, x, 0, -1000, y), 900, 100)
    lat = Transformer.from_crs(3857, 4326, always_xy=True).transform(x, y - 900_000)[1]
    expected = math.cos(math.radians(lat)) / math.cos(math.radians(70))
    assert unevenness(tall) == pytest.approx(expected, rel=2e-2)
    assert unevenness(grid_at("EPSG:32647", 3.0, 3.0)) == pytest.approx(1, abs=1e-4)


_NOWHERE = "its centre, .* does not lie on the Earth; correct its CRS"


@pytest.mark.parametrize(
    ("crs", "transform", "message"),
    [
        ("EPSG:4326", Affine(3, 0, 570_000, 0, -3, 7_720_000), _NOWHERE),  # metres that are called degrees
        ("EPSG:4326", Affine(1e-4, 0, 12.0, 0, -1e-4, 97.0), _NOWHERE),
        (
            'LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]',
            scenes.TRANSFORM,
            "its CRS is neither projected nor geographic",
        ),
        ("IAU_2015:49910", Affine(100, 0, 0, 0, -100, 0), "its CRS is none of the Earth"),  # Mars
        ("EPSG:6931", Affine(10, 0, 2e7, 0, -10, 2e7), _NOWHERE),
    ],
)
def test_no_place_on_the_earth(tmp_path: Path, crs: str, transform: Affine, message: str) -> None:
    path = scenes.write_raster(tmp_path / "odd.tif", crs=crs, transform=transform)
    with pytest.raises(SceneError, match=rf"odd\.tif: {message}"):
        open_scene(str(path))


# A scene of 10 m, and the same warped


def numbers_in_utm() -> NDArray[np.uint16]:
    rng = np.random.default_rng(2)
    return (tundra(180, 180, SLUMPS) * rng.normal(1, 0.02, (180, 180))).astype(np.uint16)


def corner() -> tuple[float, float]:
    x, y = Transformer.from_crs(4326, UTM, always_xy=True).transform(*PLACE)
    return round(x, -1), round(y, -1)


def warped(path: Path, crs: str, width: float, height: float) -> Path:
    """The scene with pixels of that nominal size; 0 where it has none."""
    left, top = corner()
    here = Affine(10, 0, left, 0, -10, top)
    box = shapely.box(left, top - SIZE_M, left + SIZE_M, top)
    bounds = geopandas.GeoSeries([shapely.segmentize(box, 100)], crs=UTM).to_crs(crs).total_bounds
    there = Affine(width, 0, bounds[0], 0, -height, bounds[3])
    rows, columns = math.ceil((bounds[3] - bounds[1]) / height), math.ceil((bounds[2] - bounds[0]) / width)
    target = np.zeros((4, rows, columns), dtype=np.uint16)
    places = {"src_transform": here, "src_crs": UTM.to_wkt(), "dst_transform": there, "dst_crs": crs}
    reproject(numbers_in_utm(), target, resampling=Resampling.bilinear, src_nodata=0, dst_nodata=0, **places)
    return scenes.write_raster(path, target, crs=crs, transform=there)


WARPED: list[tuple[str, float, float]] = [
    ("EPSG:32647", 10.0, 10.0),
    ("EPSG:3857", 37.5, 37.5),  # 10 m at 74.5 N
    ("EPSG:3857", 18.7, 18.7),
    ("EPSG:4326", 3.36e-4, 9e-5),  # 10 m both ways
    ("EPSG:4326", 1.7e-4, 9e-5),
    ("EPSG:3413", 10.0, 10.0),
    ("EPSG:3995", 13.0, 13.0),
    ("EPSG:6931", 10.0, 10.0),
    ("EPSG:3571", 8.0, 8.0),
]


def true_slumps() -> geopandas.GeoSeries:
    left, top = corner()
    to_world = Affine(10, 0, left, 0, -10, top).to_shapely()
    boxes = [shapely.box(column, row, column + wide, row + tall) for row, column, tall, wide in SLUMPS]
    return geopandas.GeoSeries([affine_transform(box, to_world) for box in boxes], crs=UTM)


@pytest.mark.parametrize(("crs", "width", "height"), WARPED, ids=[f"{case[0]}-{case[1]:g}" for case in WARPED])
def test_the_same_slumps_and_areas_in_any_projection(tmp_path: Path, crs: str, width: float, height: float) -> None:
    path = str(warped(tmp_path / "scene.tif", crs, width, height))
    model = card(gsd_m=10.0, chip_size=128, overlap=32)
    result, plan = (
        predict_scene(path, ReadyDetector.of(model, BareGround())),
        plan_scene(path, model, Options().for_model(model)),
    )
    found = geopandas.GeoSeries([slump.geometry for slump in result.slumps], crs=result.crs).to_crs(UTM)
    truth = true_slumps()
    assert len(found) == len(truth)
    for outline in truth:
        overlap = max(outline.intersection(one).area / outline.union(one).area for one in found)
        assert overlap > 0.85
    areas = sorted(slump.area_m2 for slump in result.slumps)
    np.testing.assert_allclose(areas, sorted(truth.area), rtol=0.1)
    assert result.observed_km2 == pytest.approx(SIZE_M**2 / 1e6, rel=0.03)
    assert result.info.gsd_m == pytest.approx(math.sqrt(math.prod(ground_pixel(crs, width, height))), rel=0.01)
    with open_scene(path) as scene:
        source = scene.at_gsd(10.0, (9.5, 10.5))
        np.testing.assert_allclose(pixel_size_m(source.grid), 10.0, rtol=0.051)
        assert plan.area_km2 == pytest.approx(
            scene.grid.height * scene.grid.width * gsd_m(scene.grid) ** 2 / 1e6, rel=0.06
        )


def ground_pixel(crs: str, width: float, height: float) -> tuple[float, float]:
    """By small steps in UTM, whose scale is 0.9996 to 1 here."""
    back = Transformer.from_crs(crs, UTM, always_xy=True)
    x, y = Transformer.from_crs(UTM, crs, always_xy=True).transform(corner()[0] + 900, corner()[1] - 900)
    points = [back.transform(*place) for place in ((x, y), (x + width, y), (x, y + height))]
    return math.dist(points[0], points[1]), math.dist(points[0], points[2])


def test_chips_of_degrees_are_square_on_the_ground(tmp_path: Path) -> None:
    from rtsmap.dataset.build import build
    from rtsmap.dataset.chip_selection import ChipOptions
    from rtsmap.dataset.images import read_dataset
    from rtsmap.dataset.labelled_scenes import Inputs
    from rtsmap.dataset.sources import Source

    scene, labels = warped(tmp_path / "scene.tif", "EPSG:4326", 3.36e-4, 4.5e-5), tmp_path / "labels.gpkg"
    geopandas.GeoDataFrame(geometry=true_slumps()).to_file(labels, layer="slumps")
    sources = [Source(str(scene), labels, site="taimyr", paired=True)]
    build(sources, tmp_path / "set", Inputs(), ChipOptions(chip_size=64, min_visible=0.0))
    images = read_dataset(tmp_path / "set").images
    seen: dict[object, float] = {}
    for image in images:
        assert is_square(image.grid)
        assert image.gsd_m == pytest.approx(math.sqrt(10 * 5), rel=0.02)
        for slump in image.slumps:
            seen[slump.uid] = seen.get(slump.uid, 0) + slump.outline.area * image.gsd_m**2
    assert sum(seen.values()) == pytest.approx(true_slumps().area.sum(), rel=0.1)


@pytest.mark.parametrize(("crs", "kept"), [("EPSG:32647", True), ("EPSG:3413", True), ("EPSG:3857", False)])
def test_maps_are_compared_in_metres(crs: str, kept: bool) -> None:
    from rtsmap.evaluation.map_scores import _is_true_to_scale

    left, top = corner()
    box = geopandas.GeoDataFrame(geometry=[shapely.box(left, top - 900, left + 900, top)], crs=UTM).to_crs(crs)
    assert _is_true_to_scale(box) is kept


@pytest.mark.parametrize(
    ("crs", "transform", "message"),
    [
        (
            "EPSG:4326",
            Affine(1e-4, 0, 90, 0, -1e-4, 74),
            r"a\.tif: its pixels are 3\.08 m wide and 11\.16 m high on the",
        ),
        ("EPSG:4326", Affine(3, 0, 570_000, 0, -3, 7_720_000), r"a\.tif: lies outside the Earth in its CRS, WGS 84"),
    ],
)
def test_import_refuses_pixels_that_are_not_square(tmp_path: Path, crs: str, transform: Affine, message: str) -> None:
    from rtsmap.dataset.image_import import ImportSettings, read_image
    from rtsmap.errors import DatasetError

    path: Any = scenes.write_raster(tmp_path / "a.tif", crs=crs, transform=transform)
    with pytest.raises(DatasetError, match=message):
        read_image(path, "a", tmp_path, ImportSettings())
