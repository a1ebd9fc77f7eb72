"""The box heads of the cascade, with fewer proposals from stage to stage."""

from collections.abc import Mapping
from typing import Any

from detectron2.modeling.roi_heads import CascadeROIHeads
from detectron2.modeling.roi_heads.fast_rcnn import fast_rcnn_inference
from detectron2.structures import Instances
from torch import Tensor


class EarlyRejectionHeads(CascadeROIHeads):  # type: ignore[misc]
    """At test time, only what the first stage is sure enough of goes through the others.

    Most proposals are background, and the first stage mostly says so. A score is the mean over the stages, so what is
    left out might have reached two thirds at most, had the others been certain of it. In training all stages see all.

    Args:
        min_score: of the first stage, of any class, 0..1; 0 leaves nothing out.
        **arguments: of detectron2's `CascadeROIHeads`.
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
        sure = [one[:, :-1].amax(dim=1) >= self.min_score for one in scores]  # the last column is background
        scores, boxes = ([one[kept] for one, kept in zip(values, sure, strict=True)] for values in (scores, boxes))
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
        """Probabilities `(n, classes + 1)` and boxes `(n, 4)` of each image."""
        predictions = self._run_stage(features, proposals, stage)
        predictor = self.box_predictor[stage]
        return list(predictor.predict_probs(predictions, proposals)), list(
            predictor.predict_boxes(predictions, proposals)
        )
