import random

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS
from shapely import MultiPolygon, Point, Polygon, box
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from rtsmap.chips.grid import ChipGrid
from rtsmap.merge import Merger, in_order, merge
from rtsmap.records import ChipWindow, Grid, Instance, MergedInstance

# Chips of 128 px that share 32 px: cores of 96 px, 16 px of margin. Chip 1 sees 96..224, its core is 112..208.
CHIPS = ChipGrid(Grid(CRS(32644), Affine(3, 0, 0, 0, -3, 0), 960, 960), chip_size=128, overlap=32)


def chip(row: int, column: int) -> ChipWindow:
    return CHIPS.windows(row)[column]


def seen(shape: BaseGeometry, row: int, column: int, score: float = 0.9) -> Instance:
    """What a chip sees of a shape."""
    polygon = shape.intersection(box(*chip(row, column).extent.bounds))
    assert isinstance(polygon, Polygon)
    return Instance(chip(row, column), polygon, score)


def seen_by_all(*shapes: BaseGeometry) -> list[Instance]:
    """What all chips together see of shapes; a shape that a window cuts into pieces gives one instance each."""
    return [
        Instance(window, part, 0.9)
        for row in range(CHIPS.rows)
        for window in CHIPS.windows(row)
        for shape in shapes
        for part in shapely.get_parts(shape.intersection(box(*window.extent.bounds)))
        if part.area > 0
    ]


def disc(x: float, y: float, radius: float) -> Polygon:
    return shapely.set_precision(Point(x, y).buffer(radius), 1 / 64)


def same(a: BaseGeometry, b: BaseGeometry) -> bool:
    """Equal but for the rounding of vertices where a window cuts the outline."""
    return a.symmetric_difference(b).area < 1e-3 * b.area


def only(slumps: list[MergedInstance]) -> MergedInstance:
    assert len(slumps) == 1
    return slumps[0]


def blobs(seed: int, noise: float = 0.1) -> list[Instance]:
    """Irregular shapes all over the scene, each chip with its own view of them."""
    rng = np.random.default_rng(seed)
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    found = []
    for x, y in np.mgrid[60:900:110, 60:900:110].reshape(2, -1).T + rng.uniform(-10, 10, (64, 2)):
        radius = rng.uniform(5, 45)
        for window in (window for row in range(CHIPS.rows) for window in CHIPS.windows(row)):
            waves = 1 + noise * (np.cos(2 * angles + rng.uniform(0, 6)) + np.cos(3 * angles + rng.uniform(0, 6)))
            points = np.column_stack([x + radius * waves * np.cos(angles), y + radius * waves * np.sin(angles)])
            view = shapely.intersection(Polygon(points), box(*window.extent.bounds), grid_size=1 / 64)
            parts = [part for part in shapely.get_parts(view) if part.area > 10]
            found += [Instance(window, part, round(rng.uniform(0.3, 1), 2)) for part in parts]
    return found


def as_bytes(slumps: list[MergedInstance]) -> list[tuple[bytes, float, int]]:
    return [(slump.geometry.wkb, slump.score, slump.n_chips) for slump in slumps]


def test_a_slump_inside_one_chip_passes_through():
    shape = disc(166, 166, 20)
    slump = only(merge([Instance(chip(1, 1), shape, 0.75)]))
    assert slump.geometry.equals(shape)
    assert (slump.score, slump.n_chips) == (0.75, 1)


def test_a_slump_across_two_chips_becomes_one_with_the_better_score():
    shape = box(166, 136, 256, 156)
    slump = only(merge([seen(shape, 1, 1, score=0.6), seen(shape, 1, 2, score=0.8)]))
    assert slump.geometry.equals(shape)
    assert (slump.score, slump.n_chips) == (0.8, 2)


def test_a_slump_across_four_chips_at_a_corner_becomes_one():
    slump = only(merge(seen_by_all(disc(208, 208, 40))))
    assert same(slump.geometry, disc(208, 208, 40))
    assert slump.n_chips == 4


@pytest.mark.parametrize("shape", [box(36, 156, 716, 166), box(156, 36, 166, 716)], ids=["wide", "high"])
def test_a_slump_longer_than_three_chips_becomes_one(shape: Polygon):
    slump = only(merge(seen_by_all(shape)))
    assert slump.geometry.equals(shape)
    assert slump.n_chips == 8


def test_a_large_slump_becomes_one_although_its_views_have_little_in_common():
    shape = disc(466, 466, 300)
    views = seen_by_all(shape)
    left, right = (view.polygon for view in views if view.window in (chip(4, 4), chip(4, 5)))
    assert left.intersection(right).area / left.union(right).area < 0.2
    assert same(only(merge(views)).geometry, shape)


def test_the_arms_of_a_slump_that_one_chip_sees_apart_are_joined_by_the_chip_that_sees_the_headwall():
    arms = box(136, 126, 246, 136).union(box(136, 166, 246, 176)).union(box(236, 126, 256, 176))
    views = seen_by_all(arms)
    assert sum(view.window == chip(1, 1) for view in views) == 2
    assert only(merge(views)).geometry.equals(arms)


