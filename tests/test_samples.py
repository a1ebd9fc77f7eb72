"""Training chips."""

import numpy as np
import pytest
import shapely

from rtsmap import bands
from rtsmap.dataset import Dataset, Label
from rtsmap.errors import DatasetError
from rtsmap.records import Pixels
from rtsmap.training.augmentation import jitter
from rtsmap.training.cutting import cut
from rtsmap.training.paste import Piece, paste
from rtsmap.training.resolution_augmentation import draw_gsd, reduce_resolution
from rtsmap.training.samples import Sampler, rasterised
from rtsmap.training.store import PixelStore
from tests.datasets import SLUMPS, labelled_image, pixels_with, write_dataset
from tests.networks import TINY_TRAINING


def tundra(size: int = 96) -> Pixels:
    """Tundra with two bare, bright slumps."""
    return pixels_with(labelled_image(size=size))


def one_image(folder, **labels) -> Dataset:
    """A data set of one image of 96 px at 10 m."""
    return write_dataset(folder, ("here",), per_site=1, size=96, **labels)


def test_a_cut_at_the_image_s_own_scale_is_the_image():
    pixels = tundra()
    reflectance, valid = cut(pixels, np.array([10.0, 5.0]), 1.0, 32)
    np.testing.assert_array_equal(reflectance, pixels.reflectance[:, 5:37, 10:42])
    assert valid.all()


def test_a_cut_beyond_the_edge_is_not_valid_there():
    reflectance, valid = cut(tundra(), np.array([-16.0, 0.0]), 1.0, 32)
    assert not valid[:, :16].any()
    assert valid[:, 16:].all()
    assert not reflectance[:, ~valid].any()


@pytest.mark.parametrize("origin", [(-500.0, 3.0), (5.0, 400.0), (-70.0, -70.0)])
def test_a_cut_far_outside_is_empty(origin):
    reflectance, valid = cut(tundra(), np.array(origin), 1.0, 32)
    assert not valid.any()
    assert not reflectance.any()


def test_samples_depend_on_their_number_alone(tmp_path):
    dataset = one_image(tmp_path / "dataset")
    sampler, again = Sampler(dataset, TINY_TRAINING), Sampler(dataset, TINY_TRAINING)
    first = sampler.sample(3)
    again.sample(1)
    np.testing.assert_array_equal(again.sample(3).reflectance, first.reflectance)
    assert not np.array_equal(sampler.sample(4).reflectance, first.reflectance)


def test_masks_lie_on_the_slumps_however_a_chip_is_turned(tmp_path):
    sampler = Sampler(one_image(tmp_path / "dataset"), TINY_TRAINING)
    checked = 0
    for number in range(20):
        sample = sampler.sample(number)
        index = bands.ndvi(sample.reflectance)
        for mask in sample.masks:
            assert index[mask].mean() < 0.25 < np.median(index[sample.valid & ~sample.masks.any(axis=0)])
            checked += 1
    assert checked > 20


def test_chips_stay_within_an_image_that_is_larger(tmp_path):
    sampler = Sampler(one_image(tmp_path / "dataset"), TINY_TRAINING)  # 64 px of 7 to 14 m in 960 m
    assert all(sampler.sample(number).valid.mean() > 0.95 for number in range(10))


def test_what_is_ignored_is_blank(tmp_path):
    dataset = one_image(tmp_path / "dataset", slumps=(Label(SLUMPS[0]),), ignored=(shapely.box(40, 0, 96, 96),))
    sampler = Sampler(dataset, TINY_TRAINING.updated(pasted_slumps=0, scale_range=(1.0, 1.0)))
    samples = [sampler.sample(number) for number in range(10)]
    assert min(sample.valid.mean() for sample in samples) < 0.7
    assert all(not sample.reflectance[:, ~sample.valid].any() for sample in samples)
    assert all(sample.valid[sample.masks.any(axis=0)].all() for sample in samples)


def test_a_slump_of_which_a_chip_shows_little_is_blank_there(tmp_path):
    # the image shows a fifth of it
    dataset = one_image(tmp_path / "dataset", slumps=(Label(SLUMPS[0], 0.2), Label(SLUMPS[1])))
    sampler = Sampler(dataset, TINY_TRAINING.updated(pasted_slumps=0))
    samples = [sampler.sample(number) for number in range(20)]
    assert max(len(sample.masks) for sample in samples) == 1
    assert any(not sample.valid.all() for sample in samples)


def test_hard_negatives_are_drawn(tmp_path):
    dataset = one_image(tmp_path / "dataset", slumps=(Label(SLUMPS[0]),), hard_negatives=((80.0, 80.0),))
    sampler = Sampler(dataset, TINY_TRAINING.updated(slump_share=0.0))
    points = [sampler._draw_point(np.random.default_rng(number))[1].tolist() for number in range(40)]
    assert 10 < points.count([80.0, 80.0]) < 30


def test_without_slumps_there_is_nothing_to_learn(tmp_path):
    with pytest.raises(DatasetError, match="no slump is left to train on"):
        Sampler(one_image(tmp_path / "dataset", slumps=()), TINY_TRAINING)


def test_a_rasterised_outline_has_its_area_at_any_scale():
    outline = shapely.box(10, 20, 30, 50)
    assert rasterised(outline, (2, 0, 0, 2, 0, 0), 128).sum() == 4 * outline.area
    cut_off = rasterised(outline, (1, 0, 0, 1, -20, -20), 64)
    assert cut_off.sum() == 10 * 30
    assert cut_off[:30, :10].all()


def test_jitter_keeps_vegetation_green():
    index = bands.ndvi(jitter(tundra().reflectance, np.random.default_rng(1)))
    assert index[0, 0] > 0.4 > index[26, 28]


