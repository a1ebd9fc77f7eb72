"""Pixels inside an outline."""

import numpy as np
import pytest
from affine import Affine
from rasterio.features import rasterize
from shapely import Point, Polygon, box

from rtsmap.simulate.image.rasterise import rasterise
from rtsmap.simulate.slumps.library import load_library

TRANSFORM = Affine(3, 0, -150, 0, -3, 120)


def test_the_pixels_of_real_outlines_are_those_of_gdal():
    rng, library = np.random.default_rng(0), load_library()
    for _ in range(30):
        outline = library.draw(rng, float(np.exp(rng.normal(9, 1))))
        assert np.array_equal(
            rasterise(outline, (80, 100), TRANSFORM), rasterize([outline], (80, 100), transform=TRANSFORM) > 0
        )


def test_a_hole_is_outside():
    ring = Point(0, 0).buffer(60).difference(Point(0, 0).buffer(30))
    found = rasterise(ring, (80, 100), TRANSFORM)
    assert found.sum() * 9 == pytest.approx(ring.area, rel=0.03)
    assert not found[40, 50]


def test_a_corner_on_a_row_of_centres_is_crossed_once():
    diamond = Polygon([(0, 2.5), (2.5, 0.5), (5, 2.5), (2.5, 4.5)])
    found = rasterise(diamond, (5, 5), Affine(1, 0, 0, 0, -1, 5))
    assert found.sum(axis=1).tolist() == [0, 3, 5, 3, 0]


def test_outlines_beyond_the_window_are_cut_by_it():
    assert rasterise(box(-500, -500, 500, 500), (80, 100), TRANSFORM).all()
    assert not rasterise(box(500, 500, 600, 600), (80, 100), TRANSFORM).any()
    half = rasterise(box(-500, -500, 0, 500), (80, 100), TRANSFORM)
    assert half[:, :50].all()
    assert not half[:, 50:].any()
