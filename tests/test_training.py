import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rtsmap.errors import DatasetError, InputError, ModelError
from rtsmap.files.writing import sha256
from rtsmap.network.cascade import seeded_network
from rtsmap.records import Detections
from rtsmap.settings.card import ModelCard
from rtsmap.settings.network import NetworkConfig
from rtsmap.settings.template import commented
from rtsmap.settings.training import TrainConfig
from rtsmap.training import teacher as teaching
from rtsmap.training.batches import Examples, UnlabelledExamples, batches
from rtsmap.training.distributed import Processes
from rtsmap.training.loop import input_config, steps_per_epoch, train
from rtsmap.training.optimiser import learning_rate, parameter_groups
from rtsmap.training.samples import Sampler
from rtsmap.training.stages import fusion_settings
from rtsmap.training.teacher import Teacher, pseudo_labels, unlabelled_part
from tests.datasets import write_dataset
from tests.networks import TINY, TINY_TRAINING

CPU = torch.device("cpu")

#: From the second step on the average teaches, and however unsure it is, what it finds is a label.
TAUGHT = TINY_TRAINING.updated(teacher_from=1, pseudo_score=0.3, doubtful_score=0.2)


def one_image(folder, *sites, **labels):
    """A data set of an image of 96 px at 10 m for each site."""
    return write_dataset(folder, sites, per_site=1, size=96, **labels)


class StopError(Exception):
    """The run is killed."""


def stop_at(step):
    def stop(progress):
        if progress.step == step:
            raise StopError

    return stop


def _report(average_precision):
    return SimpleNamespace(overall=SimpleNamespace(average_precision=average_precision))


def weights_of(folder):
    return sha256(folder / "weights.safetensors")


@pytest.fixture
def dataset(tmp_path):
    return one_image(tmp_path / "dataset", "here")


def test_a_run_that_is_stopped_goes_on_to_the_same_weights(dataset, tmp_path):
    train(dataset, TINY_TRAINING, tmp_path / "whole")
    with pytest.raises(StopError):
        train(dataset, TINY_TRAINING, tmp_path / "stopped", progress=stop_at(3))  # one after the checkpoint
    card = train(dataset, TINY_TRAINING, tmp_path / "stopped")
    assert weights_of(tmp_path / "whole") == weights_of(tmp_path / "stopped") == card.sha256
    assert ModelCard.from_toml(tmp_path / "stopped" / "model.toml") == card
    assert card.sites_trained_on == ("here",)
    assert not (tmp_path / "stopped" / "checkpoint.pt").exists()
    tables = [(tmp_path / name / "losses.csv").read_text() for name in ("whole", "stopped")]
    assert tables[0] == tables[1]  # no iteration twice
    assert [row.split(",")[0] for row in tables[0].splitlines()] == ["iteration", "1", "2", "3", "4"]


