"""Simulated scenes against what was measured, and against rules that must not solve them."""

import numpy as np
import pytest
import shapely

from rtsmap.simulate.acquisition import make_acquisition
from rtsmap.simulate.product.labelling import drawn
from rtsmap.simulate.slumps.library import LIBRARY, load_library
from rtsmap.simulate.slumps.placement import analyse_terrain, number_of_slumps, place_slumps
from rtsmap.simulate.statistics import LOG_AREA, TEXTURE_SCALES, texture_modes
from rtsmap.simulate.terrain.landscape import make_landscape
from rtsmap.simulate.terrain.noise import exponential_sum, make_tile
from rtsmap.simulate.terrain.regions import REGIONS
from tests.realism import band_pairs, gaps, overlap, shape_measures, simulated_sample
from tests.shortcuts import shortcut_scores


@pytest.fixture(scope="module")
def outlines():
    """Slumps of several acquisitions in one landscape, as lists by acquisition."""
    region = REGIONS["lena"]
    acquisition = make_acquisition(
        np.random.default_rng(0), lon=124.5, lat=72, day=None, gsd_m=3, size_km=(20, 10), pixels=None, bands=4
    )
    terrain = analyse_terrain(make_landscape(np.random.default_rng(0), acquisition.grid, region))
    library = load_library()
    acquisitions = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        count = max(number_of_slumps(rng, acquisition.footprint.area / 1e6, 1.0), 12)
        acquisitions.append(
            [f.outline for f in place_slumps(rng, terrain, region, library, acquisition.footprint, count)]
        )
    return acquisitions


def test_the_library_is_small_and_shaped_as_real_outlines_are():
    library = load_library()
    assert LIBRARY.stat().st_size < 300_000
    assert (LIBRARY.parent / "ATTRIBUTION.md").exists()
    assert len(library.outlines) > 1500
    shape = shape_measures(library.outlines)
    assert np.median(shape["aspect"]) == pytest.approx(1.66, abs=0.1)
    assert np.median(shape["solidity"]) == pytest.approx(0.89, abs=0.03)
    assert np.median(np.log(shape["area"])) == pytest.approx(LOG_AREA[0], abs=0.35)


def test_slumps_have_the_measured_sizes_and_shapes(outlines):
    shape = shape_measures([outline for acquisition in outlines for outline in acquisition])
    logarithm = np.log(shape["area"])
    assert logarithm.mean() == pytest.approx(9.37, abs=0.2)
    assert logarithm.std() == pytest.approx(1.15, abs=0.2)
    assert np.median(shape["aspect"]) == pytest.approx(1.66, abs=0.15)
    assert np.median(shape["circularity"]) == pytest.approx(0.61, abs=0.08)
    assert 0.01 < shape["holes"].mean() < 0.06


def test_the_banks_hold_all_slumps_that_are_drawn_and_the_larger_are_barer():
    region = REGIONS["lena"]
    acquisition = make_acquisition(
        np.random.default_rng(0), lon=124.5, lat=72, day=None, gsd_m=3, size_km=(14, 8), pixels=None, bands=4
    )
    terrain = analyse_terrain(make_landscape(np.random.default_rng(0), acquisition.grid, region))
    slumps = place_slumps(np.random.default_rng(0), terrain, region, load_library(), acquisition.footprint, 120)
    assert len(slumps) >= 118
    slumps.sort(key=lambda slump: slump.outline.area)
    activity = [slump.activity for slump in slumps]
    assert np.mean(activity[:40]) + 0.05 < np.mean(activity[-40:])


def test_texture_has_the_deviation_and_the_correlation_of_its_region():
    region = REGIONS["west-siberia"]
    modes = texture_modes(region.deviation, region.pairs, count=4)
    covariance = modes @ modes.T
    assert np.sqrt(np.diag(covariance)) == pytest.approx(region.deviation, rel=1e-3)
    assert covariance[2, 3] / np.sqrt(covariance[2, 2] * covariance[3, 3]) == pytest.approx(region.pairs[5], rel=1e-3)
    assert (modes[:3, 0] > 0).all()


def test_slumps_lie_as_close_together_as_measured(outlines):
    gap = np.concatenate([gaps(acquisition) for acquisition in outlines])
    assert np.mean(gap < 3) == pytest.approx(0.216, abs=0.1)
    assert 12 < np.median(gap) < 70  # 33 m measured


def test_every_seventh_scene_is_empty():
    counts = [number_of_slumps(np.random.default_rng(seed), 300, 1.0) for seed in range(2000)]
    assert np.mean(np.array(counts) == 0) == pytest.approx(0.15, abs=0.03)
    assert np.median([count for count in counts if count]) == pytest.approx(10 * 300 / 43, rel=0.2)


