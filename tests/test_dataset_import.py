import json
import logging

import numpy as np
import pytest
import rasterio.features
import shapely
from PIL import Image

from rtsmap.dataset import read_dataset
from rtsmap.dataset.from_masks import outlines_of
from rtsmap.dataset.pixels import pixels_of
from tests.datasets import SLUMPS, labelled_image, pixels_with
from tests.scenes import write_raster

PAPER = ("red", "green", "blue", "ndvi", "nir", "mask")
AREAS = sorted(slump.area for slump in SLUMPS)


def paper_bands(dtype="float32"):
    """Return RGB, NDVI, NIR and mask of an image with two slumps, as reflectance or as digital numbers."""
    image = labelled_image()
    blue, green, red, nir = pixels_with(image).reflectance
    index = (nir - red) / (nir + red)
    mask = rasterio.features.rasterize([slump.outline for slump in image.slumps], (64, 64))
    stacked = np.stack([red, green, blue, index, nir, mask])
    return stacked.astype(dtype) if dtype == "float32" else np.round([*stacked[:5] * 1e4, mask]).astype(dtype)


def write_coco(folder, annotations, *, image="chip.png", size=(64, 64), changes=None):
    """An RGB image of 64 px and its COCO file."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rgb = np.moveaxis(pixels_with(labelled_image()).reflectance[[2, 1, 0]] * 1000, 0, -1)
    Image.fromarray(rgb.astype(np.uint8)).save(folder / "images" / "chip.png")
    entries = [{"id": 7, "file_name": image, "width": size[0], "height": size[1]}]
    known = [{"id": 1, "name": "rts"}, {"id": 2, "name": "lake"}]
    numbered = [{"id": n, "image_id": 7, "category_id": 1, "iscrowd": 0, **one} for n, one in enumerate(annotations)]
    content = {"images": entries, "annotations": numbered, "categories": known} | (changes or {})
    (folder / "coco.json").write_text(json.dumps(content))
    return folder / "coco.json"


def ring(left, top, right, bottom):
    return [left, top, right, top, right, bottom, left, bottom]


def outlines(folder):
    (image,) = read_dataset(folder).images
    return [slump.outline for slump in image.slumps]


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_images_with_a_mask_band_become_a_data_set(tmp_path, rtsmap, caplog, dtype):
    for site in ("lena", "yamal"):
        write_raster(tmp_path / "tiles" / site / "one.tif", paper_bands(dtype), descriptions=None)
    code, out, _ = rtsmap("dataset", "import", tmp_path / "tiles", "-o", tmp_path / "set", "--form", "paper")
    assert (code, out) == (0, f"{tmp_path / 'set'}: 2 images, 4 slumps\n")
    assert not caplog.records  # its NDVI is that of its red and NIR
    dataset = read_dataset(tmp_path / "set")
    assert [(image.name, image.site) for image in dataset.images] == [("lena_one", "lena"), ("yamal_one", "yamal")]
    image = dataset.images[0]
    assert sorted(slump.outline.area for slump in image.slumps) == AREAS
    assert image.bands == ("blue", "green", "red", "nir")
    assert image.gsd_m == pytest.approx(3, rel=1e-3)
    assert image.crs == "EPSG:32607"
    read = pixels_of(dataset.folder, image).reflectance
    np.testing.assert_allclose(read, pixels_with(labelled_image()).reflectance, atol=2e-4)


@pytest.mark.parametrize("name", ["one_mask.tif", "masks/one.tif"])
def test_a_mask_may_be_a_file_of_its_own(tmp_path, rtsmap, name):
    *bands, mask = paper_bands()
    write_raster(tmp_path / "tiles" / "one.tif", np.array(bands), descriptions=None)
    write_raster(tmp_path / "tiles" / name, (mask[None] * 255).astype(np.uint8), descriptions=None)
    code, _, err = rtsmap("dataset", "import", tmp_path / "tiles", "-o", tmp_path / "set", "--form", "paper")
    assert code == 0, err
    assert sorted(outline.area for outline in outlines(tmp_path / "set")) == AREAS


def test_bands_in_another_order_are_named(tmp_path, rtsmap):
    write_raster(tmp_path / "tiles" / "nitze_one.tif", paper_bands()[::-1], descriptions=None)
    order = ",".join(f"{name}={6 - place}" for place, name in enumerate(PAPER))
    words = ["--form", "paper", "--bands", order, "--site-from-name", "^[a-z]+", "--shards", 4]
    code, _, err = rtsmap("dataset", "import", tmp_path / "tiles", "-o", tmp_path / "set", *words)
    assert code == 0, err
    (image,) = read_dataset(tmp_path / "set").images
    assert (image.site, image.file) == ("nitze", "images-0000.tar/nitze_one.tif")
    assert pixels_of(tmp_path / "set", image).reflectance[3].mean() == pytest.approx(0.25, abs=0.02)


def test_touching_slumps_are_one_and_holes_stay():
    mask = np.zeros((20, 20), dtype=bool)
    mask[2:6, 2:6] = mask[6:9, 6:9] = True  # they meet at a corner
    mask[12:18, 2:10] = True
    mask[14:16, 4:6] = False
    corner, holed = sorted(outlines_of(mask), key=lambda outline: outline.area)
    assert (corner.area, corner.geom_type) == (25, "MultiPolygon")
    assert (holed.area, len(holed.interiors)) == (44, 1)


def test_an_ndvi_that_is_not_of_the_bands_is_told(tmp_path, rtsmap, caplog):
    numbers = paper_bands()
    numbers[3] -= 0.2
    write_raster(tmp_path / "tiles" / "one.tif", numbers, descriptions=PAPER)
    with caplog.at_level(logging.WARNING):
        code, _, _ = rtsmap("dataset", "import", tmp_path / "tiles", "-o", tmp_path / "set", "--form", "paper")
    assert code == 0
    assert "one.tif: its NDVI differs by 0.20 from" in caplog.text


@pytest.mark.parametrize(
    ("numbers", "options", "message"),
    [
        (paper_bands()[:5], [], "one.tif: has no mask; add one_mask.tif or masks/one.tif"),
        (paper_bands()[:4], [], "one.tif: has 4 bands without names; say which they are with --bands"),
        (paper_bands() * [[[1]]] * 3, [], "a mask is 0 and 1 (or 255), but this one holds 3"),
        (paper_bands("uint16"), ["--scale", "0.1"], "above a reflectance of 1; give a --scale other than 0.1"),
        (paper_bands(), ["--bands", "red=1,green=2,blue=9"], "one.tif: has 6 bands, not 9; correct --bands"),
        (paper_bands(), ["--site-from-name", "[0-9]+"], "one: --site-from-name [0-9]+ matches nothing"),
        (paper_bands(), ["--site-from-name", "("], "--site-from-name (: is not a regular expression"),
        (None, [], "holds no GeoTIFF"),
    ],
)
def test_images_that_cannot_be_understood_are_refused(tmp_path, rtsmap, numbers, options, message):
    (tmp_path / "tiles").mkdir()
    if numbers is not None:
        write_raster(tmp_path / "tiles" / "one.tif", numbers, descriptions=None)
    words = [tmp_path / "tiles", "-o", tmp_path / "set", "--form", "paper", *options]
    code, _, err = rtsmap("dataset", "import", *words)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "set").exists()


def test_an_image_without_a_place_needs_its_pixel_size(tmp_path, rtsmap):
    write_raster(tmp_path / "tiles" / "one.tif", paper_bands(), crs=None, transform=None, descriptions=None)
    words = ["dataset", "import", tmp_path / "tiles", "-o", tmp_path / "set", "--form", "paper"]
    code, _, err = rtsmap(*words)
    assert code == 2
    assert "one.tif: has no CRS, so its pixel size is not known; give it with --gsd" in err
    assert rtsmap(*words, "--gsd", 3)[0] == 0
    (image,) = read_dataset(tmp_path / "set").images
    assert (image.gsd_m, image.crs) == (3, None)


def test_an_image_without_annotations_is_a_negative(tmp_path, rtsmap):
    table = write_coco(tmp_path, [])
    code, out, _ = rtsmap("dataset", "import", table, "-o", tmp_path / "set", "--form", "coco", "--gsd", 4)
    assert code == 0
    assert "1 images, 0 slumps" in out
    assert outlines(tmp_path / "set") == []


def test_coco_gives_slumps_and_ignored_areas(tmp_path, rtsmap):
    shapes = [
        {"segmentation": [ring(20, 20, 36, 32), ring(40, 20, 44, 24)]},
        {"segmentation": {"size": [64, 64], "counts": [64 * 10 + 8, 4, 60, 4, 64 * 53 - 12]}},
        {"segmentation": [ring(0, 0, 9, 9)], "iscrowd": 1},
        {"segmentation": [ring(50, 50, 60, 60)], "category_id": 2},
    ]
    table = write_coco(tmp_path, shapes)
    options = ["--form", "coco", "--images", tmp_path / "images", "--gsd", 4, "--site", "yamal", "--category", "rts"]
    code, out, err = rtsmap("dataset", "import", table, "-o", tmp_path / "set", *options)
    assert code == 0, err
    assert "1 images, 2 slumps" in out
    (image,) = read_dataset(tmp_path / "set").images
    assert [slump.outline.area for slump in image.slumps] == [16 * 12 + 16, 8]
    assert image.slumps[1].outline.bounds == (10, 8, 12, 12)
    assert [area.area for area in image.ignored] == [81]
    assert (image.bands, image.gsd_m, image.site) == (("blue", "green", "red"), 4, "yamal")
    blue, green, red, _ = pixels_of(tmp_path / "set", image).reflectance[:, 26, 28]
    np.testing.assert_allclose([blue, green, red], np.array([90, 100, 120]) / 255, atol=0.01)


def test_compressed_masks_are_read(tmp_path, rtsmap):
    coco_mask = pytest.importorskip("pycocotools.mask")
    rows, columns = np.indices((64, 64))
    disc = (rows - 20) ** 2 + (columns - 40) ** 2 < 100
    encoded = coco_mask.encode(np.asfortranarray(disc, dtype=np.uint8))
    shape = {"size": encoded["size"], "counts": encoded["counts"].decode()}
    table = write_coco(tmp_path, [{"segmentation": shape}])
    assert rtsmap("dataset", "import", table, "-o", tmp_path / "set", "--form", "coco", "--gsd", 4)[0] == 0
    (outline,) = outlines(tmp_path / "set")
    np.testing.assert_array_equal(rasterio.features.rasterize([outline], (64, 64)), disc)


def test_rings_through_pixel_centres_are_widened(tmp_path, rtsmap, caplog):
    # OpenCV's findContours gives these for the pixels 20..35 x 20..31, and for a row of three
    shapes = [
        {"segmentation": [ring(20, 20, 35, 31)], "bbox": [20, 20, 16, 12]},
        {"segmentation": [[40, 50, 42, 50]], "bbox": [40, 50, 3, 1]},
    ]
    table = write_coco(tmp_path, shapes)
    code, _, err = rtsmap("dataset", "import", table, "-o", tmp_path / "set", "--form", "coco", "--gsd", 4)
    assert code == 0, err
    assert "rings run through pixel centres; they are widened by half a pixel" in caplog.text
    first, second = outlines(tmp_path / "set")
    assert first.equals(SLUMPS[0])
    assert second.equals(shapely.box(40, 50, 43, 51))


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ({"image": "gone.png"}, [], "gone.png: is missing, but coco.json lists it; give its folder with --images"),
        ({"size": (60, 64)}, [], "chip.png: is 64 x 64 px, but 60 x 64 px in coco.json"),
        ({}, ["--category", "pond"], "coco.json: has no category pond; it has lake, rts"),
        (
            {"changes": {"annotations": [{"id": 3, "image_id": 9}]}},
            [],
            "annotation 3 is of image 9, which is not",
        ),
        ({"changes": {"annotations": 5}}, [], "coco.json: is not COCO"),
        ({"changes": {"images": []}}, [], "coco.json: lists no image"),
    ],
)
def test_a_coco_file_that_does_not_fit_is_refused(tmp_path, rtsmap, table, options, message):
    path = write_coco(tmp_path, [], **table)
    words = [path, "-o", tmp_path / "set", "--form", "coco", "--gsd", 4, *options]
    code, _, err = rtsmap("dataset", "import", *words)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 2, 3]], "annotation 0 has no readable segmentation"),
        (["a"], "annotation 0 has no readable segmentation"),
        ({"size": [64, 64], "counts": [5, 6]}, "annotation 0 has no readable segmentation"),
        ({"size": [64, 64], "counts": "xyz"}, "annotation 0 has no readable segmentation"),
        (5, "annotation 0 has no readable segmentation"),
    ],
)
def test_an_outline_that_cannot_be_read_is_named(tmp_path, rtsmap, segmentation, message):
    path = write_coco(tmp_path, [{"segmentation": segmentation, "bbox": [1, 2, 3, 4]}])
    code, _, err = rtsmap("dataset", "import", path, "-o", tmp_path / "set", "--form", "coco", "--gsd", 4)
    assert code == 2
    assert message in err


def test_an_outline_without_area_is_left_out_with_a_warning(tmp_path, rtsmap, caplog):
    path = write_coco(tmp_path, [{"segmentation": [[5, 5, 9, 9]]}, {"segmentation": [ring(20, 20, 36, 32)]}])
    assert rtsmap("dataset", "import", path, "-o", tmp_path / "set", "--form", "coco", "--gsd", 4)[0] == 0
    assert "annotation 0 has no area and is left out" in caplog.text
    assert [outline.area for outline in outlines(tmp_path / "set")] == [192]


PAIRS = [[20, 20], [36, 20], [36, 32], [20, 32]]


@pytest.mark.parametrize(
    ("annotation", "image", "area", "ignored"),
    [
        pytest.param({"segmentation": ring(20, 20, 36, 32)}, {}, 192, 0, id="a flat ring"),
        pytest.param({"segmentation": [PAIRS]}, {}, 192, 0, id="rings of pairs"),
        pytest.param({"segmentation": PAIRS}, {}, 192, 0, id="a ring of pairs"),
        pytest.param({"segmentation": [ring(20, 20, 36, 32)], "iscrowd": "0"}, {}, 192, 0, id="no crowd, as text"),
        pytest.param({"segmentation": [ring(20, 20, 36, 32)], "iscrowd": True}, {}, 0, 192, id="a crowd"),
        pytest.param({"image_id": "7"}, {}, 192, 0, id="ids of annotations as text"),
        pytest.param({"image_id": 7.0}, {"id": "7"}, 192, 0, id="ids of images as text"),
        pytest.param({"category_id": "1"}, {}, 192, 0, id="categories as text"),
        pytest.param({}, {"file_name": "images\\chip.png"}, 192, 0, id="a back slash"),
        pytest.param({}, {"file_name": "D:\\data\\chip.png"}, 192, 0, id="a path of Windows"),
        pytest.param({}, {"file_name": "../elsewhere/chip.png"}, 192, 0, id="a path out of the folder"),
        pytest.param({}, {"width": None, "height": None}, 192, 0, id="no size"),
        pytest.param({}, {"width": 0, "height": 0}, 192, 0, id="a size of 0"),
        pytest.param({}, {"width": "64", "height": 64.0}, 192, 0, id="a size as text"),
    ],
)
def test_coco_as_tools_write_it(tmp_path, rtsmap, annotation, image, area, ignored):
    plain = {"segmentation": [ring(20, 20, 36, 32)]}
    entry = {"id": 7, "file_name": "images/chip.png", "width": 64, "height": 64, **image}
    path = write_coco(tmp_path, [plain | annotation], changes={"images": [entry]})
    words = ["-o", tmp_path / "set", "--form", "coco", "--gsd", 4, "--category", "rts"]
    code, _, err = rtsmap("dataset", "import", path, *words)
    assert code == 0, err
    (read,) = read_dataset(tmp_path / "set").images
    assert sum(slump.outline.area for slump in read.slumps) == area
    assert sum(outline.area for outline in read.ignored) == ignored


@pytest.mark.parametrize("empty", [{}, {"segmentation": None}, {"segmentation": []}, {"segmentation": [[]]}])
def test_boxes_without_an_outline_are_never_background(tmp_path, rtsmap, caplog, empty):
    box = {"bbox": [40, 8, 10, 6], **empty}
    path = write_coco(tmp_path, [box, {"segmentation": [ring(20, 20, 36, 32)]}])
    words = ["dataset", "import", path, "-o", tmp_path / "set", "--form", "coco", "--gsd", 4]
    assert rtsmap(*words)[0] == 0
    assert "1 annotations are boxes without an outline; they become ignored areas" in caplog.text
    (read,) = read_dataset(tmp_path / "set").images
    assert [area.bounds for area in read.ignored] == [(40, 8, 50, 14)]
    write_coco(tmp_path, [box, box])
    code, _, err = rtsmap(*words, "--overwrite")
    assert (code, "coco.json: holds boxes but no outlines" in err) == (2, True)
    write_coco(tmp_path, [empty, {"segmentation": [ring(20, 20, 36, 32)]}])
    code, _, err = rtsmap(*words, "--overwrite")
    assert (code, "annotation 0 has neither an outline nor a box; remove it" in err) == (2, True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": [{"id": 7, "file_name": "chip.png"}] * 2}, "two images have the same id; give each its own"),
        ({"images": [{"id": 7, "file_name": "chip.png", "width": "w"}]}, "the size of chip.png is not a number"),
        ({"images": [{"id": 7, "file_name": "x" * 500 + ".png"}]}, "is missing, but coco.json lists it"),
        ({"images": [{"id": 7, "file_name": "a\0.png"}]}, "is missing, but coco.json lists it"),
        (
            {"annotations": [{"image_id": 7, "segmentation": {"size": [32, 64], "counts": [2048]}}]},
            "its mask is 64 x 32",
        ),
        (
            {"annotations": [{"image_id": 7, "segmentation": [[1, 2, float("nan"), 4, 5, 6]]}]},
            "a coordinate is not a number",
        ),
        (
            {"annotations": [{"image_id": 7, "bbox": ["a", 1, 2, 3], "segmentation": [[1, 1, 9, 1, 9, 9]]}]},
            "no readable",
        ),
    ],
)
def test_coco_that_means_nothing_is_refused(tmp_path, rtsmap, changes, message):
    path = write_coco(tmp_path, [], changes=changes)
    code, _, err = rtsmap("dataset", "import", path, "-o", tmp_path / "set", "--form", "coco", "--gsd", 4)
    assert (code, message in err, len(err.splitlines())) == (2, True, 1), err


def test_images_of_complex_numbers_are_refused(tmp_path, rtsmap):
    write_raster(tmp_path / "tiles" / "radar.tif", paper_bands().astype("complex64"), descriptions=None)
    code, _, err = rtsmap("dataset", "import", tmp_path / "tiles", "-o", tmp_path / "set", "--form", "paper")
    assert (code, "radar.tif: holds complex numbers" in err) == (2, True), err


@pytest.mark.parametrize("command", ["import", "split", "check", "stats"])
def test_help_shows_an_example(rtsmap, command):
    code, out, _ = rtsmap("dataset", command, "-h")
    assert code == 0
    assert f"Examples:\n    rtsmap dataset {command}" in out


def test_options_that_contradict_are_usage_errors(tmp_path, rtsmap):
    words = ["dataset", "import", tmp_path, "-o", tmp_path / "set", "--form", "paper"]
    for more, message in (
        (["--site", "a", "--site-from-name", "b"], "either --site or --site-from-name"),
        (["--category", "rts"], "belong to --form coco"),
        (["--bands", "red=1"], "must give a number from 1 for each of red, green, blue"),
        (["--bands", "red"], "does not look like red=1"),
    ):
        code, _, err = rtsmap(*words, *more)
        assert code == 2
        assert message in err
