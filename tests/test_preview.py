"""Pictures of scenes with their slumps."""

from datetime import UTC, datetime

import numpy as np
import pytest
import shapely
from affine import Affine
from PIL import Image

from rtsmap.errors import OutputError
from rtsmap.preview import MAX_SIDE, MIN_WIDTH, title, write_preview
from rtsmap.records import Pixels, SceneInfo

TRANSFORM = Affine(3.0, 0.0, 500_000.0, 0.0, -3.0, 8_000_000.0)
GREY = (225, 225, 225)
STRIP = 40  # the heading's height, px


def scene(height: int = 300, width: int = 300) -> Pixels:
    rng = np.random.default_rng(3)
    reflectance = rng.uniform(0.02, 0.1, (4, height, width)).astype(np.float32)
    valid = np.ones((height, width), bool)
    return Pixels(reflectance, valid, valid.copy())


def picture_of(path, pixels: Pixels, outlines=(), heading: str = "a scene") -> np.ndarray:
    write_preview(path, pixels, TRANSFORM, outlines, heading=heading, pixel_m=3.0)
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def test_small_scenes_are_magnified_and_large_ones_reduced(tmp_path):
    assert picture_of(tmp_path / "small.png", scene(50, 100)).shape == (MIN_WIDTH // 2 + STRIP, MIN_WIDTH, 3)
    assert picture_of(tmp_path / "tall.png", scene(2_000, 500)).shape == (MAX_SIDE + STRIP, 400, 3)


def test_pixels_without_data_are_light_grey(tmp_path):
    pixels = scene()
    pixels.valid[:150] = False
    picture = picture_of(tmp_path / "p.png", pixels)[STRIP:]  # three times magnified
    assert (picture[:450] == GREY).all()
    assert not (picture[450:] == GREY).all(axis=-1).all()


def test_masked_pixels_are_paler(tmp_path):
    pixels = scene()
    clear = picture_of(tmp_path / "clear.png", pixels)[STRIP:]
    pixels.clear[:100] = False
    masked = picture_of(tmp_path / "masked.png", pixels)[STRIP:]
    assert masked[:300].mean() > clear[:300].mean() + 30
    assert abs(masked[310:800].mean() - clear[310:800].mean()) < 2


def test_outlines_are_drawn_where_they_lie(tmp_path):
    outline = shapely.box(500_300, 7_999_400, 500_600, 7_999_700)  # columns 100..200, rows 100..200
    before = picture_of(tmp_path / "before.png", scene())[STRIP:].astype(int)
    after = picture_of(tmp_path / "after.png", scene(), [outline])[STRIP:].astype(int)
    assert tuple(after[450, 300]) == (255, 235, 20)  # middle of the left side
    rows, columns = np.nonzero(np.abs(after - before).sum(axis=-1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == pytest.approx((300, 600, 300, 600), abs=3)
    assert (after[310:590, 310:590] == before[310:590, 310:590]).all()  # no fill


def test_a_scene_without_any_valid_pixel(tmp_path):
    pixels = scene()
    pixels.valid[:] = False
    pixels.clear[:] = False
    picture = picture_of(tmp_path / "p.png", pixels)[STRIP:]
    assert (picture[:800] == GREY).all()


def test_one_colour_is_no_division_by_zero(tmp_path):
    pixels = scene()
    pixels.reflectance[:] = 0.1
    picture_of(tmp_path / "p.png", pixels)


def test_a_long_heading_stays_inside_the_picture(tmp_path):
    picture = picture_of(tmp_path / "p.png", scene(), heading="20200701_200102_1001 " * 6)
    assert (picture[:STRIP, -8:] == 255).all()
    assert (picture[:STRIP] < 128).any()


def test_title():
    info = SceneInfo("s1", "s1.tif", "planetscope", 3.0, acquired=datetime(2020, 7, 1, 20, 1, tzinfo=UTC))
    assert title(info, 1) == "s1  ·  2020-07-01 20:01 UTC  ·  1 slump"
    assert title(SceneInfo("s2", "s2.tif", "raster", 3.0), 0) == "s2  ·  date not known  ·  0 slumps"


def test_a_missing_folder_is_one_clear_error(tmp_path):
    with pytest.raises(OutputError, match=r"p\.png: cannot be written"):
        picture_of(tmp_path / "missing" / "p.png", scene())
    assert list(tmp_path.iterdir()) == []
