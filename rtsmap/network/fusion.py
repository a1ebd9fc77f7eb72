"""Fusion of modalities on the four backbone scales, before the feature pyramid (Li et al. 2025, equations 1 to 3).

F_i is the map of modality i at one scale, and F_1 (RGB) is the query. Each fusion is a *mix* of the maps, and may be
residual:

    convolution        mix = Conv(F_1 | ... | F_n)                                       | joins channels
    stacked            mix = Attention(q = k = v = Linear(F_1 | ... | F_n))
    cross              mix = sum over i > 1 of Attention_i(q = F_1, k = v = F_i)

    not residual       F = mix                for convolution, Conv(mix) for the attentions
    residual           F = Conv(F_1 + ... + F_n + mix)

Channel expansion, the fusion of the data, is a single backbone that takes all channels; it needs only a
`FusedBackbone` with one backbone. Where the values of the maps are large (EfficientNet's maps have a root mean square
of 5 to 7, compared with which the output of an attention is negligible), each F_i is first normalised separately.
Attentions have a feed-forward layer, and convolutions are 3 x 3: of all readings of the paper, this one gives its
parameter counts (docs/network.md).
"""

from collections.abc import Mapping, Sequence

import torch
from detectron2.modeling import Backbone
from torch import Tensor, nn
from torch.nn import functional

from rtsmap.network.mvitv2 import Mlp, partition, unpartition
from rtsmap.network.norms import ChannelNorm
from rtsmap.settings.network import FusionName


class Attention(nn.Module):
    """Attention from the tokens of one map to those of another, and a feed-forward layer.

    Args:
        dim: number of channels.
        heads: number of attention heads.
        kv_grid: keys and values are averaged to at most this many tokens per side, so that the cost grows linearly with
            the area; 0 for full attention.
        mlp_ratio: width of the feed-forward layer relative to `dim`.
        window: side in tokens of the windows within which the maps attend to each other; 0 for the whole map.
    """

    def __init__(self, dim: int, heads: int, *, kv_grid: int, mlp_ratio: float, window: int = 0) -> None:
        super().__init__()
        self.heads, self.kv_grid, self.window = heads, kv_grid, window
        self.norm_q, self.norm_kv, self.norm_mlp = (nn.LayerNorm(dim) for _ in range(3))
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, query: Tensor, other: Tensor) -> Tensor:
        """Attend from `query` to `other`; both maps and the result are `(n, dim, h, w)`."""
        if not self.window:
            return self._attend(query, other)
        (queries, padded), (others, _) = (partition(part.permute(0, 2, 3, 1), self.window) for part in (query, other))
        attended = self._attend(queries.permute(0, 3, 1, 2), others.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return unpartition(attended, padded, *query.shape[-2:]).permute(0, 3, 1, 2)

    def _attend(self, query: Tensor, other: Tensor) -> Tensor:
        height, width = query.shape[-2:]
        if self.kv_grid and max(height, width) > self.kv_grid:
            other = averaged(other, min(height, self.kv_grid), min(width, self.kv_grid))
        tokens = query.flatten(2).transpose(1, 2)
        q = self._split(self.q(self.norm_q(tokens)))
        k, v = (self._split(part) for part in self.kv(self.norm_kv(other.flatten(2).transpose(1, 2))).chunk(2, dim=-1))
        attended = self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        attended = attended + self.mlp(self.norm_mlp(attended))
        return attended.transpose(1, 2).unflatten(2, (height, width))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)


