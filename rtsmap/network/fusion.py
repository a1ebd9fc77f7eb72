"""Residual cross-modality attention (Li et al. 2025), one block per scale of the backbones.

    F'_i = CrossAttention_i(query = F_rgb, key = value = F_i)            for every further modality i
    F''  = Conv(F_rgb + sum F_i + sum F'_i)

Placed before the feature pyramid, on the four backbone scales, with a feed-forward layer in each attention block and a
3 x 3 convolution: of the readings of the paper this one gives its parameter counts (docs/network.md).
"""

from collections.abc import Mapping, Sequence

import torch
from detectron2.modeling import Backbone
from torch import Tensor, nn
from torch.nn import functional

from rtsmap.network.mvitv2 import Mlp, MViT


class CrossAttention(nn.Module):
    """Attention from the tokens of one modality to those of another, and a feed-forward layer.

    Args:
        dim: channels.
        heads: attention heads.
        kv_grid: keys and values are averaged to at most this many tokens a side, so that the cost grows linearly with
            the area; 0 for full attention.
        mlp_ratio: width of the feed-forward layer over `dim`.
    """

    def __init__(self, dim: int, heads: int, *, kv_grid: int, mlp_ratio: float) -> None:
        super().__init__()
        self.heads, self.kv_grid = heads, kv_grid
        self.norm_q, self.norm_kv, self.norm_mlp = (nn.LayerNorm(dim) for _ in range(3))
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, query: Tensor, other: Tensor) -> Tensor:
        """What `other` holds for `query`; `(n, dim, h, w)` each."""
        height, width = query.shape[-2:]
        if self.kv_grid and max(height, width) > self.kv_grid:
            other = functional.adaptive_avg_pool2d(other, (min(height, self.kv_grid), min(width, self.kv_grid)))
        tokens = query.flatten(2).transpose(1, 2)
        q = self._split(self.q(self.norm_q(tokens)))
        k, v = (self._split(part) for part in self.kv(self.norm_kv(other.flatten(2).transpose(1, 2))).chunk(2, dim=-1))
        attended = self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        attended = attended + self.mlp(self.norm_mlp(attended))
        return attended.transpose(1, 2).unflatten(2, (height, width))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)


class ResidualCrossAttentionFusion(nn.Module):
    """Fuses the feature maps of all modalities at one scale; the first modality asks, the others answer."""

    def __init__(self, modalities: int, dim: int, heads: int, *, kv_grid: int, mlp_ratio: float) -> None:
        super().__init__()
        self.attention = nn.ModuleList(
            CrossAttention(dim, heads, kv_grid=kv_grid, mlp_ratio=mlp_ratio) for _ in range(modalities - 1)
        )
        self.conv = nn.Conv2d(dim, dim, kernel_size=3, padding=1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """`(n, dim, h, w)` from as many of the same shape as there are modalities."""
        first, *others = features
        total = torch.stack(list(features)).sum(dim=0)
        for attention, other in zip(self.attention, others, strict=True):
            total = total + attention(first, other)
        fused: Tensor = self.conv(total)
        return fused


class FusedBackbone(Backbone):  # type: ignore[misc]
    """A backbone per modality and a fusion per scale, to be set under a feature pyramid as one bottom-up network.

    Args:
        backbones: by modality, the query of the fusion first; all of one architecture. One alone is not fused.
        channels: of each modality in the stacked input.
        heads: attention heads at the finest scale, doubled from scale to scale.
        kv_grid: see `CrossAttention`.
        mlp_ratio: see `CrossAttention`.
    """

    def __init__(
        self, backbones: Mapping[str, MViT], channels: Mapping[str, int], *, heads: int, kv_grid: int, mlp_ratio: float
    ) -> None:
        super().__init__()
        self.backbones = nn.ModuleDict(backbones)
        self.channels = tuple(channels[name] for name in backbones)
        first = next(iter(backbones.values()))
        self._out_features = list(first.output_shape())
        self._out_feature_strides = {name: shape.stride for name, shape in first.output_shape().items()}
        self._out_feature_channels = {name: shape.channels for name, shape in first.output_shape().items()}
        self.fusion = nn.ModuleDict(
            {
                name: ResidualCrossAttentionFusion(
                    len(backbones), dim, heads * 2**level, kv_grid=kv_grid, mlp_ratio=mlp_ratio
                )
                for level, (name, dim) in enumerate(self._out_feature_channels.items())
                if len(backbones) > 1
            }
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Fused feature maps by scale.

        Args:
            image: `(n, channels of all modalities, h, w)`; single-channel modalities are repeated to three, so that
                weights made for RGB fit every backbone.
        """
        parts = image.split(self.channels, dim=1)
        features = [
            backbone(part if part.shape[1] == 3 else part.expand(-1, 3, -1, -1))
            for backbone, part in zip(self.backbones.values(), parts, strict=True)
        ]
        if len(features) == 1:
            return features[0]
        return {name: fuse([scales[name] for scales in features]) for name, fuse in self.fusion.items()}
