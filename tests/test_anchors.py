"""Anchors follow from the boxes of a data set."""

import tomllib

import numpy as np
import pytest

from rtsmap.errors import DatasetError
from rtsmap.settings.network import NetworkConfig
from rtsmap.training.anchors import box_sizes, fit_anchors, judge_anchors
from tests.datasets import write_dataset


def test_boxes_are_measured_in_pixels_of_the_chips_at_every_scale(tmp_path):
    boxes = box_sizes(
        write_dataset(tmp_path / "dataset", ("here",), per_site=1), 5.0, (0.5, 2.0)
    )  # 16 x 12 and 10 x 20 px of 10 m
    assert len(boxes) == 2 * 9
    assert boxes[0].tolist() == [64, 48]  # at 2.5 m
    assert boxes[-1].tolist() == pytest.approx([10, 20])  # at 10 m


def test_anchors_of_boxes_of_a_few_sizes_are_these_sizes():
    sizes = np.repeat([10.0, 20.0, 40.0, 80.0, 160.0], 20)
    fit = fit_anchors(np.column_stack([sizes, sizes]), per_level=1, ratios=1)
    assert fit.sizes == ((10.0,), (20.0,), (40.0,), (80.0,), (160.0,))
    assert fit.ratios == (1.0,)
    assert (fit.mean_iou, fit.well_fitted) == (1.0, 1.0)


def test_ratios_are_those_of_the_boxes_upright_and_lying():
    fit = fit_anchors(np.array([[10.0, 40.0], [20.0, 80.0]] * 10), per_level=1, ratios=2)
    assert fit.ratios == (0.25, 4.0)


def test_derived_anchors_fit_better_than_others():
    rng = np.random.default_rng(0)
    boxes = np.exp(rng.normal(3, 0.6, (300, 1)) + rng.normal(0, 0.3, (300, 2)))
    usual = judge_anchors(boxes, ((32,), (64,), (128,), (256,), (512,)), (0.5, 1.0, 2.0))
    derived = fit_anchors(boxes, per_level=1)
    assert derived.mean_iou > usual.mean_iou + 0.1
    assert derived.well_fitted > usual.well_fitted


def test_a_data_set_without_slumps_has_no_anchors(tmp_path):
    with pytest.raises(DatasetError, match="no slump"):
        box_sizes(write_dataset(tmp_path / "dataset", slumps=()), 3.0, (1.0, 1.0))


def test_the_command_prints_lines_for_the_settings(rtsmap, tmp_path):
    folder = write_dataset(tmp_path / "dataset", ("here",), per_site=1).folder
    code, out, err = rtsmap("dataset", "anchors", folder, "--per-level", "1")
    assert code == 0
    settings = tomllib.loads(out)
    assert len(NetworkConfig(**settings).anchor_sizes) == 5
    assert "2 slumps at 3 m" in err
    assert "derived: mean overlap" in err
