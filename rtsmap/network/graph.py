"""The whole detector as one module that takes and returns tensors, for export.

detectron2 computes detections through lists of objects, one per image, which an exported graph cannot contain: a trace
is valid for one number of chips only. Here the boxes of all chips are in one tensor, with the index of the chip of each
box. The layers are shared with the network; the selection of the detections and their order are the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from detectron2.modeling import GeneralizedRCNN
from detectron2.modeling.poolers import ROIPooler
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import nms, roi_align

from rtsmap.network.cascade import box_predictors

Features = Mapping[str, Tensor]

_ALL = 2**62  # more boxes than there can be


class WholeDetector(nn.Module):
    """Computes the detections in chips.

    Args:
        network: a network made by `build_network`; it is shared, not copied.
        proposals: largest number of proposals in a chip of `chip_size`; other chips keep as many per area.
        chip_size: side of a chip, px.
    """

    def __init__(self, network: GeneralizedRCNN, *, proposals: int, chip_size: int) -> None:
        super().__init__()
        self.network = network
        self.proposals, self.chip_size = proposals, chip_size

    def forward(self, chips: Tensor, min_score: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Find slumps.

        Args:
            chips: `(n, channels, h, w)`, normalised.
            min_score: scalar; only detections with a higher score are returned.

        Returns:
            Boxes `(d, 4)` as `x0, y0, x1, y1` in pixels of the chip, scores `(d,)`, masks `(d, m, m)` as probabilities
            within each box, and the index of the chip of each detection `(d,)`, highest score first.
        """
        count, _, height, width = chips.shape
        divisor = self.network.backbone.size_divisibility
        features = self.network.backbone(functional.pad(chips, (0, -width % divisor, 0, -height % divisor)))
        size = torch._shape_as_tensor(chips)[2:].flip(0)  # width and height, traced
        limit = ((size[0] / self.chip_size) ** 2 * self.proposals).round().long()
        # for one chip the first boxes are all that is kept; for several, all boxes of one may follow those of another
        enough = torch.where(torch._shape_as_tensor(chips)[0] == 1, limit, torch.full_like(limit, _ALL))
        boxes, owners = self._propose(features, size, limit, enough, count)
        boxes, scores, owners = self._refine(features, boxes, owners, size)
        row, label = torch.nonzero(scores > min_score).T
        boxes = boxes[row, label if boxes.shape[1] > 1 else 0]
        scores, owners = scores[row, label], owners[row]
        threshold = box_predictors(self.network)[-1].test_nms_thresh
        kept = _suppress(boxes, scores, label, owners, size, threshold, enough)
        kept = kept[_rank(owners[kept], count) < limit]
        boxes, owners = boxes[kept], owners[kept]
        return boxes, scores[kept], self._masks(features, boxes, owners, label[kept]), owners

    def _propose(
        self, features: Features, size: Tensor, limit: Tensor, enough: Tensor, count: int
    ) -> tuple[Tensor, Tensor]:
        """Return the proposals of all chips, at most `limit` for each, and the index of the chip of each."""
        rpn = self.network.proposal_generator
        levels = zip(*rpn.rpn_head([features[name] for name in rpn.in_features]), strict=True)
        found = [
            self._propose_on_level(level, logits, deltas, 2 * limit) for level, (logits, deltas) in enumerate(levels)
        ]
        boxes, logits, owners, level_of = (torch.cat(parts) for parts in zip(*found, strict=True))
        boxes = _clipped(boxes, size)
        # detectron2 does this after the suppression; the result is the same, as boxes suppress only those that score
        # less.
        confident = (logits >= rpn.min_logit) & (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        boxes, logits, owners, level_of = boxes[confident], logits[confident], owners[confident], level_of[confident]
        kept = _suppress(boxes, logits, level_of, owners, size, rpn.nms_thresh, enough)
        kept = kept[_rank(owners[kept], count) < limit]
        return boxes[kept], owners[kept]

    def _propose_on_level(self, level: int, logits: Tensor, deltas: Tensor, most: Tensor) -> tuple[Tensor, ...]:
        """Return the boxes of a level with the highest objectness: boxes, logits, chips and levels.

        Args:
            level: index of the level.
            logits: `(n, anchors, h, w)`.
            deltas: `(n, anchors * 4, h, w)`.
            most: largest number of boxes for each chip.
        """
        rpn = self.network.proposal_generator
        generator = rpn.anchor_generator
        count, anchors, _, width = logits.shape
        logits = logits.permute(0, 2, 3, 1).flatten(1)
        deltas = deltas.unflatten(1, (anchors, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3)
        number = torch.minimum(most, torch._shape_as_tensor(logits)[1])
        best, index = logits.topk(number, dim=1)  # type: ignore[arg-type]  # a tensor, so that a trace can follow it
        cell = index.div(anchors, rounding_mode="floor")  # the anchors of one cell of the map are neighbours
        centre = torch.stack((cell % width, cell.div(width, rounding_mode="floor")), dim=2) + generator.offset
        shape = list(generator.cell_anchors)[level][index % anchors]
        anchor = shape + (centre * generator.strides[level]).repeat(1, 1, 2)
        delta = deltas.gather(1, index.unsqueeze(2).expand(-1, -1, 4))
        boxes = rpn.box2box_transform.apply_deltas(delta.flatten(0, 1), anchor.flatten(0, 1))
        owners = torch.arange(count, device=index.device).unsqueeze(1).expand_as(index).flatten()
        return boxes, best.flatten(), owners, torch.full_like(owners, level)

    def _refine(self, features: Features, boxes: Tensor, owners: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes of the last stage `(r, classes or 1, 4)`, mean scores `(r, classes)`, and chips `(r,)`."""
        heads = self.network.roi_heads
        layers = heads.box_head if isinstance(heads.box_head, nn.ModuleList) else [heads.box_head]
        scores: list[Tensor] = []
        for head, predictor in zip(layers, box_predictors(self.network), strict=True):
            if scores:
                boxes = _clipped(boxes, size)
            pooled = _pool(heads.box_pooler, [features[name] for name in heads.box_in_features], boxes, owners)
            logits, deltas = predictor(head(pooled))
            scores.append(logits.softmax(dim=1)[:, :-1])
            boxes = predictor.box2box_transform.apply_deltas(deltas, boxes)
            if len(scores) == 1 < len(layers) and heads.min_score:  # see EarlyRejectionHeads
                kept = scores[0].amax(dim=1) >= heads.min_score
                scores, boxes, owners = [scores[0][kept]], boxes[kept], owners[kept]
        # the number of classes is explicit, because ONNX cannot infer it where there is no box
        boxes = _clipped(boxes.unflatten(1, (int(boxes.shape[1]) // 4, 4)), size)
        return boxes, sum(scores[1:], scores[0]) * (1 / len(scores)), owners

    def _masks(self, features: Features, boxes: Tensor, owners: Tensor, label: Tensor) -> Tensor:
        heads = self.network.roi_heads
        if not heads.mask_on:  # the box is the outline
            return boxes.new_ones(boxes.shape[0], 2, 2)
        pooled = _pool(heads.mask_pooler, [features[name] for name in heads.mask_in_features], boxes, owners)
        logits = heads.mask_head.layers(pooled)
        if logits.shape[1] > 1:
            chosen = label[:, None, None, None].expand(-1, -1, logits.shape[2], logits.shape[3])
            logits = logits.gather(1, chosen)
        masks: Tensor = logits[:, 0].sigmoid()
        return masks


def _clipped(boxes: Tensor, size: Tensor) -> Tensor:
    """Clip boxes `(..., 4)` to the chip of width and height `size`."""
    return torch.minimum(boxes.clamp(min=0), size.repeat(2).to(boxes.dtype))


def _suppress(
    boxes: Tensor, scores: Tensor, group: Tensor, owners: Tensor, size: Tensor, threshold: float, most: Tensor
) -> Tensor:
    """Return the indices of the best `most` boxes that no better box of the same group and chip overlaps, in order.

    Groups are shifted apart along x and chips along y, so that coordinates remain small and therefore precise.
    """
    step = size.to(boxes.dtype) + 1
    shift = torch.stack((group, owners), dim=1) * step
    kept: Tensor = _Suppression.apply(boxes + shift.repeat(1, 2), scores, threshold, most)
    return kept


class _Suppression(torch.autograd.Function):
    """`torchvision.ops.nms` with a largest number of boxes, which ONNX takes as an input and torchvision does not."""

    @staticmethod
    def forward(_context: Any, boxes: Tensor, scores: Tensor, threshold: float, most: Tensor) -> Tensor:
        """Return the indices `(k,)` of the best boxes; `k` is at most `most`."""
        return nms(boxes, scores, threshold)[: int(most)]

    @staticmethod
    def symbolic(graph: Any, boxes: Any, scores: Any, threshold: float, most: Any) -> Any:
        """Return the same as operations of ONNX."""

        def constant(*values: float) -> Any:
            return graph.op("Constant", value_t=torch.tensor(values))

        first = graph.op("Unsqueeze", boxes, constant(0))
        second = graph.op("Unsqueeze", scores, constant(0, 1))
        most = graph.op("Reshape", most, constant(1))
        found = graph.op("NonMaxSuppression", first, second, most, constant(threshold))
        index = graph.op("Gather", found, graph.op("Constant", value_t=torch.tensor(2)), axis_i=1)
        index.setType(scores.type().with_dtype(torch.int64).with_sizes([None]))  # unlike in the trace, any number
        return index


def _rank(owners: Tensor, count: int) -> Tensor:
    """Return for each of `(r,)` boxes how many boxes of the same of `count` chips come before it."""
    same = (owners.unsqueeze(1) == torch.arange(count, device=owners.device)).long()
    return (same.cumsum(dim=0) * same).sum(dim=1) - 1


def _pool(pooler: ROIPooler, features: Sequence[Tensor], boxes: Tensor, owners: Tensor) -> Tensor:
    """Pool features as `ROIPooler` does, for boxes in one tensor: `(r, c, s, s)`."""
    side = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt()
    level = torch.floor(pooler.canonical_level + torch.log2(side / pooler.canonical_box_size + 1e-8))
    level = level.clamp(pooler.min_level, pooler.max_level) - pooler.min_level
    regions = torch.cat((owners.unsqueeze(1).to(boxes.dtype), boxes), dim=1)
    indices, parts = [], []
    for index, (feature, one) in enumerate(zip(features, pooler.level_poolers, strict=True)):
        inside = torch.nonzero(level == index).flatten()
        indices.append(inside)
        scale, ratio, aligned = one.spatial_scale, one.sampling_ratio, one.aligned
        parts.append(roi_align(feature, regions[inside], one.output_size, scale, ratio, aligned))
    return torch.cat(parts)[torch.cat(indices).argsort()]
