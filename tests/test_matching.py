"""Matching and average precision: by hand, and against pycocotools."""

import contextlib
import io

import numpy as np
import pytest
import shapely

from rtsmap.evaluation.matching import compare, joined
from rtsmap.evaluation.precision import (
    IOUS,
    average_precision,
    best_threshold,
    precision_recall,
    score_of,
)


def label_of(predictions, scores, labels, min_iou=0.5):
    return compare(predictions, scores, labels).match(min_iou).label.tolist()


def test_a_label_is_found_once_by_the_surest():
    label = [shapely.box(0, 0, 10, 10)]
    twice = [shapely.box(0, 0, 10, 9), shapely.box(0, 0, 10, 10)]
    assert label_of(twice, [0.9, 0.8], label) == [0, -1]
    assert label_of(twice, [0.7, 0.8], label) == [-1, 0]


def test_the_better_of_two_labels_is_taken():
    labels = [shapely.box(0, 0, 10, 6), shapely.box(0, 0, 10, 9)]
    assert label_of([shapely.box(0, 0, 10, 10)], [1.0], labels) == [1]


def test_an_overlap_of_the_threshold_is_enough_and_one_below_is_not():
    assert label_of([shapely.box(0, 0, 10, 10)], [1.0], [shapely.box(0, 0, 10, 5)]) == [0]
    assert label_of([shapely.box(0, 0, 10, 10)], [1.0], [shapely.box(0, 0, 10, 4.9)]) == [-1]


def test_what_lies_half_in_an_ignored_area_counts_neither_way_unless_it_finds_a_label():
    ignored = [shapely.box(0, 0, 10, 10)]
    predictions = [shapely.box(0, 5, 10, 15), shapely.box(0, 6, 10, 16), shapely.box(0, 0, 4, 4)]
    matching = compare(predictions, [0.9, 0.8, 0.7], [shapely.box(0, 0, 4, 5)], ignored).match(0.5)
    assert matching.counts.tolist() == [False, True, True]
    assert matching.correct.tolist() == [False, False, True]


def test_a_label_that_does_not_count_takes_its_prediction_out():
    labels = [shapely.box(0, 0, 10, 10), shapely.box(20, 0, 30, 10)]
    comparison = compare([*labels, shapely.box(50, 0, 60, 10)], [0.9, 0.8, 0.7], labels)
    matching = comparison.match(0.5, labels=np.array([True, False]), predictions=np.array([True, True, False]))
    assert matching.labels == 1
    assert matching.counts.tolist() == [True, False, False]


def test_average_precision_by_hand():
    # hit, miss, hit of three labels: precision 1 at the recalls 0, 0.01 ... 0.33, then 2/3 up to 0.66
    scores, correct = np.array([0.9, 0.8, 0.7]), np.array([True, False, True])
    assert average_precision(scores, correct, 3) == pytest.approx((34 + 33 * 2 / 3) / 101)
    assert np.isnan(average_precision(scores, correct, 0))
    assert average_precision(scores[:0], correct[:0], 3) == 0


def test_weights_are_repetitions():
    rng = np.random.default_rng(0)
    scores, correct, times = rng.random(50), rng.random(50) < 0.5, rng.integers(0, 4, 50)
    repeated = average_precision(scores.repeat(times), correct.repeat(times), 120)
    assert average_precision(scores, correct, 120, times) == pytest.approx(repeated)


def test_the_curve_and_the_best_threshold():
    labels = [shapely.box(20 * k, 0, 20 * k + 10, 10) for k in range(4)]
    predictions = [labels[0], labels[1], shapely.box(0, 50, 10, 60), labels[2], shapely.box(0, 80, 10, 90)]
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.2])
    matching = compare(predictions, scores, labels).match(0.5)
    curve = precision_recall(scores, matching)
    assert curve.precision.tolist() == pytest.approx([1, 1, 2 / 3, 3 / 4, 3 / 5])
    assert curve.recall.tolist() == [0.25, 0.5, 0.5, 0.75, 0.75]
    assert best_threshold(scores, matching) == (0.6, pytest.approx(0.75))


