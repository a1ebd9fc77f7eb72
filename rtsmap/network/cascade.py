"""Assembly of the detector on detectron2: fused backbones, feature pyramid, proposals, cascade box heads, mask head."""

from collections.abc import Sequence

import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import FPN, GeneralizedRCNN
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.proposal_generator import RPN, StandardRPNHead
from detectron2.modeling.roi_heads import (
    CascadeROIHeads,
    FastRCNNConvFCHead,
    FastRCNNOutputLayers,
    MaskRCNNConvUpsampleHead,
)
from torch import Tensor, nn

from rtsmap.bands import MODALITY_CHANNELS
from rtsmap.config import NetworkConfig
from rtsmap.network.fusion import FusedBackbone
from rtsmap.network.mvitv2 import MViT

#: IoU with a label that makes a box positive in each stage of the cascade, and the deviations of its box deltas
#: (Cai and Vasconcelos 2018, "Cascade R-CNN", section 4).
CASCADE_IOUS = (0.5, 0.6, 0.7)
CASCADE_BOX_WEIGHTS = ((10, 10, 5, 5), (20, 20, 10, 10), (30, 30, 15, 15))

LEVELS = ("p2", "p3", "p4", "p5", "p6")


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of `(n, c, h, w)`, independent of the batch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, features: Tensor) -> Tensor:
        """The same shape as `features`."""
        normed: Tensor = self.norm(features.permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)


def build_network(config: NetworkConfig, modalities: Sequence[str], image_size: int) -> GeneralizedRCNN:
    """The network with random weights.

    Args:
        config: its sizes.
        modalities: in the order of the input's channels; the first is the query of the fusion.
        image_size: side of the training chips in px, a multiple of 32.

    Returns:
        A network that takes a list of `{"image": (channels, h, w)}` with normalised values.
    """
    channels = {name: len(MODALITY_CHANNELS[name]) for name in modalities}
    pyramid = FPN(
        _backbones(config, channels, image_size),
        in_features=["scale2", "scale3", "scale4", "scale5"],
        out_channels=config.fpn_channels,
        norm=ChannelNorm,
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


def _backbones(config: NetworkConfig, channels: dict[str, int], image_size: int) -> FusedBackbone:
    backbones = {
        name: MViT(
            3,
            dim=config.embed_dim,
            depth=config.depth,
            heads=config.num_heads,
            last_blocks=config.last_blocks,
            window=config.window_size,
            kv_stride=config.kv_stride,
            drop_path=config.drop_path,
            image_size=image_size,
        )
        for name in channels
    }
    return FusedBackbone(
        backbones,
        channels,
        heads=config.num_heads,
        kv_grid=config.fusion_kv_grid,
        mlp_ratio=config.fusion_mlp_ratio,
    )


def _proposal_generator(config: NetworkConfig) -> RPN:
    anchors = DefaultAnchorGenerator(
        sizes=[list(sizes) for sizes in config.anchor_sizes],
        aspect_ratios=[list(config.anchor_ratios)],
        strides=[4, 8, 16, 32, 64],
    )
    return RPN(
        in_features=list(LEVELS),
        head=StandardRPNHead(in_channels=config.fpn_channels, num_anchors=anchors.num_anchors[0]),
        anchor_generator=anchors,
        anchor_matcher=Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True),
        box2box_transform=Box2BoxTransform(weights=(1.0, 1.0, 1.0, 1.0)),
        batch_size_per_image=128,
        positive_fraction=0.5,
        pre_nms_topk=(500, max(500, config.proposals)),  # per level, in training and at test time
        post_nms_topk=(300, config.proposals),
    )


def _heads(config: NetworkConfig) -> CascadeROIHeads:
    pooled = {size: ShapeSpec(channels=config.fpn_channels, height=size, width=size) for size in (7, 14)}
    box_heads = [
        FastRCNNConvFCHead(
            pooled[7],
            conv_dims=[config.fpn_channels] * config.box_convs,
            fc_dims=[config.fc_dim],
            conv_norm=ChannelNorm,
        )
        for _ in CASCADE_IOUS
    ]
    predictors = [
        FastRCNNOutputLayers(
            head.output_shape,
            box2box_transform=Box2BoxTransform(weights=weights),
            num_classes=1,
            test_score_thresh=0.05,
            test_nms_thresh=0.5,
            test_topk_per_image=100,
            cls_agnostic_bbox_reg=True,
        )
        for head, weights in zip(box_heads, CASCADE_BOX_WEIGHTS, strict=True)
    ]
    return CascadeROIHeads(
        num_classes=1,
        batch_size_per_image=128,
        positive_fraction=0.25,
        box_in_features=list(LEVELS[:4]),
        box_pooler=_pooler(7),
        box_heads=box_heads,
        box_predictors=predictors,
        proposal_matchers=[Matcher([iou], [0, 1], allow_low_quality_matches=False) for iou in CASCADE_IOUS],
        mask_in_features=list(LEVELS[:4]),
        mask_pooler=_pooler(config.mask_resolution // 2),
        mask_head=MaskRCNNConvUpsampleHead(
            pooled[14],
            num_classes=1,
            conv_dims=[config.fpn_channels] * (config.mask_convs + 1),
            conv_norm=ChannelNorm,
        ),
    )


def _pooler(size: int) -> ROIPooler:
    # canonical_box_size 56 px on p4: slumps are an eighth as wide as the objects of COCO, on the same levels
    return ROIPooler(
        output_size=size,
        scales=[1 / 4, 1 / 8, 1 / 16, 1 / 32],
        sampling_ratio=0,
        pooler_type="ROIAlignV2",
        canonical_box_size=56,
        canonical_level=4,
    )


def count_parameters(network: nn.Module) -> int:
    """Number of weights, trainable or not."""
    return sum(parameter.numel() for parameter in network.parameters())


def seeded_network(config: NetworkConfig, modalities: Sequence[str], image_size: int, seed: int) -> GeneralizedRCNN:
    """`build_network` with weights that depend on nothing but the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(config, modalities, image_size)
