import threading
from dataclasses import replace

import geopandas
import numpy as np
import pytest
import shapely

from rtsmap.chips import grid as chips
from rtsmap.chips.reading import read_chips
from rtsmap.errors import InputError, SceneError
from rtsmap.layer import write_layer
from rtsmap.predict import scene as predict
from rtsmap.predict.detector import ReadyDetector
from rtsmap.predict.options import MIN_AREA_M2, Options
from rtsmap.predict.planning import plan_scene
from rtsmap.predict.scene import predict_scene
from rtsmap.runtime.execution import Execution
from rtsmap.runtime.profile import Profile
from rtsmap.scene import open_scene
from tests.detectors import BareGround, card, tundra
from tests.scenes import TRANSFORM, clear_udm2, truncate, write_planetscope, write_raster

#: In chips of 128 px that share 32: inside one, across two, at a corner of four, longer than two, and a small one.
SLUMPS = [(20, 20, 20, 24), (40, 95, 18, 30), (180, 180, 40, 30), (290, 30, 20, 260), (250, 250, 3, 3)]
SHAPE = (330, 340)


@pytest.fixture
def scene(tmp_path):
    return str(write_planetscope(tmp_path / "scene", tundra(*SHAPE, SLUMPS), udm2=clear_udm2(*SHAPE)))


def boxes(result):
    """Bounds of the slumps in whole pixels, sorted."""
    geometries = np.array([slump.geometry for slump in result.slumps])
    pixels = shapely.transform(geometries, lambda points: np.column_stack(~TRANSFORM @ points.T))
    return sorted((round(y0), round(x0), round(y1 - y0), round(x1 - x0)) for x0, y0, x1, y1 in shapely.bounds(pixels))


def test_every_slump_is_found_once_wherever_the_chips_are_cut(scene):
    result = predict_scene(scene, ReadyDetector.of(card(), BareGround()))
    assert boxes(result) == sorted(SLUMPS[:4])
    chips = {round(s.area_m2, -2): s.n_chips for s in result.slumps}
    assert chips[min(chips)] == 1
    assert chips[max(chips)] > 2


def test_areas_are_those_of_the_ground(scene):
    result = predict_scene(scene, ReadyDetector.of(card(), BareGround()))
    areas = sorted(slump.area_m2 for slump in result.slumps)
    truth = sorted(tall * wide * 9.0 for _, _, tall, wide in SLUMPS[:4])
    np.testing.assert_allclose(areas, truth, rtol=0.02)  # corners are rounded by the mask's grid


def test_the_minimum_area_is_an_option(scene):
    result = predict_scene(scene, ReadyDetector.of(card(), BareGround(), Options(min_area_m2=50)))
    assert len(result.slumps) == len(SLUMPS)


def test_without_the_option_the_minimum_area_is_the_card_s(scene):
    tuned = card().model_copy(update={"min_area_m2": 50.0})
    assert len(predict_scene(scene, ReadyDetector.of(tuned, BareGround())).slumps) == len(SLUMPS)
    assert Options().for_model(card()).min_area_m2 == MIN_AREA_M2
    assert Options(min_area_m2=10).for_model(tuned).min_area_m2 == 10


def test_find_gives_the_same_outlines_in_pixels(scene):
    with open_scene(scene) as source:
        found = predict.find(source, card(), BareGround(), score=0.5)
        assert not predict.find(source, card(), BareGround(), score=0.95)
        assert len(predict.find(source, card(), BareGround(), score=0.5, chip_size=384, overlap=0)) == len(SLUMPS)
    bounds = [tuple(round(value) for value in one.geometry.bounds) for one in found]
    assert sorted((y0, x0, y1 - y0, x1 - x0) for x0, y0, x1, y1 in bounds) == sorted(SLUMPS)


def test_a_score_above_all_finds_nothing(scene):
    assert not predict_scene(scene, ReadyDetector.of(card(), BareGround(), Options(score=0.95))).slumps


@pytest.mark.parametrize(("chip_size", "overlap"), [(96, 32), (160, 48), (512, 64)])
def test_another_chip_grid_gives_the_same_slumps(scene, chip_size, overlap):
    first = predict_scene(scene, ReadyDetector.of(card(), BareGround()))
    other = predict_scene(scene, ReadyDetector.of(card(), BareGround(), Options(chip_size=chip_size, overlap=overlap)))
    assert boxes(other) == boxes(first)


