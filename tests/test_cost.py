import sys

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from rtsmap.network.cascade import build_network, count_parameters
from rtsmap.network.cost import (
    count_flop,
    flop_by_part,
    kept_bytes,
    meta_network,
    parameters_by_part,
    training_memory,
)
from rtsmap.network.fusion import Attention, Fusion
from rtsmap.settings.network import PRESETS
from tests.networks import TINY, TINY_TRAINING, write_model

ALL = ("rgb", "ndvi", "nir")
HEADS = ["feature pyramid", "proposals", "box heads", "mask head"]


def maps(dim: int, side: int, count: int = 3) -> list[torch.Tensor]:
    return [torch.zeros(1, dim, side, side, device="meta") for _ in range(count)]


@pytest.mark.parametrize(
    ("modalities", "total", "trainable"), [(ALL[:1], 103, 103), (ALL[:2], 170, 69), (ALL, 230, 78)]
)
def test_the_paper_s_parameter_counts(modalities, total, trainable):
    # Li et al. 2025, table 2, in millions; backbones are frozen where there is a fusion to learn
    network = meta_network(PRESETS["mvitv2-b"], modalities, frozen=modalities if len(modalities) > 1 else ())
    assert count_parameters(network) / 1e6 == pytest.approx(total, rel=0.03)
    assert count_parameters(network, trainable=True) / 1e6 == pytest.approx(trainable, rel=0.03)


@pytest.mark.parametrize("fusion", ["residual_cross", "convolution", "channels"])
def test_every_weight_belongs_to_one_part(fusion):
    network = meta_network(TINY.model_copy(update={"fusion": fusion}), ALL)
    parts = parameters_by_part(network)
    backbones = ["backbone rgb+ndvi+nir"] if fusion == "channels" else [f"backbone {name}" for name in ALL]
    assert list(parts) == [*backbones, *([] if fusion == "channels" else ["fusion"]), *HEADS]
    assert sum(part.total for part in parts.values()) == count_parameters(network)
    assert list(flop_by_part(network, 64, proposals=10)) == list(parts)


def test_norms_before_the_fusion_count_as_fusion():
    plain, normed = (
        parameters_by_part(meta_network(TINY.model_copy(update={"fusion_norm": norm}), ALL))
        for norm in ("none", "layer")
    )
    channels = TINY.embed_dim * (1 + 2 + 4 + 8)
    assert normed["fusion"].total - plain["fusion"].total == len(ALL) * 2 * channels  # weight and bias of each
    assert {part for part in plain if plain[part] != normed[part]} == {"fusion"}


def test_frozen_weights_do_not_count_as_trainable():
    parts = parameters_by_part(meta_network(TINY, ALL, frozen=["ndvi"]))
    assert [name for name, part in parts.items() if part.trainable != part.total] == ["backbone ndvi"]
    assert parts["backbone ndvi"].trainable == 0


def test_operations_are_two_for_each_multiply_add():
    with torch.device("meta"):
        linear, convolution = nn.Linear(10, 20), nn.Conv2d(3, 8, kernel_size=3, padding=1)
        assert count_flop(lambda: linear(torch.zeros(7, 10))) == 2 * 7 * 10 * 20
        assert count_flop(lambda: convolution(torch.zeros(1, 3, 16, 16))) == 2 * 16 * 16 * 8 * 3 * 9


@pytest.mark.parametrize("kv_grid", [0, 4])
def test_both_products_of_attention_are_counted(kv_grid):
    dim, queries = 8, 16 * 16
    keys = kv_grid**2 or queries
    with torch.device("meta"):
        attention = Attention(dim, heads=2, kv_grid=kv_grid, mlp_ratio=4.0)
    projections = 2 * queries * dim * dim + keys * dim * 2 * dim  # q and output; k and v
    feed_forward = 2 * queries * dim * 4 * dim
    products = 2 * queries * keys * dim  # q k and weights v, all heads together
    assert count_flop(lambda: attention(*maps(dim, 16, 2))) == 2 * (projections + feed_forward + products)


def test_box_heads_cost_in_proportion_to_the_proposals():
    network = meta_network(TINY, ALL)
    few, many = (flop_by_part(network, 64, proposals=number) for number in (10, 100))
    assert many["box heads"] == 10 * few["box heads"]
    assert {name for name in few if few[name] != many[name]} == {"box heads"}


@pytest.mark.parametrize(
    ("kv_grid", "window", "growth"),
    [(0, 0, (8, 16)), (8, 0, (3.5, 4)), (8, 16, (4, 4))],
    ids=["full", "pooled", "windows"],
)
def test_pooled_and_windowed_fusion_grow_with_the_area_and_full_fusion_with_its_square(kv_grid, window, growth):
    with torch.device("meta"):
        fuse = Fusion("residual_cross", 3, 8, 1, kv_grid=kv_grid, mlp_ratio=4.0, window=window)
    small, large = (count_flop(lambda side=side: fuse(maps(8, side))) for side in (64, 128))
    assert growth[0] <= large / small <= growth[1]


