import os
import pickle
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from rtsmap.cli.options import NETWORKS
from rtsmap.errors import ModelError
from rtsmap.network.cascade import build_network, seeded_network
from rtsmap.network.checkpoint import save_weights
from rtsmap.network.checkpoint_reading import read_checkpoint
from rtsmap.network.mvitv2 import MViT
from rtsmap.network.pretrained import import_checkpoint, start_from
from rtsmap.settings.network import PRESETS
from rtsmap.settings.training import TrainConfig
from tests.datasets import write_dataset
from tests.networks import TINY, TINY_TRAINING

BACKBONES = "backbone.bottom_up.backbones."


def published(window: int = 8, **sizes: object) -> dict[str, torch.Tensor]:
    """An ImageNet classifier of the test network's architecture, with the names of MViTv2's."""
    torch.manual_seed(7)
    backbone = MViT(
        **{"dim": 8, "depth": 4, "last_blocks": (0, 1, 2, 3), "window": window, "global_blocks": False} | sizes
    )
    weights = {name: torch.randn_like(value) for name, value in backbone.state_dict().items() if "scale" not in name}
    return weights | {"norm.weight": torch.ones(64), "head.projection.weight": torch.zeros(1000, 64)}


def save(weights: dict[str, torch.Tensor], path) -> object:
    """In the format that the suffix says, wrapped as its makers do."""
    if path.suffix == ".safetensors":
        save_file(weights, path)
    elif path.suffix == ".pkl":
        arrays = {name: value.numpy() for name, value in weights.items()}
        path.write_bytes(pickle.dumps({"model": arrays, "__author__": "test", "matching_heuristics": True}))
    else:
        torch.save({"epoch": 300, "model_state": weights, "optimizer_state": {}, "cfg": "A: 1"}, path)
    return path


def tiny(**changed: object) -> TrainConfig:
    return TINY_TRAINING.model_copy(update={"network": TINY.model_copy(update=changed)})


def test_the_published_backbone_goes_to_every_modality(tmp_path):
    weights = published()
    found, report = import_checkpoint(save(weights, tmp_path / "in1k.pyth"), TINY_TRAINING)
    for modality in ("rgb", "ndvi", "nir"):
        for name in weights.keys() - {"norm.weight", "head.projection.weight"}:
            assert torch.equal(found[f"{BACKBONES}{modality}.{name}"], weights[name])
    assert set(found) == set(report.loaded)
    assert report.resized == ()
    assert set(report.skipped) == {"norm.weight", "head.projection.weight"}
    assert f"{BACKBONES}rgb.scale5_norm.weight" in report.missing  # a classifier has no norm on each scale
    assert any("fusion" in name for name in report.missing)


def test_a_report_counts_first_and_then_names(tmp_path):
    _, report = import_checkpoint(save(published(window=16), tmp_path / "in1k.pyth"), TINY_TRAINING)
    text = report.describe().splitlines()
    assert text[0] == f"{len(report.loaded):6} tensors loaded"
    assert text[2] == "     2 tensors skipped"
    assert "  head.projection.weight: the network has no such tensor" in text
    assert f"  ... and {len(report.missing) - 10} more" in text


@pytest.mark.parametrize("suffix", [".pkl", ".pth", ".pt", ".safetensors"])
def test_every_format_gives_the_same_tensors(tmp_path, suffix):
    expected, _ = import_checkpoint(save(published(), tmp_path / "one.pyth"), TINY_TRAINING)
    found, _ = import_checkpoint(save(published(), tmp_path / f"other{suffix}"), TINY_TRAINING)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_arrays_are_read_whatever_the_protocol_and_numpy_of_the_pickle(tmp_path, protocol):
    weights = {"a": torch.randn(2, 3), "b": torch.randn(4).double(), "count": torch.tensor(3)}
    content = pickle.dumps({name: value.numpy() for name, value in weights.items()}, protocol)
    if protocol < 4:  # later ones give the length of names
        content = content.replace(b"numpy._core", b"numpy.core")
    (tmp_path / "plain.pkl").write_bytes(content)
    found = read_checkpoint(tmp_path / "plain.pkl")
    assert found.keys() == {"a", "b"}  # counters are no weights
    assert torch.equal(found["a"], weights["a"])
    assert torch.equal(found["b"], weights["b"].float())


