"""Fewer proposals from stage to stage, and masks for what is left alone."""

import pytest
import torch

from rtsmap.network.cascade import box_predictors, seeded_network
from tests.networks import TINY

ALL = ("rgb", "ndvi", "nir")


@pytest.fixture
def chip():
    return torch.randn(5, 64, 64, generator=torch.Generator().manual_seed(3))


def detect(network, chip):
    with torch.inference_mode():
        return network.eval().inference([{"image": chip}], do_postprocess=False)[0]


def boxes_of_stages(network, monkeypatch):
    """How many boxes each stage of the cascade is given."""
    heads, counts = network.roi_heads, []
    run = heads._run_stage

    def counted(features, proposals, stage):
        counts.append(sum(len(one) for one in proposals))
        return run(features, proposals, stage)

    monkeypatch.setattr(heads, "_run_stage", counted)
    return counts


def network_with(stage_score, min_score=0.0):
    network = seeded_network(TINY.model_copy(update={"stage_score": stage_score}), ALL, seed=1)
    for predictor in box_predictors(network):
        predictor.test_score_thresh = min_score
    return network


def test_a_limit_that_all_pass_changes_nothing(chip):
    plain, limited = detect(network_with(0.0), chip), detect(network_with(1e-9), chip)
    assert len(plain) > 10
    assert torch.equal(plain.pred_boxes.tensor, limited.pred_boxes.tensor)
    assert torch.equal(plain.scores, limited.scores)
    assert torch.equal(plain.pred_masks, limited.pred_masks)


def test_what_the_first_stage_does_not_believe_goes_no_further(chip, monkeypatch):
    network = network_with(0.5)
    counts = boxes_of_stages(network, monkeypatch)
    found = detect(network, chip)
    assert counts[0] > counts[1] == counts[2] > 0
    assert len(found) <= counts[2]


def test_nothing_may_be_left(chip, monkeypatch):
    network = network_with(0.999)
    counts = boxes_of_stages(network, monkeypatch)
    found = detect(network, chip)
    assert counts[0] > 0 == counts[1] == counts[2]
    assert len(found) == 0
    assert found.pred_masks.shape[0] == 0


def test_in_training_every_stage_sees_every_box(monkeypatch):
    heads = network_with(0.5).roi_heads
    way = "detectron2.modeling.roi_heads.CascadeROIHeads._forward_box"
    monkeypatch.setattr(way, lambda *_: "detectron2's own way")
    assert heads.train()._forward_box({}, []) == "detectron2's own way"


def test_masks_are_drawn_of_survivors_alone(chip, monkeypatch):
    network = network_with(0.0, min_score=0.5)
    drawn = []
    layers = network.roi_heads.mask_head.layers

    def counted(features):
        drawn.append(len(features))
        return layers(features)

    monkeypatch.setattr(network.roi_heads.mask_head, "layers", counted)
    found = detect(network, chip)
    assert 0 < len(found) < TINY.proposals
    assert drawn == [len(found)]