def test_what_lies_outside_the_core_is_left_to_the_neighbour():
    in_the_margin = disc(216, 166, 5)  # 209..224 belongs to the core of column 2
    assert merge([seen(in_the_margin, 1, 1)]) == []
    assert only(merge(seen_by_all(in_the_margin))).n_chips == 1


def test_what_only_touches_its_core_is_left_to_the_neighbour():
    assert merge([seen(box(208, 156, 216, 166), 1, 1)]) == []


def test_neighbours_that_touch_stay_apart():
    upper, lower = box(166, 126, 256, 156), box(166, 156, 256, 186)
    slumps = merge(seen_by_all(upper, lower))
    assert [slump.geometry.equals(shape) for slump, shape in zip(slumps, (upper, lower), strict=True)] == [True, True]


def test_overlapping_instances_of_one_chip_stay_apart():
    assert len(merge([seen(disc(156, 166, 15), 1, 1), seen(disc(171, 166, 15), 1, 1)])) == 2


def test_a_neighbour_that_sees_two_slumps_as_one_cannot_glue_them():
    upper, lower, both = box(196, 136, 220, 151), box(196, 161, 220, 176), box(196, 136, 220, 176)
    views = [seen(upper, 1, 1, 0.9), seen(lower, 1, 1, 0.8)]
    slumps = merge([*views, seen(both, 1, 2, 0.7)])
    assert [slump.geometry.equals(shape) for slump, shape in zip(slumps, (upper, lower), strict=True)] == [True, True]
    # the higher-scoring instance is kept, and is not written beside the others
    assert only(merge([*views, seen(both, 1, 2, 0.95)])).geometry.equals(both)


def test_a_slump_beyond_the_window_of_two_surer_parts_is_not_given_up():
    upper, lower, large = box(201, 136, 223, 151), box(201, 161, 223, 176), box(201, 136, 306, 176)
    slumps = merge([seen(upper, 1, 1, 0.9), seen(lower, 1, 1, 0.9), seen(large, 1, 2, 0.5)])
    assert [slump.geometry.bounds for slump in slumps] == [large.bounds]


def test_a_poorer_view_within_a_slump_is_not_written_twice():
    shape = disc(236, 166, 40)
    poor_view = Instance(chip(1, 1), box(201, 156, 216, 166), 0.99)
    slump = only(merge([seen(shape, 1, 2, 0.7), poor_view]))
    assert slump.geometry.equals(shape)
    assert slump.n_chips == 1


def test_a_view_cut_by_its_chip_goes_even_where_it_lies_outside_the_slump_for_the_most_part():
    shape = box(196, 136, 276, 176)
    partly_beside = box(200, 164, 224, 196)  # 12 of its 32 rows; its chip ends at 224
    whole_beside = box(200, 164, 223, 196)
    assert len(merge([seen(shape, 1, 2), seen(partly_beside, 1, 1)])) == 1
    assert len(merge([seen(shape, 1, 2), seen(whole_beside, 1, 1)])) == 2


def test_holes_are_kept_across_chips():
    ring = disc(208, 166, 60).difference(disc(208, 166, 20))
    halves = [ring.intersection(box(*chip(1, column).extent.bounds)) for column in (1, 2)]
    instances = [Instance(chip(1, column), half, 0.9) for column, half in zip((1, 2), halves, strict=True)]
    geometry = only(merge(instances)).geometry
    assert isinstance(geometry, Polygon)
    assert len(geometry.interiors) == 1
    assert geometry.area == pytest.approx(ring.area, rel=0.01)


def test_gaps_below_a_pixel_between_two_views_are_closed():
    left = box(166, 136, 224, 176).difference(box(202, 146, 202.5, 147))
    right = box(192, 136, 266, 176).difference(box(202.25, 146, 202.75, 147))
    geometry = only(merge([Instance(chip(1, 1), left, 0.9), Instance(chip(1, 2), right, 0.9)])).geometry
    assert geometry.equals(box(166, 136, 266, 176))


def test_the_chip_that_sees_a_slump_best_has_the_last_word():
    # both windows hold it, and it keeps 16 px from the border of chip 1's and 4 px from that of chip 2's
    better, worse = box(196, 140, 208, 160), box(197, 138, 212, 164)
    slump = only(merge([Instance(chip(1, 1), better, 0.6), Instance(chip(1, 2), worse, 0.9)]))
    assert slump.geometry.equals(better)
    assert (slump.score, slump.n_chips) == (0.6, 2)


def test_what_the_chip_around_it_has_not_found_is_left_out():
    in_the_margin = box(207, 140, 219, 160)  # whole in chip 1, its centre 5 px into the core of chip 2
    assert merge([Instance(chip(1, 1), in_the_margin, 0.9)]) == []
    near_the_core = box(203, 140, 219, 160)
    assert only(merge([Instance(chip(1, 1), near_the_core, 0.9)])).geometry.equals(near_the_core)