def test_only_attention_that_is_written_out_keeps_a_weight_for_every_pair():
    with torch.device("meta"):
        attention = Attention(8, heads=2, kv_grid=0, mlp_ratio=4.0)

    def run():
        return attention(*maps(8, 32, 2))

    fused, written_out = (kept_bytes(run, attention.parameters(), fused=fused) for fused in (True, False))
    assert written_out - fused > 4 * 2 * 32**4 > fused


def test_kept_activations_by_hand():
    with torch.device("meta"):
        layers = nn.Sequential(nn.Linear(10, 20), nn.GELU(), nn.Linear(20, 5))
    kept = kept_bytes(lambda: layers(torch.zeros(7, 10, device="meta")), layers.parameters())
    assert kept == 4 * 7 * (10 + 20 + 20)  # input, and what goes in and out of the activation function


def test_cost_shapes_gives_what_a_real_pass_keeps():
    plan, how = (TINY, ("rgb", "nir")), {"frozen": ["nir"], "recompute": True}
    with sdpa_kernel(SDPBackend.MATH):
        real = training_memory(build_network(*plan, **how), 32, fused=False)
    assert training_memory(meta_network(*plan, **how), 32, fused=False) == real


def test_frozen_backbones_and_recomputing_need_less_memory():
    trained, frozen, recompute = (
        training_memory(meta_network(PRESETS["mini"], ALL, **how), 256)
        for how in ({}, {"frozen": ALL}, {"recompute": True})
    )
    assert frozen.weights == recompute.weights == trained.weights
    assert frozen.gradients < trained.gradients == recompute.gradients
    assert trained.moments == 2 * trained.gradients
    assert frozen.activations < recompute.activations < 0.5 * trained.activations
    assert frozen.total < recompute.total < trained.total


def numbers(text: str, row: str) -> list[float]:
    (line,) = (line for line in text.splitlines() if line.startswith(f"{row} "))
    return [float(word) for word in line.removeprefix(row).split()]


def test_the_command_counts_an_architecture(rtsmap):
    code, out, err = rtsmap("models", "show", "mvitv2-t", "--params", "--chip-size", "256")
    assert code == 0
    assert out.startswith("mvitv2-t: rgb+ndvi+nir\n")
    total, trainable, gflop = numbers(out, "total")
    whole = count_parameters(meta_network(PRESETS["mvitv2-t"], ALL)) / 1e6
    assert total == trainable == pytest.approx(whole, abs=0.005)
    parts = [numbers(out, part) for part in (*(f"backbone {name}" for name in ALL), "fusion", *HEADS)]
    assert sum(part[2] for part in parts) == pytest.approx(gflop, abs=0.05)
    assert "GFLOP at 256 px" in out
    assert "75 proposals" in err  # as many for a unit of area as the 1200 of a chip of 1024 px
    rows = ("backbones trained", "backbones frozen", "trained, recompute")
    trained, frozen, recompute = (numbers(out, row)[-1] for row in rows)
    assert frozen < recompute < trained


def test_the_command_counts_settings_and_models(rtsmap, tmp_path):
    settings = TINY_TRAINING.model_copy(update={"modalities": ("rgb", "nir"), "freeze": ("rgb",)})
    settings.to_toml(tmp_path / "mine.toml")
    code, out, _ = rtsmap("models", "show", tmp_path / "mine.toml", "--params")
    assert code == 0
    assert numbers(out, "backbone rgb")[1] == 0 < numbers(out, "backbone nir")[1]
    assert numbers(out, "backbones frozen")[-1] < numbers(out, "as in the settings")[-1]
    code, out, _ = rtsmap("models", "show", write_model(tmp_path / "model"), "--params")
    assert code == 0
    assert numbers(out, "backbone ndvi")[1] > 0
    assert "GFLOP at 64 px" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mvitv2-b"], "mvitv2-b: is not a model; add --params to count what it would cost"),
        (["mine.toml"], "mine.toml: is not a model; add --params"),
        (["mini", "--params", "--chip-size", "100"], "--chip-size 100 is not a multiple of 32"),
        (["rts-mini", "--chip-size", "256"], "--chip-size needs --params"),
        (["nothing", "--params"], "nothing: no such model"),
    ],
)
def test_what_cannot_be_shown_is_said(rtsmap, words, message):
    code, out, err = rtsmap("models", "show", *words)
    assert (code, out) == (2, "")
    assert message in err


def test_cost_without_torch_says_what_to_do(rtsmap, monkeypatch):
    monkeypatch.setitem(sys.modules, "rtsmap.network.cost", None)
    code, _, err = rtsmap("models", "show", "mini", "--params")
    assert code == 2
    assert "counting needs torch and detectron2" in err
    assert "install rtsmap[train]" in err