def test_jitter_of_no_strength_changes_nothing():
    reflectance = tundra().reflectance
    np.testing.assert_allclose(jitter(reflectance, np.random.default_rng(1), 0.0), reflectance, atol=1e-7)


def roughness(reflectance, valid=np.True_):
    """Mean difference of neighbouring pixels, where both are valid."""
    both = np.broadcast_to(valid, reflectance.shape)
    return np.abs(np.diff(reflectance))[both[..., 1:] & both[..., :-1]].mean()


def test_a_chip_of_reduced_resolution_keeps_its_means_and_loses_what_is_fine():
    fine = np.random.default_rng(0).uniform(0.1, 0.3, (4, 96, 96)).astype(np.float32)
    fine[:, 48:] += 0.4
    whole = np.ones((96, 96), dtype=bool)
    coarse = reduce_resolution(fine, whole, 10 / 3, np.random.default_rng(1))
    np.testing.assert_allclose(coarse.mean(axis=(1, 2)), fine.mean(axis=(1, 2)), rtol=0.01)
    assert coarse[:, 54:].mean() - coarse[:, :42].mean() == pytest.approx(0.4, abs=0.01)  # large things stay
    assert roughness(coarse) < 0.15 * roughness(fine)
    spectrum = [
        np.abs(np.fft.rfft2(chip - chip.mean(axis=(1, 2), keepdims=True)))[:, 24:73, 24:] for chip in (coarse, fine)
    ]
    assert spectrum[0].mean() < 0.05 * spectrum[1].mean()  # waves shorter than 4 px both ways


@pytest.mark.parametrize("factor", [1.2, 3.0, 7.7, 200.0])
def test_a_lower_resolution_leaves_even_ground_even_up_to_nodata(factor):
    valid = np.random.default_rng(0).random((64, 64)) > 0.3
    valid[:20, :30] = False
    even = np.where(valid, np.float32(0.25), 0) * np.ones((4, 1, 1), np.float32)
    for seed in range(5):
        coarse = reduce_resolution(even, valid, factor, np.random.default_rng(seed))
        np.testing.assert_allclose(coarse[:, valid], 0.25, rtol=1e-5)
        assert not coarse[:, ~valid].any()
        assert coarse.dtype == np.float32


def test_a_coarse_pixel_is_the_mean_of_its_ground():
    class Unshifted:
        def uniform(self, low, high):
            return low

    fine = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    coarse = reduce_resolution(fine, np.ones((4, 4), bool), 2, Unshifted())
    corners = [[2.5, 4.5], [10.5, 12.5]]  # means of two by two
    np.testing.assert_allclose(coarse[0][[0, 3]][:, [0, 3]], corners)
    assert coarse[0, 1, 0] == pytest.approx(0.75 * 2.5 + 0.25 * 10.5)


def test_half_of_the_chips_get_a_lower_resolution_down_to_the_coarsest():
    rng = np.random.default_rng(0)
    drawn = [draw_gsd(3.0, 10.0, rng) for _ in range(400)]
    coarser = [value for value in drawn if value is not None]
    assert 160 < len(coarser) < 240
    assert 3.0 <= min(coarser) < 3.3
    assert 9.0 < max(coarser) <= 10.0
    assert [draw_gsd(10.0, 10.0, rng), draw_gsd(3.0, None, rng)] == [None, None]


def test_samples_of_finer_images_get_a_lower_resolution(tmp_path):
    dataset = one_image(tmp_path / "dataset")  # of 10 m
    config = TINY_TRAINING.updated(scale_range=(1.0, 1.0), pasted_slumps=0, jitter=0)
    plain, none, coarse = (Sampler(dataset, config.updated(coarsest_m=value)) for value in (None, 9.0, 50.0))
    pairs = [(plain.sample(number), coarse.sample(number)) for number in range(20)]
    rougher = [
        roughness(before.reflectance, before.valid) > 1.2 * roughness(after.reflectance, after.valid)
        for before, after in pairs
    ]
    assert 3 < sum(rougher) < 15
    np.testing.assert_array_equal(none.sample(3).reflectance, plain.sample(3).reflectance)


def test_a_pasted_slump_keeps_its_contrast_in_darker_surroundings():
    pixels = tundra(128)
    dark = pixels.reflectance[:, 64:114, 64:114] * 0.7
    empty = np.zeros((0, 50, 50), dtype=bool)
    rng = np.random.default_rng(0)
    pasted, masks = paste(dark, np.ones((50, 50), bool), empty, [Piece(pixels, SLUMPS[0], 1.0)], rng)
    assert len(masks) == 1
    contrast = pasted[3][masks[0]].mean() / dark[3].mean()
    assert contrast == pytest.approx(0.13 / 0.26, abs=0.12)


def test_a_pasted_slump_has_its_size_on_the_ground_whatever_its_image_s_distance():
    pixels = tundra()
    ground = pixels.reflectance[:, 74:76, :2].repeat(40, axis=1).repeat(40, axis=2)
    for step in (1.0, 0.5):
        empty, valid = np.zeros((0, 80, 80), dtype=bool), np.ones((80, 80), dtype=bool)
        _, masks = paste(ground, valid, empty, [Piece(pixels, SLUMPS[0], step)], np.random.default_rng(0))
        assert masks.sum() == pytest.approx(192 / step**2, rel=0.02)


def test_the_store_keeps_no_more_than_it_may(tmp_path):
    dataset = write_dataset(tmp_path / "dataset", ("a", "b", "c"), per_site=1, size=96)
    one = tundra().reflectance.nbytes + 96 * 96
    store = PixelStore(dataset, max_bytes=2 * one)
    for number in (0, 1, 2):
        assert store[number].reflectance.shape == (4, 96, 96)
    assert list(store._kept) == [1, 2]
