import subprocess
import sys
from itertools import starmap

import pytest
import torch

from rtsmap.errors import InputError, ModelError
from rtsmap.network import mvitv2
from rtsmap.network.cascade import build_network, count_parameters, seeded_network
from rtsmap.network.checkpoint import load_weights, save_weights
from rtsmap.network.device import resolve_device
from rtsmap.network.fusion import CrossAttention, FusedBackbone, ResidualCrossAttentionFusion
from tests.networks import TINY

from detectron2.structures import BitMasks, Boxes, Instances  # isort: skip
from detectron2.utils.events import EventStorage  # isort: skip

ALL = ("rgb", "ndvi", "nir")


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
    full, pooled = (CrossAttention(8, 2, kv_grid=grid, mlp_ratio=4.0) for grid in (0, 8))
    pooled.load_state_dict(full.state_dict())
    query, other = torch.randn(1, 8, 8, 8), torch.randn(1, 8, 8, 8)
    torch.testing.assert_close(pooled(query, other), full(query, other))


def test_every_modality_reaches_the_fused_map():
    fusion = ResidualCrossAttentionFusion(3, 8, 1, kv_grid=4, mlp_ratio=4.0)
    maps = [torch.randn(1, 8, 8, 8, requires_grad=True) for _ in ALL]
    fusion(maps).square().sum().backward()
    assert all(one.grad.abs().sum() > 0 for one in maps)
    assert all(parameter.grad.abs().sum() > 0 for parameter in fusion.parameters() if parameter.ndim > 1)


def test_one_channel_modalities_are_repeated_to_three():
    backbones = {name: mvitv2.MViT(dim=8, depth=4, last_blocks=(0, 1, 2, 3), window=8) for name in ("rgb", "ndvi")}
    fused = FusedBackbone(backbones, {"rgb": 3, "ndvi": 1}, heads=1, kv_grid=8, mlp_ratio=4.0)
    image = torch.randn(1, 4, 32, 32)
    expected = backbones["ndvi"](image[:, 3:].repeat(1, 3, 1, 1))["scale2"]
    seen = []
    fused.fusion["scale2"].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0][1]))
    fused(image)
    torch.testing.assert_close(seen[0], expected)


def test_the_paper_s_parameter_counts():
    # Li et al. 2025, table 2: 103, 170 and 230 million parameters with MViTv2-B, of which all but the backbones' train
    from rtsmap.config import NetworkConfig

    base = NetworkConfig(
        embed_dim=96, depth=24, last_blocks=(1, 4, 20, 23), window_size=56, fpn_channels=256, box_convs=4,
        fc_dim=1024, mask_convs=4, anchor_sizes=((32,), (64,), (128,), (256,), (512,)),
    )  # fmt: skip
    with torch.device("meta"):
        for modalities, millions in ((("rgb",), 103), (("rgb", "ndvi"), 170), (ALL, 230)):
            assert count_parameters(build_network(base, modalities, 224)) / 1e6 == pytest.approx(millions, rel=0.03)


def test_loss_falls_on_two_chips_and_the_network_then_finds_their_slumps():
    network = seeded_network(TINY, ALL, 64, seed=0)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    batch = list(starmap(example, [(1,), (2,)]))
    torch.manual_seed(0)
    totals = []
    with EventStorage():
        for _ in range(60):
            total = torch.stack(list(network(batch).values())).sum()
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
            totals.append(float(total.detach()))
    assert sum(totals[-5:]) < 0.5 * sum(totals[:5])
    network.eval()
    with torch.inference_mode():
        found = network.inference([{"image": batch[0]["image"]}], do_postprocess=False)[0]
    best = Boxes(found.pred_boxes.tensor[:1])
    from detectron2.structures import pairwise_iou

    assert pairwise_iou(best, batch[0]["instances"].gt_boxes).item() > 0.5


def test_saved_weights_load_to_the_same_result(tmp_path):
    network, other = (seeded_network(TINY, ALL, 64, seed).eval() for seed in (0, 1))
    save_weights(network.state_dict(), tmp_path / "weights.safetensors")
    load_weights(network, tmp_path / "weights.safetensors")  # rounded to half precision, as any reader gets them
    load_weights(other, tmp_path / "weights.safetensors")
    with torch.inference_mode():
        image = torch.randn(1, 5, 64, 64)
        for name, features in network.backbone(image).items():
            assert torch.equal(other.backbone(image)[name], features)


def test_weights_of_another_architecture_are_refused(tmp_path):
    save_weights(seeded_network(TINY, ("rgb",), 64, 0).state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match="made for another architecture"):
        load_weights(seeded_network(TINY, ALL, 64, 0), tmp_path / "weights.safetensors")


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(seeded_network(TINY, ALL, 64, 0).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=r"weights\.safetensors: is not a whole safetensors file"):
        load_weights(seeded_network(TINY, ALL, 64, 0), path)


def test_cuda_without_a_gpu_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="use --device cpu"):
        resolve_device("cuda")
    assert resolve_device("auto") == torch.device("cpu")
