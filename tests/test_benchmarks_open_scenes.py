"""The open scenes made ready for training: whose labels count, what was searched, and which ground is shown."""

import csv

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from click.testing import CliRunner

from benchmarks.ground_kinds import KINDS, kinds, shares
from benchmarks.open_scenes import prepare
from rtsmap.cli import rtsmap
from rtsmap.dataset.images import read_dataset
from tests import labels
from tests.labels import write_polygons, write_scene
from tests.scenes import write_raster

SLUMP, OTHER_YEAR, POINT = (4, 6, 16, 14), (30, 30, 40, 40), (57, 9, 58, 10)
PIXELS = Affine(20.0, 0.0, 570_000.0, 0.0, -20.0, 7_720_000.0)
GREEN, WATER, SNOW, SAND = (0.04, 0.06, 0.06, 0.26), (0.04, 0.05, 0.04, 0.02), (0.6,) * 4, (0.1, 0.12, 0.14, 0.17)
DARK = (0.01, 0.02, 0.02, 0.05)


@pytest.fixture
def folder(tmp_path):
    """A scene with outlines, one with a mask, and a clip that three experts drew on."""
    for part in ("labels", "s2_scenes", "s2_chips_wsiberia", "s2_scenes_masks_only", "labelling_experiment_sites"):
        (tmp_path / part).mkdir()
    write_scene(tmp_path / "s2_scenes/taimyr_a.tif", slumps=[SLUMP], transform=PIXELS)
    write_polygons(tmp_path / "s2_scenes/taimyr_a_rts.gpkg", world(SLUMP))
    masks = tmp_path / "s2_scenes_masks_only"
    write_scene(masks / "noatak_b.tif", transform=PIXELS)
    mask = np.zeros((1, 64, 64), np.uint8)
    mask[0, 40:50, 2:12] = mask[0, 50:56, 12:20] = 1  # they meet in a corner: one slump
    write_raster(masks / "noatak_b_mask.tif", mask, descriptions=None, transform=PIXELS)
    clip = np.zeros((7, 64, 64), np.uint16) + np.arange(100, 800, 100, dtype=np.uint16)[:, None, None]
    write_raster(
        tmp_path / "labelling_experiment_sites/peel_S2_c.tif", clip, nodata=0, descriptions=None, transform=PIXELS
    )
    experts = tmp_path / "labels/nitze2024_labelling_experiment.gpkg"
    drawn = world((10, 10, 30, 30), (12, 12, 30, 30), (50, 50, 60, 60))
    fields = {"labeller": ["#1", "#2", "#3"], "site": ["Peel"] * 3}
    write_polygons(experts, drawn, fields, layer="rts_by_labeller", to_crs="EPSG:4326")
    write_polygons(experts, world((0, 0, 64, 60)), {"site": ["Peel"]}, layer="aoi", to_crs="EPSG:4326")
    others = [*world(SLUMP, OTHER_YEAR), world(POINT)[0].centroid]
    write_polygons(tmp_path / "labels/inventory.gpkg", others[:2], to_crs="EPSG:4326")
    write_polygons(tmp_path / "labels/points.gpkg", others[2:], to_crs="EPSG:4326")
    return tmp_path


def world(*boxes):
    return labels.world(*boxes, transform=PIXELS)


def read(row, column):
    return geopandas.read_file(row[column])


def test_labels_are_outlines_masks_or_what_half_of_the_experts_drew(folder, tmp_path):
    assert prepare(folder, tmp_path / "open.csv") == 3
    with (tmp_path / "open.csv").open() as file:
        scene, mask, clip = csv.DictReader(file)
    assert [(row["site"], row["region"]) for row in (scene, mask, clip)] == [
        ("taimyr", "taimyr"),
        ("noatak", "north_america"),
        ("peel", "north_america"),
    ]
    assert [len(read(row, "labels")) for row in (scene, mask, clip)] == [1, 1, 1]
    agreed = read(clip, "labels").union_all()
    assert agreed.symmetric_difference(world((12, 12, 30, 30))[0]).area < 0.1 * agreed.area


def test_what_only_others_call_a_slump_is_not_taken_as_searched(folder, tmp_path):
    prepare(folder, tmp_path / "open.csv")
    with (tmp_path / "open.csv").open() as file:
        scene, _, clip = csv.DictReader(file)
    searched = read(scene, "footprints").union_all()
    assert not searched.intersects(shapely.union_all(world(OTHER_YEAR, POINT)))
    assert searched.contains(world(SLUMP)[0])
    asked = read(clip, "footprints").union_all()
    assert not asked.intersects(
        world(
            (50, 50, 60, 60),
        )[0]
    )  # one expert of three
    assert not asked.intersects(world((0, 61, 64, 64))[0])  # outside of what they were asked


def test_a_data_set_built_of_the_table_holds_ground_points_and_folds_by_region(folder, tmp_path):
    table, dataset = tmp_path / "open.csv", tmp_path / "dataset"
    prepare(folder, table, ground_points=20)
    command = ["dataset", "build", "--table", str(table), "--any-date", "-o", str(dataset)]
    result = CliRunner().invoke(rtsmap, command)
    assert result.exit_code == 0, result.output
    images = {image.site: image for image in read_dataset(dataset).images}
    assert {site: len(image.slumps) for site, image in images.items()} == {"noatak": 1, "peel": 1, "taimyr": 1}
    points = images["taimyr"].hard_negatives
    assert len(points) == 20  # one kind of ground: green
    assert min(shapely.Point(point).distance(shapely.box(*SLUMP)) for point in points) >= 3
    assert set(shares(read_dataset(dataset), empty_only=False)) == set(images)


def test_every_pixel_is_of_one_kind_of_ground_and_shores_run_along_water():
    columns = [GREEN] * 8 + [WATER] * 8 + [SAND] * 8 + [SNOW] * 8 + [DARK] * 8
    reflectance = np.repeat(np.array(columns, np.float32).T[:, None, :], 10, axis=1)
    found = kinds(reflectance, np.ones((10, 40), bool), 10.0)
    widths = {name: int(found[name][0].sum()) for name in KINDS}
    assert widths == {"water": 8, "bright": 8, "dark": 8, "bare": 8, "shore": 6, "green": 8}