def test_a_run_that_is_killed_goes_on_to_the_same_weights(dataset, tmp_path):
    config = TINY_TRAINING.updated(iterations=8, checkpoint_every=1)
    config.to_toml(tmp_path / "train.toml")
    words = ["train", "end-to-end", dataset.folder, "-o", tmp_path / "killed", "--config", tmp_path / "train.toml"]
    command = [sys.executable, "-m", "rtsmap", *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not (tmp_path / "killed" / "checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "model.toml").exists()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    train(dataset, config, tmp_path / "whole")
    assert weights_of(tmp_path / "killed") == weights_of(tmp_path / "whole")
    assert list((tmp_path / "killed").glob(".*")) == []  # nothing half written


def test_the_number_of_workers_changes_nothing(dataset, tmp_path):
    train(dataset, TINY_TRAINING, tmp_path / "none")
    train(dataset, TINY_TRAINING.updated(workers=2), tmp_path / "two")
    assert weights_of(tmp_path / "none") == weights_of(tmp_path / "two")


def test_a_full_disk_leaves_the_last_checkpoint(dataset, tmp_path):
    config = TINY_TRAINING.updated(iterations=20, checkpoint_every=1)
    with pytest.raises(StopError):
        train(dataset, config, tmp_path / "model", progress=stop_at(2))
    before = sha256(tmp_path / "model" / "checkpoint.pt")
    config.to_toml(tmp_path / "train.toml")
    words = ["train", "end-to-end", dataset.folder, "-o", tmp_path / "model", "--config", tmp_path / "train.toml"]

    def no_room():  # a file may not grow beyond half a checkpoint
        size = (tmp_path / "model" / "checkpoint.pt").stat().st_size // 2
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    command = [sys.executable, "-m", "rtsmap", *map(str, words)]
    run = subprocess.run(command, check=False, capture_output=True, text=True, preexec_fn=no_room)
    assert run.returncode == 1
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("rtsmap: ")]
    assert "checkpoint.pt: cannot be written" in line
    assert sha256(tmp_path / "model" / "checkpoint.pt") == before
    assert list((tmp_path / "model").glob(".*")) == []


def test_a_checkpoint_of_other_settings_or_images_is_refused(dataset, tmp_path):
    config = TINY_TRAINING.updated(iterations=6, checkpoint_every=1)
    with pytest.raises(StopError):
        train(dataset, config, tmp_path / "model", progress=stop_at(2))
    with pytest.raises(InputError, match=r"checkpoint\.pt: was made with other settings, images"):
        train(dataset, config.updated(seed=1), tmp_path / "model")
    other = one_image(tmp_path / "other", "there")
    with pytest.raises(InputError, match=r"checkpoint\.pt: was made with other settings, images"):
        train(other, config, tmp_path / "model")


def test_the_best_weights_on_the_validation_images_are_published(tmp_path, monkeypatch):
    from rtsmap.training import loop

    whole = one_image(tmp_path / "dataset", "here", "there")
    scores = iter([0.1, 0.3, 0.2, 0.0])
    monkeypatch.setattr(loop, "predict_images", lambda *_, **__: {})
    monkeypatch.setattr(loop, "score_images", lambda *_, **__: _report(next(scores)))
    config = TINY_TRAINING.updated(iterations=4, validate_every=0.01)
    seen = []
    card = train(
        whole.subset(["here"]), config, tmp_path / "model", validation=whole.subset(["there"]), progress=seen.append
    )
    assert [one.validation_ap50 for one in seen] == [0.1, 0.3, 0.2, 0.0]
    assert card.training is not None
    assert (card.training.best_iteration, card.training.iterations) == (2, 4)
    assert (card.training.validation_ap50, card.training.validated_on) == (0.3, ("there",))
    shorter = train(whole.subset(["here"]), config, tmp_path / "last")
    assert shorter.sha256 != card.sha256
    assert "| there | validation | 1 | 2 |" in (tmp_path / "model" / "card.md").read_text()


def test_images_to_validate_on_need_a_slump(tmp_path, dataset):
    with pytest.raises(DatasetError, match="to validate on show no slump"):
        train(dataset, TINY_TRAINING, tmp_path / "model", validation=one_image(tmp_path / "empty", "here", slumps=()))


def test_two_batches_of_two_are_a_step_as_one_of_four(dataset, tmp_path):
    config = TINY_TRAINING.updated(batch_size=4)
    inputs = input_config(dataset, config)
    numbers = {}
    for size, accumulate in ((4, 1), (2, 2)):
        settings = config.updated(batch_size=size, accumulate=accumulate)
        found = batches(Examples(Sampler(dataset, settings), inputs), 1, 2, Processes(0, 1, CPU))
        numbers[size] = torch.stack([one["image"] for batch in found for one in batch])
    assert torch.equal(numbers[4], numbers[2])
    card = train(dataset, config.updated(batch_size=2, accumulate=2), tmp_path / "model")
    assert card.training is not None
    assert card.training.iterations == 4


def test_processes_share_the_chips_of_a_step(dataset):
    inputs = input_config(dataset, TINY_TRAINING)
    examples = Examples(Sampler(dataset, TINY_TRAINING), inputs)
    parts = [next(batches(examples, 0, 1, Processes(rank, 2, CPU))) for rank in (0, 1)]
    images = [one["image"] for part in parts for one in part]
    for number, image in enumerate(images):
        assert torch.equal(image, examples[number][0])


def test_two_processes_train_one_network(dataset, tmp_path):
    TINY_TRAINING.to_toml(tmp_path / "train.toml")
    words = ["train", "end-to-end", dataset.folder, "-o", tmp_path / "model", "--config", tmp_path / "train.toml"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "rtsmap"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run([*command, *map(str, words)], check=False, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("SHA-256") == 1  # the first process speaks for both
    assert weights_of(tmp_path / "model") in run.stdout
    alone = train(dataset, TINY_TRAINING, tmp_path / "alone")
    assert alone.sha256 != weights_of(tmp_path / "model")  # twice the chips


def found(*slumps):
    """Rectangles `(score, left, top, right, bottom)` as a detector finds them."""
    scores, boxes = np.array([one[0] for one in slumps]), np.array([one[1:] for one in slumps])
    masks = np.ones((len(slumps), 28, 28), np.float32)
    return Detections(boxes.reshape(-1, 4).astype(np.float32), scores.astype(np.float32), masks)


class Finds:
    """A detector that finds the same in every chip."""

    def __init__(self, *slumps):
        self.slumps, self.seen = slumps, []

    def of(self, network, card, *, device, min_score):
        return self

    def detect(self, chips):
        self.seen.append(chips)
        return [found(*self.slumps) for _ in chips]


def test_what_the_teacher_is_sure_of_is_a_label_and_what_it_doubts_is_blank():
    config = TrainConfig(pseudo_score=0.7, doubtful_score=0.2)
    masks, doubtful = pseudo_labels(
        found((0.9, 10, 10, 20, 30), (0.5, 40, 40, 50, 50), (0.1, 4, 40, 12, 50), (0.3, 14, 26, 24, 40)), 64, config
    )
    assert len(masks) == 1
    assert masks[0].sum() == 200
    assert masks[0, 10:30, 10:20].all()
    assert doubtful[40:50, 40:50].all()
    assert not doubtful[40:50, 4:12].any()  # ground
    assert not (doubtful & masks[0]).any()  # a label stays whole where a doubtful one crosses it
    assert doubtful.sum() == 100 + 10 * 14 - 6 * 4
    none, nowhere = pseudo_labels(found(), 64, config)
    assert none.shape == (0, 64, 64)
    assert not nowhere.any()


def test_the_network_learns_from_strong_augmentation_what_the_teacher_finds_with_weak(tmp_path, dataset, monkeypatch):
    other = one_image(tmp_path / "other", "there", slumps=())
    inputs = input_config(dataset, TAUGHT)
    others = UnlabelledExamples(Sampler(other, TAUGHT, labelled=False), inputs)
    examples = Examples(Sampler(dataset, TAUGHT), inputs)
    labelled, unlabelled = batches(examples, 1, 2, Processes(0, 1, CPU), others)
    assert [len(chip["instances"].gt_masks) > 0 for chip in labelled] == [True, True]
    assert [sorted(chip) for chip in unlabelled] == [["image", "weak"]] * 2
    assert all(not torch.equal(chip["image"], chip["weak"]) for chip in unlabelled)
    detector = Finds((0.9, 10, 10, 20, 30), (0.25, 40, 40, 50, 50))
    monkeypatch.setattr(teaching, "TorchDetector", detector)
    learned = Teacher(None, None, TAUGHT, CPU).label(unlabelled)
    for chip, view, seen in zip(learned, unlabelled, detector.seen[0], strict=True):
        np.testing.assert_array_equal(seen, view["weak"])
        assert chip["instances"].gt_boxes.tensor.tolist() == [[10, 10, 20, 30]]
        assert not chip["image"][:, 40:50, 40:50].any()
        assert torch.equal(chip["image"][:, :40], view["image"][:, :40])


def test_a_planted_object_changes_what_is_learned(tmp_path, dataset, monkeypatch):
    other = one_image(tmp_path / "other", "there", slumps=())
    losses, weights = {}, {}
    for name, slumps in (("nothing", ()), ("planted", ((0.99, 10, 10, 40, 40),))):
        monkeypatch.setattr(teaching, "TorchDetector", Finds(*slumps))
        seen = []
        train(dataset, TAUGHT, tmp_path / name, unlabelled=other, progress=seen.append)
        losses[name], weights[name] = [one.losses for one in seen], weights_of(tmp_path / name)
    assert losses["nothing"][0] == losses["planted"][0]  # before the teacher is good enough
    assert losses["nothing"][0]["loss_unlabelled"] == 0
    assert losses["planted"][1]["loss_unlabelled"] > losses["nothing"][1]["loss_unlabelled"] + 0.3  # its outline too
    assert weights["nothing"] != weights["planted"]


def test_without_weight_images_without_labels_change_nothing(tmp_path, dataset):
    config = TAUGHT.updated(unlabelled_weight=0.0, iterations=2)  # proposals of the second step are drawn before
    other = one_image(tmp_path / "other", "there", slumps=())
    train(dataset, config, tmp_path / "taught", unlabelled=other)
    train(dataset, config, tmp_path / "alone")
    assert weights_of(tmp_path / "taught") == weights_of(tmp_path / "alone")


def test_a_taught_run_that_is_stopped_goes_on_to_the_same_weights_whatever_the_workers(tmp_path, dataset):
    other = one_image(tmp_path / "other", "there", slumps=())
    train(dataset, TAUGHT, tmp_path / "whole", unlabelled=other)
    with pytest.raises(StopError):
        train(dataset, TAUGHT, tmp_path / "stopped", unlabelled=other, progress=stop_at(3))
    with pytest.raises(InputError, match="was made with other settings, images"):
        train(dataset, TAUGHT, tmp_path / "stopped")
    card = train(dataset, TAUGHT.updated(workers=1), tmp_path / "stopped", unlabelled=other)
    assert weights_of(tmp_path / "whole") == card.sha256
    assert card.training is not None
    assert (card.training.unlabelled_sites, card.training.unlabelled_images) == (("there",), 1)
    assert card.sites_trained_on == ("here",)
    assert "| there | without labels | 1 | 0 |" in (tmp_path / "whole" / "card.md").read_text()


def test_of_the_same_data_set_what_is_left_out_is_learned_without_labels(rtsmap, tmp_path):
    dataset = one_image(tmp_path / "dataset", "here", "there")
    TAUGHT.to_toml(tmp_path / "train.toml")
    words = ("train", "end-to-end", dataset.folder, "--config", tmp_path / "train.toml", "--unlabelled", dataset.folder)
    code, _, err = rtsmap(*words, "-o", tmp_path / "model", "--without", "there")
    assert code == 0, err
    assert "unlabelled: 1 images, 0 slumps, sites: there" in err
    code, _, err = rtsmap(*words, "-o", tmp_path / "other")
    assert code == 2
    assert "labels of all its images are used; leave some out with --without" in err


def test_labels_of_unlabelled_images_are_not_used(tmp_path, dataset):
    labelled, bare = one_image(tmp_path / "labelled", "there"), one_image(tmp_path / "bare", "there", slumps=())
    config = TAUGHT.updated(pasted_slumps=0)
    one, other = (
        Sampler(unlabelled_part(images, dataset), config, labelled=False).weak_and_strong(5)
        for images in (labelled, bare)
    )
    assert [len(view.masks) for view in (*one, *other)] == [0] * 4
    assert all(view.valid.all() for view in one)


def test_images_without_labels_need_the_same_bands(tmp_path, dataset):
    other = one_image(tmp_path / "other", "there", slumps=(), bands=("blue", "green", "red"))
    with pytest.raises(DatasetError, match="its images have no bands for ndvi, nir"):
        train(dataset, TAUGHT, tmp_path / "model", unlabelled=other)


def test_bf16_trains(dataset, tmp_path):
    seen = []
    train(dataset, TINY_TRAINING.updated(precision="bf16"), tmp_path / "half", progress=seen.append)
    train(dataset, TINY_TRAINING, tmp_path / "single", progress=seen.append)
    half, single = (sum(one.losses.values()) for one in (seen[0], seen[4]))
    assert half != single
    assert half == pytest.approx(single, rel=0.05)


def test_the_learning_rate_rises_falls_and_grows_with_the_chips():
    config = TrainConfig(warmup=10, learning_rate=1e-3, batch_size=4)
    rates = [learning_rate(config, step, 100, 1) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-3, rel=0.03)
    assert rates[-1] < 2e-5
    assert learning_rate(config, 50, 100, 8) == pytest.approx(8 * rates[50])
    assert learning_rate(config.updated(accumulate=2), 50, 100, 1) == pytest.approx(2 * rates[50])


def test_blocks_near_the_image_learn_slowly():
    network = seeded_network(TINY, ("rgb",), 0)
    names = {id(value): name for name, value in network.named_parameters()}
    groups = parameter_groups(network, TINY_TRAINING.updated(layer_decay=0.5))
    scale = {names[id(value)]: group["scale"] for group in groups for value in group["params"]}
    of_block = [next(s for name, s in scale.items() if f"blocks.{number}." in name) for number in range(4)]
    assert of_block == [0.5**4, 0.5**3, 0.5**2, 0.5]
    assert scale["backbone.bottom_up.backbones.rgb.patch_embed.proj.weight"] == 0.5**5
    assert scale["roi_heads.mask_head.predictor.weight"] == 1
    assert len(scale) == len(names)


def test_an_epoch_covers_all_images(dataset):
    assert steps_per_epoch(dataset, TINY_TRAINING) == 3 / 2  # 960 m in chips of 640 m, by area; two a step
    assert steps_per_epoch(dataset, TINY_TRAINING, 3) == 3 / 6


def test_two_stages(rtsmap, dataset, tmp_path):
    TINY_TRAINING.to_toml(tmp_path / "train.toml")
    for modality in ("rgb", "nir"):
        code, out, err = rtsmap(
            *("train", "unimodal", dataset.folder, "--modality", modality, "-o", tmp_path / modality),
            *("--config", tmp_path / "train.toml"),
        )
        assert code == 0
        assert "training: 1 images, 2 slumps, sites: here" in err
        assert weights_of(tmp_path / modality) in out
    code, _, _ = rtsmap(
        *("train", "fusion", dataset.folder, "--backbones", tmp_path / "rgb", tmp_path / "nir"),
        *("-o", tmp_path / "fused", "--fusion", "cross", "--set", "seed=3"),
    )
    assert code == 0
    card = ModelCard.from_toml(tmp_path / "fused" / "model.toml")
    assert card.input.modalities == ("rgb", "nir")
    assert card.network.fusion == "cross"
    from safetensors.torch import load_file

    fused, rgb = (load_file(tmp_path / name / "weights.safetensors") for name in ("fused", "rgb"))
    backbone = [name for name in rgb if ".backbones.rgb." in name]
    assert len(backbone) > 20
    assert all(torch.equal(fused[name], rgb[name]) for name in backbone)  # frozen


def test_a_model_of_several_modalities_is_no_backbone(dataset, tmp_path):
    train(dataset, TINY_TRAINING, tmp_path / "fused")
    with pytest.raises(ModelError, match=r"takes rgb\+ndvi\+nir; give models with one modality each"):
        fusion_settings(None, [tmp_path / "fused"])


def test_the_command_trains_a_model_that_evaluate_and_predict_take(rtsmap, tmp_path):
    dataset = one_image(tmp_path / "dataset", "here", "there")
    TINY_TRAINING.to_toml(tmp_path / "train.toml")
    code, out, err = rtsmap(
        *("train", "end-to-end", dataset.folder, "-o", tmp_path / "model", "--config", tmp_path / "train.toml"),
        *("--without", "there"),
    )
    assert code == 0
    assert "training: 1 images, 2 slumps, sites: here" in err
    assert "the network waited for chips" in err
    assert weights_of(tmp_path / "model") in out
    code, out, _ = rtsmap("evaluate", "chips", dataset.folder, "--model", tmp_path / "model", "--only", "there")
    assert code == 0
    assert "AP50" in out
    assert (tmp_path / "model" / "tensorboard").is_dir()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--without", "elsewhere"), "has no site or fold elsewhere; it has here"),
        (("--set", "itrations=3"), "itrations: is not a setting; check its spelling"),
        (("--set", "iterations"), "iterations: needs the form NAME=VALUE"),
        (("--set", "epochs="), "epochs: Input should be a valid number"),
        (("--set", "precision=half"), "precision: Input should be 'auto', 'float32' or 'bf16'"),
        (("--set", "augmentation=strong"), "augmentation: Input should be 'trivial' or 'light'"),
        (("--set", "backbone_rate=-1"), "backbone_rate: Input should be greater than or equal to 0"),
        (("--set", "network.depht=3"), "network.depht: is not a setting"),
        (("--set", "doubtful_score=0.9"), "doubtful_score: must not be above pseudo_score"),
        (("--unlabelled", "nowhere"), "nowhere"),
        (("--set", "batch_size=0"), "batch_size: Input should be greater than 0"),
        (("--without", "here"), "no slump is left to train on"),
    ],
)
def test_bad_input_is_one_clear_line(rtsmap, dataset, tmp_path, words, message):
    code, _, err = rtsmap("train", "end-to-end", dataset.folder, "-o", tmp_path / "model", *words)
    assert code == 2
    assert message in err


def test_a_folder_that_is_no_data_set_is_refused(rtsmap, tmp_path):
    code, _, err = rtsmap("train", "unimodal", tmp_path, "--modality", "rgb", "-o", tmp_path / "model")
    assert code == 2
    assert "annotations.json: cannot be read" in err


def test_the_template_is_commented_and_can_be_read_back(rtsmap, tmp_path):
    code, out, _ = rtsmap("train", "template", "--network", "mvitv2-t", "--set", "epochs=12")
    assert code == 0
    assert "# Number of chips that go through the network together, in each process.\nbatch_size = 4\n" in out
    assert "\n[network]\n# Architecture of the backbones: " in out
    (tmp_path / "train.toml").write_text(out)
    settings = TrainConfig.from_toml(tmp_path / "train.toml")
    assert (settings.epochs, settings.network.depth) == (12, 10)
    assert json.loads(settings.model_dump_json()) == json.loads(
        TrainConfig.from_toml(tmp_path / "train.toml").model_dump_json()
    )


def test_every_setting_stands_in_the_template_under_a_comment():
    lines = commented(TrainConfig()).splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r"(# )?[a-z_0-9]+ =", line)]
    names = {re.sub(r"^# | =.*", "", lines[number]) for number in keys}
    assert names == {*TrainConfig.model_fields, *NetworkConfig.model_fields} - {"network"}
    assert [lines[key] for key in keys if key - 1 in keys or not lines[key - 1].startswith("# ")] == []
