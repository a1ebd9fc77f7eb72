"""Self-training with a mean teacher, on images without labels.

The moving average of the weights detects slumps in chips as they are; the network learns them from the same chips in
another light (Tarvainen and Valpola 2017; for instances Liu et al. 2021, "Unbiased Teacher"; for slumps Heidler et al.
2024, "PixelDINO"). What the teacher is sure of is a label, what it doubts is blank: neither slump nor ground.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from rtsmap.dataset.images import Dataset
from rtsmap.dataset.visibility import MIN_VISIBLE_PX
from rtsmap.detector.torch import TorchDetector
from rtsmap.errors import DatasetError
from rtsmap.instances import outlines
from rtsmap.records import BoolArray, ChipWindow, Detections, Window
from rtsmap.settings.card import ModelCard
from rtsmap.settings.training import TrainConfig
from rtsmap.training.batches import Batch, labelled_chip
from rtsmap.training.samples import rasterised


class Teacher:
    """Labels chips that nobody has labelled.

    Args:
        network: whose findings are the labels; shared, so that they get better as it does.
        card: of the network.
        config: how sure it must be.
        device: where network and chips are.
    """

    def __init__(self, network: nn.Module, card: ModelCard, config: TrainConfig, device: torch.device) -> None:
        self._network, self._card, self._config, self._device = network, card, config, device

    def label(self, batch: Batch) -> Batch:
        """Chips to learn from.

        Args:
            batch: of `batches`, chips without labels.

        Returns:
            Each in its other light, with what is found in the plain view as `instances`, blank where that is doubtful.
        """
        # anew each time, for a validation on the same network sets another lowest score
        detector = TorchDetector.of(
            self._network, self._card, device=self._device, min_score=self._config.doubtful_score
        )
        found = detector.detect(torch.stack([chip["plain"] for chip in batch]).numpy())
        return [self._labelled(chip["image"], one) for chip, one in zip(batch, found, strict=True)]

    def _labelled(self, image: Tensor, found: Detections) -> dict[str, Tensor]:
        masks, doubtful = pseudo_labels(found, image.shape[-1], self._config)
        image = image * torch.from_numpy(~doubtful)  # as nodata
        return labelled_chip(image, torch.from_numpy(masks), self._device, self._config.ignore_boundary_px)


def pseudo_labels(found: Detections, size: int, config: TrainConfig) -> tuple[BoolArray, BoolArray]:
    """What is found in a chip as labels.

    Args:
        found: in the chip.
        size: of the chip, px.
        config: the scores of what is a label, and of what is doubtful.

    Returns:
        `(n, size, size)` masks of sure slumps; `(size, size)` where there may be others.
    """
    window = Window(0, 0, size, size)
    # outlines as prediction draws them: one for each slump, of its largest island
    surest_first = outlines(found, ChipWindow(0, 0, window, window), score=config.doubtful_score)
    masks: list[BoolArray] = []
    doubtful = np.zeros((size, size), dtype=bool)
    for one in surest_first:
        mask = rasterised(one.polygon, (1, 0, 0, 1, 0, 0), size)
        if one.score >= config.pseudo_score and mask.sum() >= MIN_VISIBLE_PX:
            masks.append(mask)
        else:
            doubtful |= mask
    if masks:
        doubtful &= ~np.any(masks, axis=0)
    return np.array(masks, dtype=bool).reshape(-1, size, size), doubtful


def unlabelled_part(images: Dataset, learned: Dataset) -> Dataset:
    """Images to learn from without their labels.

    Args:
        images: with labels or without.
        learned: what is learned from with labels; of a data set that is both, its images are left out.

    Raises:
        DatasetError: nothing is left.
    """
    same = images.folder.resolve() == learned.folder.resolve()
    known = {image.name for image in learned.images} if same else set()
    left = [image for image in images.images if image.name not in known]
    if not left:
        raise DatasetError(f"{images.folder}: the labels of all its images are learned; leave some out with --without")
    return replace(images, images=tuple(replace(one, slumps=(), ignored=(), hard_negatives=()) for one in left))