def test_a_file_of_torch_s_old_format_is_read(tmp_path):
    torch.save({"state_dict": {"a": torch.ones(2).half()}}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(read_checkpoint(tmp_path / "a.pth")["a"], torch.ones(2))


def test_a_detector_gives_all_but_its_classes(tmp_path):
    coco = seeded_network(TINY.model_copy(update={"classes": 80}), ("rgb",), 3).state_dict()
    weights = {name.replace("backbones.rgb.", ""): value for name, value in coco.items()}
    assert "backbone.bottom_up.patch_embed.proj.weight" in weights
    found, report = import_checkpoint(save(weights, tmp_path / "coco.pkl"), TINY_TRAINING)
    for name in ("backbone.fpn_lateral2.weight", "proposal_generator.rpn_head.conv.weight"):
        assert torch.equal(found[name], coco[name])
    assert torch.equal(found["roi_heads.box_head.2.fc1.weight"], coco["roi_heads.box_head.2.fc1.weight"])
    assert torch.equal(found[f"{BACKBONES}nir.scale3_norm.bias"], coco[f"{BACKBONES}rgb.scale3_norm.bias"])
    predictor = "roi_heads.box_predictor.0.cls_score.weight"
    assert report.skipped[predictor] == "(81, 16) in the file, (2, 16) in the network"
    assert predictor in report.missing
    assert all(re.search("fusion|cls_score|mask_head.predictor", name) for name in report.missing)


def test_relative_positions_of_another_window_keep_their_distances(tmp_path):
    weights = published(window=16)
    name = "blocks.0.attn.rel_pos_h"
    weights[name] = torch.linspace(-15, 15, 31)[:, None].expand(-1, 8).contiguous()  # of distances -15 .. 15
    found, report = import_checkpoint(save(weights, tmp_path / "in1k.pth"), TINY_TRAINING)
    table = found[f"{BACKBONES}ndvi.{name}"]
    assert table.shape == (15, 8)
    assert table[7].abs().max() < 1e-5  # distance 0 stays so
    torch.testing.assert_close(table, -table.flip(0))
    assert (table.diff(dim=0) > 0).all()
    assert {re.sub(r".*attn\.", "", one) for one in report.resized} == {"rel_pos_h", "rel_pos_w"}


def test_a_first_convolution_for_more_channels_sees_grey_as_before(tmp_path):
    weights = published()
    config = tiny(fusion="channels").model_copy(update={"modalities": ("nir", "rgb")})
    found, report = import_checkpoint(save(weights, tmp_path / "in1k.pth"), config)
    name = f"{BACKBONES}nir+rgb.patch_embed.proj.weight"
    before, after = weights["patch_embed.proj.weight"], found[name]
    assert report.resized == (name,)
    torch.testing.assert_close(after[:, 1:], before * 3 / 4)
    torch.testing.assert_close(after[:, 0], before.mean(dim=1) * 3 / 4)
    torch.testing.assert_close(after.sum(dim=1), before.sum(dim=1))


@pytest.mark.parametrize("name", ["mvitv2-t", "resnet50"])
def test_detectron2_s_architectures_fit_the_presets(tmp_path, name):
    with torch.device("meta"):
        if name == "resnet50":
            network = build_network(PRESETS[name], ("rgb",)).backbone.bottom_up.backbones["rgb"]
        else:  # as in its configs/mvitv2_t
            network = MViT(depth=10, last_blocks=(0, 2, 7, 9), window=56, image_size=224, global_blocks=True)
    weights = {one: torch.zeros(value.shape) for one, value in network.state_dict().items() if "_norm." not in one}
    path = save(weights, tmp_path / "weights.safetensors")
    found, report = import_checkpoint(path, TrainConfig(network=PRESETS[name], modalities=("rgb", "nir")))
    assert len(found) == 2 * len(weights)
    assert all("rel_pos" in one for one in report.resized)
    assert report.skipped == {}


@pytest.mark.parametrize(
    ("weights", "changed", "message"),
    [
        (
            published(),
            {"depth": 6, "last_blocks": (0, 1, 4, 5)},
            "the file's backbone has depth 4 and 8 channels, the network's 6 and 8",
        ),
        (published(dim=16), {}, "the file's backbone has depth 4 and 16 channels, the network's 4 and 8"),
        (published(heads=2), {}, r"the network's backbone has blocks\.0\.attn\.rel_pos_h"),
        (published(), {"backbone": "resnet50"}, r"the network's backbone has stem\.conv1\.weight"),
        ({"conv1_w": torch.zeros(64, 3, 7, 7)}, {}, r"the network's backbone has patch_embed\.proj\.weight"),
    ],
)
def test_another_architecture_is_refused(tmp_path, weights, changed, message):
    with pytest.raises(ModelError, match=rf"in1k\.pth: another architecture: {message}"):
        import_checkpoint(save(weights, tmp_path / "in1k.pth"), tiny(**changed))


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    weights = published()
    weights["blocks.0.norm1.bias"][0] = torch.nan
    with pytest.raises(ModelError, match=r"blocks\.0\.norm1\.bias is not finite"):
        import_checkpoint(save(weights, tmp_path / "in1k.pth"), TINY_TRAINING)


@pytest.mark.parametrize("suffix", [".pkl", ".pth", ".safetensors"])
@pytest.mark.parametrize("left", [0.5, 0])
def test_a_truncated_file_is_refused(tmp_path, suffix, left):
    path = save(published(), tmp_path / f"in1k{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * left)])
    with pytest.raises(ModelError, match=rf"in1k\{suffix}: is damaged or no checkpoint \(\w+\); download it again$"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("weights.zip", b"", r"is not a checkpoint by its name; give a file that ends in \.safetensors, \.pkl"),
        ("missing.pth", None, "no such file"),
        ("list.pkl", pickle.dumps([1, 2]), "contains no weights"),
        ("numbers.pkl", pickle.dumps({"model": {"a": 1}}), "contains no weights"),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name}: {message}"):
        read_checkpoint(tmp_path / name)


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("attack.pkl", lambda content, path: path.write_bytes(pickle.dumps(content))),
        ("attack.pkl", lambda content, path: path.write_bytes(pickle.dumps(content, 0))),
        ("attack.pth", torch.save),
        ("attack.pth", lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False)),
    ],
)
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path, name, write):
    write({"model": {"a": Attack(f"touch {tmp_path}/executed")}}, tmp_path / name)
    with pytest.raises(ModelError, match=rf"{name}: refused, because it names \w+\.system, .* could run code"):
        read_checkpoint(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_a_fused_network_starts_from_a_model_of_one_modality(tmp_path):
    one, fused = seeded_network(TINY, ("rgb",), 0), seeded_network(TINY, ("rgb", "nir"), 1)
    before = fused.backbone.bottom_up.backbones["nir"].patch_embed.proj.weight.clone()
    save_weights(one.state_dict(), tmp_path / "weights.safetensors")
    start_from(fused, tmp_path, TINY_TRAINING)
    theirs, ours = one.state_dict(), fused.state_dict()
    assert all(torch.equal(ours[name], value.half().float()) for name, value in theirs.items())
    assert torch.equal(ours[f"{BACKBONES}nir.patch_embed.proj.weight"], before)


def test_starting_from_weights_of_another_network_is_refused(tmp_path):
    network = seeded_network(TINY, ("rgb",), 0)
    with pytest.raises(ModelError, match=r"weights\.safetensors: no such file"):
        start_from(network, tmp_path, TINY_TRAINING)
    save_weights(seeded_network(TINY, ("rgb", "nir"), 0).state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match=r"was made for another network \(tensor backbone\.bottom_up\.backbones\.nir"):
        start_from(network, tmp_path, TINY_TRAINING)


def test_the_command_imports_weights_that_training_starts_from(rtsmap, tmp_path):
    # steps so small that the trained weights are still those of the start
    still = TINY_TRAINING.model_copy(update={"iterations": 2, "learning_rate": 1e-12, "freeze": ("ndvi", "nir")})
    still.to_toml(tmp_path / "mine.toml")
    file, start, model = save(published(), tmp_path / "in1k.pyth"), tmp_path / "start", tmp_path / "model"
    command = ("models", "import", file, "-o", start, "--config", tmp_path / "mine.toml", "--modalities", "rgb,nir")
    code, out, err = rtsmap(*command)
    assert code == 0
    assert "2 tensors skipped" in out
    assert f"Next: rtsmap train end-to-end DATASET -o OUT --config {start / 'training.toml'}" in err
    expected = still.model_copy(update={"modalities": ("rgb", "nir"), "freeze": ("nir",), "start_from": str(start)})
    assert TrainConfig.from_toml(start / "training.toml") == expected
    weights = load_file(start / "weights.safetensors")
    assert weights[f"{BACKBONES}nir.patch_embed.proj.weight"].dtype == torch.float16

    code, _, err = rtsmap(
        "train",
        "end-to-end",
        write_dataset(tmp_path / "dataset").folder,
        "-o",
        model,
        "--config",
        start / "training.toml",
    )
    assert code == 0, err
    trained = load_file(model / "weights.safetensors")
    for name, value in weights.items():
        torch.testing.assert_close(trained[name], value, rtol=0, atol=2e-3)

    code, _, err = rtsmap(*command)
    assert code == 2
    assert "weights.safetensors: exists already" in err
    assert rtsmap(*command, "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "needs either --network or --config"),
        (("--network", "mvitv2-t", "--config", "mine.toml"), "needs either --network or --config"),
        (
            ("--network", "mvitv2-t", "--modalities", "rgb,thermal"),
            "'rgb,thermal' must name some of rgb, ndvi, nir, dem, each once",
        ),
        (("--network", "mvitv2-t", "--modalities", "rgb,rgb"), "each once"),
        (("--network", "mvitv2-t"), "in1k.pyth: another architecture: the file's backbone has depth 4 and 8 channels"),
    ],
)
def test_wrong_usage_is_refused_and_writes_nothing(rtsmap, tmp_path, words, message):
    file = save(published(), tmp_path / "in1k.pyth")
    code, _, err = rtsmap("models", "import", file, "-o", tmp_path / "start", *words)
    assert code == 2
    assert message in err
    assert list(tmp_path.glob("start/*")) == []


def test_the_command_s_help_has_an_example(rtsmap):
    code, out, _ = rtsmap("models", "import", "-h")
    assert code == 0
    assert "Example:" in out


@pytest.mark.parametrize("name", NETWORKS)
def test_the_template_of_an_architecture_can_be_read_back(rtsmap, tmp_path, name):
    code, out, _ = rtsmap("train", "template", "--network", name)
    assert code == 0
    (tmp_path / "train.toml").write_text(out)
    assert TrainConfig.from_toml(tmp_path / "train.toml") == TrainConfig(network=PRESETS[name])


def test_the_architectures_to_choose_from_are_all_there_are():
    assert set(NETWORKS) == set(PRESETS)  # written twice, because importing pydantic is too slow for --help


def test_an_architecture_and_settings_exclude_each_other(rtsmap, tmp_path):
    code, _, err = rtsmap("train", "template", "--network", "mini", "--config", tmp_path / "train.toml")
    assert code == 2
    assert "--network and --config exclude each other" in err
