"""The flipped detector: what several views of a chip see becomes one result in coordinates of the chip."""

import numpy as np
import pytest

from rtsmap.detector import build_detector
from rtsmap.detector.augmentation import AugmentedDetector, joined
from rtsmap.models import find_model
from rtsmap.records import Detections
from rtsmap.settings.card import Calibration
from tests.detectors import BareGround
from tests.networks import MEAN, STD, write_model

BOX = [10.0, 20.0, 40.0, 30.0]


def chip_with(*patches, height=64, width=96):
    """A normalised chip of tundra with bare patches `(row, column, height, width)`."""
    ndvi = np.full((height, width), 0.6, dtype=np.float32)
    for row, column, tall, wide in patches:
        ndvi[row : row + tall, column : column + wide] = 0.1
    chip = np.ones((5, height, width), dtype=np.float32)
    chip[3] = (ndvi - MEAN["ndvi"]) / STD["ndvi"]
    return chip


def one(box, score, mask=None):
    mask = np.ones((4, 4)) if mask is None else mask
    return Detections(
        np.array([box], dtype=np.float32), np.array([score], dtype=np.float32), np.array([mask], dtype=np.float32)
    )


NOTHING = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 4, 4), np.float32))


@pytest.mark.parametrize("views", [1, 4, 8])
def test_a_detector_that_sees_the_same_in_all_views_is_unchanged(views):
    chips = np.stack([chip_with((5, 7, 10, 30), (40, 60, 12, 8)), chip_with()])
    found, empty = AugmentedDetector(BareGround(), views).detect(chips)
    assert sorted(found.boxes.tolist()) == [[7, 5, 37, 15], [60, 40, 68, 52]]
    assert found.masks.shape == (2, 28, 28)
    assert found.masks == pytest.approx(1.0, abs=1e-5)
    assert found.boxes.dtype == found.scores.dtype == found.masks.dtype == np.float32
    assert len(empty.boxes) == 0


@pytest.mark.parametrize("views", [4, 8])
def test_each_view_is_looked_at_once_and_undone(views):
    """A detector of one pixel's place, whose mask tells left from right and top from bottom."""

    class Corner:
        def __init__(self):
            self.seen = []

        def detect(self, chips):
            self.seen.append(chips.tobytes())
            return [self._one(chip[0]) for chip in chips]

        def _one(self, values):
            row, column = np.argwhere(values == 9)[0]
            window = values[row - 2 : row + 3, column - 2 : column + 3]
            return one([column - 2, row - 2, column + 3, row + 3], 0.8, window / 9)

    chip = np.zeros((1, 1, 20, 30), dtype=np.float32)
    chip[0, 0, 6, 11] = 9
    chip[0, 0, 5, 12] = 4  # up and to the right
    detector = Corner()
    (found,) = AugmentedDetector(detector, views).detect(chip)
    assert len(set(detector.seen)) == len(detector.seen) == views
    assert found.boxes.tolist() == [[9, 4, 14, 9]]
    assert found.masks[0] == pytest.approx(chip[0, 0, 4:9, 9:14] / 9, abs=1e-5)
    assert found.scores == pytest.approx([0.8])


def test_what_one_view_sees_alone_counts_little_and_keeps_its_mask():
    mask = np.zeros((4, 4))
    mask[:2] = 1
    found = joined([one(BOX, 0.8, mask), NOTHING, NOTHING, NOTHING])
    assert found.scores == pytest.approx([0.2])
    assert found.boxes.tolist() == [BOX]
    assert found.masks[0] == pytest.approx(mask)


def test_boxes_and_masks_are_averaged_by_score():
    left, right = [0.0, 0.0, 20.0, 10.0], [4.0, 0.0, 24.0, 10.0]
    found = joined([one(left, 0.9), one(right, 0.3)])
    assert found.scores == pytest.approx([0.6])
    assert found.boxes[0] == pytest.approx([1.0, 0.0, 21.0, 10.0])
    # of the four cells, with centres at 3.5, 8.5, 13.5 and 18.5, the first lies in the left box alone
    assert found.masks[0, 0] == pytest.approx([0.75, 1.0, 1.0, 1.0])


def test_neighbours_of_one_view_stay_apart():
    shifted = [14.0, 20.0, 44.0, 30.0]  # IoU 0.76 with BOX
    both = Detections(
        np.array([BOX, shifted], np.float32), np.array([0.9, 0.8], np.float32), np.ones((2, 4, 4), np.float32)
    )
    found = joined([both, both])
    assert found.scores == pytest.approx([0.9, 0.8])
    assert found.boxes.tolist() == [BOX, shifted]


def test_detections_that_hardly_overlap_are_not_joined_and_the_surest_comes_first():
    found = joined([one(BOX, 0.3), one([10.0, 20.0, 24.0, 30.0], 0.5)])  # IoU 0.47
    assert found.scores == pytest.approx([0.25, 0.15])


def test_joined_scores_below_the_lowest_are_left_out():
    chips = chip_with((5, 7, 10, 30))[None]

    class Once(BareGround):
        def detect(self, chips):
            found = super().detect(chips)
            kept = slice(None if len(self.batches) == 1 else 0)
            return [Detections(each.boxes[kept], each.scores[kept], each.masks[kept]) for each in found]

    assert len(AugmentedDetector(Once(), 4, min_score=0.2).detect(chips)[0].scores) == 1  # 0.9 / 4
    assert len(AugmentedDetector(Once(), 4, min_score=0.25).detect(chips)[0].scores) == 0


def test_another_number_of_views_is_refused():
    with pytest.raises(ValueError, match="views must be one of"):
        AugmentedDetector(BareGround(), 3)


def test_a_network_s_flipped_results_are_the_same_again_and_those_of_a_turned_chip_are_turned(tmp_path):
    folder = write_model(tmp_path / "model")
    detector = build_detector(*find_model(str(folder)), "cpu", min_score=0.3, tta=4)
    chips = np.random.default_rng(0).normal(size=(1, 5, 64, 64)).astype(np.float32)
    (first,), (again,) = detector.detect(chips), detector.detect(chips)
    assert first.boxes.tobytes() == again.boxes.tobytes()
    assert first.masks.tobytes() == again.masks.tobytes()
    assert len(first.scores) > 0
    assert first.scores.min() >= 0.3
    (turned,) = detector.detect(np.ascontiguousarray(chips[..., ::-1, ::-1]))
    assert turned.scores[0] == pytest.approx(first.scores[0], abs=1e-5)
    assert 64 - turned.boxes[0][[2, 3, 0, 1]] == pytest.approx(first.boxes[0], abs=1e-3)


def test_scores_are_calibrated_after_the_views_are_joined(tmp_path):
    folder, card = find_model(str(write_model(tmp_path / "model")))
    chips = np.random.default_rng(0).normal(size=(1, 5, 64, 64)).astype(np.float32)
    (raw,) = build_detector(folder, card, "cpu", min_score=0.4, tta=4).detect(chips)
    squared_odds = Calibration(slope=2.0, intercept=0.0, detections=10, matched=5, sites=("a",))
    card = card.model_copy(update={"calibration": squared_odds})
    lowest = 0.4**2 / (0.4**2 + 0.6**2)
    (found,) = build_detector(folder, card, "cpu", min_score=lowest, tta=4).detect(chips)
    assert len(raw.scores) > 0
    odds = (raw.scores / (1 - raw.scores)) ** 2
    assert found.scores == pytest.approx(odds / (1 + odds), abs=1e-5)
    assert found.boxes.tobytes() == raw.boxes.tobytes()
