"""Batches of training chips, made by other processes while the network works."""

from collections.abc import Iterator
from typing import Any

import torch
from detectron2.structures import BitMasks, Boxes, Instances
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rtsmap import bands
from rtsmap.config import InputConfig
from rtsmap.training.distributed import Processes
from rtsmap.training.samples import Sampler

Batch = list[dict[str, Any]]


class Examples(Dataset[tuple[Tensor, Tensor]]):
    """Image and masks of every training chip, by its number."""

    def __init__(self, sampler: Sampler, inputs: InputConfig) -> None:
        self.sampler, self.inputs = sampler, inputs

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        sample, inputs = self.sampler.sample(number), self.inputs
        image = bands.network_input(
            sample.reflectance, sample.valid, inputs.modalities, inputs.mean, inputs.deviation, sample.terrain
        )
        return torch.from_numpy(image), torch.from_numpy(sample.masks)


def batches(examples: Examples, start: int, stop: int, processes: Processes) -> Iterator[Batch]:
    """The batches of this process from step `start` to `stop`, `accumulate` for each step.

    The chips of a step are numbered one after the other through its batches and through the processes, so that what a
    step sees depends on neither where a run was stopped nor on the number of workers.
    """
    config = examples.sampler.config
    size, together = config.batch_size, config.batch_size * processes.count
    numbers = (
        [batch * together + processes.rank * size + place for place in range(size)]
        for batch in range(start * config.accumulate, stop * config.accumulate)
    )
    loader = DataLoader(
        examples,
        batch_sampler=numbers,
        num_workers=config.workers,
        collate_fn=list,
        multiprocessing_context="spawn" if config.workers else None,  # ends with this process, even if killed
        generator=torch.Generator(),  # its own, for the order of the network's draws decides the weights
        prefetch_factor=4 if config.workers else None,
    )
    for batch in loader:
        yield [_labelled(image, masks, processes.device) for image, masks in batch]


def _labelled(image: Tensor, masks: Tensor, device: torch.device) -> dict[str, Any]:
    """A chip as detectron2 takes it."""
    labels = Instances(image.shape[1:])
    labels.gt_masks = BitMasks(masks)
    labels.gt_boxes = labels.gt_masks.get_bounding_boxes() if len(masks) else Boxes(torch.empty(0, 4))
    labels.gt_classes = torch.zeros(len(masks), dtype=torch.long)
    return {"image": image.to(device), "instances": labels.to(device)}
