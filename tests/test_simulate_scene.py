import json
from dataclasses import replace
from datetime import date

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
from click.testing import CliRunner
from rasterio.windows import Window as RasterWindow

from rtsmap.cli import main, rtsmap
from rtsmap.cli.simulate.options import REGIONS as NAMED
from rtsmap.dataset.build import build
from rtsmap.dataset.chip_selection import ChipOptions
from rtsmap.dataset.label_matching import Rule
from rtsmap.dataset.labelled_scenes import Inputs
from rtsmap.dataset.labels import Fields
from rtsmap.dataset.sources import Source
from rtsmap.errors import InputError
from rtsmap.records import Window
from rtsmap.scene import open_scene
from rtsmap.simulate.acquisition import NODATA_SHARE, sun_position
from rtsmap.simulate.product.truth import read_truth
from rtsmap.simulate.product.writing import eight_bands, write_product
from rtsmap.simulate.scene import SceneOptions, make_scene
from rtsmap.simulate.terrain.regions import REGIONS

OPTIONS = SceneOptions(region="chukotka", seed=4, pixels=(900, 700), day=date(2021, 7, 2), clouds=0.25, slumps=6)


@pytest.fixture(scope="module")
def simulated():
    return make_scene(OPTIONS)


@pytest.fixture(scope="module")
def product(simulated, tmp_path_factory):
    return write_product(simulated, tmp_path_factory.mktemp("order"), workers=2)


def test_a_simulated_scene_opens_as_a_planetscope_product(simulated, product):
    with open_scene(str(product.image.parent)) as scene:
        info, pixels = scene.info, scene.read(scene.grid.window)
    assert (info.scene_id, info.product) == (simulated.acquisition.item_id, "PSScene AnalyticMS_SR")
    assert info.acquired == simulated.acquisition.acquired
    assert info.acquired.date() == date(2021, 7, 2)
    assert (info.instrument, info.gsd_m) == ("PS2", pytest.approx(3, rel=0.01))
    assert (info.sun_azimuth_deg, info.sun_elevation_deg) == (
        simulated.acquisition.sun_azimuth_deg,
        simulated.acquisition.sun_elevation_deg,
    )
    assert 0 < info.cloud_fraction < 0.6
    assert pixels.valid.mean() == pytest.approx(1 - NODATA_SHARE, abs=0.02)
    assert 0.02 < pixels.reflectance[:, pixels.clear].mean() < 0.3


def test_the_image_is_stored_as_planet_stores_it(product):
    with rasterio.open(product.image) as image:
        assert (image.count, image.dtypes[0], image.nodata, image.crs.to_epsg()) == (4, "uint16", 0, 32601)
        assert image.block_shapes[0] == (256, 256)
        assert image.compression.name == "deflate"
        assert (image.transform.a, image.transform.e) == (3, -3)


def test_the_classes_of_the_mask_exclude_one_another(product):
    with (
        rasterio.open(product.image) as image,
        rasterio.open(str(product.image).replace("AnalyticMS_SR", "udm2")) as mask,
    ):
        valid, classes = image.read(1) > 0, mask.read()
    assert np.array_equal(classes[:6].sum(axis=0), valid)
    assert np.array_equal(classes[7] & 1, ~valid)
    assert classes[4].max() == 0  # UDM2.1 has no heavy haze
    assert 1 <= classes[6][valid].min() <= classes[6].max() <= 100
    assert all(classes[band].any() for band in (0, 2, 3, 5))  # clear, shadow, haze, cloud


def test_most_of_the_clouds_are_flagged_but_not_all(product):
    with (
        rasterio.open(product.image) as image,
        rasterio.open(str(product.image).replace("AnalyticMS_SR", "udm2")) as mask,
    ):
        white, cloud = image.read(1) > 5000, mask.read(6) > 0
    assert 0.5 < cloud[white].mean() < 1


def test_the_metadata_say_the_same_in_json_and_in_xml(simulated, product):
    folder, item = product.image.parent, simulated.acquisition.item_id
    properties = json.loads((folder / f"{item}_metadata.json").read_text())["properties"]
    (folder / f"{item}_metadata.json").rename(folder / "aside.json")
    try:
        with open_scene(str(product.image)) as scene:
            info = scene.info
    finally:
        (folder / "aside.json").rename(folder / f"{item}_metadata.json")
    assert info.satellite_id == properties["satellite_id"]
    assert info.sun_elevation_deg == pytest.approx(properties["sun_elevation"])
    assert info.view_angle_deg == pytest.approx(properties["view_angle"])
    assert info.cloud_fraction == pytest.approx(properties["cloud_cover"], abs=0.006)


