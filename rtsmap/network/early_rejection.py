"""Early rejection: proposals with a low score in the first stage of the cascade skip the other stages."""

from collections.abc import Mapping
from typing import Any

from detectron2.modeling.roi_heads import CascadeROIHeads
from detectron2.modeling.roi_heads.fast_rcnn import fast_rcnn_inference
from detectron2.structures import Instances
from torch import Tensor


class EarlyRejectionHeads(CascadeROIHeads):  # type: ignore[misc]
    """Box heads of a cascade that drop proposals with a low score after the first stage at prediction.

    Most proposals are background, and the first stage mostly recognises this. The score of a detection is the mean over
    the three stages, so a proposal to which the first stage gives a score near 0 can reach two thirds at most, even if
    the other stages are certain. In training all proposals go through all stages.

    Args:
        min_score: lowest score, 0..1, by the first stage for any class; 0 drops no proposal.
        **arguments: arguments of detectron2's `CascadeROIHeads`.
    """

    def __init__(self, *, min_score: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.min_score = min_score

    def _forward_box(self, features: Mapping[str, Tensor], proposals: list[Instances], targets: Any = None) -> Any:
        if self.training or not self.min_score:
            return super()._forward_box(features, proposals, targets)
        maps = [features[name] for name in self.box_in_features]
        sizes = [one.image_size for one in proposals]
        scores, boxes = self._stage(maps, proposals, 0)
        confident = [one[:, :-1].amax(dim=1) >= self.min_score for one in scores]  # the last column is background
        scores, boxes = ([one[kept] for one, kept in zip(values, confident, strict=True)] for values in (scores, boxes))
        for stage in range(1, self.num_cascade_stages):
            refined = self._create_proposals_from_boxes(boxes, sizes)
            further, boxes = self._stage(maps, refined, stage)
            scores = [total + one for total, one in zip(scores, further, strict=True)]
        last = self.box_predictor[-1]
        scores = [total * (1.0 / self.num_cascade_stages) for total in scores]
        limits = last.test_score_thresh, last.test_nms_thresh, last.test_topk_per_image
        return fast_rcnn_inference(boxes, scores, sizes, *limits)[0]

    def _stage(
        self, features: list[Tensor], proposals: list[Instances], stage: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the probabilities `(n, classes + 1)` and boxes `(n, 4)` of each image."""
        predictions = self._run_stage(features, proposals, stage)
        predictor = self.box_predictor[stage]
        return list(predictor.predict_probs(predictions, proposals)), list(
            predictor.predict_boxes(predictions, proposals)
        )
