"""Changes of light, and the boundary of slumps that is not learned from."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rtsmap import bands
from rtsmap.network.device import resolve_precision
from rtsmap.network.masks import boundaries, boundless_loss
from rtsmap.runtime import machine
from rtsmap.training.augmentation import CHANGES, one_change
from rtsmap.training.batches import labelled_chip
from rtsmap.training.samples import Sampler
from tests.datasets import labelled_image, pixels_with, write_dataset
from tests.networks import TINY_TRAINING

# of detectron2 after `rtsmap.network`, which makes it fit current libraries
from detectron2.modeling.roi_heads.mask_head import mask_rcnn_loss  # isort: skip
from detectron2.structures import BitMasks, Boxes, Instances  # isort: skip
from detectron2.utils.events import EventStorage  # isort: skip

CPU = torch.device("cpu")
GROUND = pixels_with(labelled_image(size=96)).reflectance
VALID = np.ones((96, 96), dtype=bool)
VALID[:20, :30] = False


def changed(change, strength, reflectance=GROUND, valid=VALID):
    return change(reflectance * valid, valid, strength, np.random.default_rng(0))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_a_change_of_no_strength_changes_nothing_and_a_full_one_does(change):
    np.testing.assert_allclose(changed(change, 0.0)[:, VALID], GROUND[:, VALID], atol=1e-6)
    for strength in (-1.0, 1.0):
        full = changed(change, strength)
        assert full.dtype == np.float32
        difference = np.abs(full - GROUND)[:, VALID].mean()
        assert difference == 0 if change is CHANGES[0] else 0.001 < difference < 0.1


@pytest.mark.parametrize("seed", range(30))
def test_a_chip_has_one_change_of_valid_pixels_that_its_draws_decide(seed):
    one, again = (one_change(GROUND * VALID, VALID, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert not one[:, ~VALID].any()
    assert one.dtype == np.float32
    assert 0 <= one.min() <= one.max() <= 1


def test_changes_do_not_look_at_what_is_not_valid():
    hidden = np.where(VALID, GROUND, np.float32(0.9))
    for seed in range(30):
        with_zero, with_snow = (
            one_change(reflectance, VALID, np.random.default_rng(seed)) for reflectance in (GROUND * VALID, hidden)
        )
        np.testing.assert_allclose(with_zero, with_snow, atol=1e-6)


def test_all_changes_are_drawn_and_slumps_stay_barer_than_tundra():
    drawn = {np.random.default_rng(seed).integers(len(CHANGES)) for seed in range(200)}
    assert len(drawn) == len(CHANGES)
    for seed in range(100):
        index = bands.ndvi(one_change(GROUND, np.ones_like(VALID), np.random.default_rng(seed)))
        assert index[22:30, 22:34].mean() < index[70:, 70:].mean() - 0.05


@pytest.mark.parametrize(("augmentation", "same"), [("light", False), ("trivial", False)])
def test_the_settings_choose_the_changes(tmp_path, augmentation, same):
    dataset = write_dataset(tmp_path / "dataset", ("here",), per_site=1, size=96)
    config = TINY_TRAINING.updated(augmentation=augmentation)
    strong = [Sampler(dataset, config).weak_and_strong(number)[1].reflectance for number in range(4)]
    calm = [Sampler(dataset, config.updated(jitter=0)).weak_and_strong(number)[1].reflectance for number in range(4)]
    assert all(np.allclose(one, other, atol=1e-6) for one, other in zip(strong, calm, strict=True)) == same


def square(side, at=20, size=64):
    mask = torch.zeros(1, size, size, dtype=torch.bool)
    mask[0, at : at + side, at : at + side] = True
    return mask


@pytest.mark.parametrize(
    ("side", "width", "inner", "outer"),
    [
        (20, 0, 20, 20),
        (20, 1, 18, 22),
        (20, 2, 16, 24),
        (14, 2, 10, 18),
        (12, 2, 10, 14),  # 8 of 12 px would be less than half of its area
        (6, 2, 6, 6),  # 4 of 6 too
        (1, 2, 1, 1),
    ],
)
def test_the_boundary_has_its_width_where_half_of_the_slump_is_left(side, width, inner, outer):
    found = boundaries(square(side), width)
    assert found.sum() == outer**2 - inner**2
    assert (found & square(side)).sum() == side**2 - inner**2


def test_the_edge_of_a_chip_is_no_boundary():
    found = boundaries(square(30, at=0), 2)
    assert not found[0, :28, :28].any()
    assert found[0, 28:32, :32].all()


def test_of_no_mask_there_is_no_boundary():
    assert boundaries(torch.zeros(0, 8, 8, dtype=torch.bool), 2).shape == (0, 8, 8)


def instances_of(chip, boxes):
    one = Instances((64, 64))
    one.proposal_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32))
    for name, value in chip["instances"].get_fields().items():
        one.set(name, value)
    return one


@pytest.mark.parametrize("classes", [1, 2])
def test_the_loss_does_not_change_with_what_is_said_of_a_boundary(classes):
    image, mask, box = torch.zeros(5, 64, 64), square(20), [[16.0, 16, 44, 44]]
    logits = torch.randn(1, classes, 28, 28, generator=torch.Generator().manual_seed(0))
    other = logits.clone()
    other[:, :, 4 - 2 : 4 + 2, 2:26] += 5  # rows of the boundary, a pixel each
    with_boundary = [instances_of(labelled_chip(image, mask, CPU, 2), box)]
    whole = [instances_of(labelled_chip(image, mask, CPU), box)]
    assert torch.equal(boundless_loss(logits, with_boundary), boundless_loss(other, with_boundary))
    with EventStorage():
        assert mask_rcnn_loss(logits, whole) != mask_rcnn_loss(other, whole)
        # nothing is left out of a slump without a boundary: detectron2's own
        thin = [instances_of(labelled_chip(image, square(3), CPU, 2), [[18.0, 18, 25, 25]])]
        torch.testing.assert_close(boundless_loss(logits, thin), mask_rcnn_loss(logits, thin))


def test_where_all_is_boundary_or_nothing_is_found_the_loss_is_zero():
    logits = torch.randn(1, 1, 28, 28, requires_grad=True)
    one = instances_of(labelled_chip(torch.zeros(5, 64, 64), square(20), CPU, 2), [[16.0, 16, 44, 44]])
    one.gt_boundaries = BitMasks(torch.ones(1, 64, 64, dtype=torch.bool))
    loss = boundless_loss(logits, [one])
    assert loss == 0
    loss.backward()
    assert boundless_loss(torch.zeros(0, 1, 28, 28), [one[:0]]) == 0


@pytest.mark.parametrize(
    ("flags", "name", "precision"),
    [
        ("flags : fpu avx512f avx512_bf16", "auto", "bf16"),
        ("flags : fpu amx_bf16 amx_tile", "auto", "bf16"),
        ("Features : fp asimd bf16", "auto", "bf16"),
        ("flags : fpu avx2 avx512f", "auto", "float32"),
        ("", "auto", "float32"),
        ("flags : avx512_bf16", "float32", "float32"),
        ("flags : avx2", "bf16", "bf16"),
    ],
)
def test_auto_is_bf16_where_the_processor_computes_in_it(monkeypatch, tmp_path, flags, name, precision):
    file: Path = tmp_path / "cpuinfo"
    file.write_text(f"model name : any\n{flags}\n")
    monkeypatch.setattr(machine, "_CPU", file)
    assert resolve_precision(name, CPU) == precision
