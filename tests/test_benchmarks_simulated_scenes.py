"""The simulated training scenes: that they go on where they stopped, and what averaging does to pixels and clouds."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine

from benchmarks import simulated_scenes
from benchmarks.simulated_scenes import Picture, averaged, options_of, write_scene
from rtsmap.dataset.sources import read_table
from rtsmap.simulate.scene import SceneOptions


def test_scenes_differ_in_region_resolution_and_ground():
    drawn = [options_of(number) for number in range(42)]
    assert len({options.region for options, _ in drawn}) == 7
    assert sum(coarse for _, coarse in drawn) == 14
    for name in ("lowland", "coast", "thin_clouds", "clouds", "vary"):
        shown = sum(bool(getattr(options, name)) for options, _ in drawn)
        assert 5 < shown < 42, name
    assert drawn[5] == options_of(5)


@pytest.mark.parametrize(("size", "kept"), [(10, 3), (20, 6), (25, 7)])
def test_averaging_keeps_the_mean_and_drops_what_is_in_part_empty(size, kept):
    numbers = np.arange(4 * size * size, dtype=np.uint16).reshape(4, size, size) + 100
    cloud = np.zeros((size, size), bool)
    cloud[:, : size // 2] = True
    coarse = averaged(Picture(numbers, cloud, Affine(3, 0, 500, 0, -3, 900)), 10.0)
    assert coarse.numbers.shape == (4, kept, kept)
    assert coarse.transform == Affine(10, 0, 500, 0, -10, 900)
    # the first pixel: three whole pixels and a third of the next, along both sides
    weights = np.array([3, 3, 3, 1]) / 10
    assert coarse.numbers[2, 0, 0] == pytest.approx(weights @ numbers[2, :4, :4] @ weights, abs=0.51)
    assert coarse.cloud[:, 0].all()
    assert not coarse.cloud[:, -1].any()
    numbers[:, 0, 0] = 0
    assert averaged(Picture(numbers, cloud, Affine(3, 0, 500, 0, -3, 900)), 10.0).numbers[0, 0, 0] == 0


def test_a_scene_is_written_with_its_labels_and_is_not_made_twice(tmp_path, monkeypatch):
    options = SceneOptions(region="lena", seed=3, pixels=(300, 300), slumps=3, clouds=0.2, upright=True)
    monkeypatch.setattr(simulated_scenes, "options_of", lambda number: (replace(options, seed=number), number == 1))
    write_scene(1, tmp_path)
    (row,) = csv.reader((tmp_path / "simulated_lena_001_10m.csv").read_text().splitlines())
    with rasterio.open(tmp_path / row[0]) as image:
        assert image.descriptions == ("blue", "green", "red", "nir")
        assert (image.res, image.shape) == ((10, 10), (90, 90))
        assert (image.read(1) > 0).all()
    assert float(row[6]) == pytest.approx(0.81)
    (tmp_path / "table.csv").write_text("image,labels,footprints,site,date\n" + ",".join(row[:5]) + "\n")
    assert read_table(tmp_path / "table.csv")[0].site == "simulated_lena"
    (tmp_path / row[0]).unlink()
    write_scene(1, tmp_path)  # its row stands, so it is done
    assert not (tmp_path / row[0]).exists()
