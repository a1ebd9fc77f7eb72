import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer
from shapely.affinity import affine_transform

from rtsmap.cli.dataset.build import build as build_command
from rtsmap.dataset import read_dataset
from rtsmap.dataset.build import build
from rtsmap.dataset.chip_selection import ChipOptions
from rtsmap.dataset.label_matching import SceneExtent, same_scene
from rtsmap.dataset.labelled_scenes import Inputs
from rtsmap.dataset.pixels import pixels_of
from rtsmap.dataset.sources import Source
from rtsmap.dataset.visibility import MIN_VISIBLE_PX, MIN_VISIBLE_SHARE, is_visible
from tests.labels import SLUMPS, world, write_polygons, write_scene
from tests.scenes import TRANSFORM, UTM_7N, clear_udm2, write_planetscope, write_raster

ONE_CHIP = ("--chip-size", 64, "--site", "here", "--any-date")


@pytest.fixture
def scene(tmp_path):
    return write_scene(tmp_path / "scene.tif")


@pytest.fixture
def labels(tmp_path):
    return write_polygons(tmp_path / "labels.gpkg", to_crs="EPSG:4326")


@pytest.fixture
def made(rtsmap, tmp_path):
    """Run `dataset build` and read what it wrote."""

    def make(*words):
        code, out, err = rtsmap("dataset", "build", *words, "-o", tmp_path / "dataset")
        assert code == 0, err
        return read_dataset(tmp_path / "dataset"), out, err

    return make


def table(folder, *rows, header="image,labels,site"):
    path = folder / "scenes.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def covered(dataset, image, outline):
    """The mean reflectance, in red, of the pixels in an outline."""
    inside = rasterio.features.rasterize([outline], out_shape=(image.height, image.width)).astype(bool)
    return pixels_of(dataset.folder, image).reflectance[2][inside].mean()


# what is written


def test_a_scene_in_one_chip(made, scene, labels):
    dataset, out, _ = made(scene, "--labels", labels, *ONE_CHIP)
    (image,) = dataset.images
    assert (image.name, image.site, image.scene, image.gsd_m) == ("scene_r000_c000", "here", "scene", 3.0)
    assert (image.crs, image.transform) == (UTM_7N, TRANSFORM)
    np.testing.assert_allclose(sorted(label.outline.bounds for label in image.slumps), sorted(SLUMPS), atol=0.01)
    assert [label.visible_fraction for label in image.slumps] == [1, 1]
    with rasterio.open(scene) as original, rasterio.open(dataset.folder / image.file) as copy:
        np.testing.assert_array_equal(copy.read(), original.read())
        assert copy.descriptions == ("blue", "green", "red", "nir")
        assert copy.transform == original.transform
    assert "1 scenes, 2 labels, 1 chips, 2 slumps in them" in out


def test_labels_lie_on_slumps_in_every_chip_and_in_the_world(made, scene, labels):
    dataset, _, _ = made(scene, "--labels", labels, "--any-date", "--chip-size", 32)
    assert [image.name for image in dataset.images] == [
        f"scene_r00{row}_c00{column}" for row in (0, 1) for column in (0, 1)
    ]
    assert dataset.slumps == 2
    truth = geopandas.read_file(labels).to_crs(UTM_7N).union_all()
    for image in dataset.images:
        for label in image.slumps:
            assert covered(dataset, image, label.outline) == pytest.approx(0.12, abs=1e-4)
            placed = affine_transform(label.outline, image.transform.to_shapely())
            assert placed.intersection(truth).area == pytest.approx(placed.area, rel=1e-3)


def test_chips_overlap_and_are_resampled_on_request(made, scene, labels):
    dataset, _, _ = made(scene, "--labels", labels, "--any-date", "--chip-size", 32, "--overlap", 16, "--gsd", 2)
    assert {image.gsd_m for image in dataset.images} == {2.0}
    assert len({image.name for image in dataset.images}) == len(dataset.images) == 25  # 96 px, each 16
    assert all(
        covered(dataset, image, label.outline.buffer(-1)) == pytest.approx(0.12, abs=0.003)
        for image in dataset.images
        for label in image.slumps
    )


