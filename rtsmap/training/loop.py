"""Training: from a data set to a model directory."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from detectron2.utils.events import EventStorage

from rtsmap.dataset.images import Dataset
from rtsmap.dataset.stats import channel_statistics
from rtsmap.detector.torch import TorchDetector
from rtsmap.errors import DatasetError, InputError, OutputError
from rtsmap.evaluation.image_scores import score_images
from rtsmap.evaluation.predictions import LOWEST_SCORE, predict_images
from rtsmap.models import CARD, SETTINGS
from rtsmap.network.pretrained import WEIGHTS
from rtsmap.settings.card import InputConfig, ModelCard
from rtsmap.settings.training import TrainConfig
from rtsmap.training.batches import Batch, Examples, UnlabelledExamples, batches
from rtsmap.training.distributed import processes
from rtsmap.training.log import LOSSES, Log
from rtsmap.training.publishing import draft_card, publish
from rtsmap.training.run import Run
from rtsmap.training.samples import Sampler
from rtsmap.training.teacher import Teacher, unlabelled_part

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Progress:
    """Progress of a training run.

    Attributes:
        step: number of steps done.
        steps: number of steps of the whole run.
        losses: losses of the step, by name.
        validation_ap50: AP50, 0..1, on the validation images; None if this step was not followed by a validation.
        seconds: time since the run began or was continued, s.
        waiting_s: part of this time for which the network waited for chips, s.
    """

    step: int
    steps: int
    losses: Mapping[str, float]
    validation_ap50: float | None
    seconds: float
    waiting_s: float


def train(
    dataset: Dataset,
    config: TrainConfig,
    folder: Path,
    *,
    validation: Dataset | None = None,
    unlabelled: Dataset | None = None,
    device: str = "cpu",
    progress: Callable[[Progress], None] = lambda _: None,
) -> ModelCard:
    """Train a network and write a model directory that `rtsmap predict --model FOLDER` takes.

    A run that was stopped continues from its last checkpoint when the same call is made again, and ends with the same
    weights.

    Args:
        dataset: labelled images to train on.
        config: settings of the training.
        folder: receives `model.toml`, the weights, `card.md`, `training.toml`, `losses.csv`, curves for TensorBoard
            and, until the end, a checkpoint.
        validation: images whose AP50 decides which weights are published; without them the last weights are.
        unlabelled: images to train on without their labels; images of `dataset` are left out.
        device: `auto`, `cpu` or `cuda`.
        progress: called after each step, in the main process.

    Returns:
        The card of the model.

    Raises:
        DatasetError: there is no slump, images lack bands, no unlabelled image is left, or the loss is not finite.
        InputError: `folder` contains a finished model, a checkpoint made with other settings or images, or other files
            that would be overwritten.
        ModelError: the weights to start from cannot be read, or belong to another network.
        OutputError: the folder cannot be written, or the disk is full.
    """
    if validation is not None and not validation.slumps:
        raise DatasetError(f"{validation.folder}: the images to validate on show no slump; choose other images")
    if (folder / CARD).exists():
        raise InputError(f"{folder}: contains a finished model; choose another folder, or remove it")
    if others := _others(folder):
        raise InputError(
            f"{folder / others[0]}: was not written by a training that continues here; choose another folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
    with processes(device) as group:
        sampler = Sampler(dataset, config)
        inputs = input_config(dataset, config)
        examples = Examples(sampler, inputs)
        without_labels = unlabelled_part(unlabelled, dataset) if unlabelled else None
        unlabelled_examples = _unlabelled_examples(without_labels, config, inputs) if without_labels else None
        steps = config.iterations or math.ceil(config.epochs * steps_per_epoch(dataset, config, group.count))
        run = Run(config, steps, group, _fingerprint(dataset, validation, without_labels))
        run.resume(folder / CHECKPOINT)
        _advance(run, examples, unlabelled_examples, validation, folder, progress)
        group.wait()
        card = publish(run, inputs, dataset, validation, without_labels, folder) if group.is_main_process else None
        group.wait()
        if group.is_main_process:
            (folder / CHECKPOINT).unlink(missing_ok=True)
    return card or ModelCard.from_toml(folder / CARD)


def _others(folder: Path) -> list[str]:
    """Return the names of files that training would overwrite and that no stopped run left behind."""
    if (folder / CHECKPOINT).exists():
        return []
    names = [name for name in (WEIGHTS, SETTINGS, "card.md") if (folder / name).exists()]
    return names if Log.may_begin(folder) else [LOSSES, *names]


def steps_per_epoch(dataset: Dataset, config: TrainConfig, count: int = 1) -> float:
    """Return the number of steps in which as many chips are drawn as cover all images once, at least one per image.

    Args:
        dataset: the images.
        config: settings with the sizes of chips and batches.
        count: number of processes.
    """
    side_m = config.training_chip_size * config.gsd_m
    chips = sum(math.ceil(one.height * one.width * (one.gsd_m / side_m) ** 2) for one in dataset.images)
    return chips / (config.batch_size * config.accumulate * count)


def input_config(dataset: Dataset, config: TrainConfig) -> InputConfig:
    """Return the input of the network, with the mean and standard deviation of its channels.

    They are those of the models whose backbones the training starts from, or else those of the data set.

    Raises:
        DatasetError: the images lack bands of a modality.
    """
    _check_bands(dataset, config)
    if config.backbones:
        taken = [ModelCard.from_toml(Path(folder) / CARD).input for folder in config.backbones]
        mean = {channel: value for one in taken for channel, value in one.mean.items()}
        std = {channel: value for one in taken for channel, value in one.std.items()}
    else:
        mean, std = channel_statistics(dataset, config.modalities)
    return InputConfig(**config.model_dump(include=set(InputConfig.model_fields)), mean=mean, std=std)


def _check_bands(dataset: Dataset, config: TrainConfig) -> None:
    if lacking := sorted(set(config.modalities) - set(dataset.modalities)):
        raise DatasetError(f"{dataset.folder}: its images have no bands for {', '.join(lacking)}; leave these out")


def _unlabelled_examples(unlabelled: Dataset, config: TrainConfig, inputs: InputConfig) -> UnlabelledExamples:
    _check_bands(unlabelled, config)
    return UnlabelledExamples(Sampler(unlabelled, config, labelled=False), inputs)


def _advance(
    run: Run,
    examples: Examples,
    unlabelled: UnlabelledExamples | None,
    validation: Dataset | None,
    folder: Path,
    progress: Callable[[Progress], None],
) -> None:
    """Do all steps that are left."""
    config, is_main_process = run.config, run.processes.is_main_process
    per_epoch = steps_per_epoch(examples.sampler.dataset, config, run.processes.count)
    every = max(1, round(config.validate_every * per_epoch))
    card = draft_card(config, examples.inputs)
    teacher = Teacher(run.average, card, config, run.processes.device) if unlabelled else None
    source, began = _Timed(batches(examples, run.step, run.steps, run.processes, unlabelled)), time.perf_counter()
    with EventStorage(run.step) as storage, Log(folder, run.step, writes=is_main_process) as log:
        while run.step < run.steps:
            rate, score = run.learning_rate, None
            losses = run.advance(source, teacher)
            storage.step()
            log.write(run.step, losses, rate)
            last = run.step == run.steps
            if is_main_process and validation is not None and (run.step % every == 0 or last):
                score = _validate(run, card, validation)
                log.write_validation(run.step, score)
            if run.step % config.checkpoint_every == 0 or last:
                log.flush()
                run.save(folder / CHECKPOINT)
            if is_main_process:
                seconds = time.perf_counter() - began
                progress(Progress(run.step, run.steps, losses, score, seconds, source.seconds))


def _validate(run: Run, card: ModelCard, validation: Dataset) -> float:
    """Return the AP50, 0..1, of the averaged weights, and remember the best weights."""
    detector = TorchDetector.of(run.average, card, device=run.processes.device, min_score=LOWEST_SCORE)
    found = predict_images(validation, card, detector, score=LOWEST_SCORE)
    score = score_images(validation, found, resamples=0, groups=False).overall.average_precision
    run.remember(score)
    return score


class _Timed(Iterator[Batch]):
    """An iterator of batches that measures the time spent waiting for them, in seconds."""

    def __init__(self, source: Iterator[Batch]) -> None:
        self._source, self.seconds = source, 0.0

    def __next__(self) -> Batch:
        start = time.perf_counter()
        try:
            return next(self._source)
        finally:
            self.seconds += time.perf_counter() - start


def _fingerprint(dataset: Dataset, validation: Dataset | None, unlabelled: Dataset | None) -> str:
    """Return a fingerprint of the images and their labels."""
    digest = hashlib.sha256()
    for one in (dataset, validation, *([unlabelled] if unlabelled else [])):
        for image in one.images if one else ():
            digest.update(f"{image.name} {len(image.slumps)} {sum(s.outline.area for s in image.slumps):.3f}".encode())
        digest.update(b"|")
    return digest.hexdigest()