def rectangles(rng, count, size=120):
    corner, side = rng.integers(0, size - 40, (count, 2)), rng.integers(4, 40, (count, 2))
    return np.hstack([corner, corner + side])


def jittered(rng, boxes, size=120):
    moved = np.clip(boxes + rng.integers(-5, 6, boxes.shape), 0, size)
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 2)
    return np.clip(moved, 0, size + 2)


def random_images(rng, count):
    for _ in range(count):
        labels = rectangles(rng, int(rng.integers(0, 12)))
        found = np.vstack([jittered(rng, labels), rectangles(rng, int(rng.integers(0, 8)))])
        scores = np.round(rng.random(len(found)), 1)  # many ties
        yield labels, found, scores


def coco_stats(images, size=130):
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval, mask = pytest.importorskip("pycocotools.cocoeval"), pytest.importorskip("pycocotools.mask")

    def entry(image, box):
        raster = np.zeros((size, size), dtype=np.uint8, order="F")
        left, top, right, bottom = box
        raster[top:bottom, left:right] = 1
        area = float((right - left) * (bottom - top))
        place = {"image_id": image, "category_id": 1, "bbox": [left, top, right - left, bottom - top], "area": area}
        return {**place, "segmentation": mask.encode(raster), "iscrowd": 0}

    labels, found = [], []
    for image, (truth, boxes, scores) in enumerate(images, start=1):
        labels += [entry(image, box) for box in truth.tolist()]
        pairs = zip(boxes.tolist(), scores.tolist(), strict=True)
        found += [{**entry(image, box), "score": score} for box, score in pairs]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {
            "images": [{"id": k + 1, "width": size, "height": size} for k in range(len(images))],
            "annotations": [{**one, "id": k} for k, one in enumerate(labels, start=1)],
            "categories": [{"id": 1, "name": "rts"}],
            "info": {},
        }
        truth.createIndex()
        evaluation = cocoeval.COCOeval(truth, truth.loadRes(found), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_pycocotools(seed):
    images = list(random_images(np.random.default_rng(seed), 20))
    stats = coco_stats(images)
    parts = [
        compare([shapely.box(*box) for box in found], scores, [shapely.box(*box) for box in labels])
        for labels, found, scores in images
    ]
    comparison = joined(parts)
    score = score_of(comparison, resamples=0)
    assert 0.1 < score.average_precision < 0.99
    assert score.average_precision == pytest.approx(stats[1], abs=1e-6)
    assert score.mean_average_precision == pytest.approx(stats[0], abs=1e-6)
    assert score.average_recall == pytest.approx(stats[8], abs=1e-6)
    # COCO's size classes: up to 32 x 32 px, up to 96 x 96 px; the limit belongs to both
    for (low, high), ap, ar in (((0, 32**2), stats[3], stats[9]), ((32**2, 96**2), stats[4], stats[10])):
        of_size = [(area >= low) & (area <= high) for area in (comparison.label_m2, comparison.prediction_m2)]
        part = score_of(comparison, labels=of_size[0], predictions=of_size[1], resamples=0)
        assert part.mean_average_precision == pytest.approx(ap, abs=1e-6)
        assert part.average_recall == pytest.approx(ar, abs=1e-6)


def test_joined_parts_keep_to_themselves():
    box = [shapely.box(0, 0, 10, 10)]
    both = joined([compare(box, [0.9], []), compare([], [], box), compare(box, [0.8], box, unit=2)])
    matching = both.match(0.5)
    assert matching.label.tolist() == [-1, 1]
    assert both.label_unit.tolist() == [0, 2]
    assert len(IOUS) == 10
    assert joined([]).match(0.5).labels == 0