def test_of_a_slump_little_seen_neither_slump_nor_background_is_learnt(made, tmp_path, scene):
    outlines = world((12, 4, 34, 14), (40, 31, 50, 60), (60, 28, 64, 33.2))  # each crosses the border of chips at 32
    path = write_polygons(tmp_path / "labels.gpkg", outlines)
    dataset, _, _ = made(scene, "--labels", path, "--any-date", "--chip-size", 32)
    images = {image.name[-9:]: image for image in dataset.images}
    (label,) = images["r000_c000"].slumps
    assert label.visible_fraction == pytest.approx(20 / 22, abs=1e-3)
    assert not images["r000_c001"].slumps[1:]
    assert sorted(area.area for area in images["r000_c001"].ignored) == pytest.approx([10, 20])  # 1/29 and 2/22
    assert [area.area for area in images["r001_c001"].ignored] == pytest.approx([4 * 1.2])  # 4 px


@pytest.mark.parametrize(
    ("share", "pixels", "visible"),
    [(1.0, 6, True), (1.0, 5, False), (0.3, 100, True), (0.29, 100, False), (0.0, 0, False)],
)
def test_a_slump_is_visible_by_its_share_and_its_pixels(share, pixels, visible):
    assert is_visible(share, pixels) is visible
    assert is_visible(share, pixels, min_share=0.0) is (pixels >= MIN_VISIBLE_PX)


def test_the_command_has_the_default_of_the_rule():
    defaults = {option.name: option.default for option in build_command.params}
    assert defaults["min_visible"] == MIN_VISIBLE_SHARE == ChipOptions().min_visible


def test_what_is_not_clear_is_nodata_and_hides_slumps(made, tmp_path):
    numbers = np.full((4, 64, 64), 1000, dtype=np.uint16)
    numbers[:, :, 60:] = 0
    udm2 = clear_udm2(64, 64)
    udm2[0, :20], udm2[5, :20] = 0, 1  # cloud
    image = write_planetscope(tmp_path, numbers, udm2=udm2)
    slumps = write_polygons(tmp_path / "labels.gpkg", world((4, 6, 16, 19), (30, 16, 40, 26)))
    dataset, _, _ = made(image, "--labels", slumps, *ONE_CHIP)
    (chip,) = dataset.images
    valid = pixels_of(dataset.folder, chip).valid
    assert not valid[:20].any()
    assert not valid[:, 60:].any()
    assert valid[20:, :60].all()
    assert chip.acquired.isoformat() == "2021-07-14"
    (label,) = chip.slumps
    assert label.visible_fraction == pytest.approx(0.6)
    assert len(chip.ignored) == 1


def test_pixels_that_are_not_numbers_are_nodata(made, tmp_path, labels):
    numbers = np.full((4, 64, 64), 0.1, dtype=np.float32)
    numbers[1, 30, 30] = np.nan
    image = write_raster(tmp_path / "scene.tif", numbers)
    dataset, _, _ = made(image, "--labels", labels, *ONE_CHIP)
    assert list(zip(*np.nonzero(~pixels_of(dataset.folder, dataset.images[0]).valid), strict=True)) == [(30, 30)]


def test_chips_with_few_pixels_are_left_out_unless_they_hold_a_slump(made, tmp_path, labels):
    numbers = np.zeros((4, 64, 64), dtype=np.uint16)
    numbers[:, :16, :16] = numbers[:, 44:50, 40:50] = 1000  # the last: 6 % of its chip
    numbers[:, 40, 0] = 1000
    image = write_scene(tmp_path / "scene.tif", numbers=numbers)
    dataset, _, _ = made(image, "--labels", labels, "--any-date", "--chip-size", 32, "--min-valid", 0.2)
    assert [chip.name for chip in dataset.images] == ["scene_r000_c000", "scene_r001_c001"]


def test_negatives_are_sampled_with_a_seed_and_hard_ones_kept(made, rtsmap, tmp_path):
    scene = write_scene(tmp_path / "scene.tif", size=256, slumps=SLUMPS)
    kinds = {"TrainClass": ["Positive", "Positive", "Negative"], "BaseMapDate": [None] * 3}
    path = write_polygons(tmp_path / "arts.gpkg", world(*SLUMPS, (200, 200, 210, 210)), kinds)
    words = (scene, "--labels", path, "--any-date", "--chip-size", 32, "--negatives", 2, "--seed", 3, "--overwrite")
    dataset, out, _ = made(*words)
    hard = [image for image in dataset.images if image.hard_negatives]
    assert [(image.name, image.hard_negatives) for image in hard] == [("scene_r006_c006", ((13.0, 13.0),))]
    assert "7 chips, 2 of them with 2 slumps, 1 hard negatives" in out
    again, _, _ = made(*words)
    assert again.images == dataset.images
    other, _, _ = made(*words, "--seed", 4)
    assert other.images != dataset.images