def test_people_disagree_as_much_as_measured():
    rng = np.random.default_rng(1)
    library, sizes = load_library(), np.exp(rng.normal(*LOG_AREA, 600).clip(5, 13))
    every = [library.draw(rng, size) for size in sizes]  # as large as anywhere: people agree better on larger slumps
    redrawn = [drawn(rng, outline) for outline in every]
    share = [overlap(*pair) for pair in zip(every, redrawn, strict=True)]
    assert np.median(share) == pytest.approx(0.74, abs=0.03)
    assert np.percentile(share, 25) == pytest.approx(0.55, abs=0.06)
    assert np.percentile(share, 75) == pytest.approx(0.85, abs=0.04)
    assert shapely.is_valid(redrawn).all()
    areas = np.array([outline.area for outline in every])
    # Of two people's outlines 0.64 of 1500 to 4000 m2, and 0.88 beyond 30000 m2.
    assert np.median(np.array(share)[(areas > 1500) & (areas < 4000)]) == pytest.approx(0.64, abs=0.07)
    assert np.median(np.array(share)[areas > 30000]) == pytest.approx(0.88, abs=0.07)


def test_noise_has_the_correlation_that_it_is_made_for():
    tile = make_tile(
        np.random.default_rng(0), exponential_sum(TEXTURE_SCALES), fields=1, size=1024, spacing_m=10, unit=True
    )
    field = tile.values[0]
    for lag, wanted in ((2, 0.76), (8, 0.45), (32, 0.17)):
        assert np.mean(field * np.roll(field, lag, axis=1)) == pytest.approx(wanted, abs=0.05)


def test_a_tile_repeats_without_end():
    tile = make_tile(np.random.default_rng(0), np.ones_like, fields=1, size=64, spacing_m=3)
    assert np.array_equal(tile.read(-5, 60, 10, 10), tile.read(59, -4, 10, 10))


@pytest.fixture(scope="module")
def lena():
    return simulated_sample("lena", (1, 2), 1500, share=0.034)


@pytest.fixture(scope="module")
def tundra():
    """Scenes with as few slumps as the measured ones, 0.4 % of the ground: more come with more bare ground."""
    return simulated_sample("lena", (1, 2), 1500)


def test_ground_and_scars_reflect_as_measured(lena):
    """Medians of Sentinel-2 in the region; within a fifth, as scenes of one site differ among themselves."""
    assert lena.percentiles("tundra")[:4] == pytest.approx([0.036, 0.055, 0.040, 0.216], rel=0.2)
    assert lena.percentiles("tundra")[4] == pytest.approx(0.67, abs=0.06)
    assert lena.percentiles("slump")[:4] == pytest.approx([0.058, 0.072, 0.068, 0.159], rel=0.2)
    assert lena.percentiles("slump")[4] == pytest.approx(0.376, abs=0.08)


def test_the_ndvi_falls_across_the_outline_as_measured(lena):
    profile = dict(zip((-50, -35, -25, -15, -5, 5, 15, 40, 75), lena.along(4), strict=True))
    wanted = {-35: 0.270, -25: 0.317, -15: 0.374, -5: 0.491, 5: 0.643, 15: 0.682, 75: 0.673}
    for distance, value in wanted.items():
        assert profile[distance] == pytest.approx(value, abs=0.09)


def test_the_texture_of_tundra_is_as_measured(tundra):
    ndvi_deviation, nir_deviation = np.mean(tundra.deviation, axis=0)
    assert 0.05 < ndvi_deviation < 0.10  # 0.066 measured
    assert 0.02 < nir_deviation < 0.040  # 0.025
    correlation = np.nanmean(tundra.correlation, axis=0)
    assert correlation[:3] == pytest.approx([0.784, 0.674, 0.538], abs=0.15)
    pairs = band_pairs(tundra)
    assert (pairs[:3] > 0.85).all()  # the visible bands go together
    assert pairs[3:] == pytest.approx([0.53, 0.66, 0.54], abs=0.25)


@pytest.mark.parametrize("region", ["taimyr", "west-siberia"])
def test_no_simple_rule_finds_the_slumps(region):
    scores = shortcut_scores(region, seeds=(11, 12), pixels=768, slumps=6)
    assert scores["NDVI threshold AP50"] < 0.2
    assert scores["texture AP50"] < 0.1
    assert scores["RGB pixels AP50"] < 0.3
    if region == "west-siberia":
        assert scores["RGB pixels AP50"] < 0.05
        assert scores["RGB pixels AUC"] < 0.75 < scores["RGB + NIR pixels AUC"]
