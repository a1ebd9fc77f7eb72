"""Lowland, coasts, thin clouds and a wider look: what each option adds, and that none changes scenes without it."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from scipy import ndimage

from rtsmap.simulate.acquisition import make_acquisition
from rtsmap.simulate.image.clouds import CloudField
from rtsmap.simulate.image.polygon_nets import make_net, render_net
from rtsmap.simulate.image.renderer import _coarse_window
from rtsmap.simulate.image.waters import draw_waters
from rtsmap.simulate.scene import SHORE_M, SceneOptions, make_scene
from rtsmap.simulate.slumps.placement import analyse_terrain
from rtsmap.simulate.terrain.forms import make_forms
from rtsmap.simulate.terrain.regions import REGIONS
from rtsmap.simulate.terrain.variation import varied_light, varied_region

PLAIN = SceneOptions(region="lena", seed=3, pixels=(400, 400), slumps=4, clouds=0)
#: Mean numbers of blue, green, red and near infrared of `PLAIN` before there were these options.
MEANS = [448.7, 655.3, 543.3, 2131.2]
LOWLAND = replace(PLAIN, lowland=True, slumps=8)


@pytest.fixture(scope="module")
def plain():
    return make_scene(PLAIN)


@pytest.fixture(scope="module")
def lowland():
    return make_scene(LOWLAND)


def tile(simulated):
    numbers = simulated.renderer.tile(0, 0).numbers[:, :400, :400]
    return numbers, numbers[0] > 0


def test_without_the_options_a_seed_gives_the_scene_that_it_always_gave(plain):
    numbers, valid = tile(plain)
    assert numbers[:, valid].mean(axis=1) == pytest.approx(MEANS, abs=1)


def test_lowland_has_water_of_several_colours_and_all_slumps_on_its_shores(lowland):
    numbers, valid = tile(lowland)
    water = (numbers[1] > numbers[3]) & valid
    assert 0.03 < water[valid].mean() < 0.7
    brightness = numbers[:3, water].mean(axis=0)
    assert np.percentile(brightness, 95) > 1.5 * np.percentile(brightness, 5)
    shores = analyse_terrain(lowland.land, SHORE_M)
    assert len(lowland.scenery.slumps) >= 2
    assert all(shores.holds(slump.outline) for slump in lowland.scenery.slumps)


def test_tiles_of_lowland_meet_without_a_seam(lowland, monkeypatch):
    whole, _ = tile(lowland)
    monkeypatch.setattr("rtsmap.simulate.image.renderer.TILE_PX", 200)
    for row, column in ((0, 200), (200, 0), (200, 200)):
        part = lowland.renderer.tile(row, column).numbers.astype(int)
        assert np.abs(part - whole[:, row : row + 200, column : column + 200]).max() <= 2


def test_a_coast_has_a_sea_and_land_beyond_the_shore_where_a_spit_lies():
    grid = make_acquisition(
        np.random.default_rng(0), lon=-175, lat=67, day=None, gsd_m=3, size_km=None, pixels=(900, 900), bands=4
    ).grid
    spits = 0
    for seed in range(2):
        forms = make_forms(np.random.default_rng(seed), grid, REGIONS["chukotka"], lowland=False, coast=True)
        assert 0.05 < (forms.sea < 0).mean() < 0.6
        assert (forms.flooded(np.full_like(forms.sea, 500)) < 0).sum() == (forms.sea < 0).sum()
        assert forms.basin.min() > 0
        spits += ndimage.label(forms.sea > 0)[1] > 1
    assert spits


def test_basins_are_dry_but_for_what_is_left_in_their_middle():
    grid = make_acquisition(
        np.random.default_rng(0), lon=70, lat=70, day=None, gsd_m=3, size_km=None, pixels=(900, 900), bands=4
    ).grid
    forms = make_forms(np.random.default_rng(2), grid, REGIONS["west-siberia"], lowland=True, coast=False)
    lake = np.full_like(forms.basin, -50)  # water everywhere
    dry = forms.flooded(lake)
    assert (dry[forms.basin >= 0] < 0).all()
    near_rim = (forms.basin < 0) & (forms.basin > -10) & (forms.pond > 20)
    assert near_rim.any()
    assert (dry[near_rim] > 0).all()


def test_a_net_has_cells_of_the_wanted_size_and_repeats_without_a_seam():
    net = make_net(np.random.default_rng(1), 3.0, 20.0)
    edge, number = net.values
    assert len(np.unique(number)) == pytest.approx((edge.shape[0] * 3 / 20) ** 2, rel=0.05)
    inner = np.abs(np.diff(edge, axis=0)).max()
    assert np.abs(edge[0] - edge[-1]).max() <= inner + 1e-5
    bands = np.full((4, 100, 100), 0.1, np.float32)
    water = render_net(bands, net.read(5, 7, 100, 100), np.ones((100, 100)), np.ones((100, 100)))
    assert 0 < water.mean() < 0.5
    assert 0.002 < bands.std() < 0.05


def test_thin_cloud_brightens_and_its_shadow_darkens_without_a_flag_in_most_places(plain):
    acquisition = plain.acquisition
    clear, thin = (CloudField(np.random.default_rng(5), acquisition, 0.0, share) for share in (0.0, 0.5))
    window = _coarse_window(acquisition.grid.transform)[0]
    assert clear.over(window) is None
    over = thin.over(window)
    assert over.haze.max() > 0.05
    assert over.shadow.max() > 0.03
    assert over.cloud.max() == 0
    assert over.flagged[1].mean() < (over.haze > 0.03).mean()


@pytest.mark.parametrize("name", ["taimyr", "west-siberia"])
def test_a_varied_region_is_another_one_within_bounds_and_none_at_strength_0(name):
    region, day = REGIONS[name], date(2021, 7, 27)
    varied = [varied_region(np.random.default_rng(seed), region, day, 1.0) for seed in range(40)]
    nir = np.array([one.tundra[3] for one in varied])
    assert nir.std() > 0.08 * region.tundra[3]
    assert all(min(*one.tundra, *one.dense_vegetation, *one.scar) > 0 for one in varied)
    autumn = varied_region(np.random.default_rng(1), region, date(2021, 9, 20), 1.0)
    summer = varied_region(np.random.default_rng(1), region, day, 1.0)
    assert autumn.tundra[3] - autumn.tundra[2] < summer.tundra[3] - summer.tundra[2]
    still = varied_region(np.random.default_rng(1), region, day, 0.0)
    assert still.tundra == pytest.approx(region.tundra)
    assert still.scar == pytest.approx(region.scar)


def test_light_varies_gain_and_air_most_in_the_blue():
    lights = [varied_light(np.random.default_rng(seed), 1.0) for seed in range(60)]
    gains, paths = (np.array(part) for part in zip(*lights, strict=True))
    assert 0.05 < gains.std() < 0.3
    assert np.abs(paths[:, 0]).mean() > 3 * np.abs(paths[:, 3]).mean()


def test_ponds_are_dark_where_asked_for():
    shares = [(draw_waters(np.random.default_rng(2), 500, dark).colour[3] < 0.06).mean() for dark in (0.0, 1.0)]
    assert shares[1] == 1.0 > shares[0]