def test_false_alarms_of_a_map_become_hard_negatives(made, tmp_path, scene, labels):
    found = tmp_path / "map.gpkg"
    write_polygons(found, world((5, 5, 15, 12), (20, 50, 30, 60)), layer="thaw_slumps")
    write_polygons(found, world((0, 0, 64, 64)), layer="observed_area")
    words = (scene, "--labels", labels, "--any-date", "--chip-size", 32, "--negatives", 0, "--hard-negatives", found)
    dataset, _, _ = made(*words)
    points = {image.name: image.hard_negatives for image in dataset.images}
    assert points == {"scene_r000_c000": (), "scene_r001_c000": ((25.0, 23.0),), "scene_r001_c001": ()}


def test_a_label_of_a_whole_chip_is_kept_with_a_warning(made, tmp_path, scene):
    path = write_polygons(tmp_path / "labels.gpkg", world((0, 0, 32, 32)), {"uid": ["region"]})
    dataset, _, err = made(scene, "--labels", path, "--any-date", "--chip-size", 32)
    assert dataset.slumps == 1
    assert "scene_r000_c000: label region covers the whole chip; check that it outlines a slump" in err


# footprints and scenes without slumps


def test_what_was_not_annotated_is_ignored(made, tmp_path, scene, labels):
    area = write_polygons(tmp_path / "annotated_area.gpkg", world((0, 0, 48, 64)), {"image_id": ["scene"]})
    dataset, _, _ = made(scene, "--labels", labels, "--footprints", area, *ONE_CHIP)
    (image,) = dataset.images
    assert len(image.slumps) == 2
    (ignored,) = image.ignored
    assert ignored.area == pytest.approx(16 * 64 - 4 * 16, abs=1)  # but for the slump that was drawn there


def test_labels_and_footprints_may_be_layers_of_one_file(made, tmp_path, scene):
    path = tmp_path / "both.gpkg"
    write_polygons(path, layer="rts")
    write_polygons(path, world((0, 0, 48, 64)), layer="annotated_area")
    layers = ("--layer", "rts", "--footprints-layer", "annotated_area")
    dataset, _, _ = made(scene, "--labels", path, "--footprints", path, *layers, *ONE_CHIP)
    assert [area.area for area in dataset.images[0].ignored] == pytest.approx([16 * 64 - 4 * 16], abs=1)


def test_a_table_names_the_layers_of_its_files(made, rtsmap, tmp_path):
    path = tmp_path / "all.gpkg"
    write_polygons(path, layer="y2019")
    write_polygons(path, world(SLUMPS[0]), layer="y2020")
    write_polygons(path, world((0, 0, 48, 64)), layer="annotated_area")
    for name in "abc":
        write_scene(tmp_path / f"{name}.tif")
    header = "image,labels,site,layer,footprints,footprints_layer"
    rows = ["a.tif,all.gpkg,x,y2019,,", "b.tif,all.gpkg,y,y2020,all.gpkg,annotated_area"]
    dataset, _, _ = made("--table", table(tmp_path, *rows, header=header), "--chip-size", 64)
    assert {image.scene: (len(image.slumps), len(image.ignored)) for image in dataset.images} == {
        "a": (2, 0),
        "b": (1, 1),
    }
    for row, message in (
        ("c.tif,all.gpkg,z,,,", "all.gpkg: has several layers, y2019, y2020, annotated_area; choose one with --layer"),
        ("c.tif,all.gpkg,z,y2019,all.gpkg,", "annotated_area; choose one with --footprints-layer"),
        ("c.tif,all.gpkg,z,y2021,,", "all.gpkg: has no layer y2021; it has y2019, y2020, annotated_area"),
    ):
        code, _, err = rtsmap(
            "dataset", "build", "--table", table(tmp_path, row, header=header), "-o", tmp_path / "other"
        )
        assert (code, message in err) == (2, True), err


def test_the_layer_of_hard_negatives_can_be_named(made, rtsmap, tmp_path, scene, labels):
    path = tmp_path / "found.gpkg"
    write_polygons(path, world((30, 5, 36, 10)), layer="kept")
    write_polygons(path, world((0, 0, 2, 2)), layer="dropped")
    words = (scene, "--labels", labels, *ONE_CHIP, "--hard-negatives", path)
    code, _, err = rtsmap("dataset", "build", *words, "-o", tmp_path / "other")
    assert (code, "kept, dropped; choose one with --hard-negatives-layer" in err) == (2, True), err
    dataset, _, _ = made(*words, "--hard-negatives-layer", "kept")
    assert len(dataset.images[0].hard_negatives) == 1


