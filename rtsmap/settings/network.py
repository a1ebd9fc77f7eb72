"""Settings of the network, and the named architectures."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from rtsmap.settings.section import Fraction, Section

FusionName = Literal[
    "channels", "convolution", "stacked", "cross", "residual_convolution", "residual_stacked", "residual_cross"
]
NormName = Literal["layer", "batch", "none"]


#: Upper bound of numbers of layers and channels: larger networks fit into no machine.
Count = Annotated[int, Field(gt=0, le=65_536)]
CountOrNone = Annotated[int, Field(ge=0, le=65_536)]
Positive = Annotated[float, Field(gt=0, le=65_536)]


class NetworkConfig(Section):
    """The network: one backbone per modality, fusion on each scale, feature pyramid, proposals, box and mask heads.

    The defaults are the preset `mini`; `PRESETS` also has the architectures of Li et al. 2025.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    backbone: Literal["mvitv2", "resnet50", "efficientnet-lite"] = "mvitv2"
    """Architecture of the backbones: mvitv2, resnet50 or efficientnet-lite."""
    variant: Literal["lite0", "lite1", "lite2"] = "lite0"
    """Size of EfficientNet-Lite: lite0, lite1 or lite2; other backbones ignore it."""
    embed_dim: Count = 24
    """MViTv2: number of channels of the first stage; each later stage has twice as many as the stage before it."""
    depth: Count = 6
    """MViTv2: number of blocks."""
    num_heads: Count = 1
    """MViTv2: number of attention heads of the first stage, doubled from stage to stage. The fusion has as many on each
    scale, whatever the backbone."""
    last_blocks: tuple[int, int, int, int] = (0, 1, 4, 5)
    """MViTv2: index of the last block of each of the four stages, counted from 0."""
    window_size: Count = 32
    """MViTv2: side of the attention windows in tokens of the first stage (4 px each), halved from stage to stage. It
    should divide the chip's token grid."""
    global_blocks: bool = False
    """MViTv2: whether the last block of each stage but the first attends to the whole chip, as in the published
    network; false: all blocks attend within windows."""
    image_size: Count = 224
    """MViTv2: side in pixels of the image for which the tables of relative positions are made, where blocks attend to
    the whole chip."""
    kv_stride: Count = 4
    """MViTv2: stride by which keys and values are pooled in the first stage, halved from stage to stage."""
    drop_path: Fraction = 0.1
    """MViTv2 and EfficientNet-Lite: probability of skipping a block in training (stochastic depth); it grows linearly
    from 0 at the first block towards this value."""
    fusion: FusionName = "residual_cross"
    """How the modalities are fused: channels (one backbone that takes all channels), convolution, stacked, cross,
    residual_convolution, residual_stacked or residual_cross."""
    fusion_kv_grid: CountOrNone = 8
    """Keys and values of the fusion's attention are averaged to a grid of at most this many tokens a side; 0: full
    attention."""
    fusion_window: CountOrNone = 32
    """Side of the windows within which the modalities attend to each other, in tokens of the finest scale (4 px each);
    0: they attend over the whole chip."""
    fusion_mlp_ratio: Positive = 4.0
    """Width of the feed-forward layer of the fusion's attention, relative to its number of channels."""
    fusion_norm: Literal["layer", "none"] = "none"
    """Normalisation of the feature maps of each modality before they are fused: layer or none. Where it is not set,
    models have none; new trainings take layer for backbones that do not normalise their feature maps themselves."""
    fpn_channels: Count = 64
    """Number of channels of the feature pyramid and the heads."""
    fpn_norm: NormName = "layer"
    """Normalisation in the feature pyramid: layer, batch or none."""
    anchor_sizes: tuple[tuple[Positive, ...], ...] = ((8, 12), (17, 24), (34, 48), (68, 96), (136, 192))
    """Square roots of the areas of the anchors in pixels, for each of the five levels p2 to p6 of the pyramid."""
    anchor_ratios: tuple[Positive, ...] = (0.5, 1.0, 2.0)
    """Height of an anchor divided by its width."""
    rpn_convs: Count = 1
    """Number of convolutions of the proposal network."""
    proposals: Annotated[int, Field(gt=0, le=1_000_000)] = 2000
    """Largest number of proposals that are kept at prediction in a chip of the size that the model card gives; larger
    and smaller chips keep as many per area."""
    proposal_score: Fraction = 0.5
    """Lowest objectness, 0 to 1, of the proposals that are kept at prediction."""
    stage_score: Fraction = 0.0
    """Lowest score, 0 to 1, by the first box head for a proposal to go through the other two at prediction (early
    rejection); 0: all of them do."""
    decoder: Literal["cascade", "single"] = "cascade"
    """Box heads: cascade, three stages as in Cascade R-CNN; single, one stage as in Mask R-CNN."""
    head_norm: NormName = "layer"
    """Normalisation in the box heads and the mask head: layer, batch or none."""
    box_convs: CountOrNone = 1
    """Number of convolutions of each box head."""
    box_fcs: Count = 1
    """Number of fully connected layers of each box head."""
    fc_dim: Count = 128
    """Width of the fully connected layers."""
    masks: bool = True
    """Whether the network has a mask head; false: it predicts boxes only."""
    mask_convs: Count = 2
    """Number of convolutions of the mask head."""
    mask_resolution: Annotated[int, Field(gt=0, le=1024, multiple_of=2)] = 28
    """Side in pixels of the mask that is predicted for each box."""
    classes: Count = 1
    """Number of classes."""

    @model_validator(mode="after")
    def _stages_end_with_the_blocks(self) -> Self:
        ascending = all(first < second for first, second in pairwise(self.last_blocks))
        if not ascending or self.last_blocks[-1] != self.depth - 1:
            raise ValueError(f"last_blocks must ascend to the last of {self.depth} blocks, {self.depth - 1}")
        return self

    def with_own_fusion_norm(self) -> Self:
        """Return the settings with the normalisation before the fusion that the backbone needs, unless they set one.

        MViTv2 normalises its feature maps itself; those of the convolutional networks have values of any size.
        """
        if "fusion_norm" in self.model_fields_set:
            return self
        return self.model_copy(update={"fusion_norm": "none" if self.backbone == "mvitv2" else "layer"})

    @property
    def alignment(self) -> int:
        """Step in pixels between chips for which the attention windows cover the same parts of the scene in every chip.

        It is also a multiple of 64 px, the stride of the coarsest level, which is all that convolutions require. It is
        1 for networks that attend to whole chips.
        """
        transformer, fused = self.backbone == "mvitv2", self.fusion.endswith(("stacked", "cross"))
        if (transformer and self.global_blocks) or (fused and not self.fusion_window):
            return 1
        return math.lcm(64, 4 * self.window_size if transformer else 1, 4 * self.fusion_window if fused else 1)


