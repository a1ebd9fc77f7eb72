import subprocess
import sys
from itertools import starmap

import pytest
import torch
from torch.nn import functional

from rtsmap.errors import InputError, ModelError
from rtsmap.network import mvitv2
from rtsmap.network.cascade import box_predictors, build_network, count_parameters, seeded_network
from rtsmap.network.checkpoint import load_weights, save_weights
from rtsmap.network.device import resolve_device
from rtsmap.network.fusion import Attention, FusedBackbone, Fusion
from rtsmap.settings.network import PRESETS
from tests.networks import TINY

from detectron2.structures import BitMasks, Boxes, Instances, pairwise_iou  # isort: skip
from detectron2.utils.events import EventStorage  # isort: skip

ALL = ("rgb", "ndvi", "nir")
FEATURE_FUSIONS = ("convolution", "stacked", "cross", "residual_convolution", "residual_stacked", "residual_cross")


def example(seed: int, size: int = 64) -> dict:
    """A chip with one bright slump, and its label."""
    image = torch.randn(5, size, size, generator=torch.Generator().manual_seed(seed)) * 0.1
    mask = torch.zeros(1, size, size, dtype=torch.bool)
    mask[0, 16 : 16 + 20, 8 * seed : 8 * seed + 24] = True
    image[:, mask[0]] += 2
    labels = Instances((size, size))
    labels.gt_masks = BitMasks(mask)
    labels.gt_boxes = labels.gt_masks.get_bounding_boxes()
    labels.gt_classes = torch.zeros(1, dtype=torch.long)
    return {"image": image, "instances": labels}


def test_the_network_imports_without_a_warning():
    subprocess.run([sys.executable, "-W", "error", "-c", "import rtsmap.network.cascade"], check=True)


def test_backbone_has_four_scales_with_doubling_channels_and_strides():
    backbone = mvitv2.MViT(dim=8, depth=4, last_blocks=(0, 1, 2, 3), window=8)
    maps = backbone(torch.zeros(2, 3, 64, 96))
    assert [(name, tuple(scale.shape)) for name, scale in maps.items()] == [
        ("scale2", (2, 8, 16, 24)),
        ("scale3", (2, 16, 8, 12)),
        ("scale4", (2, 32, 4, 6)),
        ("scale5", (2, 64, 2, 3)),
    ]
    assert {name: shape.stride for name, shape in backbone.output_shape().items()} == {
        "scale2": 4,
        "scale3": 8,
        "scale4": 16,
        "scale5": 32,
    }


@pytest.mark.parametrize(("height", "width"), [(8, 8), (10, 13), (3, 16)])
def test_windows_are_put_together_as_they_were_cut(height, width):
    tokens = torch.randn(2, height, width, 5)
    windows, padded = mvitv2.partition(tokens, 4)
    assert windows.shape[1:] == (4, 4, 5)
    assert torch.equal(mvitv2.unpartition(windows, padded, height, width), tokens)


def test_attention_with_relative_positions_is_that_of_the_paper():
    # softmax(q k / sqrt(d) + q R_h + q R_w) v, written out
    attention = mvitv2.MultiScaleAttention(6, 6, 1, size=4, stride_q=1, stride_kv=2, window=0)
    torch.nn.init.normal_(attention.rel_pos_h)
    torch.nn.init.normal_(attention.rel_pos_w)
    query, key, value = torch.randn(2, 4, 4, 6), torch.randn(2, 2, 2, 6), torch.randn(2, 2, 2, 6)
    along_h = mvitv2.relative_positions(4, 2, attention.rel_pos_h)
    along_w = mvitv2.relative_positions(4, 2, attention.rel_pos_w)
    logits = torch.einsum("nhwc,nklc->nhwkl", query, key) / 6**0.5
    logits += torch.einsum("nhwc,hkc->nhwk", query, along_h)[..., None]
    logits += torch.einsum("nhwc,wlc->nhwl", query, along_w)[..., None, :]
    weights = logits.flatten(3).softmax(dim=-1).unflatten(3, (2, 2))
    expected = torch.einsum("nhwkl,nklc->nhwc", weights, value)
    torch.testing.assert_close(attention._attend(query, key, value), expected)


