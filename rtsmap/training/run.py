"""The state of a training run, its steps and its checkpoints."""

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rtsmap.errors import DatasetError, InputError, OutputError
from rtsmap.files.scratch import remove_abandoned
from rtsmap.files.writing import replacing
from rtsmap.network.cascade import seeded_network
from rtsmap.network.device import resolve_precision
from rtsmap.network.pretrained import start_from, take_backbones, take_decoder
from rtsmap.settings.training import TrainConfig
from rtsmap.training.batches import Batch
from rtsmap.training.distributed import Processes
from rtsmap.training.optimiser import learning_rate, parameter_groups
from rtsmap.training.teacher import Teacher

#: Settings that may change when a run is continued, because they do not influence the weights.
CHANGEABLE = {"workers", "checkpoint_every"}


class Run:
    """The network, its moving average, the optimiser and the number of steps done.

    Args:
        config: the settings of the training.
        steps: number of steps of the whole run.
        processes: the processes that train together.
        data: fingerprint of the images, so that a run is not continued with other images.

    Attributes:
        step: number of steps done.
        average: the network with the moving average of the weights, which is published.
        best: step, AP50 and weights of the best validation so far.
        precision: precision of matrix products, `float32` or `bf16`.
    """

    def __init__(self, config: TrainConfig, steps: int, processes: Processes, data: str) -> None:
        self.config, self.steps, self.processes, self.step = config, steps, processes, 0
        self.precision = resolve_precision(config.precision, processes.device)
        self._identity = {
            "config": config.updated(precision=self.precision).model_dump_json(exclude=CHANGEABLE),
            "steps": steps,
            "processes": processes.count,
            "data": data,
        }
        network = seeded_network(
            config.network, config.modalities, config.seed, frozen=config.frozen, recompute=config.recompute
        )
        if config.start_from:
            start_from(network, Path(config.start_from), config)
        if config.decoder_from:
            take_decoder(network, Path(config.decoder_from), config)
        take_backbones(network, dict(zip(config.modalities, map(Path, config.backbones), strict=False)))
        network.roi_heads.batch_size_per_image = config.boxes_per_chip
        # channels last saves a fifth of the time on the CPU, because convolutions need no reordering
        self.network = network.to(processes.device, memory_format=torch.channels_last).train()
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.best: tuple[int, float, dict[str, Tensor]] | None = None
        self._shared = processes.share(self.network)
        self._optimiser = torch.optim.AdamW(parameter_groups(self.network, config), fused=True)
        # sampling of proposals and stochastic depth are random, and differ between processes
        torch.manual_seed(config.seed * processes.count + processes.rank)

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step, before the factors `layer_decay` and `backbone_rate`."""
        return learning_rate(self.config, self.step, self.steps, self.processes.count)

    def advance(self, batches: Iterator[Batch], teacher: Teacher | None = None) -> dict[str, float]:
        """Do one step on `accumulate` batches.

        Args:
            batches: the iterator that `batches` returns.
            teacher: labels the unlabelled batch, which follows from step `teacher_from` on and adds one more loss.

        Returns:
            The mean of each loss, by name.

        Raises:
            DatasetError: the loss is not finite.
        """
        for group in self._optimiser.param_groups:
            group["lr"] = self.learning_rate * group["scale"]
        self._optimiser.zero_grad()
        number, taught = self.config.accumulate, teacher is not None and self.step >= self.config.teacher_from
        parts = [
            self._learn(next(batches), 1 / number, last=part == number - 1 and not taught) for part in range(number)
        ]
        losses = {name: sum(part[name] for part in parts) / number for name in parts[0]}
        if teacher is not None:
            losses["loss_unlabelled"] = self._learn_from(teacher, next(batches)) if taught else 0.0
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        self._optimiser.step()
        self.step += 1
        self._move_average()
        return losses

    def _learn_from(self, teacher: Teacher, batch: Batch) -> float:
        """Add the gradients of a batch that the teacher labels, and return its weighted loss."""
        weight = self.config.unlabelled_weight
        return weight * sum(self._learn(teacher.label(batch), weight, last=True).values())

    def _learn(self, batch: Batch, weight: float, *, last: bool) -> dict[str, float]:
        """Add the gradients of a batch times a weight; processes exchange gradients with the last batch of a step."""
        exchange = (
            self._shared.no_sync() if isinstance(self._shared, DistributedDataParallel) and not last else nullcontext()
        )
        half = torch.autocast(
            self.processes.device.type, torch.bfloat16, enabled=self.precision == "bf16", cache_enabled=True
        )
        with exchange:
            with half:
                losses: dict[str, Tensor] = self._shared(batch)
                total = torch.stack([value.float() for value in losses.values()]).sum()
            if not torch.isfinite(total):
                raise DatasetError(f"the loss is not finite after {self.step} iterations; try a lower learning_rate")
            (total * weight).backward()
        return {name: float(value.detach()) for name, value in losses.items()}

    @torch.no_grad()
    def _move_average(self) -> None:
        # in the first steps the average decays faster, so that the random initial weights are soon forgotten
        decay = min(self.config.average_decay, (self.step - 1) / (self.step + 9))
        for average, current in zip(self.average.parameters(), self.network.parameters(), strict=True):
            average.lerp_(current, 1 - decay)
        for average, current in zip(self.average.buffers(), self.network.buffers(), strict=True):
            average.copy_(current)  # statistics of batch normalisation, which are moving averages already

    def remember(self, average_precision: float) -> None:
        """Keep the weights of this step if their AP50 is at least that of the best validation so far."""
        if self.best is None or average_precision >= self.best[1]:
            weights = {name: value.detach().cpu().clone() for name, value in self.average.state_dict().items()}
            self.best = self.step, average_precision, weights

    def save(self, path: Path) -> None:
        """Write a checkpoint with the whole state, replacing the previous one only when the file is complete.

        Raises:
            OutputError: the disk is full.
        """
        random = self.processes.gather(_random_states(self.processes.device))
        if not self.processes.is_main_process:
            return
        state = {
            "identity": self._identity,
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "best": self.best,
            "optimiser": self._optimiser.state_dict(),
            "random": random,
        }
        with replacing(path) as temporary:
            try:
                torch.save(state, temporary)
            except RuntimeError as error:  # which torch raises when the disk is full
                raise OutputError(
                    f"{path}: cannot be written ({error}); free some space and run the same command again to "
                    "continue from the last checkpoint"
                ) from error

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint, if there is one.

        Raises:
            InputError: the checkpoint was made with other settings, images or number of processes.
        """
        remove_abandoned(path.parent)  # temporary files of a run that was killed while it wrote
        if not path.exists():
            return
        state = torch.load(path, weights_only=True, map_location="cpu")
        if state.get("identity") != self._identity:
            raise InputError(
                f"{path}: was made with other settings, images or number of processes; choose another folder, or "
                "remove it to start again"
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.best, self.step = state["best"], state["step"]
        _set_random_states(state["random"][self.processes.rank], self.processes.device)


def _random_states(device: torch.device) -> list[Tensor]:
    on_device = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *on_device]


def _set_random_states(states: list[Any], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)