def test_strips_give_the_same_slumps(scene, monkeypatch):
    first = predict_scene(scene, ReadyDetector.of(card(), BareGround()))
    monkeypatch.setattr(chips, "STRIP_PX", 300)
    other = predict_scene(scene, ReadyDetector.of(card(), BareGround()))
    assert boxes(other) == boxes(first)
    assert sorted(slump.geometry.wkb for slump in other.slumps) == sorted(slump.geometry.wkb for slump in first.slumps)
    assert (other.observed_km2, other.observed) == (first.observed_km2, first.observed)


def test_batches_threads_and_order_of_chips_change_no_byte(scene, tmp_path, monkeypatch):
    monkeypatch.setenv("OGR_CURRENT_DATE", "2026-01-01T00:00:00.000Z")

    def layer(name, batch_size, prefetch, concurrency=1):
        execution = Execution(batch_size, concurrency, prefetch)
        result = predict_scene(scene, ReadyDetector.of(card(), BareGround()), execution)
        write_layer(tmp_path / name / "slumps.gpkg", [result], {"command": "test"})
        return (tmp_path / name / "slumps.gpkg").read_bytes()

    for name in ("one", "many", "sequential", "far", "beside", "backwards"):
        (tmp_path / name).mkdir()
    one, many = layer("one", 1, 2), layer("many", 7, 2)
    sequential, far = layer("sequential", 1, 0), layer("far", 2, 50)
    beside = layer("beside", 2, 2, concurrency=3)

    def backwards(*arguments, **keywords):
        for block in read_chips(*arguments, **keywords):
            yield replace(block, chips=block.chips[::-1])

    monkeypatch.setattr(predict, "read_chips", backwards)
    assert one == many == sequential == far == beside == layer("backwards", 4, 2)


def test_progress_ends_with_all_chips_done(scene):
    seen = []
    predict_scene(
        scene,
        ReadyDetector.of(card(), BareGround()),
        Execution(progress=lambda _scene, done, total: seen.append((done, total))),
    )
    assert seen[-1] == (25, 25)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_the_detector_gets_no_more_chips_than_a_batch(scene):
    detector = BareGround()
    predict_scene(scene, ReadyDetector.of(card(), detector), Execution(batch_size=3))
    assert sum(detector.batches) == 25
    assert max(detector.batches) <= 3


def test_batches_are_filled_across_rows_of_chips(scene):
    detector = BareGround()
    predict_scene(scene, ReadyDetector.of(card(), detector), Execution(batch_size=7))
    assert detector.batches == [7, 7, 7, 4]


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("error", [SceneError, KeyboardInterrupt])
def test_what_goes_wrong_in_the_network_passes_and_no_thread_is_left(scene, prefetch, error):
    class Broken(BareGround):
        def detect(self, chips):
            if len(self.batches) == 3:
                raise error("broken")
            return super().detect(chips)

    before = threading.active_count()
    with pytest.raises(error, match="broken"):
        predict_scene(scene, ReadyDetector.of(card(), Broken()), Execution(prefetch=prefetch))
    assert threading.active_count() == before


def test_an_interrupt_in_the_calling_thread_ends_the_others(scene):
    def interrupt(_scene, done, _total):
        if done:
            raise KeyboardInterrupt

    detector, before = BareGround(), threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        predict_scene(scene, ReadyDetector.of(card(), detector), Execution(progress=interrupt))
    assert threading.active_count() == before
    assert len(detector.batches) < 25


def test_a_scene_that_fails_half_way_is_named(tmp_path):
    image = write_raster(tmp_path / "scene.tif", tundra(*SHAPE, SLUMPS))
    truncate(image)
    before = threading.active_count()
    with pytest.raises(SceneError, match=r"scene\.tif: "):
        predict_scene(str(image), ReadyDetector.of(card(), BareGround()))
    assert threading.active_count() == before


def test_only_chips_with_a_clear_pixel_reach_the_network(tmp_path):
    numbers, udm2 = tundra(*SHAPE, SLUMPS), clear_udm2(*SHAPE)
    numbers[:, :, 200:] = 0  # no data in the east
    udm2[0, 170:], udm2[5, 170:] = 0, 1  # a cloud over the south
    image = str(write_planetscope(tmp_path, numbers, udm2=udm2))
    detector, profile = BareGround(), Profile()
    predict_scene(image, ReadyDetector.of(card(), detector), Execution(profile=profile))
    assert sum(detector.batches) == 9  # cores begin at 0, 96, 160, 224 and 288 px
    assert (len(profile.chip_s), profile.windows) == (9, 25)


