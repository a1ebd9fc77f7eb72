"""Settings of the network, and the architectures that have a name."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rtsmap.settings.section import Fraction, Section

FusionName = Literal[
    "channels", "convolution", "stacked", "cross", "residual_convolution", "residual_stacked", "residual_cross"
]
NormName = Literal["layer", "batch", "none"]


#: Of layers and channels: more fit into no machine.
Count = Annotated[int, Field(gt=0, le=65_536)]
CountOrNone = Annotated[int, Field(ge=0, le=65_536)]
Positive = Annotated[float, Field(gt=0, le=65_536)]


class NetworkConfig(Section):
    """The network: a backbone per modality, fusion on each scale, feature pyramid, proposals, box heads, mask head.

    The defaults are those of rts-mini; `PRESETS` has the paper's.
    """

    backbone: Literal["mvitv2", "resnet50", "efficientnet-lite"] = "mvitv2"
    variant: Literal["lite0", "lite1", "lite2"] = "lite0"  # of EfficientNet-Lite alone
    # of MViTv2 alone
    embed_dim: Count = 24
    depth: Count = 6
    num_heads: Count = 1
    last_blocks: tuple[int, int, int, int] = (0, 1, 4, 5)  # the last block of each stage
    window_size: Count = 32  # in tokens of the first stage (4 px); should divide the chip's token grid
    global_blocks: bool = False  # true: the last block of each stage but the first sees the whole chip, as in MViTv2
    image_size: Count = 224  # px for which tables of relative positions are made where blocks see all tokens
    kv_stride: Count = 4
    drop_path: Fraction = 0.1  # of EfficientNet-Lite too
    # where modalities meet
    fusion: FusionName = "residual_cross"
    fusion_kv_grid: CountOrNone = 8  # keys and values are pooled to at most this grid; 0: full attention
    fusion_window: CountOrNone = 32  # they attend within windows of this many tokens of the finest scale; 0: all
    fusion_mlp_ratio: Positive = 4.0
    fusion_norm: Literal["layer", "none"] = "none"  # of each modality's map before it is fused; none in older models
    # the detector on top
    fpn_channels: Count = 64
    fpn_norm: NormName = "layer"
    anchor_sizes: tuple[tuple[Positive, ...], ...] = ((8, 12), (17, 24), (34, 48), (68, 96), (136, 192))  # px, p2..p6
    anchor_ratios: tuple[Positive, ...] = (0.5, 1.0, 2.0)
    rpn_convs: Count = 1
    proposals: Annotated[int, Field(gt=0, le=1_000_000)] = (
        2000  # kept at test time in a chip of the size that the card gives, at most,
    )
    proposal_score: Fraction = 0.5  # and of these only where the network is as sure that there is something
    stage_score: Fraction = 0.0  # of the first box head, that a proposal needs for the other two
    decoder: Literal["cascade", "single"] = "cascade"  # box heads in three stages, or one as in Mask R-CNN
    head_norm: NormName = "layer"
    box_convs: CountOrNone = 1
    box_fcs: Count = 1
    fc_dim: Count = 128
    masks: bool = True  # false: boxes only
    mask_convs: Count = 2
    mask_resolution: Annotated[int, Field(gt=0, le=1024, multiple_of=2)] = 28
    classes: Count = 1

    @model_validator(mode="after")
    def _stages_end_with_the_blocks(self) -> Self:
        ascending = all(first < second for first, second in pairwise(self.last_blocks))
        if not ascending or self.last_blocks[-1] != self.depth - 1:
            raise ValueError(f"last_blocks must ascend to the last of {self.depth} blocks, {self.depth - 1}")
        return self

    def with_own_fusion_norm(self) -> Self:
        """With the norm before the fusion that the backbone needs, where the settings do not name one.

        MViTv2 norms its maps itself; those of the convolutional networks are of any size.
        """
        if "fusion_norm" in self.model_fields_set:
            return self
        return self.model_copy(update={"fusion_norm": "none" if self.backbone == "mvitv2" else "layer"})

    @property
    def alignment(self) -> int:
        """Chips that lie this many px from each other have the windows of attention at the same places of the scene.

        Also a multiple of the coarsest level's stride of 64 px, all that convolutions ask for. 1 where the network
        attends to whole chips.
        """
        transformer, fused = self.backbone == "mvitv2", self.fusion.endswith(("stacked", "cross"))
        if (transformer and self.global_blocks) or (fused and not self.fusion_window):
            return 1
        return math.lcm(64, 4 * self.window_size if transformer else 1, 4 * self.fusion_window if fused else 1)


_PUBLISHED = NetworkConfig(
    embed_dim=96,
    window_size=64,  # 56 upstream, which pads the 64 tokens of a chip of 256 px to 112
    global_blocks=True,
    fusion_kv_grid=16,
    fusion_window=0,
    fpn_channels=256,
    fpn_norm="none",
    anchor_sizes=((16,), (32,), (64,), (128,), (256,)),  # half of COCO's: slumps are small
    rpn_convs=2,
    proposals=1200,
    proposal_score=0.0,
    head_norm="batch",
    box_convs=4,
    fc_dim=1024,
    mask_convs=4,
)

#: Architectures by name. Those of MViTv2 and ResNet50 take detectron2's published weights tensor by tensor: sizes of
#: Li et al. 2022, table 4, heads of detectron2's `cascade_mask_rcnn_mvitv2_*` and `mask_rcnn_R_50_FPN`. Those of
#: EfficientNet-Lite have the heads of rts-mini.
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
