"""The detector on torch."""

from pathlib import Path
from threading import Lock
from typing import Any, Self

import numpy as np
import torch

from rtsmap.network.cascade import box_predictors, build_network
from rtsmap.network.checkpoint import load_weights
from rtsmap.network.device import resolve_device
from rtsmap.records import Detections, FloatArray
from rtsmap.settings.card import ModelCard


class TorchDetector:
    """Runs the network of a card.

    On the CPU the chips of a batch are computed one at a time. Batches are not faster there, and the last bits of a
    matrix product depend on the number of its rows, so that the result of a chip would depend on the others in its
    batch.

    Args:
        card: architecture and inputs.
        weights: safetensors file.
        device: `auto`, `cpu` or `cuda`.
        min_score: detections with a lower score are not returned.

    Raises:
        ModelError: the weights do not fit the card.
        InputError: CUDA is requested and not available.
    """

    def __init__(self, card: ModelCard, weights: Path, *, device: str, min_score: float) -> None:
        chosen = resolve_device(device)
        network = build_network(card.network, card.input.modalities)
        load_weights(network, weights)
        self._take(network, card, chosen, min_score)

    @classmethod
    def of(cls, network: torch.nn.Module, card: ModelCard, *, device: str | torch.device, min_score: float) -> Self:
        """Wrap a network that is in memory already, such as one in training.

        The network is shared, not copied. It is moved to the device and put into evaluation mode, and its number of
        proposals and its lowest score are set. `detect` uses the weights that the network has when it is called. Call
        `network.train()` before training continues.

        Args:
            network: a network from `build_network`.
            card: its architecture and inputs.
            device: `auto`, `cpu`, `cuda`, or a device of torch.
            min_score: detections with a lower score are not returned.

        Raises:
            InputError: CUDA is requested and not available.
        """
        detector = cls.__new__(cls)
        detector._take(network, card, resolve_device(device) if isinstance(device, str) else device, min_score)
        return detector

    def _take(self, network: Any, card: ModelCard, device: torch.device, min_score: float) -> None:
        self.device, self.network = device, network
        self._alone = Lock()
        for predictor in box_predictors(network):
            predictor.test_score_thresh = min_score
        network.to(device).eval()
        self._proposals, self._chip_size = card.network.proposals, card.input.chip_size

    def detect(self, chips: FloatArray) -> list[Detections]:
        """See `Detector.detect`."""
        step = 1 if self.device.type == "cpu" else len(chips)
        with self._alone, torch.inference_mode():
            self._keep_proposals(round(self._proposals * (chips.shape[-1] / self._chip_size) ** 2))
            return [
                _to_records(instances)
                for start in range(0, len(chips), step)
                for instances in self._run(torch.from_numpy(chips[start : start + step]).to(self.device))
            ]

    def _keep_proposals(self, number: int) -> None:
        """Keep the number of proposals per area constant, so that detections do not depend on the size of chips."""
        rpn = self.network.proposal_generator
        rpn.post_nms_topk[False] = number
        rpn.pre_nms_topk[False] = 2 * number
        box_predictors(self.network)[-1].test_topk_per_image = number

    def _run(self, images: torch.Tensor) -> list[Any]:
        """One `detectron2.structures.Instances` per image, masks as probability grids."""
        results: list[Any] = self.network.inference([{"image": image} for image in images], do_postprocess=False)
        return results


def _to_records(instances: Any) -> Detections:
    boxes = instances.pred_boxes.tensor.cpu().numpy()
    if instances.has("pred_masks"):
        masks = instances.pred_masks[:, 0].cpu().numpy().astype(np.float32)
    else:  # a network without a mask head: the box is the outline
        masks = np.ones((len(boxes), 2, 2), dtype=np.float32)
    return Detections(boxes=boxes, scores=instances.scores.cpu().numpy(), masks=masks)
