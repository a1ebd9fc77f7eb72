"""Self-training with a mean teacher on unlabelled images.

A network with the moving average of the weights, the teacher, detects slumps in weakly augmented chips; the network is
trained on these detections with strong augmentation of the same chips (Tarvainen and Valpola 2017; for instances Liu et
al. 2021, "Unbiased Teacher"; for slumps Heidler et al. 2024, "PixelDINO"). Detections with a high score become labels;
doubtful ones are blanked, so that they count neither as slump nor as background.
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
    """Labels unlabelled chips.

    Args:
        network: the network whose detections are the labels; it is shared, not copied, so that it improves in training.
        card: the model card of the network.
        config: the settings of the training, with the lowest scores of labels and of doubtful detections.
        device: the device of the network and the chips.
    """

    def __init__(self, network: nn.Module, card: ModelCard, config: TrainConfig, device: torch.device) -> None:
        self._network, self._card, self._config, self._device = network, card, config, device

    def label(self, batch: Batch) -> Batch:
        """Label a batch of chips.

        Args:
            batch: unlabelled chips, made by `batches`.

        Returns:
            The strongly augmented chips, with the detections in the weakly augmented ones as `instances`, blanked where
            detections are doubtful.
        """
        # a new detector for each batch, because a validation of the same network sets another lowest score
        detector = TorchDetector.of(
            self._network, self._card, device=self._device, min_score=self._config.doubtful_score
        )
        found = detector.detect(torch.stack([chip["weak"] for chip in batch]).numpy())
        return [self._labelled(chip["image"], one) for chip, one in zip(batch, found, strict=True)]

    def _labelled(self, image: Tensor, found: Detections) -> dict[str, Tensor]:
        masks, doubtful = pseudo_labels(found, image.shape[-1], self._config)
        image = image * torch.from_numpy(~doubtful)  # blanked like nodata
        return labelled_chip(image, torch.from_numpy(masks), self._device, self._config.ignore_boundary_px)


def pseudo_labels(found: Detections, size: int, config: TrainConfig) -> tuple[BoolArray, BoolArray]:
    """Turn the detections in a chip into labels.

    Args:
        found: detections in the chip.
        size: side of the chip, px.
        config: the settings, with the lowest scores of labels and of doubtful detections.

    Returns:
        `(n, size, size)`, masks of the labels; `(size, size)`, the pixels of doubtful detections.
    """
    window = Window(0, 0, size, size)
    # outlines as in prediction: one for each slump, its largest part
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
    """Return the images that training uses without their labels.

    Args:
        images: a data set, labelled or not.
        learned: the data set that training uses with its labels; if both are the same data set, its images are left
            out.

    Raises:
        DatasetError: no image is left.
    """
    same = images.folder.resolve() == learned.folder.resolve()
    known = {image.name for image in learned.images} if same else set()
    left = [image for image in images.images if image.name not in known]
    if not left:
        raise DatasetError(f"{images.folder}: labels of all its images are used; leave some out with --without")
    return replace(images, images=tuple(replace(one, slumps=(), ignored=(), hard_negatives=()) for one in left))
