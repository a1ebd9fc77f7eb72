"""The mask head, with a loss that leaves out the boundary of each slump.

Where an outline lies within a pixel or two, those who draw it do not agree (two drawings of one slump have a median
overlap of 0.6 to 0.74). A boundary that is not learned cannot be learned wrong.
"""

import torch
from detectron2.modeling.roi_heads import MaskRCNNConvUpsampleHead
from detectron2.structures import Instances
from torch import Tensor
from torch.nn import functional

#: Of a slump's pixels this share is learned however small it is: its boundary is taken the thinner.
LEAST_LEARNED = 0.5


def boundaries(masks: Tensor, width: int) -> Tensor:
    """The pixels on both sides of each outline that are not learned.

    Args:
        masks: `(n, h, w)`, bool. The edge of the chip is no outline.
        width: on each side, px, along rows and columns; less where at least half of a slump would not be left.

    Returns:
        `(n, h, w)`, bool.
    """
    found = torch.zeros_like(masks)
    if not len(masks):
        return found
    inside = masks[:, None].float()
    area = inside.sum(dim=(1, 2, 3))
    for one in range(1, width + 1):  # from thin to wide, so that each slump keeps the widest that it may have
        reach = functional.max_pool2d(inside, 2 * one + 1, stride=1, padding=one)
        core = 1 - functional.max_pool2d(1 - inside, 2 * one + 1, stride=1, padding=one)
        enough = core.sum(dim=(1, 2, 3)) >= LEAST_LEARNED * area
        found = torch.where(enough[:, None, None], (reach > core)[:, 0], found)
    return found


class MaskHead(MaskRCNNConvUpsampleHead):  # type: ignore[misc]
    """detectron2's, which learns nothing where `gt_boundaries` of the labels says so."""

    def forward(self, features: Tensor, instances: list[Instances]) -> dict[str, Tensor] | list[Instances]:
        """The loss in training, else the instances with their masks; see detectron2."""
        if not self.training or not all(one.has("gt_boundaries") for one in instances):
            found: dict[str, Tensor] | list[Instances] = super().forward(features, instances)
            return found
        return {"loss_mask": boundless_loss(self.layers(features), instances) * self.loss_weight}


def boundless_loss(logits: Tensor, instances: list[Instances]) -> Tensor:
    """Mean cross-entropy of the masks, of what is no boundary; 0 where nothing else is left.

    Args:
        logits: `(n, classes or 1, m, m)`.
        instances: with `proposal_boxes`, `gt_masks`, `gt_boundaries` and `gt_classes`, n in all.
    """
    some = [one for one in instances if len(one)]
    if not some:
        return logits.sum() * 0
    side = logits.shape[-1]

    def cropped(name: str) -> Tensor:
        return torch.cat([one.get(name).crop_and_resize(one.proposal_boxes.tensor, side) for one in some])

    classes = torch.cat([one.gt_classes for one in some]) if logits.shape[1] > 1 else 0
    chosen = logits[torch.arange(len(logits), device=logits.device), classes].float()
    learned = ~cropped("gt_boundaries")
    losses = functional.binary_cross_entropy_with_logits(chosen, cropped("gt_masks").float(), reduction="none")
    return (losses * learned).sum() / learned.sum().clamp(min=1)