def test_labels_with_long_edges_and_across_the_antimeridian(made, tmp_path):
    place = rasterio.Affine(3, 0, 363_800, 0, -3, 7_323_200)  # 180 degrees is 80 m further east
    image = write_scene(tmp_path / "scene.tif", crs="EPSG:32601", transform=place)
    to_degrees = Transformer.from_crs(32601, 4326, always_xy=True)
    (outline,) = world((10, 10, 50, 30), transform=place)
    over = shapely.transform(outline, lambda points: np.column_stack(to_degrees.transform(*points.T)))
    assert over.bounds[2] - over.bounds[0] > 359
    slumps = geopandas.GeoDataFrame(geometry=[over], crs=4326)
    slumps.to_file(tmp_path / "labels.geojson")
    south = to_degrees.transform(363_896, 7_323_104)[1]  # of the middle of the scene
    annotated_area = geopandas.GeoDataFrame(geometry=[shapely.box(170, south, 200, 70)], crs=4326)
    annotated_area.to_file(tmp_path / "seen.geojson")
    words = ("--labels", tmp_path / "labels.geojson", "--footprints", tmp_path / "seen.geojson", *ONE_CHIP)
    dataset, _, _ = made(image, *words)
    (read,) = dataset.images
    np.testing.assert_allclose(read.slumps[0].outline.bounds, (10, 10, 50, 30), atol=0.01)
    assert read.ignored[0].area == pytest.approx(64 * 32, rel=0.05)


def test_a_footprint_without_labels_is_a_true_negative(made, tmp_path, scene):
    area = write_polygons(tmp_path / "annotated_area.gpkg", world((0, 0, 64, 64)))
    empty = write_polygons(tmp_path / "labels.gpkg", [])
    dataset, _, _ = made(scene, "--labels", empty, "--footprints", area, *ONE_CHIP)
    assert (len(dataset.images), dataset.slumps) == (1, 0)


def test_a_table_of_scenes_masks_and_scenes_without_slumps(made, tmp_path, labels):
    mask = np.zeros((1, 64, 64), dtype=np.uint8)
    mask[0, 6:14, 4:16] = 1
    for name in "abc":
        write_scene(tmp_path / f"{name}.tif")
    write_raster(tmp_path / "mask.tif", mask, descriptions=None)
    rows = ("a.tif,labels.gpkg,one,", "b.tif,mask.tif,two,2020-07-01", "c.tif,,two,")
    dataset, _, _ = made(
        "--table", table(tmp_path, *rows, header="image,labels,site,date"), "--chip-size", 32, "--negatives", 1
    )
    counts = {(image.scene, image.site): 0 for image in dataset.images}
    for image in dataset.images:
        counts[image.scene, image.site] += len(image.slumps)
    assert counts == {("a", "one"): 2, ("b", "two"): 1, ("c", "two"): 0}
    assert {str(image.acquired) for image in dataset.images if image.scene == "b"} == {"2020-07-01"}
    assert sum(image.scene == "c" for image in dataset.images) == 1


# which labels belong to which scene


@pytest.mark.parametrize(
    ("label", "scene", "same"),
    [
        ("20170915_020728_103d", "20170915_020728_103d_3B_AnalyticMS_SR", True),
        ("20170915_020728_103d_3B_AnalyticMS", "20170915_020728_103d", True),
        ("20170915_020728_103d", "20170915_020728_103d", True),
        ("20170915_020728_103", "20170915_020728_103d", False),
        ("20170915", "20170915_020728_103d", False),
        ("20110724_1, 20110724_2", "20110724_2", True),
    ],
)
def test_ids_of_scenes(label, scene, same):
    assert same_scene(label, SceneExtent(scene, "x", None, None, shapely.Point())) is same


def test_labels_with_ids_belong_to_the_scene_that_they_name(made, tmp_path):
    first, second = "20210714_221320_10_2413", "20210715_221320_10_2413"
    scenes = [write_planetscope(tmp_path, item_id=item, with_json=False) for item in (first, second)]
    fields = {"image_id": [first, second, "20200101_000000_1000"], "site": ["one", "two", "one"]}
    path = write_polygons(tmp_path / "labels.gpkg", world((2, 2, 12, 12), (20, 20, 30, 30), (40, 5, 50, 15)), fields)
    dataset, _, err = made(*scenes, "--labels", path, "--chip-size", 64)
    assert {image.scene: image.slumps[0].outline.bounds[0] for image in dataset.images} == {first: 2, second: 20}
    assert {image.site for image in dataset.images} == {"one", "two"}
    assert "rtsmap: 1 of 3 label polygons belong to no scene by id, date or place" in err


