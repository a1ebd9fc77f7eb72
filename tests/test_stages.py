"""The second stage: where its decoder comes from, how fast its backbones learn, and the norm before the fusion."""

import pytest
import torch
from safetensors.torch import load_file

from rtsmap.errors import InputError, ModelError
from rtsmap.network.cascade import seeded_network
from rtsmap.network.pretrained import BOTTOM_UP
from rtsmap.runtime import machine
from rtsmap.settings.card import ModelCard
from rtsmap.settings.network import PRESETS, NetworkConfig
from rtsmap.settings.training import TrainConfig
from rtsmap.training.loop import train
from rtsmap.training.optimiser import parameter_groups
from rtsmap.training.stages import fusion_settings
from tests.datasets import write_dataset
from tests.networks import TINY, TINY_TRAINING, write_model


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A data set, and two models of one modality each in the folders beside it."""
    folder = tmp_path_factory.mktemp("stage")
    dataset = write_dataset(folder / "dataset", ("here",), per_site=1, size=96)
    for modality in ("rgb", "nir"):
        train(dataset, TINY_TRAINING.updated(modalities=(modality,), iterations=1), folder / modality)
    return dataset, [folder / "rgb", folder / "nir"]


def weights(folder):
    return load_file(folder / "weights.safetensors")


def decoder_of(tensors):
    return {name: value for name, value in tensors.items() if not name.startswith(BOTTOM_UP)}


def still(settings):
    """Nothing is learned, so that the published weights are those that training starts with."""
    return settings.updated(iterations=1, learning_rate=1e-12, weight_decay=0.0)


@pytest.mark.parametrize(("cold", "as_before"), [(False, True), (True, False)])
def test_the_decoder_is_the_query_s_unless_it_shall_start_cold(stage, tmp_path, cold, as_before):
    dataset, backbones = stage
    settings = fusion_settings(None, backbones, cold=cold)
    assert settings.decoder_from == (None if cold else str(backbones[0]))
    train(dataset, still(settings), tmp_path / "fused")
    fused, query = decoder_of(weights(tmp_path / "fused")), decoder_of(weights(backbones[0]))
    assert fused.keys() == query.keys()
    assert all(torch.equal(fused[name], query[name]) for name in query) == as_before


def test_a_cold_decoder_is_that_of_the_checkpoint_of_the_first_stage(stage, tmp_path):
    dataset, backbones = stage
    published = write_model(tmp_path / "published", network=TINY_TRAINING.network)
    first = TINY_TRAINING.updated(modalities=("rgb",), start_from=str(published))
    settings = fusion_settings(first, backbones, cold=True)
    assert (settings.start_from, settings.decoder_from) == (None, str(published))
    train(dataset, still(settings), tmp_path / "fused")
    fused, theirs = weights(tmp_path / "fused"), weights(published)
    assert all(torch.equal(fused[name], value) for name, value in decoder_of(theirs).items())
    backbone = [name for name in weights(backbones[0]) if name.startswith(BOTTOM_UP)]
    assert all(torch.equal(fused[name], weights(backbones[0])[name]) for name in backbone)  # not the checkpoint's


def test_a_second_stage_without_another_s_decoder_or_start(stage):
    _, backbones = stage
    assert fusion_settings(None, backbones).changed(["decoder_from="]).decoder_from is None


def test_a_decoder_of_other_sizes_is_refused(stage, tmp_path):
    dataset, backbones = stage
    settings = fusion_settings(None, backbones).changed(["network.fc_dim=24"])
    with pytest.raises(ModelError, match=r"rgb: its decoder belongs to another network \(tensor roi_heads\.box_"):
        train(dataset, settings, tmp_path / "fused")


@pytest.mark.parametrize(
    ("words", "rate", "frozen"),
    [
        ((), 1.0, ("rgb", "nir")),
        (("--thaw",), 0.1, ()),
        (("--thaw", "--set", "backbone_rate=0.03"), 0.03, ()),
        (("--thaw", "--set", "backbone_rate=0"), 0.0, ("rgb", "nir")),
        (("--decoder", "cold"), 1.0, ("rgb", "nir")),
    ],
)
def test_how_fast_backbones_learn(rtsmap, stage, tmp_path, words, rate, frozen):
    dataset, backbones = stage
    code, _, err = rtsmap(
        *("train", "fusion", dataset.folder, "--backbones", *backbones, "-o", tmp_path / "fused"),
        *("--set", "iterations=2", *words),
    )
    assert code == 0, err
    used = TrainConfig.from_toml(tmp_path / "fused" / "training.toml")
    assert (used.backbone_rate, used.frozen) == (rate, frozen)
    fused, query = weights(tmp_path / "fused"), weights(backbones[0])
    kept = [torch.equal(fused[name], value) for name, value in query.items() if ".backbones." in name]
    assert all(kept) == bool(frozen)


def test_the_rate_of_backbones_multiplies_that_of_their_layers():
    network = seeded_network(TINY, ("rgb",), 0)
    names = {id(value): name for name, value in network.named_parameters()}
    groups = parameter_groups(network, TINY_TRAINING.updated(layer_decay=0.5, backbone_rate=0.1))
    scale = {names[id(value)]: group["scale"] for group in groups for value in group["params"]}
    assert scale["backbone.bottom_up.backbones.rgb.patch_embed.proj.weight"] == pytest.approx(0.1 * 0.5**5)
    assert scale["roi_heads.mask_head.predictor.weight"] == 1


def test_without_a_backbone_for_each_modality_none_can_be_frozen():
    with pytest.raises(InputError, match='backbone_rate = 0: with fusion = "channels" all modalities share one'):
        TrainConfig().changed(["network.fusion=channels", "backbone_rate=0"])


@pytest.mark.parametrize(
    ("network", "norm"),
    [
        ({"backbone": "mvitv2"}, "none"),
        ({"backbone": "resnet50"}, "layer"),
        ({"backbone": "efficientnet-lite"}, "layer"),
        ({"backbone": "efficientnet-lite", "fusion_norm": "none"}, "none"),  # the paper's letter
        ({"backbone": "mvitv2", "fusion_norm": "layer"}, "layer"),
    ],
)
def test_new_trainings_norm_the_maps_of_backbones_that_do_not_norm_them_themselves(network, norm):
    assert TrainConfig.model_validate({"network": network}).network.fusion_norm == norm
    # while cards of older models, which do not say, have none
    assert NetworkConfig.model_validate(network).fusion_norm == network.get("fusion_norm", "none")


def test_presets_say_which_norm_they_have():
    assert {name: TrainConfig(network=one).network == one for name, one in PRESETS.items()} == dict.fromkeys(
        PRESETS, True
    )


def test_the_norm_makes_maps_of_any_size_alike():
    maps = {}
    for size in (1.0, 7.0):
        network = seeded_network(TINY.model_copy(update={"fusion_norm": "layer"}), ("rgb", "nir"), 0).eval()
        generator = torch.Generator().manual_seed(0)
        features = [size * torch.rand(1, 8, 16, 16, generator=generator) for _ in range(2)]
        with torch.inference_mode():
            maps[size] = network.backbone.bottom_up.fusion["scale2"](features)
    torch.testing.assert_close(maps[1.0], maps[7.0], rtol=1e-3, atol=1e-3)


def test_the_second_stage_of_older_models_gets_the_norm(stage, tmp_path):
    _, backbones = stage
    small = PRESETS["efficientnet-lite0"]
    folder = write_model(tmp_path / "old", network=TINY)
    one = ModelCard.from_toml(backbones[0] / "model.toml")
    one.model_copy(update={"network": small}).to_toml(folder / "model.toml")
    lines = [line for line in (folder / "model.toml").read_text().splitlines() if "fusion_norm" not in line]
    (folder / "model.toml").write_text("\n".join(lines))
    assert ModelCard.from_toml(folder / "model.toml").network.fusion_norm == "none"
    assert fusion_settings(None, [folder, backbones[1]], fusion="cross").network.fusion_norm == "layer"


class StopError(Exception):
    """The run is killed."""


def stop_after_three(progress):
    if progress.step == 3:  # one after the checkpoint
        raise StopError


@pytest.mark.parametrize(
    "changes",
    [
        ("precision=bf16",),
        ("freeze=[]", "backbone_rate=0.1", "network.fusion_norm=layer"),
        ("decoder_from=", "augmentation=light", "pasted_slumps=2", "ignore_boundary_px=0"),
    ],
)
def test_a_second_stage_that_is_stopped_goes_on_to_the_same_weights(stage, tmp_path, changes):
    dataset, backbones = stage
    settings = fusion_settings(None, backbones).changed(["iterations=4", *changes])
    whole = train(dataset, settings, tmp_path / "whole")
    with pytest.raises(StopError):
        train(dataset, settings, tmp_path / "stopped", progress=stop_after_three)
    assert train(dataset, settings, tmp_path / "stopped").sha256 == whole.sha256
    assert whole.training is not None
    assert whole.training.precision == settings.precision


def test_a_run_does_not_go_on_in_another_precision(stage, tmp_path, monkeypatch):
    dataset, backbones = stage
    settings = fusion_settings(None, backbones).changed(["iterations=4", "precision=auto"])
    monkeypatch.setattr(machine, "_CPU", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("flags : avx2\n")
    with pytest.raises(StopError):
        train(dataset, settings, tmp_path / "fused", progress=stop_after_three)
    (tmp_path / "cpuinfo").write_text("flags : avx2 amx_bf16\n")
    with pytest.raises(InputError, match="was made with other settings"):
        train(dataset, settings, tmp_path / "fused")
    (tmp_path / "cpuinfo").write_text("flags : avx2\n")
    card = train(dataset, settings, tmp_path / "fused")
    assert card.training is not None
    assert card.training.precision == "float32"
