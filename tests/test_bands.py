import numpy as np
import pytest

from rtsmap import bands

VALID = np.array([[True, True, False]])


def test_reflectance_is_scaled_cut_to_one_and_zero_where_not_valid():
    numbers = np.array([[[1000, 12_000, 500]]] * 4, dtype=np.uint16)
    reflectance = bands.to_reflectance(numbers, 1e-4, VALID)
    assert reflectance.dtype == np.float32
    np.testing.assert_allclose(reflectance[0], [[0.1, 1.0, 0.0]])


def test_every_band_can_have_its_own_scale():
    numbers = np.full((4, 1, 3), 1000, dtype=np.uint16)
    reflectance = bands.to_reflectance(numbers, (1e-5, 2e-5, 3e-5, 4e-5), VALID)
    np.testing.assert_allclose(reflectance[:, 0, 0], [0.01, 0.02, 0.03, 0.04], rtol=1e-6)


def test_values_that_are_not_numbers_do_not_survive():
    numbers = np.array([[[np.nan, np.inf, -np.inf]]] * 4, dtype=np.float32)
    np.testing.assert_array_equal(bands.to_reflectance(numbers, 1.0, np.ones((1, 3), bool))[0], [[0, 1, 0]])


@pytest.mark.parametrize(("red", "nir", "expected"), [(0.1, 0.3, 0.5), (0.0, 0.0, 0.0), (0.2, 0.0, -1.0)])
def test_ndvi(red, nir, expected):
    reflectance = np.array([0.1, 0.1, red, nir], dtype=np.float32).reshape(4, 1, 1)
    assert bands.ndvi(reflectance)[0, 0] == pytest.approx(expected)


def test_channels_come_in_the_order_of_the_modalities_and_rgb_starts_with_red():
    reflectance = np.array([0.1, 0.2, 0.3, 0.6], dtype=np.float32).reshape(4, 1, 1).repeat(3, axis=2)
    zero = dict.fromkeys(bands.channels(("rgb", "nir", "ndvi")), 0.0)
    one = dict.fromkeys(zero, 1.0)
    stacked = bands.network_input(reflectance, VALID, ("rgb", "nir", "ndvi"), zero, one)
    np.testing.assert_allclose(stacked[:, 0, 0], [0.3, 0.2, 0.1, 0.6, 1 / 3], rtol=1e-6)


def test_normalisation_uses_the_given_statistics_and_gives_the_mean_where_not_valid():
    reflectance = np.full((4, 1, 3), 0.2, dtype=np.float32)
    stacked = bands.network_input(reflectance, VALID, ("nir",), {"nir": 0.1}, {"nir": 0.05})
    np.testing.assert_allclose(stacked[0], [[2, 2, 0]], rtol=1e-6)