def averaged(maps: Tensor, rows: int, columns: int) -> Tensor:
    """Average maps `(n, c, h, w)` to `(n, c, rows, columns)`.

    ONNX averages only over cells of equal size, so exported graphs need maps whose sides are multiples of rows and
    columns.

    Raises:
        ValueError: the network is being exported, and the sides are not such multiples.
    """
    if not torch.jit.is_tracing():  # type: ignore[attr-defined]
        return functional.adaptive_avg_pool2d(maps, (rows, columns))
    height, width = maps.shape[-2:]
    if height % rows or width % columns:
        raise ValueError(f"maps of {height} x {width} tokens cannot be cut into {rows} x {columns} equal cells")
    return functional.avg_pool2d(maps, (height // rows, width // columns))


class ConvolutionMix(nn.Module):
    """A convolution over the concatenated channels of all modalities."""

    def __init__(self, modalities: int, dim: int) -> None:
        super().__init__()
        self.join = nn.Conv2d(modalities * dim, dim, kernel_size=3, padding=1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Mix the maps of all modalities, `(n, dim, h, w)` each, into one of the same shape."""
        mixed: Tensor = self.join(torch.cat(list(features), dim=1))
        return mixed


class StackedMix(nn.Module):
    """Self-attention of the stacked modalities."""

    def __init__(self, modalities: int, dim: int, attention: Attention) -> None:
        super().__init__()
        self.join = nn.Conv2d(modalities * dim, dim, kernel_size=1)
        self.attention = attention

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """See `ConvolutionMix.forward`."""
        stacked = self.join(torch.cat(list(features), dim=1))
        mixed: Tensor = self.attention(stacked, stacked)
        return mixed


class CrossMix(nn.Module):
    """Cross-attention from the first modality, the query, to each of the others."""

    def __init__(self, attentions: Sequence[Attention]) -> None:
        super().__init__()
        self.attention = nn.ModuleList(attentions)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """See `ConvolutionMix.forward`."""
        query, *others = features
        mixes = [attend(query, other) for attend, other in zip(self.attention, others, strict=True)]
        return torch.stack(mixes).sum(dim=0)


class Fusion(nn.Module):
    """Fuses the feature maps of all modalities at one scale.

    Args:
        name: name of the fusion, any but `channels`.
        modalities: number of modalities.
        dim: number of channels of each map.
        heads: see `Attention`, also for `kv_grid`, `mlp_ratio` and `window`.
        normalise: whether the map of each modality is first normalised over its channels.
    """

    def __init__(
        self,
        name: FusionName,
        modalities: int,
        dim: int,
        heads: int,
        *,
        kv_grid: int,
        mlp_ratio: float,
        window: int = 0,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ChannelNorm(dim) for _ in range(modalities if normalise else 0))

        def attention() -> Attention:
            return Attention(dim, heads, kv_grid=kv_grid, mlp_ratio=mlp_ratio, window=window)

        self.residual = name.startswith("residual_")
        kind = name.removeprefix("residual_")
        self.mix: nn.Module
        if kind == "convolution":
            self.mix = ConvolutionMix(modalities, dim)
        elif kind == "stacked":
            self.mix = StackedMix(modalities, dim, attention())
        else:
            self.mix = CrossMix([attention() for _ in range(modalities - 1)])
        self.conv = nn.Identity() if name == "convolution" else nn.Conv2d(dim, dim, kernel_size=3, padding=1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Fuse the maps of all modalities, `(n, dim, h, w)` each with the query first, into one of the same shape."""
        if len(self.norms):
            features = [norm(one) for norm, one in zip(self.norms, features, strict=True)]
        mixed = self.mix(features)
        fused: Tensor = self.conv(torch.stack([*features, mixed]).sum(dim=0) if self.residual else mixed)
        return fused


class FusedBackbone(Backbone):  # type: ignore[misc]
    """A backbone per modality and a fusion per scale, which serve a feature pyramid as one bottom-up network.

    All modalities are required, because the fusion has weights for each. To omit one, train a network without it.

    Args:
        backbones: backbones by modality, the query of the fusion first; all have the same architecture. A single
            backbone is not fused.
        channels: number of channels of each modality in the stacked input, in the same order.
        fusion: fusions by the name of the scale; empty for a single backbone.
        frozen: modalities whose backbones are not trained: no gradients, no dropped paths, no activations kept.
        inputs: number of channels that each backbone takes.

    Raises:
        ValueError: a frozen modality has no backbone.
    """

    def __init__(
        self,
        backbones: Mapping[str, Backbone],
        channels: Mapping[str, int],
        fusion: Mapping[str, Fusion],
        *,
        frozen: Sequence[str] = (),
        inputs: int = 3,
    ) -> None:
        super().__init__()
        if unknown := set(frozen) - set(backbones):
            raise ValueError(f"{', '.join(sorted(unknown))} cannot be frozen; backbones: {', '.join(backbones)}")
        self.backbones = nn.ModuleDict(backbones)
        self.fusion = nn.ModuleDict(fusion)
        self.channels = tuple(channels[name] for name in backbones)
        self.inputs = inputs
        self.frozen = frozenset(frozen)
        for name in self.frozen:
            self.backbones[name].requires_grad_(requires_grad=False).eval()
        shapes = next(iter(backbones.values())).output_shape()
        self._out_features = list(shapes)
        self._out_feature_strides = {name: shape.stride for name, shape in shapes.items()}
        self._out_feature_channels = {name: shape.channels for name, shape in shapes.items()}

    def train(self, mode: bool = True) -> "FusedBackbone":
        """Set the mode of all parts but the frozen backbones, which stay in prediction mode."""
        super().train(mode)
        for name in self.frozen:
            self.backbones[name].eval()
        return self

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the fused feature maps by scale.

        Args:
            image: `(n, channels of all modalities, h, w)`; modalities with one or two channels are repeated to
                `inputs` channels, so that weights made for RGB fit every backbone.

        Raises:
            ValueError: the image does not have the channels of the modalities of the network.
        """
        if image.shape[1] != sum(self.channels):
            raise ValueError(
                f"the network takes {sum(self.channels)} channels ({', '.join(self.backbones)}), not {image.shape[1]}"
            )
        maps = [
            self._features(name, part)
            for name, part in zip(self.backbones, image.split(self.channels, dim=1), strict=True)
        ]
        if len(maps) == 1:
            return maps[0]
        return {name: fuse([scales[name] for scales in maps]) for name, fuse in self.fusion.items()}

    def _features(self, name: str, part: Tensor) -> dict[str, Tensor]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and name not in self.frozen):
            maps: dict[str, Tensor] = self.backbones[name](repeated(part, self.inputs))
        return maps


def repeated(part: Tensor, inputs: int) -> Tensor:
    """Repeat the channels of `(n, c, h, w)` in turn to `(n, inputs, h, w)`."""
    given = part.shape[1]
    if given == inputs:
        return part
    return part.expand(-1, inputs, -1, -1) if given == 1 else part[:, [index % given for index in range(inputs)]]