def test_relative_positions_count_in_steps_of_the_finer_axis():
    table = torch.arange(7.0)[:, None]  # distances -3 .. 3 as 0 .. 6
    assert mvitv2.relative_positions(4, 2, table)[:, :, 0].tolist() == [[2, 0], [3, 1], [4, 2], [5, 3]]


def test_pooled_keys_equal_full_attention_where_the_map_is_not_larger_than_the_grid():
    full, pooled = (Attention(8, 2, kv_grid=grid, mlp_ratio=4.0) for grid in (0, 8))
    pooled.load_state_dict(full.state_dict())
    query, other = torch.randn(1, 8, 8, 8), torch.randn(1, 8, 8, 8)
    torch.testing.assert_close(pooled(query, other), full(query, other))


def fuse(name: str, window: int = 0) -> Fusion:
    torch.manual_seed(0)
    return Fusion(name, 3, 8, 2, kv_grid=4, mlp_ratio=4.0, window=window)


@pytest.mark.parametrize("name", FEATURE_FUSIONS)
def test_every_modality_reaches_the_fused_map(name):
    fusion = fuse(name)
    maps = [torch.randn(1, 8, 8, 12, requires_grad=True) for _ in ALL]
    fused = fusion(maps)
    assert fused.shape == maps[0].shape
    fused.square().sum().backward()
    assert all(one.grad.abs().sum() > 0 for one in maps)
    assert all(parameter.grad.abs().sum() > 0 for parameter in fusion.parameters() if parameter.ndim > 1)


def test_residual_cross_attention_is_equation_3_of_the_paper():
    # F'' = Conv(F_rgb + F_1 + F_2 + F'_1 + F'_2), F'_i = CrossAttention_i(query = F_rgb, key = value = F_i)
    fusion = fuse("residual_cross")
    rgb, first, second = (torch.randn(1, 8, 4, 4) for _ in range(3))
    attended = [ask(rgb, other) for ask, other in zip(fusion.mix.attention, (first, second), strict=True)]
    torch.testing.assert_close(fusion([rgb, first, second]), fusion.conv(rgb + first + second + sum(attended)))


@pytest.mark.parametrize(("name", "others"), [("cross", "residual_cross"), ("stacked", "residual_stacked")])
def test_without_the_residual_path_the_sum_of_the_maps_is_missing(name, others):
    plain, residual = fuse(name), fuse(others)
    residual.load_state_dict(plain.state_dict())
    maps = [torch.randn(1, 8, 4, 4) for _ in ALL]
    difference = functional.conv2d(sum(maps), plain.conv.weight, padding=1)
    torch.testing.assert_close(residual(maps) - plain(maps), difference)


def test_in_windows_a_map_depends_on_what_lies_near_alone():
    fusion = fuse("residual_cross", window=4)
    maps = [torch.randn(1, 8, 8, 16) for _ in ALL]
    changed = [one.clone() for one in maps]
    for one in changed:
        one[..., 12:] += 1
    same = (fusion(maps) == fusion(changed)).all(dim=1)[0]
    assert same[:, :11].all()  # one token beyond the window's border, for the convolution
    assert not same[:, 12:].any()


def backbones(*names: str) -> dict[str, mvitv2.MViT]:
    return {name: mvitv2.MViT(dim=8, depth=4, last_blocks=(0, 1, 2, 3), window=8) for name in names}


def test_one_channel_modalities_are_repeated_to_three():
    two = backbones("rgb", "ndvi")
    fused = FusedBackbone(two, {"rgb": 3, "ndvi": 1}, {"scale2": Fusion("cross", 2, 8, 1, kv_grid=8, mlp_ratio=4.0)})
    image = torch.randn(1, 4, 32, 32)
    expected = two["ndvi"](image[:, 3:].repeat(1, 3, 1, 1))["scale2"]
    seen = []
    fused.fusion["scale2"].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0][1]))
    fused(image)
    torch.testing.assert_close(seen[0], expected)


def test_a_part_of_the_modalities_is_refused():
    network = seeded_network(TINY, ALL, seed=0)
    with pytest.raises(ValueError, match=r"takes 5 channels \(rgb, ndvi, nir\), not 3"):
        network.backbone(torch.zeros(1, 3, 64, 64))