def test_the_border_of_the_scene_cuts_no_view():
    shape = box(0, 20, 60, 40)
    assert only(merge([Instance(chip(0, 0), shape, 0.5)])).geometry.equals(shape)


@pytest.mark.parametrize("seed", range(3))
def test_every_order_gives_the_same_bytes(seed: int):
    instances = blobs(seed)
    expected = as_bytes(merge(instances))
    for order in range(3):
        shuffled = random.Random(order).sample(instances, len(instances))
        assert as_bytes(merge(shuffled)) == expected


@pytest.mark.parametrize("seed", range(3))
def test_row_by_row_gives_the_same_as_all_at_once_and_holds_only_what_may_change(seed: int):
    instances = blobs(seed)
    merger, slumps, held = Merger(), [], []
    for row in range(CHIPS.rows):
        released = merger.add_row(row, [one for one in instances if one.window.row == row])
        next_row = chip(row, 0).extent.row + CHIPS.chip_size - CHIPS.overlap
        assert all(slump.geometry.bounds[3] <= next_row for slump in released)
        slumps += released
        held.append(len(merger._held))
    slumps += merger.finish()
    assert as_bytes(in_order(slumps)) == as_bytes(merge(instances))
    assert max(held[:-1]) < len(instances) / 4


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("strip_columns", [1, 3, 4, 9])
def test_strip_by_strip_gives_the_same_as_all_at_once_and_holds_only_what_may_change(seed: int, strip_columns: int):
    instances = blobs(seed)
    merger, slumps, held = Merger(strip_columns=strip_columns), [], []
    for strip, row in np.ndindex(-(-len(CHIPS.windows(0)) // strip_columns), CHIPS.rows):
        of_row = [one for one in instances if (one.window.column // strip_columns, one.window.row) == (strip, row)]
        slumps += merger.add_row(row, of_row, strip=strip)
        held.append(len(merger._held))
    slumps += merger.finish()
    assert as_bytes(in_order(slumps)) == as_bytes(merge(instances))
    assert max(held[:-1]) < len(instances) / 3


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.2])
def test_slumps_are_valid_polygons_and_none_is_written_twice(seed: int, noise: float):
    slumps = merge(blobs(seed, noise))
    geometries = np.array([slump.geometry for slump in slumps], dtype=object)
    assert shapely.is_valid(geometries).all()
    assert all(isinstance(geometry, Polygon | MultiPolygon) and geometry.area > 0 for geometry in geometries)
    first, second = shapely.STRtree(geometries).query(geometries, predicate="intersects")
    first, second = first[first != second], second[first != second]
    shared = shapely.area(shapely.intersection(geometries[first], geometries[second]))
    assert (shared <= shapely.area(geometries[first]) / 2).all()


@pytest.mark.parametrize("overlap", [0, 32, 100])
def test_any_overlap_gives_one_slump_or_cuts_at_the_border_where_there_is_none(overlap: int):
    chips = ChipGrid(CHIPS.grid, 128, overlap)
    shape = disc(300, 300, 100)
    windows = [window for row in range(chips.rows) for window in chips.windows(row)]
    views = [(window, shape.intersection(box(*window.extent.bounds))) for window in windows]
    slumps = merge([Instance(window, view, 0.9) for window, view in views if view.area > 0])
    assert sum(slump.geometry.area for slump in slumps) == pytest.approx(shape.area, rel=1e-3)
    if overlap:
        assert len(slumps) == 1


def test_slumps_come_in_order_of_position():
    shapes = [disc(150, 400, 10), disc(420, 150, 10), disc(150, 150, 10)]
    tops = [slump.geometry.bounds[:2] for slump in merge(seen_by_all(*shapes))]
    assert tops == [(140, 140), (410, 140), (140, 390)]


def test_rows_without_instances_may_be_left_out_and_no_instance_gives_no_slump():
    merger = Merger()
    assert merger.add_row(0, [seen(disc(50, 50, 5), 0, 0)])
    assert merger.add_row(5, []) == []
    assert merger.add_row(7, [seen(translate(disc(50, 50, 5), 0, 7 * 96), 7, 0)])
    assert merger.finish() == []
    assert merge([]) == []


def test_wrong_calls_are_refused():
    merger = Merger()
    merger.add_row(1, [])
    with pytest.raises(ValueError, match="rows must ascend: 1 of strip 0 comes too late"):
        merger.add_row(1, [])
    with pytest.raises(ValueError, match="of row 2"):
        merger.add_row(2, [seen(disc(50, 50, 5), 0, 0)])
    assert merger.add_row(0, [], strip=1) == []
    with pytest.raises(ValueError, match=r"within 0\.5\.\.1, not 0\.3"):
        Merger(agreement=0.3)
