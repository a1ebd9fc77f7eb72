"""Assembly of the detector from parts of detectron2: fused backbones, feature pyramid, proposals, box and mask heads.

All modules have the names of detectron2, so that its published weights fit tensor by tensor.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import FPN, Backbone, GeneralizedRCNN, ResNet
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.modeling.backbone.resnet import BasicStem
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.proposal_generator import RPN, StandardRPNHead
from detectron2.modeling.roi_heads import (
    FastRCNNConvFCHead,
    FastRCNNOutputLayers,
    StandardROIHeads,
)
from detectron2.structures import Instances
from torch import nn

from rtsmap.bands import MODALITY_CHANNELS
from rtsmap.network.early_rejection import EarlyRejectionHeads
from rtsmap.network.efficientnet import EfficientNetLite
from rtsmap.network.fusion import FusedBackbone, Fusion
from rtsmap.network.masks import MaskHead
from rtsmap.network.mvitv2 import MViT
from rtsmap.network.norms import NORMS
from rtsmap.settings.network import NetworkConfig

#: IoU with a label from which a box is positive in each stage of the cascade, and the weights of its box deltas (Cai
#: and Vasconcelos 2018, "Cascade R-CNN", section 4).
CASCADE_IOUS = (0.5, 0.6, 0.7)
CASCADE_BOX_WEIGHTS = ((10, 10, 5, 5), (20, 20, 10, 10), (30, 30, 15, 15))

LEVELS = ("p2", "p3", "p4", "p5", "p6")


def build_network(
    config: NetworkConfig,
    modalities: Sequence[str],
    *,
    frozen: Sequence[str] = (),
    recompute: bool = False,
) -> GeneralizedRCNN:
    """Build the network with random weights.

    Args:
        config: sizes of the network.
        modalities: modalities in the order of the channels of the input; the first is the query of the fusion.
        frozen: modalities whose backbones are not trained.
        recompute: see `MViT`; ResNet50 has no such option and ignores it.

    Returns:
        A network that takes a list of `{"image": (channels, h, w)}` with normalised values.

    Raises:
        ValueError: a frozen modality has no separate backbone.
    """
    channels = {name: len(MODALITY_CHANNELS[name]) for name in modalities}
    bottom_up = _bottom_up(config, channels, frozen, recompute=recompute)
    pyramid = FPN(
        bottom_up,
        in_features=list(bottom_up.output_shape()),
        out_channels=config.fpn_channels,
        norm=NORMS[config.fpn_norm],
        top_block=LastLevelMaxPool(),
    )
    total = sum(channels.values())
    return GeneralizedRCNN(
        backbone=pyramid,
        proposal_generator=_proposal_generator(config),
        roi_heads=_heads(config),
        pixel_mean=(0.0,) * total,
        pixel_std=(1.0,) * total,
    )


def _bottom_up(
    config: NetworkConfig, channels: dict[str, int], frozen: Sequence[str], *, recompute: bool
) -> FusedBackbone:
    if config.fusion == "channels" and len(channels) > 1:
        total = sum(channels.values())
        # one backbone for all modalities
        channels, inputs = {"+".join(channels): total}, total
    else:
        inputs = 3
    build = BUILDERS[config.backbone]
    backbones = {name: build(config, inputs, recompute) for name in channels}
    shapes = next(iter(backbones.values())).output_shape()
    fusion = {
        name: Fusion(
            config.fusion,
            len(backbones),
            shape.channels,
            config.num_heads * 2**level,
            kv_grid=config.fusion_kv_grid,
            mlp_ratio=config.fusion_mlp_ratio,
            window=config.fusion_window // 2**level,
            normalise=config.fusion_norm == "layer",
        )
        for level, (name, shape) in enumerate(shapes.items())
        if len(backbones) > 1
    }
    return FusedBackbone(backbones, channels, fusion, frozen=frozen, inputs=inputs)


def _mvitv2(config: NetworkConfig, channels: int, recompute: bool) -> Backbone:
    return MViT(
        channels,
        dim=config.embed_dim,
        depth=config.depth,
        heads=config.num_heads,
        last_blocks=config.last_blocks,
        window=config.window_size,
        kv_stride=config.kv_stride,
        drop_path=config.drop_path,
        global_blocks=config.global_blocks,
        image_size=config.image_size,
        recompute=recompute,
    )


def _resnet50(_config: NetworkConfig, channels: int, _recompute: bool) -> Backbone:
    """Build a ResNet50 as in torchvision: strides in the 3 x 3 convolutions, input with a standard deviation of 1.

    The statistics of batch normalisation are fixed, as is usual where weights come from ImageNet and batches are small.
    """
    stem = BasicStem(in_channels=channels, out_channels=64, norm="FrozenBN")
    stages = ResNet.make_default_stages(depth=50, norm="FrozenBN", stride_in_1x1=False)
    return ResNet(stem, stages, out_features=["res2", "res3", "res4", "res5"])


def _efficientnet_lite(config: NetworkConfig, channels: int, recompute: bool) -> Backbone:
    return EfficientNetLite(channels, variant=config.variant, drop_path=config.drop_path, recompute=recompute)


#: Functions that build a backbone, by its name in the settings.
BUILDERS: dict[str, Callable[[NetworkConfig, int, bool], Backbone]] = {
    "mvitv2": _mvitv2,
    "resnet50": _resnet50,
    "efficientnet-lite": _efficientnet_lite,
}


class ThresholdRPN(RPN):  # type: ignore[misc]
    """A proposal network that keeps only proposals above a score at prediction.

    detectron2 keeps a fixed number of proposals per chip. Whether a slump is detected then depends on the other objects
    in its chip, and empty chips cost as much as others.

    Args:
        min_score: objectness, 0..1, below which proposals are dropped.
        **arguments: arguments of detectron2's `RPN`.
    """

    def __init__(self, *, min_score: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.min_logit = math.log(min_score / (1 - min_score)) if min_score else -math.inf

    def predict_proposals(self, *arguments: Any) -> list[Instances]:
        """Return the proposals of each image, highest objectness first."""
        proposals: list[Instances] = super().predict_proposals(*arguments)
        return proposals if self.training else [one[one.objectness_logits >= self.min_logit] for one in proposals]


def _proposal_generator(config: NetworkConfig) -> RPN:
    anchors = DefaultAnchorGenerator(
        sizes=[list(sizes) for sizes in config.anchor_sizes],
        aspect_ratios=[list(config.anchor_ratios)],
        strides=[4, 8, 16, 32, 64],
    )
    return ThresholdRPN(
        min_score=config.proposal_score,
        in_features=list(LEVELS),
        head=StandardRPNHead(
            in_channels=config.fpn_channels,
            num_anchors=anchors.num_anchors[0],
            conv_dims=[-1] * config.rpn_convs,
        ),
        anchor_generator=anchors,
        anchor_matcher=Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True),
        box2box_transform=Box2BoxTransform(weights=(1.0, 1.0, 1.0, 1.0)),
        batch_size_per_image=128,
        positive_fraction=0.5,
        pre_nms_topk=(500, 2 * config.proposals),  # per level, in training and at prediction
        post_nms_topk=(300, config.proposals),
    )


def _heads(config: NetworkConfig) -> StandardROIHeads:
    common: dict[str, Any] = {
        "num_classes": config.classes,
        "batch_size_per_image": 128,
        "positive_fraction": 0.25,
        "box_in_features": list(LEVELS[:4]),
        "box_pooler": _pooler(7),
        **(_mask_parts(config) if config.masks else {}),
    }
    if config.decoder == "cascade":
        heads = [_box_head(config) for _ in CASCADE_IOUS]
        return EarlyRejectionHeads(
            min_score=config.stage_score,
            box_heads=heads,
            box_predictors=[
                _box_predictor(config, head, weights) for head, weights in zip(heads, CASCADE_BOX_WEIGHTS, strict=True)
            ],
            proposal_matchers=[Matcher([iou], [0, 1], allow_low_quality_matches=False) for iou in CASCADE_IOUS],
            **common,
        )
    head = _box_head(config)
    return StandardROIHeads(
        box_head=head,
        box_predictor=_box_predictor(config, head, CASCADE_BOX_WEIGHTS[0]),
        proposal_matcher=Matcher([CASCADE_IOUS[0]], [0, 1], allow_low_quality_matches=False),
        **common,
    )


def _box_head(config: NetworkConfig) -> FastRCNNConvFCHead:
    return FastRCNNConvFCHead(
        ShapeSpec(channels=config.fpn_channels, height=7, width=7),
        conv_dims=[config.fpn_channels] * config.box_convs,
        fc_dims=[config.fc_dim] * config.box_fcs,
        conv_norm=NORMS[config.head_norm],
    )


def _box_predictor(
    config: NetworkConfig, head: FastRCNNConvFCHead, weights: tuple[int, int, int, int]
) -> FastRCNNOutputLayers:
    return FastRCNNOutputLayers(
        head.output_shape,
        box2box_transform=Box2BoxTransform(weights=weights),
        num_classes=config.classes,
        test_score_thresh=0.05,
        test_nms_thresh=0.5,
        test_topk_per_image=config.proposals,
        cls_agnostic_bbox_reg=config.decoder == "cascade",
    )


def _mask_parts(config: NetworkConfig) -> dict[str, Any]:
    size = config.mask_resolution // 2
    return {
        "mask_in_features": list(LEVELS[:4]),
        "mask_pooler": _pooler(size),
        "mask_head": MaskHead(
            ShapeSpec(channels=config.fpn_channels, height=size, width=size),
            num_classes=config.classes,
            conv_dims=[config.fpn_channels] * (config.mask_convs + 1),
            conv_norm=NORMS[config.head_norm],
        ),
    }


def _pooler(size: int) -> ROIPooler:
    # canonical_box_size is 56 px on p4, because slumps are an eighth as wide as the objects of COCO on the same levels
    return ROIPooler(
        output_size=size,
        scales=[1 / 4, 1 / 8, 1 / 16, 1 / 32],
        sampling_ratio=0,
        pooler_type="ROIAlignV2",
        canonical_box_size=56,
        canonical_level=4,
    )


def box_predictors(network: GeneralizedRCNN) -> list[FastRCNNOutputLayers]:
    """Return the box predictors of all stages; detections come from the last."""
    predictor = network.roi_heads.box_predictor
    return list(predictor) if isinstance(predictor, nn.ModuleList) else [predictor]


def count_parameters(network: nn.Module, *, trainable: bool = False) -> int:
    """Return the number of all weights, or of those that are trained."""
    return sum(one.numel() for one in network.parameters() if one.requires_grad or not trainable)


def seeded_network(config: NetworkConfig, modalities: Sequence[str], seed: int, **how: Any) -> GeneralizedRCNN:
    """Build the network, see `build_network`, with weights that depend only on the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(config, modalities, **how)