_PUBLISHED = NetworkConfig(
    embed_dim=96,
    window_size=64,  # 56 in detectron2, which pads the 64 tokens of a chip of 256 px to 112
    global_blocks=True,
    fusion_kv_grid=16,
    fusion_window=0,
    fpn_channels=256,
    fpn_norm="none",
    anchor_sizes=((16,), (32,), (64,), (128,), (256,)),  # half of the sizes for COCO, because slumps are small
    rpn_convs=2,
    proposals=1200,
    proposal_score=0.0,
    head_norm="batch",
    box_convs=4,
    fc_dim=1024,
    mask_convs=4,
)

#: Architectures by name. Those with MViTv2 and ResNet50 fit detectron2's published weights tensor by tensor: they have
#: the sizes of Li et al. 2022, table 4, and the heads of detectron2's `cascade_mask_rcnn_mvitv2_*` and
#: `mask_rcnn_R_50_FPN`. Those with EfficientNet-Lite have the heads of rts-mini.
PRESETS: Mapping[str, NetworkConfig] = {
    "mini": NetworkConfig(),
    "mvitv2-t": _PUBLISHED.model_copy(update={"depth": 10, "last_blocks": (0, 2, 7, 9), "drop_path": 0.2}),
    "mvitv2-s": _PUBLISHED.model_copy(update={"depth": 16, "last_blocks": (0, 2, 13, 15), "drop_path": 0.2}),
    "mvitv2-b": _PUBLISHED.model_copy(update={"depth": 24, "last_blocks": (1, 4, 20, 23), "drop_path": 0.4}),
    "resnet50": _PUBLISHED.model_copy(
        update={
            "backbone": "resnet50",
            "fusion_norm": "layer",
            "decoder": "single",
            "rpn_convs": 1,
            "head_norm": "none",
            "box_convs": 0,
            "box_fcs": 2,
        }
    ),
    "efficientnet-lite0": NetworkConfig(backbone="efficientnet-lite", fusion_norm="layer"),
    "efficientnet-lite2": NetworkConfig(backbone="efficientnet-lite", variant="lite2", fusion_norm="layer"),
}