def test_without_global_blocks_a_feature_depends_on_what_lies_near_alone():
    torch.manual_seed(0)
    backbone = mvitv2.MViT(dim=8, depth=4, last_blocks=(0, 1, 2, 3), window=8, global_blocks=False).eval()
    image = torch.randn(1, 3, 64, 256)
    shifted = image[..., 64:]  # by two windows
    with torch.inference_mode():
        whole, part = backbone(image)["scale5"], backbone(shifted)["scale5"]
    difference = (whole[..., 2:] - part).abs().amax(dim=(0, 1, 2))
    assert difference[-1] < 1e-6  # four blocks reach four windows at most, of one token each at this scale
    assert whole.shape[-1] == 8


def test_recomputed_activations_give_the_same_gradients():
    image, gradients = torch.randn(1, 3, 64, 64), []
    for recompute in (False, True):
        torch.manual_seed(0)
        backbone = mvitv2.MViT(dim=8, depth=4, last_blocks=(0, 1, 2, 3), window=8, recompute=recompute)
        sum(scale.square().sum() for scale in backbone(image).values()).backward()
        gradients.append([parameter.grad for parameter in backbone.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_the_paper_s_parameter_counts():
    # Li et al. 2025, table 2: 103, 170 and 230 million parameters with MViTv2-B, of which all but the backbones' train
    from rtsmap.settings.network import NetworkConfig

    base = NetworkConfig(
        embed_dim=96, depth=24, last_blocks=(1, 4, 20, 23), window_size=56, global_blocks=True, fpn_channels=256,
        box_convs=4, fc_dim=1024, mask_convs=4, anchor_sizes=((32,), (64,), (128,), (256,), (512,)),
    )  # fmt: skip
    with torch.device("meta"):
        for modalities, millions in ((("rgb",), 103), (("rgb", "ndvi"), 170), (ALL, 230)):
            assert count_parameters(build_network(base, modalities)) / 1e6 == pytest.approx(millions, rel=0.03)


KINDS = {
    **{name: {"fusion": name} for name in ("channels", *FEATURE_FUSIONS)},
    "mask_rcnn": {"decoder": "single", "box_convs": 0, "box_fcs": 2},
    "boxes_only": {"masks": False},
    "batch_norm": {"head_norm": "batch", "fpn_norm": "none"},
}


def overfit(network: torch.nn.Module, steps: int) -> list[float]:
    """Losses while the network learns two chips by heart."""
    optimiser = torch.optim.AdamW([one for one in network.parameters() if one.requires_grad], lr=3e-3)
    batch = list(starmap(example, [(1,), (2,)]))
    torch.manual_seed(0)
    totals = []
    with EventStorage():
        for _ in range(steps):
            total = torch.stack(list(network(batch).values())).sum()
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
            totals.append(float(total.detach()))
    return totals


@pytest.mark.parametrize("kind", KINDS)
def test_every_fusion_and_decoder_learns_saves_and_loads(kind, tmp_path):
    config = TINY.model_copy(update=KINDS[kind])
    network = seeded_network(config, ALL, seed=0)
    totals = overfit(network, 25)
    assert all(one.grad is not None for one in network.parameters())
    assert sum(totals[-3:]) < 0.7 * sum(totals[:3])
    save_weights(network.state_dict(), tmp_path / "weights.safetensors")
    images = [{"image": example(1)["image"]}]
    found = []
    for seed in (1, 2):
        other = seeded_network(config, ALL, seed).eval()
        load_weights(other, tmp_path / "weights.safetensors")
        box_predictors(other)[-1].test_score_thresh = 0.0
        with torch.inference_mode():
            found.append(other.inference(images, do_postprocess=False)[0])
    assert len(found[0])
    assert torch.equal(found[0].pred_boxes.tensor, found[1].pred_boxes.tensor)
    assert torch.equal(found[0].scores, found[1].scores)
    assert found[0].has("pred_masks") == config.masks
    if config.masks:
        assert torch.equal(found[0].pred_masks, found[1].pred_masks)


def test_a_resnet_learns_where_it_is_not_frozen():
    config = PRESETS["resnet50"].model_copy(update={"fpn_channels": 16, "fc_dim": 16, "mask_convs": 1, "proposals": 20})
    network = seeded_network(config, ("rgb",), seed=0)
    batch = [{**one, "image": one["image"][:3]} for one in starmap(example, [(1,), (2,)])]
    with EventStorage():
        torch.stack(list(network(batch).values())).sum().backward()
    assert all(one.grad is not None for one in network.parameters())
    assert list(network.backbone.bottom_up.output_shape()) == ["res2", "res3", "res4", "res5"]
    network.eval()
    with torch.inference_mode():
        network.inference([{"image": batch[0]["image"]}], do_postprocess=False)


@pytest.mark.parametrize("frozen", [("rgb",), ALL])
def test_frozen_backbones_do_not_learn_and_keep_no_activations(frozen):
    config = TINY.model_copy(update={"drop_path": 0.5})
    free, fixed = (seeded_network(config, ALL, seed=0, frozen=names).train() for names in ((), frozen))
    before = {name: value.clone() for name, value in fixed.state_dict().items()}
    kept = []
    for network in (free, fixed):
        sizes: dict[int, int] = {}

        def keep(tensor, sizes=sizes):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            maps = network.backbone.bottom_up(example(1)["image"][None])
        kept.append(sum(sizes.values()))
        del maps
    assert kept[1] < kept[0] * (1 - 0.2 * len(frozen))
    overfit(fixed, 2)
    changed = {name for name, value in fixed.state_dict().items() if not torch.equal(value, before[name])}
    prefixes = tuple(f"backbone.bottom_up.backbones.{name}." for name in frozen)
    assert not [name for name in changed if name.startswith(prefixes)]
    learning = {name for name, one in fixed.named_parameters() if one.requires_grad}
    assert learning == {name for name, _ in fixed.named_parameters() if not name.startswith(prefixes)}
    assert {name for name, one in fixed.named_parameters() if one.grad is not None} == learning


def test_only_backbones_that_exist_can_be_frozen():
    with pytest.raises(ValueError, match="nir cannot be frozen; backbones: rgb, ndvi"):
        build_network(TINY, ("rgb", "ndvi"), frozen=("nir",))


def test_only_proposals_above_the_score_are_kept():
    def proposals(score: float) -> torch.Tensor:
        network = seeded_network(TINY.model_copy(update={"proposal_score": score}), ALL, seed=0).eval()
        seen = []
        network.roi_heads.register_forward_pre_hook(lambda _module, inputs: seen.extend(inputs[2]))
        with torch.inference_mode():
            network.inference([{"image": example(1)["image"]}], do_postprocess=False)
        return seen[0].objectness_logits

    everything = proposals(0.0)
    middle = everything.median().sigmoid().item()
    kept = proposals(middle)
    assert 0 < len(kept) < len(everything)
    torch.testing.assert_close(kept, everything[: len(kept)])


def test_the_network_finds_the_slumps_that_it_learned_by_heart():
    network = seeded_network(TINY, ALL, seed=0)
    totals = overfit(network, 60)
    assert sum(totals[-5:]) < 0.5 * sum(totals[:5])
    network.eval()
    chip = example(1)
    with torch.inference_mode():
        found = network.inference([{"image": chip["image"]}], do_postprocess=False)[0]
    assert pairwise_iou(Boxes(found.pred_boxes.tensor[:1]), chip["instances"].gt_boxes).item() > 0.5


def test_saved_weights_load_to_the_same_result(tmp_path):
    network, other = (seeded_network(TINY, ALL, seed).eval() for seed in (0, 1))
    save_weights(network.state_dict(), tmp_path / "weights.safetensors")
    load_weights(network, tmp_path / "weights.safetensors")  # rounded to half precision, as any reader gets them
    load_weights(other, tmp_path / "weights.safetensors")
    with torch.inference_mode():
        image = torch.randn(1, 5, 64, 64)
        for name, features in network.backbone(image).items():
            assert torch.equal(other.backbone(image)[name], features)


def test_weights_of_another_architecture_are_refused(tmp_path):
    save_weights(seeded_network(TINY, ("rgb",), 0).state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match="made for another architecture"):
        load_weights(seeded_network(TINY, ALL, 0), tmp_path / "weights.safetensors")


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(seeded_network(TINY, ALL, 0).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=r"weights\.safetensors: is not a whole safetensors file"):
        load_weights(seeded_network(TINY, ALL, 0), path)


def test_cuda_without_a_gpu_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="use --device cpu"):
        resolve_device("cuda")
    assert resolve_device("auto") == torch.device("cpu")
