"""Training from a data set to a model directory."""

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
from rtsmap.network.importing import WEIGHTS
from rtsmap.settings.card import InputConfig, ModelCard
from rtsmap.settings.training import TrainConfig
from rtsmap.training.batches import Batch, Examples, Views, batches
from rtsmap.training.distributed import processes
from rtsmap.training.log import LOSSES, Log
from rtsmap.training.publishing import draft_card, publish
from rtsmap.training.run import Run
from rtsmap.training.samples import Sampler
from rtsmap.training.teacher import Teacher, unlabelled_part

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Progress:
    """What a run tells while it runs.

    Attributes:
        step: steps done.
        steps: of the whole run.
        losses: of the step, by name.
        validation_ap50: where the images were validated after this step, 0..1.
        seconds: since the run began or went on.
        waiting_s: of them, that the network waited for chips.
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

    A run that was stopped goes on from its last checkpoint when the same call is made again, to the same weights.

    Args:
        dataset: what to learn from.
        config: how.
        folder: receives `model.toml`, the weights, `card.md`, `training.toml`, `losses.csv`, TensorBoard's curves and,
            until the end, a checkpoint.
        validation: images that decide which weights are published; without them the last ones are.
        unlabelled: images that are learned from too, without their labels; those that `dataset` has are left out.
        device: `auto`, `cpu` or `cuda`.
        progress: called after each step, in the first process.

    Raises:
        DatasetError: there is no slump, images lack bands, no image without labels is left, or the losses are no
            longer finite.
        InputError: `folder` holds a finished model, a checkpoint of other settings or images, or other files that
            would be written over.
        ModelError: the weights to start from cannot be read, or are of another network.
        OutputError: the disk is full.
    """
    if validation is not None and not validation.slumps:
        raise DatasetError(f"{validation.folder}: the images to validate on show no slump; choose others")
    if (folder / CARD).exists():
        raise InputError(f"{folder}: holds a finished model; choose another folder, or remove it")
    if others := _others(folder):
        raise InputError(f"{folder / others[0]}: was not written by a training that goes on here; choose a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
    with processes(device) as group:
        sampler = Sampler(dataset, config)
        inputs = input_config(dataset, config)
        examples = Examples(sampler, inputs)
        untold = unlabelled_part(unlabelled, dataset) if unlabelled else None
        views = _views(untold, config, inputs) if untold else None
        steps = config.iterations or math.ceil(config.epochs * steps_per_epoch(dataset, config, group.count))
        run = Run(config, steps, group, _fingerprint(dataset, validation, untold))
        run.resume(folder / CHECKPOINT)
        _advance(run, examples, views, validation, folder, progress)
        group.wait()
        card = publish(run, inputs, dataset, validation, untold, folder) if group.first else None
        group.wait()
        if group.first:
            (folder / CHECKPOINT).unlink(missing_ok=True)
    return card or ModelCard.from_toml(folder / CARD)


def _others(folder: Path) -> list[str]:
    """Names of files that training would write over, and that are not of a run which was stopped."""
    if (folder / CHECKPOINT).exists():
        return []
    names = [name for name in (WEIGHTS, SETTINGS, "card.md") if (folder / name).exists()]
    return names if Log.may_begin(folder) else [LOSSES, *names]


def steps_per_epoch(dataset: Dataset, config: TrainConfig, count: int = 1) -> float:
    """Steps that draw as many chips as cover all images once, an image at least once.

    Args:
        dataset: the images.
        config: its chips and batches.
        count: of processes.
    """
    side_m = config.training_chip_size * config.gsd_m
    chips = sum(math.ceil(one.height * one.width * (one.gsd_m / side_m) ** 2) for one in dataset.images)
    return chips / (config.batch_size * config.accumulate * count)


def input_config(dataset: Dataset, config: TrainConfig) -> InputConfig:
    """What the network sees: that of the models whose backbones are taken, else by the data set's statistics.

    Raises:
        DatasetError: the images lack bands of a modality.
    """
    _check_bands(dataset, config)
    if config.backbones:
        taken = [ModelCard.from_toml(Path(folder) / CARD).input for folder in config.backbones]
        mean = {channel: value for one in taken for channel, value in one.mean.items()}
        deviation = {channel: value for one in taken for channel, value in one.deviation.items()}
    else:
        mean, deviation = channel_statistics(dataset, config.modalities)
    return InputConfig(**config.model_dump(include=set(InputConfig.model_fields)), mean=mean, deviation=deviation)


def _check_bands(dataset: Dataset, config: TrainConfig) -> None:
    if lacking := sorted(set(config.modalities) - set(dataset.modalities)):
        raise DatasetError(f"{dataset.folder}: its images have no bands for {', '.join(lacking)}; leave that out")


def _views(unlabelled: Dataset, config: TrainConfig, inputs: InputConfig) -> Views:
    _check_bands(unlabelled, config)
    return Views(Sampler(unlabelled, config, labelled=False), inputs)


def _advance(
    run: Run,
    examples: Examples,
    views: Views | None,
    validation: Dataset | None,
    folder: Path,
    progress: Callable[[Progress], None],
) -> None:
    """All steps that are left."""
    config, first = run.config, run.processes.first
    per_epoch = steps_per_epoch(examples.sampler.dataset, config, run.processes.count)
    every = max(1, round(config.validate_every * per_epoch))
    card = draft_card(config, examples.inputs)
    teacher = Teacher(run.average, card, config, run.processes.device) if views else None
    source, began = _Timed(batches(examples, run.step, run.steps, run.processes, views)), time.perf_counter()
    with EventStorage(run.step) as storage, Log(folder, run.step, writes=first) as log:
        while run.step < run.steps:
            rate, score = run.learning_rate, None
            losses = run.advance(source, teacher)
            storage.step()
            log.write(run.step, losses, rate)
            last = run.step == run.steps
            if first and validation is not None and (run.step % every == 0 or last):
                score = _validate(run, card, validation)
                log.write_validation(run.step, score)
            if run.step % config.checkpoint_every == 0 or last:
                log.flush()
                run.save(folder / CHECKPOINT)
            if first:
                seconds = time.perf_counter() - began
                progress(Progress(run.step, run.steps, losses, score, seconds, source.seconds))


def _validate(run: Run, card: ModelCard, validation: Dataset) -> float:
    """AP50 of the averaged weights, 0..1; the best weights are remembered."""
    detector = TorchDetector.of(run.average, card, device=run.processes.device, min_score=LOWEST_SCORE)
    found = predict_images(validation, card, detector, score=LOWEST_SCORE)
    score = score_images(validation, found, resamples=0, groups=False).overall.average_precision
    run.remember(score)
    return score


class _Timed(Iterator[Batch]):
    """Batches, and the seconds that they were waited for."""

    def __init__(self, source: Iterator[Batch]) -> None:
        self._source, self.seconds = source, 0.0

    def __next__(self) -> Batch:
        start = time.perf_counter()
        try:
            return next(self._source)
        finally:
            self.seconds += time.perf_counter() - start


def _fingerprint(dataset: Dataset, validation: Dataset | None, unlabelled: Dataset | None) -> str:
    """Of the images and their labels."""
    digest = hashlib.sha256()
    for one in (dataset, validation, *([unlabelled] if unlabelled else [])):
        for image in one.images if one else ():
            digest.update(f"{image.name} {len(image.slumps)} {sum(s.outline.area for s in image.slumps):.3f}".encode())
        digest.update(b"|")
    return digest.hexdigest()
