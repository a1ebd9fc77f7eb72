"""Batches of training chips, made by worker processes while the network computes."""

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
    """The image and the masks of every labelled training chip, by the chip's number."""

    def __init__(self, sampler: Sampler, inputs: InputConfig) -> None:
        self.sampler, self.inputs = sampler, inputs

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        sample = self.sampler.sample(number)
        return _network_input(sample, self.inputs), torch.from_numpy(sample.masks)


class UnlabelledExamples(Dataset[tuple[Tensor, Tensor]]):
    """Every unlabelled chip with strong and with weak augmentation, by the chip's number."""

    def __init__(self, sampler: Sampler, inputs: InputConfig) -> None:
        self.sampler, self.inputs = sampler, inputs

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        weak, strong = self.sampler.weak_and_strong(number)
        return _network_input(strong, self.inputs), _network_input(weak, self.inputs)


def _network_input(sample: Sample, inputs: InputConfig) -> Tensor:
    image = bands.network_input(
        sample.reflectance, sample.valid, inputs.modalities, inputs.mean, inputs.std, sample.terrain
    )
    return torch.from_numpy(image)


#: Whether a chip is labelled, and its number.
_ChipKey = tuple[bool, int]


class _AllExamples(Dataset[tuple[bool, Tensor, Tensor]]):
    """Labelled and unlabelled chips in one data set, so that the same worker processes make both."""

    def __init__(self, labelled: Examples, unlabelled: UnlabelledExamples | None) -> None:
        self.labelled, self.unlabelled = labelled, unlabelled

    def __getitem__(self, key: _ChipKey) -> tuple[bool, Tensor, Tensor]:
        is_labelled, number = key
        source = self.labelled if is_labelled or self.unlabelled is None else self.unlabelled
        return is_labelled, *source[number]


def batches(
    examples: Examples,
    start: int,
    stop: int,
    processes: Processes,
    unlabelled: UnlabelledExamples | None = None,
) -> Iterator[Batch]:
    """Yield the batches of this process from step `start` to step `stop`.

    Each step has `accumulate` labelled batches, and then one unlabelled batch if there are unlabelled chips. The chips
    of a step are numbered consecutively through its batches and through the processes, so that the chips of a step
    depend neither on where a run was stopped nor on the number of workers.

    Args:
        examples: the labelled chips.
        start: the first step.
        stop: the step after the last.
        processes: the processes that share each step.
        unlabelled: the unlabelled chips, which are used from step `teacher_from` on; None for no unlabelled batches.

    Yields:
        Lists of chips in the form that detectron2 takes. Unlabelled chips have no `instances`; their `image` is
        strongly augmented, and `weak` is the same chip with weak augmentation.
    """
    config = examples.sampler.config
    loader = DataLoader(
        _AllExamples(examples, unlabelled),
        batch_sampler=_chip_keys(config, start, stop, processes, with_unlabelled=unlabelled is not None),
        num_workers=config.workers,
        collate_fn=list,
        multiprocessing_context="spawn" if config.workers else None,  # workers end with this process, even if killed
        generator=torch.Generator(),  # a separate one, because the network's random draws determine the weights
        prefetch_factor=4 if config.workers else None,
    )
    for batch in loader:
        yield [
            labelled_chip(image, other, processes.device, config.ignore_boundary_px)
            if is_labelled
            else {"image": image, "weak": other}
            for is_labelled, image, other in batch
        ]


def _chip_keys(
    config: TrainConfig, start: int, stop: int, processes: Processes, *, with_unlabelled: bool
) -> Iterator[list[_ChipKey]]:
    """Yield the keys of the chips of every batch."""
    for step in range(start, stop):
        for batch in range(step * config.accumulate, (step + 1) * config.accumulate):
            yield [(True, number) for number in _numbers(batch, config.batch_size, processes)]
        if with_unlabelled and step >= config.teacher_from:
            yield [(False, number) for number in _numbers(step, config.unlabelled_batch, processes)]


def _numbers(batch: int, size: int, processes: Processes) -> range:
    first = (batch * processes.count + processes.rank) * size
    return range(first, first + size)


def labelled_chip(image: Tensor, masks: Tensor, device: torch.device, ignored_px: int = 0) -> dict[str, Any]:
    """Put a chip and its labels into the form that detectron2 takes.

    Args:
        image: `(channels, c, c)`, normalised.
        masks: `(n, c, c)`, boolean, one mask for each slump.
        device: the device that the image and the labels are moved to.
        ignored_px: width in pixels, on both sides of each outline, that the mask loss leaves out.
    """
    labels = Instances(image.shape[1:])
    labels.gt_masks = BitMasks(masks)
    if ignored_px:
        labels.gt_boundaries = BitMasks(boundaries(masks, ignored_px))
    labels.gt_boxes = labels.gt_masks.get_bounding_boxes() if len(masks) else Boxes(torch.empty(0, 4))
    labels.gt_classes = torch.zeros(len(masks), dtype=torch.long)
    return {"image": image.to(device), "instances": labels.to(device)}
