"""Scenes without a cloud mask: what the layer says of clouds, and the one warning."""

import sqlite3
from contextlib import closing

import geopandas
import numpy as np
import pytest

from rtsmap.cli import predict as command
from rtsmap.dataset.build import build
from rtsmap.dataset.chip_selection import ChipOptions
from rtsmap.dataset.labelled_scenes import Inputs
from rtsmap.dataset.sources import Source
from rtsmap.layer import write_layer
from rtsmap.predict.detector import ReadyDetector
from rtsmap.predict.options import Options
from rtsmap.predict.planning import plan_scene
from rtsmap.predict.scene import predict_scene
from tests import products, scenes
from tests.detectors import BareGround, card, tundra
from tests.labels import write_polygons, write_scene

SHAPE = (96, 96)
SLUMPS = [(20, 20, 30, 24)]


def write(folder, mask, item_id=scenes.ITEM_ID):
    """A PlanetScope scene with a UDM2, with a UDM of version 1, or with none."""
    image = scenes.write_planetscope(folder, tundra(*SHAPE, SLUMPS), item_id=item_id, with_udm2=mask == "udm2")
    if mask == "udm1":
        cloud = np.zeros((1, *SHAPE), np.uint8)
        cloud[0, :24] = 2
        scenes.write_raster(folder / f"{item_id}_3B_AnalyticMS_DN_udm.tif", cloud, descriptions=None)
    return str(image)


@pytest.mark.parametrize(
    ("mask", "classes", "fraction"),
    [
        ("none", ("cloud",), None),
        ("udm2", ("cloud",), 0.0),
        ("udm2", (), None),
        ("udm1", ("cloud",), 0.25),
    ],
)
def test_cloud_fraction_is_null_where_no_mask_was_read(tmp_path, mask, classes, fraction):
    options = Options(mask=classes)
    path = write(tmp_path, mask)
    assert plan_scene(path, card(), options.for_model(card())).clouds_masked == (fraction is not None)
    result = predict_scene(path, ReadyDetector.of(card(), BareGround(), options))
    assert result.cloud_fraction == fraction
    for name in ("slumps.gpkg", "slumps.parquet"):
        write_layer(tmp_path / name, [result], {})
    with closing(sqlite3.connect(tmp_path / "slumps.gpkg")) as database:
        assert database.execute("select cloud_fraction from observed_area").fetchall() == [(fraction,)]
    observed = geopandas.read_parquet(tmp_path / "slumps_observed.parquet")
    assert observed.cloud_fraction.isna().tolist() == [fraction is None]


@pytest.mark.parametrize(
    ("masks", "classes", "warned"),
    [
        (("udm2", "none", "none"), ("cloud",), "clouds were not masked in 20210715_010203_10_2413, 20210716_"),
        (("none",), ("cloud", "shadow"), "clouds were not masked in 20210714_010203_10_2413: no cloud mask was found"),
        (("none", "none"), (), None),
        (("udm1", "udm2"), ("cloud",), None),
    ],
)
def test_one_warning_names_the_scenes_without_a_mask(tmp_path, capsys, masks, classes, warned):
    paths = [
        write(tmp_path / str(number), mask, f"202107{14 + number}_010203_10_2413") for number, mask in enumerate(masks)
    ]
    output = {"output": tmp_path / "slumps.gpkg", "preview": None, "overwrite": False}
    detector = ReadyDetector.of(card(), BareGround(), Options(mask=classes))
    command.map_to_layer(tuple(paths), detector, command="rtsmap", **output)
    err = capsys.readouterr().err
    assert err.count("clouds were not masked") == (warned is not None)
    assert warned is None or f"rtsmap: {warned}" in err


def test_slumps_of_bands_in_files_of_their_own(tmp_path, monkeypatch):
    """From a SAFE folder to the layer, as from one file of the same pixels."""
    bands = tundra(*SHAPE, SLUMPS)
    monkeypatch.setattr(products, "numbers", lambda position, _base=0: (bands[position] + 1000).astype(np.uint16))
    classes = np.full((48, 48), 4, np.uint8)
    classes[:12] = 9
    safe = products.write_safe(tmp_path, suffix="tif", classes=classes)
    single = scenes.write_raster(tmp_path / "single.tif", bands, transform=products.GRID_10M)
    wide = card().model_copy(update={"input": card().input.model_copy(update={"gsd_m": 10.0, "gsd_range_m": (8, 12)})})
    ours, theirs = (predict_scene(str(path), ReadyDetector.of(wide, BareGround())) for path in (safe, single))
    assert len(ours.slumps) == len(theirs.slumps) == 1
    assert ours.slumps[0].area_m2 == pytest.approx(theirs.slumps[0].area_m2, rel=0.05)
    assert (ours.cloud_fraction, ours.info.scene_id) == (0.25, products.SAFE)


def test_a_data_set_notes_scenes_without_a_mask(tmp_path):
    source = Source(str(write_scene(tmp_path / "scene.tif")), write_polygons(tmp_path / "labels.gpkg"), paired=True)
    for mask, noted in ((("cloud",), True), ((), False)):
        report = build([source], tmp_path / f"{noted}", Inputs(site="here", mask=mask), ChipOptions(chip_size=64))
        assert any("clouds were not masked in scene: no cloud mask" in note for note in report.notes) == noted
