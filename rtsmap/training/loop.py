"""The training loop: AdamW, warm-up and cosine decay, an averaged copy of the weights, checkpoints to resume from."""

import copy
import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from rtsmap import bands
from rtsmap.config import InputConfig, ModelCard, TrainConfig
from rtsmap.errors import DatasetError, InputError
from rtsmap.files import replacing, sha256
from rtsmap.network.cascade import seeded_network
from rtsmap.network.checkpoint import save_weights
from rtsmap.network.importing import start_from
from rtsmap.training.labels import LabelledScene
from rtsmap.training.samples import Sampler, channel_statistics

CHECKPOINT = "checkpoint.pt"


def train(
    scenes: Sequence[LabelledScene],
    config: TrainConfig,
    folder: Path,
    *,
    device: str = "cpu",
    progress: Callable[[int, Mapping[str, float]], None] = lambda _iteration, _losses: None,
) -> ModelCard:
    """Train a network and write a model directory that `rtsmap predict --model FOLDER` takes.

    A run that was stopped goes on from its last checkpoint when the same call is made again.

    Args:
        scenes: what to learn from.
        config: how.
        folder: receives `model.toml`, the weights, `losses.csv` and, until the end, a checkpoint.
        device: torch's name of the device.
        progress: called after each iteration with its number, from 1, and its losses.

    Raises:
        DatasetError: the losses are no longer finite.
        InputError: `folder` holds a checkpoint of another configuration.
        ModelError: the weights to start from cannot be read, or are of another network.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mean, deviation = channel_statistics(scenes, config.modalities)
    inputs = InputConfig(**config.model_dump(include=set(InputConfig.model_fields)), mean=mean, deviation=deviation)
    run = _Run(config, device)
    run.resume(folder / CHECKPOINT)
    batches = _batches(_Examples(Sampler(scenes, config), inputs), run.iteration, device)
    with EventStorage(run.iteration) as storage, _Log(folder / "losses.csv", run.iteration) as log:
        while run.iteration < config.iterations:
            losses = run.step(next(batches))
            storage.step()
            log.write(run.iteration, losses)
            progress(run.iteration, losses)
            if run.iteration % config.checkpoint_every == 0:
                log.flush()
                run.save(folder / CHECKPOINT)
    card = publish(run.averaged.state_dict(), config, inputs, scenes, folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return card


class _Log:
    """A table of losses, one row an iteration; rows after the checkpoint that a run goes on from are dropped."""

    def __init__(self, path: Path, iteration: int) -> None:
        before = path.read_text(encoding="utf-8").splitlines() if iteration and path.exists() else []
        self._file = path.open("w", newline="", encoding="utf-8")
        self._file.writelines(f"{line}\n" for line in before[: iteration + 1])  # and the header
        self._writer = csv.writer(self._file, lineterminator="\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, iteration: int, losses: Mapping[str, float]) -> None:
        """Add a row; on disk when the next checkpoint is."""
        if not self._file.tell():
            self._writer.writerow(["iteration", *losses])
        self._writer.writerow([iteration, *(round(value, 5) for value in losses.values())])

    def flush(self) -> None:
        """Put all rows on disk."""
        self._file.flush()


class _Run:
    """The state of a training run: network, its average, optimiser, iteration."""

    def __init__(self, config: TrainConfig, device: str) -> None:
        self.config, self.iteration = config, 0
        self.network = seeded_network(
            config.network,
            config.modalities,
            config.seed,
            frozen=config.freeze,
            recompute=config.recompute,
        ).to(device)
        if config.start_from:
            start_from(self.network, Path(config.start_from))
        self.network.train()
        self.averaged = copy.deepcopy(self.network)
        groups = _groups(self.network, config.weight_decay)
        self.optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
        torch.manual_seed(config.seed)  # proposals are sampled at random, depth is dropped at random

    def step(self, batch: list[dict[str, Any]]) -> dict[str, float]:
        """One iteration; returns the losses."""
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate()
        losses: dict[str, Tensor] = self.network(batch)
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            raise DatasetError(f"the loss is not finite after {self.iteration} iterations; try a lower learning_rate")
        self.optimiser.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        self.optimiser.step()
        self.iteration += 1
        self._average()
        return {name: float(value.detach()) for name, value in losses.items()}

    def _learning_rate(self) -> float:
        warm = min(1.0, (self.iteration + 1) / max(self.config.warmup, 1))
        cosine = 0.5 * (1 + math.cos(math.pi * self.iteration / self.config.iterations))
        return self.config.learning_rate * warm * max(cosine, 0.01)

    @torch.no_grad()
    def _average(self) -> None:
        # while few iterations are done, the average forgets faster, so that the random start does not linger
        decay = min(self.config.average_decay, self.iteration / (self.iteration + 10))
        for average, current in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
            average.lerp_(current, 1 - decay)
        for average, current in zip(self.averaged.buffers(), self.network.buffers(), strict=True):
            average.copy_(current)  # statistics of batch norms, averages already

    def save(self, path: Path) -> None:
        """Write all that is needed to go on, whole or not at all."""
        state = {
            "config": self.config.model_dump_json(),
            "iteration": self.iteration,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": torch.get_rng_state(),
        }
        with replacing(path) as temporary:
            torch.save(state, temporary)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if json.loads(state["config"]) != self.config.model_dump(mode="json"):
            raise InputError(f"{path}: is of another configuration; choose another folder, or remove it to start anew")
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"])
        self.iteration = state["iteration"]


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices and kernels decay; biases, norms and relative position tables do not."""
    named = {name: value for name, value in network.named_parameters() if value.requires_grad}
    free = {name for name, value in named.items() if value.ndim == 1 or "rel_pos" in name}
    return [
        {"params": [value for name, value in named.items() if name not in free], "weight_decay": weight_decay},
        {"params": [named[name] for name in named if name in free], "weight_decay": 0.0},
    ]