def test_labels_without_ids_go_by_date_and_the_nearest_outline_of_a_slump_is_taken(made, tmp_path):
    image = write_scene(tmp_path / "s2_20180706T222019.tif")
    outlines = world((4, 6, 16, 14), (4, 6, 17, 15), (40, 44, 52, 60))
    path = write_polygons(tmp_path / "labels.gpkg", outlines, {"date": ["2018-07-20", "2018-07-09", "2018-09-01"]})
    dataset, _, err = made(image, "--labels", path, "--chip-size", 64, "--site", "here")
    assert [label.outline.bounds for label in dataset.images[0].slumps] == [(4, 6, 17, 15)]
    assert "2 of 3 label polygons" in err
    dataset, _, err = made(image, "--labels", path, "--chip-size", 64, "--days", 60, "--overwrite")
    assert len(dataset.images[0].slumps) == 2
    assert "is taken as a site by itself" in err


def test_a_scene_that_no_label_belongs_to_is_left_out(made, tmp_path, scene, labels):
    far = write_scene(tmp_path / "far.tif", transform=TRANSFORM @ TRANSFORM.translation(500, 0))
    dataset, _, err = made(scene, far, "--labels", labels, *ONE_CHIP)
    assert {image.scene for image in dataset.images} == {"scene"}
    assert "far: left out, because no polygon of" in err


def test_labels_on_both_sides_of_the_antimeridian_belong_to_one_scene(made, tmp_path):
    place = rasterio.Affine(3, 0, 363_800, 0, -3, 7_323_200)  # 180 degrees is 80 m further east
    image = write_scene(tmp_path / "scene.tif", crs="EPSG:32601", transform=place)
    slumps = world(*SLUMPS, transform=place)
    path = write_polygons(tmp_path / "labels.gpkg", slumps, crs="EPSG:32601", to_crs="EPSG:4326")
    west, east = geopandas.read_file(path).bounds["minx"]
    assert west > 179.99
    assert east < -179.99
    dataset, _, _ = made(image, "--labels", path, *ONE_CHIP)
    np.testing.assert_allclose(sorted(s.outline.bounds for s in dataset.images[0].slumps), sorted(SLUMPS), atol=0.01)


# forms


def test_modalities_are_written_as_files_on_request(made, scene, labels):
    dataset, _, _ = made(scene, "--labels", labels, *ONE_CHIP, "--modality-files")
    folder = dataset.folder / "modalities"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"scene_r000_c000_{kind}.tif" for kind in ("mask", "ndvi", "nir", "rgb")
    ]
    with rasterio.open(folder / "scene_r000_c000_mask.tif") as mask, rasterio.open(scene) as original:
        assert mask.transform == original.transform
        slump = mask.read(1) == 1
        assert slump.sum() == 12 * 8 + 12 * 16
    with rasterio.open(folder / "scene_r000_c000_ndvi.tif") as ndvi:
        assert ndvi.read(1)[slump].mean() == pytest.approx((0.13 - 0.12) / 0.25, abs=1e-4)
    with rasterio.open(folder / "scene_r000_c000_rgb.tif") as rgb:
        assert rgb.descriptions == ("red", "green", "blue")
        assert rgb.read()[:, slump].mean(axis=1) == pytest.approx([0.12, 0.1, 0.09], abs=1e-4)


def test_shards_hold_the_same_images(made, scene, labels):
    words = (scene, "--labels", labels, "--any-date", "--chip-size", 32)
    plain, _, _ = made(*words)
    before = [pixels_of(plain.folder, image).reflectance for image in plain.images]
    shards, _, _ = made(*words, "--shards", 3, "--overwrite")
    assert sorted(path.name for path in shards.folder.glob("*.tar")) == ["images-0000.tar", "images-0001.tar"]
    for image, expected in zip(shards.images, before, strict=True):
        np.testing.assert_array_equal(pixels_of(shards.folder, image).reflectance, expected)


