"""Batches of training chips, made by other processes while the network works."""

from collections.abc import Iterator
from typing import Any

import torch
from detectron2.structures import BitMasks, Boxes, Instances
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rtsmap import bands
from rtsmap.network.masks import boundaries
from rtsmap.settings.card import InputConfig
from rtsmap.settings.training import TrainConfig
from rtsmap.training.distributed import Processes
from rtsmap.training.samples import Sample, Sampler

Batch = list[dict[str, Any]]


class Examples(Dataset[tuple[Tensor, Tensor]]):
    """Image and masks of every training chip, by its number."""

    def __init__(self, sampler: Sampler, inputs: InputConfig) -> None:
        self.sampler, self.inputs = sampler, inputs

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        sample = self.sampler.sample(number)
        return _network_input(sample, self.inputs), torch.from_numpy(sample.masks)


class Views(Dataset[tuple[Tensor, Tensor]]):
    """Every chip without labels, by its number: in another light, and as its image shows it."""

    def __init__(self, sampler: Sampler, inputs: InputConfig) -> None:
        self.sampler, self.inputs = sampler, inputs

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        plain, lit = self.sampler.views(number)
        return _network_input(lit, self.inputs), _network_input(plain, self.inputs)


def _network_input(sample: Sample, inputs: InputConfig) -> Tensor:
    image = bands.network_input(
        sample.reflectance, sample.valid, inputs.modalities, inputs.mean, inputs.deviation, sample.terrain
    )
    return torch.from_numpy(image)


#: The number of a chip, and whether it has labels.
_Place = tuple[bool, int]


class _Both(Dataset[tuple[bool, Tensor, Tensor]]):
    """Chips with and without labels, so that the same processes make both."""

    def __init__(self, examples: Examples, views: Views | None) -> None:
        self.examples, self.views = examples, views

    def __getitem__(self, place: _Place) -> tuple[bool, Tensor, Tensor]:
        labelled, number = place
        source = self.examples if labelled or self.views is None else self.views
        return labelled, *source[number]


def batches(
    examples: Examples, start: int, stop: int, processes: Processes, views: Views | None = None
) -> Iterator[Batch]:
    """The batches of this process from step `start` to `stop`: `accumulate` for each step, then one without labels.

    The chips of a step are numbered one after the other through its batches and through the processes, so that what a
    step sees depends on neither where a run was stopped nor on the number of workers.

    Args:
        examples: with labels.
        start: the first step.
        stop: the step after the last.
        processes: that share each step.
        views: without labels; None for no such batches. They come from step `teacher_from` on.

    Yields:
        Chips as detectron2 takes them; those without labels have no `instances`, but the other view, `plain`.
    """
    config = examples.sampler.config
    loader = DataLoader(
        _Both(examples, views),
        batch_sampler=_places(config, start, stop, processes, with_views=views is not None),
        num_workers=config.workers,
        collate_fn=list,
        multiprocessing_context="spawn" if config.workers else None,  # ends with this process, even if killed
        generator=torch.Generator(),  # its own, for the order of the network's draws decides the weights
        prefetch_factor=4 if config.workers else None,
    )
    for batch in loader:
        yield [
            labelled_chip(image, other, processes.device, config.ignore_boundary_px)
            if labelled
            else {"image": image, "plain": other}
            for labelled, image, other in batch
        ]


def _places(
    config: TrainConfig, start: int, stop: int, processes: Processes, *, with_views: bool
) -> Iterator[list[_Place]]:
    """The chips of every batch."""
    for step in range(start, stop):
        for batch in range(step * config.accumulate, (step + 1) * config.accumulate):
            yield [(True, number) for number in _numbers(batch, config.batch_size, processes)]
        if with_views and step >= config.teacher_from:
            yield [(False, number) for number in _numbers(step, config.unlabelled_batch, processes)]


def _numbers(batch: int, size: int, processes: Processes) -> range:
    first = (batch * processes.count + processes.rank) * size
    return range(first, first + size)


def labelled_chip(image: Tensor, masks: Tensor, device: torch.device, ignored_px: int = 0) -> dict[str, Any]:
    """A chip as detectron2 takes it.

    Args:
        image: `(channels, c, c)`, normalised.
        masks: `(n, c, c)` of its slumps, bool.
        device: where both go.
        ignored_px: on both sides of each outline that the mask is not learned from.
    """
    labels = Instances(image.shape[1:])
    labels.gt_masks = BitMasks(masks)
    if ignored_px:
        labels.gt_boundaries = BitMasks(boundaries(masks, ignored_px))
    labels.gt_boxes = labels.gt_masks.get_bounding_boxes() if len(masks) else Boxes(torch.empty(0, 4))
    labels.gt_classes = torch.zeros(len(masks), dtype=torch.long)
    return {"image": image.to(device), "instances": labels.to(device)}
