"""A model as ONNX finds what it finds on torch, and needs no torch to do so."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from rtsmap.chips.grid import ChipGrid
from rtsmap.chips.reading import read_chips
from rtsmap.cli import rtsmap as rtsmap_cli
from rtsmap.demo import example_folder
from rtsmap.detector import build_detector
from rtsmap.detector.loading import chosen_runtime
from rtsmap.detector.onnx import OnnxDetector, resolve_provider
from rtsmap.errors import InputError, ModelError
from rtsmap.files.writing import sha256
from rtsmap.models import DEFAULT_MODEL, find_model, list_models, verify
from rtsmap.network.exporting import export_onnx
from rtsmap.records import Detections
from rtsmap.scene import open_scene
from rtsmap.settings.card import ModelCard
from rtsmap.settings.network import NetworkConfig
from tests.networks import TINY, write_model

CONVOLUTIONS = TINY.model_copy(update={"backbone": "efficientnet-lite", "fusion": "channels"})

#: What a network may be made of; each has operations of its own.
KINDS: dict[str, NetworkConfig] = {
    **{
        name: TINY.model_copy(update={"fusion": name})
        for name in ("residual_cross", "channels", "stacked", "convolution")
    },
    "convolutions": CONVOLUTIONS,
    "convolutions_fused": CONVOLUTIONS.model_copy(update={"fusion": "residual_cross"}),
    "convolutions_normed": CONVOLUTIONS.model_copy(update={"fusion": "residual_cross", "fusion_norm": "layer"}),
    "whole_chips": TINY.model_copy(update={"global_blocks": True, "fusion_window": 0, "image_size": 64}),
    "mask_rcnn": CONVOLUTIONS.model_copy(update={"decoder": "single", "classes": 2, "head_norm": "batch"}),
    "sure": CONVOLUTIONS.model_copy(update={"stage_score": 0.4}),
    "boxes_only": CONVOLUTIONS.model_copy(update={"masks": False}),
}


Model = tuple[Path, ModelCard]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Model]:
    """A model of a kind with random weights and its ONNX file, made once; not to be changed."""
    folder = tmp_path_factory.mktemp("models")

    def make(kind: str) -> Model:
        if not (folder / kind).exists():
            write_model(folder / kind, gsd_m=10.0, network=KINDS[kind])  # as the demo's scene
            rtsmap_cli.main(["export", "onnx", str(folder / kind)], standalone_mode=False)
        return find_model(str(folder / kind))

    return make


def noise(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 5, size, size)).astype(np.float32)


def assert_same(found: Detections, expected: Detections, *, min_iou: float = 0.99, score: float = 1e-3) -> None:
    """The same instances: as many, each with one of the same place, score and outline."""
    assert len(found.boxes) == len(expected.boxes)
    for box, its_score, mask in zip(expected.boxes, expected.scores, expected.masks, strict=True):
        overlaps = iou(box, found.boxes)
        best = int(overlaps.argmax())
        assert overlaps[best] >= min_iou
        assert abs(found.scores[best] - its_score) < score
        inside, its_inside = found.masks[best] > 0.5, mask > 0.5
        assert (inside & its_inside).sum() >= min_iou * (inside | its_inside).sum()


def iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    return shared / ((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_finds_the_same_on_onnx_runtime_and_on_torch(kind, exported):
    folder, card = exported(kind)
    one, other = (
        build_detector(folder, card, "cpu", 0.05, runtime=runtime, chip_size=64) for runtime in ("onnx", "torch")
    )
    chips = noise(2, 64)
    for found, expected in zip(one.detect(chips), other.detect(chips), strict=True):
        assert len(expected.boxes) > 0
        assert_same(found, expected)


def test_the_shipped_model_finds_the_same_slumps_on_a_real_scene():
    folder, card = find_model(DEFAULT_MODEL)
    size = card.input.chip_size
    with open_scene(str(example_folder() / "taimyr.tif")) as scene:
        source = scene.at_gsd(card.input.gsd_m, card.input.gsd_range_m)
        chip_grid = ChipGrid(source.grid, size, card.input.overlap, card.network.alignment)
        chip = next(chip for block in read_chips(source, chip_grid) for chip in block.chips)
    from rtsmap import bands

    inputs = card.input
    chips = bands.network_input(
        chip.pixels.reflectance, chip.pixels.valid, inputs.modalities, inputs.mean, inputs.std, None
    )[np.newaxis]
    (found,), (expected,) = (
        build_detector(folder, card, "cpu", 0.05, runtime=runtime, chip_size=size).detect(chips)
        for runtime in ("onnx", "torch")
    )
    assert len(expected.boxes) > 5
    assert_same(found, expected)


def test_the_shipped_models_have_the_onnx_file_that_their_card_names():
    for folder, card in list_models():
        verify(folder, card)
        assert card.onnx is not None, f"rtsmap export onnx {card.name}"
        file = folder / card.onnx.file
        assert sha256(file) == card.onnx.sha256
        metadata = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
        assert metadata["weights_sha256"] == card.sha256
        assert file.stat().st_size < 1.3 * (folder / card.weights).stat().st_size  # in half precision too
        assert chosen_runtime(folder, card, chip_size=card.input.chip_size) == "onnx"


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_what_is_found_in_a_chip_does_not_depend_on_the_others(concurrency, exported, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    folder, card = exported("convolutions")
    detector = build_detector(folder, card, "cpu", 0.05, runtime="onnx", concurrency=concurrency)
    single = build_detector(folder, card, "cpu", 0.05, runtime="onnx")
    chips = noise(3, 64)
    together, alone = detector.detect(chips), [single.detect(chip[np.newaxis])[0] for chip in chips]
    assert len(together) == 3
    assert detector.detect(chips[:0]) == []
    for one, other in zip(together, alone, strict=True):
        assert one.boxes.tobytes() == other.boxes.tobytes()
        assert one.scores.tobytes() == other.scores.tobytes()
        assert one.masks.tobytes() == other.masks.tobytes()


@pytest.mark.parametrize("kind", ["convolutions", "residual_cross"])
def test_the_graph_takes_any_number_of_chips_at_once(kind, exported):
    folder, card = exported(kind)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    chips = noise(3, 64)
    boxes, scores, masks, places = session.run(None, {"chips": chips, "min_score": np.array(0.05, dtype=np.float32)})
    for index, expected in enumerate(build_detector(folder, card, "cpu", 0.05, runtime="torch").detect(chips)):
        mine = places == index
        assert_same(Detections(boxes[mine], scores[mine], masks[mine]), expected)


@pytest.mark.parametrize("size", [96, 128, 200])
def test_convolutions_take_chips_of_any_size(size, exported):
    folder, card = exported("convolutions")
    chips = noise(1, size)
    (found,), (expected,) = (
        build_detector(folder, card, "cpu", 0.05, runtime=runtime).detect(chips) for runtime in ("onnx", "torch")
    )
    assert len(expected.boxes) > CONVOLUTIONS.proposals / 2  # of larger chips more are kept
    assert_same(found, expected)


def test_attention_takes_chips_of_the_card_s_size_alone(exported):
    folder, card = exported("residual_cross")
    assert chosen_runtime(folder, card, chip_size=64) == "onnx"
    assert chosen_runtime(folder, card, chip_size=128) == chosen_runtime(folder, card) == "torch"
    with pytest.raises(ModelError, match="takes only chips of 64 px; use --runtime torch"):
        chosen_runtime(folder, card, "onnx", chip_size=128)
    detector = OnnxDetector(card, folder / "model.onnx", device="cpu", min_score=0.5)
    with pytest.raises(InputError, match="takes chips of 64 px, not of 128 x 128"):
        detector.detect(noise(1, 128))


def test_weights_in_half_precision_are_exact_and_take_half_the_space(exported):
    folder, card = exported("residual_cross")
    large = export_onnx(folder, card, precision="fp32")
    halved, single = onnx.load(folder / "model.onnx"), onnx.load_from_string(large)
    values = {weight.name: numpy_helper.to_array(weight) for weight in halved.graph.initializer}
    for weight in single.graph.initializer:
        expected = numpy_helper.to_array(weight)
        stored = values[weight.name if weight.name in values else f"{weight.name}.half"]
        assert np.array_equal(stored.astype(expected.dtype), expected)
    stored = [sum(one.data_type == TensorProto.FLOAT for one in each.graph.initializer) for each in (halved, single)]
    assert stored[0] < 0.05 * stored[1]
    saved = len(large) - (folder / "model.onnx").stat().st_size
    assert saved == pytest.approx((folder / card.weights).stat().st_size, rel=0.2)  # which are halved too


def test_the_file_says_what_it_was_made_of(exported):
    folder, card = exported("convolutions")
    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    plain = card.model_copy(update={"onnx": None})
    assert ModelCard.model_validate(json.loads(metadata["card"])) == plain
    assert metadata["weights_sha256"] == card.sha256
    assert card.onnx
    assert card.onnx.sha256 == sha256(folder / "model.onnx")
    assert str(Path.cwd()).encode() not in (folder / "model.onnx").read_bytes()
    assert export_onnx(folder, card) == (folder / "model.onnx").read_bytes()


def test_an_export_elsewhere_leaves_the_model_as_it_is(rtsmap, tmp_path):
    folder = write_model(tmp_path / "model", network=CONVOLUTIONS)
    before = (folder / "model.toml").read_bytes()
    code, out, _ = rtsmap("export", "onnx", folder, "-o", tmp_path / "mine.onnx", "--opset", "18")
    assert code == 0
    assert "chips of any size" in out
    assert (folder / "model.toml").read_bytes() == before
    assert onnx.load(tmp_path / "mine.onnx").opset_import[0].version == 18


def test_an_export_is_not_replaced_unasked(rtsmap, tmp_path):
    folder = write_model(tmp_path / "model", network=CONVOLUTIONS)
    (folder / "model.onnx").touch()
    code, _, err = rtsmap("export", "onnx", folder)
    assert code == 2
    assert "--overwrite" in err


def test_a_network_that_cannot_be_exported_is_named(tmp_path):
    # 16 tokens a side, averaged to a grid of 5
    uneven = TINY.model_copy(update={"fusion_window": 0, "fusion_kv_grid": 5})
    folder = write_model(tmp_path / "model", network=uneven)
    with pytest.raises(ModelError, match=r"cannot be exported \(maps of 16 x 16 tokens cannot be cut into 5 x 5"):
        export_onnx(*find_model(str(folder)))


def test_a_damaged_file_is_refused(exported, tmp_path):
    original, card = exported("convolutions")
    folder = shutil.copytree(original, tmp_path / "model")
    file = folder / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=r"model\.onnx: is not what model\.toml describes"):
        verify(folder, card)
    with pytest.raises(ModelError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        OnnxDetector(card, file, device="cpu", min_score=0.5)


def test_a_file_of_other_weights_is_refused(exported):
    folder, card = exported("convolutions")
    with pytest.raises(ModelError, match="was made from other weights"):
        OnnxDetector(card.updated(sha256="0" * 64), folder / "model.onnx", device="cpu", min_score=0.5)


def test_a_model_without_the_file_runs_on_torch_and_says_how_to_make_it(tmp_path):
    folder, card = find_model(str(write_model(tmp_path / "model")))
    assert chosen_runtime(folder, card) == "torch"
    with pytest.raises(ModelError, match="rtsmap export onnx"):
        chosen_runtime(folder, card, "onnx")


def test_cuda_without_a_gpu_says_what_to_do(monkeypatch):
    monkeypatch.setattr("rtsmap.detector.onnx.gpus", lambda: 0)
    with pytest.raises(InputError, match="use --device cpu"):
        resolve_provider("cuda")
    assert resolve_provider("auto") == resolve_provider("cpu") == "CPUExecutionProvider"


WITHOUT_TORCH = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "detectron2", "onnx"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


def test_predict_runs_where_torch_is_not_installed(exported, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_TORCH)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
    scene = shutil.copy(example_folder() / "taimyr.tif", tmp_path)
    folder, _ = exported("convolutions")

    def rtsmap(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rtsmap", *map(str, words)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    done = rtsmap(
        "predict", scene, "-o", tmp_path / "slumps.gpkg", "--model", folder, "--score", "0.6", "--chip-size", "256"
    )
    assert done.returncode == 0, done.stderr
    assert "km2 observed" in done.stdout
    assert list(geopandas.read_file(tmp_path / "slumps.gpkg", layer="thaw_slumps").columns)
    refused = rtsmap("predict", scene, "-o", tmp_path / "other.gpkg", "--model", folder, "--runtime", "torch")
    assert refused.returncode == 2
    assert "needs torch and detectron2" in refused.stderr


def test_the_doctor_says_what_will_compute_the_network(rtsmap, monkeypatch):
    monkeypatch.setattr("rtsmap.detector.onnx.gpus", lambda: 0)
    _, out, _ = rtsmap("doctor")
    assert f"{DEFAULT_MODEL} runs on ONNX Runtime, the CPU" in out
