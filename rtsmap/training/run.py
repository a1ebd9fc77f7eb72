"""The state of a training run, its steps, and its checkpoints."""

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

#: Settings that may change while a run is stopped: they have no influence on the weights.
CHANGEABLE = {"workers", "checkpoint_every"}


class Run:
    """Network, its moving average, optimiser, and how far they are.

    Args:
        config: settings.
        steps: of the whole run.
        processes: that train together.
        data: identifies the images, so that a run does not go on with others.

    Attributes:
        step: steps done.
        average: the network whose weights are published.
        best: step, AP50 and weights of the best validation so far.
        precision: of matrix products, `float32` or `bf16`.
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
        # channels last: a fifth less time on the CPU, where convolutions need no reordering
        self.network = network.to(processes.device, memory_format=torch.channels_last).train()
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.best: tuple[int, float, dict[str, Tensor]] | None = None
        self._shared = processes.share(self.network)
        self._optimiser = torch.optim.AdamW(parameter_groups(self.network, config), fused=True)
        # proposals are sampled at random, depth is dropped at random: differently in each process
        torch.manual_seed(config.seed * processes.count + processes.rank)

    @property
    def learning_rate(self) -> float:
        """Of the next step, of what neither `layer_decay` nor `backbone_rate` slows."""
        return learning_rate(self.config, self.step, self.steps, self.processes.count)

    def advance(self, batches: Iterator[Batch], teacher: Teacher | None = None) -> dict[str, float]:
        """One step, on `accumulate` batches; returns the mean losses.

        Args:
            batches: of `batches`.
            teacher: labels the batch without labels that follows from step `teacher_from` on; what is learned from it
                is one more loss.

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
        """Add the gradients of a batch that the teacher labels; returns its weighted loss."""
        weight = self.config.unlabelled_weight
        return weight * sum(self._learn(teacher.label(batch), weight, last=True).values())

    def _learn(self, batch: Batch, weight: float, *, last: bool) -> dict[str, float]:
        """Add a batch's gradients times a weight; processes exchange them with the last batch of a step."""
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
        # while few steps are done, the average forgets faster, so that the random start does not linger
        decay = min(self.config.average_decay, (self.step - 1) / (self.step + 9))
        for average, current in zip(self.average.parameters(), self.network.parameters(), strict=True):
            average.lerp_(current, 1 - decay)
        for average, current in zip(self.average.buffers(), self.network.buffers(), strict=True):
            average.copy_(current)  # statistics of batch norms, averages already

    def remember(self, average_precision: float) -> None:
        """Keep the weights of this step when their AP50 is the best, or as good as the best."""
        if self.best is None or average_precision >= self.best[1]:
            weights = {name: value.detach().cpu().clone() for name, value in self.average.state_dict().items()}
            self.best = self.step, average_precision, weights

    def save(self, path: Path) -> None:
        """Write all that is needed to go on, whole or not at all; the last checkpoint stays until then.

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
            except RuntimeError as error:  # what torch's writer makes of a full disk
                raise OutputError(
                    f"{path}: cannot be written ({error}); free some space and run the same command again, which goes "
                    "on from the last checkpoint"
                ) from error

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one.

        Raises:
            InputError: it is of other settings, data or number of processes.
        """
        remove_abandoned(path.parent)  # by a run that was killed while it wrote
        if not path.exists():
            return
        state = torch.load(path, weights_only=True, map_location="cpu")
        if state.get("identity") != self._identity:
            raise InputError(
                f"{path}: is of other settings, images or number of processes; choose another folder, or remove it to "
                "start anew"
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
