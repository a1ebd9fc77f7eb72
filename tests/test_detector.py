"""The detector on torch gives the records that the rest of the chain takes."""

import numpy as np
import pytest

from rtsmap.detector import build_detector
from rtsmap.instances import outlines
from rtsmap.models import find_model
from rtsmap.records import ChipWindow, Window
from tests.networks import TINY, write_model


@pytest.mark.parametrize("masks", [True, False])
def test_detections_have_boxes_scores_and_masks_also_without_a_mask_head(tmp_path, masks):
    folder = write_model(tmp_path / "model", network=TINY.model_copy(update={"masks": masks}))
    detector = build_detector(*find_model(str(folder)), "cpu", min_score=0.0)
    chips = np.random.default_rng(0).normal(size=(2, 5, 64, 64)).astype(np.float32)
    first, second = detector.detect(chips)
    assert len(first.boxes) == len(first.scores) == len(first.masks) > 0
    assert len(second.boxes) > 0
    if not masks:  # the box is the outline
        window = Window(0, 0, 64, 64)
        (best, *_) = outlines(first, ChipWindow(0, 0, window, window), score=0.0)
        left, top, right, bottom = first.boxes[0]
        assert best.polygon.bounds == pytest.approx((left, top, right, bottom), abs=0.02)


def test_a_network_in_memory_is_wrapped_as_it_is(tmp_path):
    from rtsmap.detector.torch import TorchDetector

    folder, card = find_model(str(write_model(tmp_path / "model")))
    loaded = build_detector(folder, card, "cpu", min_score=0.0)
    network = loaded.network.train()
    chips = np.random.default_rng(0).normal(size=(1, 5, 64, 64)).astype(np.float32)
    wrapped = TorchDetector.of(network, card, device="cpu", min_score=0.0)
    assert wrapped.network is network
    assert not network.training
    (found,), (again,) = wrapped.detect(chips), loaded.detect(chips)
    assert found.boxes.tobytes() == again.boxes.tobytes()
    assert len(TorchDetector.of(network, card, device="cpu", min_score=0.99).detect(chips)[0].boxes) == 0


def test_larger_chips_keep_as_many_proposals_for_the_same_area(tmp_path):
    folder = write_model(tmp_path / "model")
    detector = build_detector(*find_model(str(folder)), "cpu", min_score=0.0)
    detector.detect(np.zeros((1, 5, 128, 128), dtype=np.float32))
    assert detector.network.proposal_generator.post_nms_topk[False] == 4 * TINY.proposals
