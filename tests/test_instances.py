import numpy as np
import pytest
import shapely
from shapely import Polygon, box

from rtsmap import instances
from rtsmap.instances import outlines
from rtsmap.records import PRECISION_PX, ChipWindow, Detections, Instance, Window

SIZE = 28
WINDOW = ChipWindow(0, 0, Window(0, 0, 512, 512), Window(0, 0, 512, 512))
BOX = (100.0, 50.0, 180.0, 130.0)  # 80 px wide and high


def detections(*masks: np.ndarray, boxes: list[tuple[float, ...]] | None = None, scores: list[float] | None = None):
    return Detections(
        np.array(boxes or [BOX] * len(masks), dtype=np.float32).reshape(-1, 4),
        np.array(scores or [0.9] * len(masks), dtype=np.float32),
        np.array(masks, dtype=np.float32).reshape(-1, SIZE, SIZE),
    )


def disc(radius: float, centre: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
    """A disc with a soft outline, as mask heads draw it; lengths as shares of the box."""
    cells = (np.arange(SIZE) + 0.5) / SIZE
    distance = np.hypot(cells[None, :] - centre[0], cells[:, None] - centre[1])
    return 1 / (1 + np.exp((distance - radius) * SIZE))


def only(found: list[Instance]) -> Polygon:
    assert len(found) == 1
    return found[0].polygon


@pytest.mark.parametrize("radius", [0.3, 0.4, 0.45, 0.49, 0.5])
@pytest.mark.parametrize("side", [20, 80, 300])
def test_the_area_of_a_disc_is_true_to_half_a_percent(radius: float, side: int):
    polygon = only(outlines(detections(disc(radius), boxes=[(10, 20, 10 + side, 20 + side)]), WINDOW, score=0.5))
    assert polygon.area == pytest.approx(np.pi * (radius * side) ** 2, rel=0.005)
    assert polygon.centroid.distance(shapely.Point(10 + side / 2, 20 + side / 2)) < 0.01 * side


@pytest.mark.parametrize("probability", [1.0, 0.8, 0.51])
def test_a_mask_that_fills_its_box_reaches_the_edge_of_the_box(probability: float):
    polygon = only(outlines(detections(np.full((SIZE, SIZE), probability)), WINDOW, score=0.5))
    assert polygon.equals(box(*BOX))


def test_half_a_mask_ends_between_the_cells():
    mask = np.zeros((SIZE, SIZE))
    mask[:, : SIZE // 2] = 1
    assert only(outlines(detections(mask), WINDOW, score=0.5)).equals(box(100, 50, 140, 130))


def test_outlines_are_moved_by_the_window_into_the_scene():
    window = ChipWindow(3, 2, Window(row=1000, column=2000, height=512, width=512), Window(1032, 2032, 448, 448))
    found = outlines(detections(np.ones((SIZE, SIZE))), window, score=0.5)
    assert only(found).bounds == (2100, 1050, 2180, 1130)
    assert found[0].window is window


def test_boxes_that_leave_the_chip_are_cut_at_its_window():
    polygon = only(outlines(detections(disc(0.5), boxes=[(-40, 472, 40, 552)]), WINDOW, score=0.5))
    assert polygon.bounds[0] == 0
    assert polygon.bounds[3] == 512
    assert polygon.area == pytest.approx(np.pi * 40**2 / 4, rel=0.02)


def test_holes_are_kept():
    polygon = only(outlines(detections(disc(0.45) - disc(0.2)), WINDOW, score=0.5))
    assert len(polygon.interiors) == 1
    assert polygon.area == pytest.approx(np.pi * 80**2 * (0.45**2 - 0.2**2), rel=0.02)


def test_of_several_islands_the_largest_remains():
    mask = disc(0.2, (0.25, 0.25)) + disc(0.12, (0.8, 0.8))
    assert only(outlines(detections(mask), WINDOW, score=0.5)).centroid.distance(shapely.Point(120, 70)) < 0.5


def test_low_scores_empty_masks_and_specks_are_dropped():
    found = outlines(
        detections(
            disc(0.4), disc(0.4), np.zeros((SIZE, SIZE)), disc(0.4), scores=[0.9, 0.3, 0.9, 0.8],
            boxes=[BOX, BOX, BOX, (5, 5, 7, 7)],
        ),
        WINDOW,
        score=0.5,
    )  # fmt: skip
    assert [instance.score for instance in found] == [pytest.approx(0.9)]
    assert outlines(detections(), WINDOW, score=0.5) == []


def test_a_higher_level_draws_a_tighter_outline():
    wide, tight = (only(outlines(detections(disc(0.4)), WINDOW, score=0, level=level)) for level in (0.3, 0.7))
    assert wide.contains(tight)


@pytest.mark.parametrize("seed", range(5))
def test_outlines_of_any_mask_are_valid_polygons_on_the_lattice(seed: int):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-20, 500, (20, 2))
    boxes = np.hstack([corners, corners + rng.uniform(2, 90, (20, 2))])
    found = outlines(detections(*rng.random((20, SIZE, SIZE)), boxes=list(boxes)), WINDOW, score=0.5, min_area_px=0)
    assert found
    for instance in found:
        vertices = shapely.get_coordinates(instance.polygon) / PRECISION_PX
        assert isinstance(instance.polygon, Polygon)
        assert instance.polygon.is_valid
        assert instance.polygon.area > 0
        assert box(0, 0, 512, 512).covers(instance.polygon)
        assert np.array_equal(vertices, np.round(vertices))


def test_an_outline_within_a_surer_one_is_dropped_and_one_beside_it_stays():
    inside, beside = (120.0, 70.0, 150.0, 100.0), (180.0, 50.0, 220.0, 130.0)
    full = np.ones((SIZE, SIZE))
    found = outlines(
        detections(full, full, full, boxes=[inside, BOX, beside], scores=[0.6, 0.9, 0.7]), WINDOW, score=0.5
    )
    assert [(one.score, one.polygon.bounds) for one in found] == [
        (pytest.approx(0.9), BOX),
        (pytest.approx(0.7), beside),
    ]


def test_a_large_doubtful_outline_does_not_swallow_surer_small_ones():
    small = [(100.0, 50.0, 130.0, 130.0), (150.0, 50.0, 180.0, 130.0)]
    full = np.ones((SIZE, SIZE))
    found = outlines(detections(full, full, full, boxes=[BOX, *small], scores=[0.6, 0.9, 0.8]), WINDOW, score=0.5)
    assert [one.polygon.bounds for one in found] == small


def test_low_scores_are_never_contoured(monkeypatch: pytest.MonkeyPatch):
    drawn = []
    draw = instances.contour_generator
    monkeypatch.setattr(instances, "contour_generator", lambda *a, **k: drawn.append(a) or draw(*a, **k))
    found = outlines(detections(disc(0.4), disc(0.4), disc(0.4), scores=[0.2, 0.9, 0.3]), WINDOW, score=0.5)
    assert len(found) == len(drawn) == 1