def test_the_truth_lies_inside_the_footprint_and_in_no_other_slump(product):
    truth = geopandas.read_file(product.truth, layer="rts")
    footprint = geopandas.read_file(product.truth, layer="footprint").geometry.iloc[0]
    assert len(truth) == product.n_slumps > 3
    assert truth.within(footprint).all()
    assert truth.area_m2.to_numpy() == pytest.approx(truth.area, rel=0.01)  # geodesic against UTM
    assert truth.union_all().area == pytest.approx(truth.area.sum(), rel=1e-6)
    labels = geopandas.read_file(product.truth, layer="labels")
    assert list(labels.id) == list(truth.id)
    assert not labels.geom_equals(truth).any()


def test_a_scene_without_slumps_has_typed_empty_layers(tmp_path):
    options = replace(OPTIONS, pixels=(128, 128), slumps=0)
    written = write_product(make_scene(options), tmp_path)
    information = pyogrio.read_info(written.truth, layer="rts")
    assert (information["features"], information["geometry_type"]) == (0, "Polygon")
    assert dict(zip(information["fields"], information["dtypes"], strict=True))["area_m2"] == "float64"


def test_windows_of_any_size_show_the_same_pixels(simulated, product):
    """Tiles rendered in another order, by another renderer, are those that the file was written from."""
    other = make_scene(OPTIONS)
    with rasterio.open(product.image) as image:
        for row, column in ((512, 512), (0, 512), (0, 0), (512, 0)):
            tile = other.renderer.tile(row, column).numbers
            stored = image.read(window=RasterWindow(column, row, 512, 512))
            assert np.array_equal(tile[:, : stored.shape[1], : stored.shape[2]], stored)


def test_tiles_meet_without_a_seam(simulated, monkeypatch):
    """Ground, features and clouds are functions of position: tiles of another size differ by rounding only."""
    whole = simulated.renderer.tile(0, 0)
    monkeypatch.setattr("rtsmap.simulate.image.renderer.TILE_PX", 256)
    for row, column in ((0, 0), (0, 256), (256, 0), (256, 256)):
        part = simulated.renderer.tile(row, column)
        window = np.s_[:, row : row + 256, column : column + 256]
        difference = np.abs(part.numbers.astype(int) - whole.numbers[window])
        assert difference.max() <= 2
        assert (difference > 0).mean() < 0.02
        assert (part.udm2 != whole.udm2[window]).mean() < 1e-3


def test_the_files_do_not_depend_on_the_number_of_threads(simulated, product, tmp_path):
    alone = write_product(simulated, tmp_path, workers=1)
    assert alone.image.read_bytes() == product.image.read_bytes()
    udm2 = product.image.name.replace("AnalyticMS_SR", "udm2")
    assert (tmp_path / udm2).read_bytes() == (product.image.parent / udm2).read_bytes()


def test_tiles_beside_the_footprint_are_empty_and_flagged_so(tmp_path):
    simulated = make_scene(replace(OPTIONS, pixels=(1100, 1100), slumps=0))
    written = write_product(simulated, tmp_path)
    with rasterio.open(written.image) as image, rasterio.open(next(tmp_path.glob("*udm2.tif"))) as mask:
        window = RasterWindow(1024, 1024, 76, 76)
        assert not image.read(window=window).any()
        assert mask.read(window=window).any(axis=(1, 2)).tolist() == [False] * 7 + [True]
        valid = mask.read(8) == 0
        assert np.array_equal(image.read(1) > 0, valid)
        assert valid.mean() == pytest.approx(1 - NODATA_SHARE, abs=0.02)


def test_other_clouds_leave_ground_and_slumps_as_they_are(simulated):
    clear = make_scene(replace(OPTIONS, clouds=0))
    assert [f.outline.wkb for f in clear.scenery.slumps] == [f.outline.wkb for f in simulated.scenery.slumps]
    tile = clear.renderer.tile(0, 0)
    assert not tile.udm2[[2, 3, 5]].any()


def test_another_seed_is_another_place():
    first, second = (make_scene(replace(OPTIONS, pixels=(200, 200), seed=seed)) for seed in (1, 2))
    assert first.acquisition.item_id != second.acquisition.item_id
    assert not np.allclose(first.land.height, second.land.height)