def test_every_stage_is_timed(scene):
    profile = Profile()
    predict_scene(scene, ReadyDetector.of(card(), BareGround()), Execution(profile=profile))
    calls = {name: stage.calls for name, stage in profile.stages.items()}
    assert calls["prepare"] == calls["network"] == calls["outlines"] == len(profile.chip_s) == 25
    assert min(calls[name] for name in ("read", "merge", "describe")) > 0
    assert calls["load"] == calls["write"] == 0


def test_a_scene_smaller_than_a_chip(tmp_path):
    image = write_planetscope(tmp_path, tundra(50, 60, [(10, 12, 14, 16)]), udm2=clear_udm2(50, 60))
    assert boxes(predict_scene(str(image), ReadyDetector.of(card(), BareGround()))) == [(10, 12, 14, 16)]


def test_a_coarser_scene_is_resampled(tmp_path):
    image = write_planetscope(tmp_path, tundra(100, 100, [(40, 30, 20, 24)]), udm2=clear_udm2(100, 100))
    settings = card(gsd_m=1.5, chip_size=128)
    assert plan_scene(str(image), settings, Options().for_model(settings)).resampled
    assert boxes(predict_scene(str(image), ReadyDetector.of(settings, BareGround()))) == [(40, 30, 20, 24)]


def test_slumps_under_a_cloud_are_not_reported_but_the_cloud_is(tmp_path):
    udm2 = clear_udm2(*SHAPE)
    udm2[0, :80], udm2[5, :80] = 0, 1
    image = str(write_planetscope(tmp_path, tundra(*SHAPE, SLUMPS), udm2=udm2))
    masked = predict_scene(image, ReadyDetector.of(card(), BareGround()))
    assert boxes(masked) == sorted(SLUMPS[2:4])
    assert masked.cloud_fraction == pytest.approx(80 / SHAPE[0])
    assert (
        masked.observed.area
        < predict_scene(image, ReadyDetector.of(card(), BareGround(), Options(mask=()))).observed.area
    )


def write_area(path, row, column, height, width):
    left, top = TRANSFORM @ (column, row)
    box = shapely.box(left, top - height * 3, left + width * 3, top)
    geopandas.GeoDataFrame(geometry=[box], crs="EPSG:32607").to_crs("EPSG:4326").to_file(path)
    return path


def test_an_area_of_interest_limits_slumps_and_observed_area(scene, tmp_path):
    area = write_area(tmp_path / "area.geojson", 0, 0, 100, 150)
    detector = BareGround()
    result = predict_scene(scene, ReadyDetector.of(card(), detector, Options(aoi=area)))
    assert boxes(result) == sorted(SLUMPS[:2])
    assert result.observed_km2 == pytest.approx(100 * 150 * 9 / 1e6, rel=0.01)
    assert sum(detector.batches) == 4


def test_an_area_outside_the_scene_gives_nothing_to_do(scene, tmp_path):
    area = write_area(tmp_path / "area.geojson", 5000, 5000, 100, 100)
    result = predict_scene(scene, ReadyDetector.of(card(), BareGround(), Options(aoi=area)))
    assert not result.slumps
    assert result.observed_km2 == 0
    assert result.observed.is_empty


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("missing.geojson", None, r"missing\.geojson: cannot be read"),
        ("points.geojson", '{"type": "Point", "coordinates": [0, 0]}', "holds no polygon"),
    ],
)
def test_an_unusable_area_of_interest_is_named(scene, tmp_path, name, text, message):
    if text:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        predict_scene(scene, ReadyDetector.of(card(), BareGround(), Options(aoi=tmp_path / name)))


def test_a_scene_without_a_valid_pixel_is_an_error(tmp_path):
    image = write_planetscope(tmp_path, np.zeros((4, 50, 50), np.uint16), udm2=clear_udm2(50, 50))
    with pytest.raises(SceneError, match="has no valid pixel"):
        predict_scene(str(image), ReadyDetector.of(card(), BareGround()))


def test_outlines_do_not_leave_the_scene(tmp_path):
    image = write_planetscope(tmp_path, tundra(200, 200, [(0, 0, 30, 30), (190, 90, 10, 40)]), with_udm2=False)
    result = predict_scene(str(image), ReadyDetector.of(card(), BareGround()))
    left, top = TRANSFORM @ (0, 0)
    scene_box = shapely.box(left, top - 600, left + 600, top).buffer(1e-6)
    assert len(result.slumps) == 2
    assert all(slump.geometry.within(scene_box) and slump.touches_edge for slump in result.slumps)