class _Examples(Dataset[tuple[Tensor, Tensor]]):
    """Image and masks of every training chip, by its number."""

    def __init__(self, sampler: Sampler, inputs: InputConfig) -> None:
        self.sampler, self.inputs = sampler, inputs

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        sample, inputs = self.sampler.sample(number), self.inputs
        image = bands.network_input(sample.reflectance, sample.valid, inputs.modalities, inputs.mean, inputs.deviation)
        return torch.from_numpy(image), torch.from_numpy(sample.masks)


def _batches(examples: _Examples, start: int, device: str) -> Iterator[list[dict[str, Any]]]:
    """Batches from iteration `start` on, made by other processes while the network works."""
    config = examples.sampler.config
    loader = DataLoader(
        examples,
        batch_size=config.batch_size,
        sampler=range(start * config.batch_size, config.iterations * config.batch_size),
        num_workers=config.workers,
        collate_fn=list,
        multiprocessing_context="spawn" if config.workers else None,  # ends with this process, even if killed
        generator=torch.Generator(),  # its own, for the order of the network's draws decides the weights
    )
    for batch in loader:
        yield [_labelled(image, masks, device) for image, masks in batch]


def _labelled(image: Tensor, masks: Tensor, device: str) -> dict[str, Any]:
    """A chip as detectron2 takes it."""
    labels = Instances(image.shape[1:])
    labels.gt_masks = BitMasks(masks)
    labels.gt_boxes = labels.gt_masks.get_bounding_boxes() if len(masks) else Boxes(torch.empty(0, 4))
    labels.gt_classes = torch.zeros(len(masks), dtype=torch.long)
    return {"image": image.to(device), "instances": labels.to(device)}


def publish(
    weights: dict[str, Tensor],
    config: TrainConfig,
    inputs: InputConfig,
    scenes: Sequence[LabelledScene],
    folder: Path,
) -> ModelCard:
    """Write weights and card; the card's texts are for their author to complete."""
    save_weights(weights, folder / "weights.safetensors")
    card = ModelCard(
        name=folder.name,
        version="0.0.1",
        summary="Trained with rtsmap train; describe it here",
        licence="unknown",
        attribution="unknown",
        sites_trained_on=tuple(sorted({scene.site for scene in scenes})),
        sha256=sha256(folder / "weights.safetensors"),
        score_threshold=0.5,
        input=inputs,
        network=config.network,
    )
    card.to_toml(folder / "model.toml")
    return card
