"""The mask head, with a loss that leaves out the boundary of each slump.

Experts disagree about the position of outlines by a pixel or two (two drawings of one slump have a median overlap of
0.6 to 0.74). A boundary that is left out of the loss cannot be learned wrongly.
"""

import torch
from detectron2.modeling.roi_heads import MaskRCNNConvUpsampleHead
from detectron2.structures import Instances
from torch import Tensor
from torch.nn import functional

#: Smallest share of the pixels of a slump that the loss includes; small slumps get a thinner boundary.
LEAST_LEARNED = 0.5


def boundaries(masks: Tensor, width: int) -> Tensor:
    """Return the pixels on both sides of each outline that the loss leaves out.

    Args:
        masks: `(n, h, w)`, boolean. The edge of the chip does not count as outline.
        width: width on each side, px, along rows and columns; it is smaller where less than half of a slump would
            remain.

    Returns:
        `(n, h, w)`, boolean.
    """
    found = torch.zeros_like(masks)
    if not len(masks):
        return found
    inside = masks[:, None].float()
    area = inside.sum(dim=(1, 2, 3))
    for one in range(1, width + 1):  # from thin to wide, so that each slump keeps the widest boundary that it may have
        reach = functional.max_pool2d(inside, 2 * one + 1, stride=1, padding=one)
        core = 1 - functional.max_pool2d(1 - inside, 2 * one + 1, stride=1, padding=one)
        enough = core.sum(dim=(1, 2, 3)) >= LEAST_LEARNED * area
        found = torch.where(enough[:, None, None], (reach > core)[:, 0], found)
    return found


class MaskHead(MaskRCNNConvUpsampleHead):  # type: ignore[misc]
    """The mask head of detectron2, with a loss that leaves out the pixels of `gt_boundaries` of the labels."""

    def forward(self, features: Tensor, instances: list[Instances]) -> dict[str, Tensor] | list[Instances]:
        """Return the loss in training, and otherwise the instances with their masks; see detectron2."""
        if not self.training or not all(one.has("gt_boundaries") for one in instances):
            found: dict[str, Tensor] | list[Instances] = super().forward(features, instances)
            return found
        return {"loss_mask": boundless_loss(self.layers(features), instances) * self.loss_weight}


def boundless_loss(logits: Tensor, instances: list[Instances]) -> Tensor:
    """Return the mean cross-entropy of the masks outside the boundaries; 0 if no pixel lies outside.

    Args:
        logits: `(n, classes or 1, m, m)`.
        instances: n instances in all, with `proposal_boxes`, `gt_masks`, `gt_boundaries` and `gt_classes`.
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
