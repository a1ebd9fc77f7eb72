"""A model in 8 bits: nearly the same slumps, and honest words about it."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from rtsmap.demo import example_folder
from rtsmap.detector.onnx import OnnxDetector
from rtsmap.errors import ModelError
from rtsmap.evaluation.chip_sampling import sample_chips
from rtsmap.models import find_model
from rtsmap.network.quantising import Agreement, export_int8
from rtsmap.settings.network import NetworkConfig
from tests.networks import TINY, write_model

CONVOLUTIONS = TINY.model_copy(update={"backbone": "efficientnet-lite", "fusion": "channels"})


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 5, 64, 64)).astype(np.float32)


def model(folder: Path, network: NetworkConfig = CONVOLUTIONS) -> Path:
    return write_model(folder / "model", gsd_m=10.0, network=network)  # as the demo's scene


def kinds_of_convolutions(content: bytes) -> dict[str, bool]:
    """Which convolutions have a kernel in 8 bits."""
    graph = onnx.load_from_string(content).graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    return {node.name: makers.get(node.input[1]) == "DequantizeLinear" for node in graph.node if node.op_type == "Conv"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Agreement]:
    return export_int8(*find_model(str(model(tmp_path_factory.mktemp("exported")))), noise(2))


def test_blocks_pyramid_proposals_and_box_heads_are_in_8_bits_and_the_rest_is_not(exported):
    content, _ = exported
    in_8_bits = kinds_of_convolutions(content)

    def all_of(part: str) -> set[bool]:
        return {found for name, found in in_8_bits.items() if part in name}

    assert all_of("/_blocks.1/") == all_of("/fpn_output2") == all_of("/rpn_head/conv") == all_of("/box_head") == {True}
    assert all_of("/_blocks.0/") == all_of("/mask_fcn") == all_of("objectness") == all_of("anchor_deltas") == {False}
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)


def test_a_fused_network_has_its_backbones_in_8_bits_and_its_norms_and_attention_not(tmp_path):
    fused = CONVOLUTIONS.model_copy(update={"fusion": "residual_cross", "fusion_norm": "layer"})
    content, agreement = export_int8(*find_model(str(model(tmp_path, fused))), noise(2))
    in_8_bits = kinds_of_convolutions(content)
    for modality in ("rgb", "ndvi", "nir"):
        assert {found for name, found in in_8_bits.items() if f"/bottom_up/{modality}/_blocks.1/" in name} == {True}
    assert {found for name, found in in_8_bits.items() if "/bottom_up/scale" in name} == {False}  # of the fusion
    assert agreement.same >= 0.8 * agreement.single > 0
    assert sum(node.op_type == "LayerNormalization" for node in onnx.load_from_string(content).graph.node) > 12


def test_detections_are_near_those_in_single_precision(exported):
    _, agreement = exported
    assert agreement.chips == 2
    assert agreement.single > 0
    assert agreement.same >= 0.8 * agreement.single
    assert agreement.iou > 0.9
    assert 0 < agreement.score < 0.05  # exactly 0 would be no 8 bits at all


def test_the_command_makes_the_file_part_of_the_model_and_says_how_near_it_is(rtsmap, tmp_path, monkeypatch):
    monkeypatch.setattr("rtsmap.cli.export.onnx.CHIPS", 2)  # for a short test
    folder = model(tmp_path)
    code, out, _ = rtsmap(
        "export", "onnx", folder, "--precision", "int8", "--calibrate-on", example_folder() / "taimyr.tif"
    )
    assert code == 0
    assert "detections in single precision" in out
    assert "in 8 bits" in out
    _, card = find_model(str(folder))
    assert card.onnx
    metadata = {entry.key: entry.value for entry in onnx.load(folder / "model.onnx").metadata_props}
    assert metadata["weights_sha256"] == card.sha256
    (found,) = OnnxDetector(card, folder / "model.onnx", device="cpu", min_score=0.05).detect(noise(1))
    assert len(found.boxes) > 0


@pytest.mark.parametrize("options", [("--precision", "int8"), ("--calibrate-on", "scene.tif")])
def test_8_bits_need_something_to_calibrate_on_and_the_other_way_round(options, rtsmap, tmp_path):
    folder = model(tmp_path)
    code, _, err = rtsmap("export", "onnx", folder, *options)
    assert code == 2
    assert "--precision int8 and --calibrate-on SCENE|DATASET go together" in err
    assert not (folder / "model.onnx").exists()


def test_a_scene_that_cannot_be_read_is_named(rtsmap, tmp_path):
    code, _, err = rtsmap(
        "export", "onnx", model(tmp_path), "--precision", "int8", "--calibrate-on", tmp_path / "absent.tif"
    )
    assert code == 2
    assert "absent.tif" in err
    assert len(err.strip().splitlines()) == 1


def test_attention_is_not_offered_in_8_bits(tmp_path):
    folder, card = find_model(str(model(tmp_path, TINY)))
    with pytest.raises(ModelError, match="int8 is only for EfficientNet-Lite backbones, not mvitv2"):
        export_int8(folder, card, noise(1))


def test_chips_in_which_nothing_is_found_tell_nothing(tmp_path):
    unsure = CONVOLUTIONS.model_copy(update={"stage_score": 0.999})
    folder, card = find_model(str(model(tmp_path, unsure)))
    with pytest.raises(ModelError, match="detects nothing in the 2 calibration chips"):
        export_int8(folder, card, noise(2))


def test_chips_are_drawn_from_all_of_a_scene_and_always_the_same(tmp_path):
    _, card = find_model(str(model(tmp_path)))
    scene = example_folder() / "taimyr.tif"
    some, again, more = (sample_chips(scene, card, number) for number in (4, 4, 10_000))
    assert len(some) == 4
    assert len(more) > 50
    assert all(np.array_equal(one, other) for one, other in zip(some, again, strict=True))
    places = [next(index for index, chip in enumerate(more) if np.array_equal(chip, one)) for one in some]
    assert max(places) > 10  # not the first ones only