def test_eight_bands_hold_the_four_at_their_places(tmp_path):
    options = replace(OPTIONS, pixels=(200, 200), bands=8, clouds=0)
    simulated = make_scene(options)
    written = write_product(simulated, tmp_path)
    assert written.image.name.endswith("_3B_AnalyticMS_SR_8b.tif")
    with open_scene(str(written.image)) as scene:
        assert scene.info.instrument == "PSB.SD"
        pixels = scene.read(Window(0, 0, 200, 200))
    tile = simulated.renderer.tile(0, 0).numbers[:, :200, :200]
    assert pixels.reflectance * 1e4 == pytest.approx(tile, abs=1)
    assert not eight_bands(np.zeros((4, 2, 2), np.uint16)).any()


def test_a_data_set_is_built_from_a_scene_and_its_labels(product, tmp_path):
    inputs = Inputs(
        mask=("cloud",),
        layer="labels",
        footprint_layer="footprint",
        fields=Fields(None, None, None, None),
        rule=Rule(30, undated=False),
        site="here",
    )
    source = Source(str(product.image), product.truth, product.truth)
    report = build(
        [source], tmp_path / "set", inputs, ChipOptions(256, 0, None, 0.3, 0.05, None, 0), description="simulated"
    )
    assert report.matched == product.n_slumps
    assert sum(scene.slumps for scene in report.scenes) >= 1


def test_the_sun_stands_in_the_south_at_noon_and_as_high_as_the_date_has_it():
    azimuth, elevation = sun_position(replace_hour(12), 0, 70)
    assert azimuth == pytest.approx(180, abs=1)
    assert elevation == pytest.approx(90 - 70 + 23.45, abs=0.5)
    azimuth, _ = sun_position(replace_hour(9), 0, 70)
    assert 110 < azimuth < 150


def replace_hour(hour):
    from datetime import UTC, datetime

    return datetime(2021, 6, 21, hour, tzinfo=UTC)


def test_the_command_writes_a_scene_that_its_message_names(tmp_path):
    arguments = ["simulate", "scene", "-o", str(tmp_path), "--pixels", "128", "100", "--no-clouds", "--slumps", "0"]
    result = CliRunner().invoke(rtsmap, [*arguments, "--at", "-140.2,69.5", "--date", "2020-08-01", "--gsd", "10"])
    assert result.exit_code == 0, result.output
    (image,) = tmp_path.glob("20200801_*_3B_AnalyticMS_SR.tif")
    assert str(image) in result.output
    with rasterio.open(image) as scene:
        assert (scene.width, scene.height, scene.res, scene.crs.to_epsg()) == (128, 100, (10, 10), 32607)


def test_the_help_has_an_example():
    output = CliRunner().invoke(rtsmap, ["simulate", "scene", "--help"]).output
    assert "rtsmap simulate scene -o simulated --region west-siberia" in output


def test_the_regions_of_the_command_are_those_of_the_simulation():
    assert set(NAMED) == set(REGIONS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--region", "mars"], "'mars' is not one of"),
        (["--at", "200,70"], "--at 200,70: must be longitude"),
        (["--at", "north"], "is not a longitude and a latitude such as"),
        (["--date", "2021-13-01"], "is not a date such as"),
        (["--pixels", "100000", "100"], "each side must be 64 to 65536"),
        (["--pixels", "200", "200", "--size-km", "2", "2"], "give only one of them"),
        (["--no-clouds", "--clouds", "0.3"], "contradict each other"),
    ],
)
def test_bad_input_ends_in_one_line_and_exit_2(monkeypatch, capsys, tmp_path, arguments, message):
    monkeypatch.setattr("sys.argv", ["rtsmap", "simulate", "scene", "-o", str(tmp_path / "out"), *arguments])
    with pytest.raises(SystemExit) as failure:
        main()
    assert failure.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten_unless_told(simulated, product):
    with pytest.raises(InputError, match="exists already"):
        write_product(simulated, product.image.parent)


def test_truth_of_earlier_versions_is_read_under_the_present_names(tmp_path):
    """One table with the names that were, as files of scenes and of series had them."""
    former = {"vigour": [0.5, 0.2], "healing": [False, True], "kind": ["healed", "merged"]}
    outlines = geopandas.GeoSeries.from_wkt(["POLYGON ((0 0, 1 0, 1 1, 0 0))"] * 2, crs=32601)
    geopandas.GeoDataFrame(former, geometry=outlines).to_file(tmp_path / "old.gpkg", layer="slumps")
    table = read_truth(tmp_path / "old.gpkg", "slumps")
    assert table.activity.tolist() == [0.5, 0.2]
    assert table.stabilising.tolist() == [False, True]
    assert table.kind.tolist() == ["stabilised", "merged"]


def test_truth_that_is_written_today_is_read_unchanged(product):
    assert read_truth(product.truth, "rts").equals(geopandas.read_file(product.truth, layer="rts"))