def test_a_dry_run_says_what_would_be_and_writes_nothing(rtsmap, tmp_path, scene, labels):
    before = set(tmp_path.iterdir())
    code, out, _ = rtsmap("dataset", "build", scene, "--labels", labels, "--any-date", "--chip-size", 32, "--dry-run")
    assert code == 0
    assert "1 scenes, 2 labels, 4 chips, 2 slumps in them nothing was written" in out
    assert set(tmp_path.iterdir()) == before


def test_a_scene_is_never_read_whole(tmp_path, monkeypatch):
    from rtsmap.scene import Scene

    image = write_scene(tmp_path / "scene.tif", size=512)
    slumps = write_polygons(tmp_path / "labels.gpkg")
    read, rows = Scene.read, []
    monkeypatch.setattr(Scene, "read", lambda self, window: rows.append(window.height) or read(self, window))
    build([Source(str(image), slumps, paired=True)], tmp_path / "dataset", Inputs(), ChipOptions(chip_size=64))
    assert max(rows) == 64


# what is refused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["scene.tif", "--labels", "empty.gpkg"],
            "empty.gpkg: holds no polygon; give the area that was searched",
        ),
        (
            ["scene.tif", "--labels", "labels.gpkg"],
            "scene: its date is not known, so that labels cannot be matched by date",
        ),
        (
            ["dated_20180706.tif", "--labels", "labels.gpkg"],
            "2 polygons on dated_20180706 have no date that can be read",
        ),
        (["scene.tif", "--labels", "far.gpkg", "--any-date"], "far.gpkg: none of 1 polygons belongs to a scene"),
        (["scene.tif", "--labels", "bare.parquet"], "bare.parquet: has no coordinate reference system; assign the one"),
        (
            ["scene.tif", "copy/scene.tif", "--labels", "labels.gpkg"],
            "has the same scene id, scene, as",
        ),
        (["scene.tif", "--labels", "labels.gpkg", "--date-field", "day"], "labels.gpkg: has no field day; it has none"),
        (["scene.tif", "--labels", "labels.gpkg", "--any-date", "--overlap", "3"], "cannot overlap by 3 px"),
        (["scene.tif", "--labels", "missing.gpkg"], "missing.gpkg: cannot be read as a layer of polygons"),
        (["missing.tif", "--labels", "labels.gpkg"], "missing.tif: no such file"),
        (["--table", "short.csv"], "short.csv: needs a header and the columns image, labels, site; it lacks site"),
        (["--table", "missing.csv"], "missing.csv: cannot be read as a table"),
        (["--table", "path.csv"], "path.csv: line 2: labels x.gpkg does not exist; correct the path"),
        (["--table", "date.csv"], "date.csv: line 2: the date 6.7.2018 is not YYYY-MM-DD"),
        (["--table", "short.csv", "--labels", "labels.gpkg"], "--table names scenes, labels and footprints;"),
        (["scene.tif"], "Missing option '--labels'; or give a --table."),
        ([], "Missing argument SCENE, or option --table."),
    ],
)
def test_bad_input_is_refused_in_one_line(rtsmap, tmp_path, monkeypatch, scene, labels, words, message):
    monkeypatch.chdir(tmp_path)
    write_scene(tmp_path / "dated_20180706.tif")
    write_scene(tmp_path / "copy" / "scene.tif")
    write_polygons(tmp_path / "empty.gpkg", [])
    write_polygons(tmp_path / "far.gpkg", [shapely.box(0, 0, 1, 1)], crs="EPSG:4326")
    geopandas.GeoDataFrame(geometry=world(*SLUMPS)).to_parquet(tmp_path / "bare.parquet")
    (tmp_path / "short.csv").write_text("image,labels\nscene.tif,labels.gpkg\n")
    (tmp_path / "path.csv").write_text("image,labels,site\nscene.tif,x.gpkg,here\n")
    (tmp_path / "date.csv").write_text("image,labels,site,date\nscene.tif,labels.gpkg,here,6.7.2018\n")
    code, _, err = rtsmap("dataset", "build", *words, "-o", "dataset")
    assert code == 2
    assert message in err
    assert not (tmp_path / "dataset").exists()
    assert not list(tmp_path.glob(".dataset*"))


def test_an_existing_data_set_is_not_overwritten_unasked(rtsmap, tmp_path, scene, labels):
    words = ("dataset", "build", scene, "--labels", labels, *ONE_CHIP, "-o", tmp_path / "dataset")
    assert rtsmap(*words)[0] == 0
    code, _, err = rtsmap(*words)
    assert code == 2
    assert "dataset: exists already; choose another name or add --overwrite" in err
    assert rtsmap(*words, "--overwrite")[0] == 0
