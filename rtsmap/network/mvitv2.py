"""MViTv2, the multiscale vision transformer of Li et al. 2022 ("MViTv2: Improved Multiscale Vision Transformers").

Pooling attention with residual pooling and decomposed relative positions, hybrid window attention (windows in all
blocks but the last of the later stages), attention through `scaled_dot_product_attention`. Parameter names are those of
detectron2's `MViT`, so that its published checkpoints fit.
"""

import math
from collections.abc import Sequence

import torch
from detectron2.modeling import Backbone
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

LAYER_NORM_EPSILON = 1e-6


def _norm(channels: int) -> nn.LayerNorm:
    return nn.LayerNorm(channels, eps=LAYER_NORM_EPSILON)


class PatchEmbed(nn.Module):
    """Cuts an image into overlapping patches of 7 px every 4 px: `(n, c, h, w)` to `(n, h / 4, w / 4, dim)`."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, kernel_size=7, stride=4, padding=3)

    def forward(self, image: Tensor) -> Tensor:
        """Tokens, channels last."""
        tokens: Tensor = self.proj(image)
        return tokens.permute(0, 2, 3, 1)


class Mlp(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """The same shape as `tokens`."""
        out: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return out


def partition(tokens: Tensor, window: int) -> tuple[Tensor, tuple[int, int]]:
    """Cut `(n, h, w, c)` into windows `(n * windows, window, window, c)`, padded with zeros at the far edges.

    Returns:
        The windows, and height and width after padding.
    """
    count, height, width, channels = tokens.shape
    padded_height, padded_width = (math.ceil(size / window) * window for size in (height, width))
    if (padded_height, padded_width) != (height, width):
        tokens = functional.pad(tokens, (0, 0, 0, padded_width - width, 0, padded_height - height))
    tokens = tokens.view(count, padded_height // window, window, padded_width // window, window, channels)
    return tokens.transpose(2, 3).reshape(-1, window, window, channels), (padded_height, padded_width)


def unpartition(windows: Tensor, padded: tuple[int, int], height: int, width: int) -> Tensor:
    """Put windows together again, the inverse of `partition`."""
    rows, columns, window = padded[0] // windows.shape[1], padded[1] // windows.shape[1], windows.shape[1]
    tokens = windows.view(-1, rows, columns, window, window, windows.shape[-1]).transpose(2, 3)
    return tokens.reshape(-1, padded[0], padded[1], windows.shape[-1])[:, :height, :width]


def relative_positions(queries: int, keys: int, table: Tensor) -> Tensor:
    """Embedding of every query-key distance along one axis, `(queries, keys, c)`.

    The table, `(2 * size - 1, c)`, is interpolated when it was made for another size; where queries and keys have
    different strides, distances are counted in steps of the finer one.
    """
    distances = 2 * max(queries, keys) - 1
    if len(table) != distances:
        table = functional.interpolate(table.T[None], size=distances, mode="linear")[0].T
    query_step, key_step = max(keys / queries, 1.0), max(queries / keys, 1.0)
    query = torch.arange(queries, device=table.device)[:, None] * query_step
    key = torch.arange(keys, device=table.device)[None, :] * key_step
    return table[(query - key + (keys - 1) * key_step).long()]


class MultiScaleAttention(nn.Module):
    """Attention between pooled queries and pooled keys and values.

    Args:
        dim: channels of the tokens that come in.
        dim_out: channels of those that go out.
        heads: attention heads.
        size: tokens along one side of the largest input, for the relative position tables.
        stride_q: pooling of the queries (2 between stages).
        stride_kv: pooling of keys and values.
        window: tokens along one side of a window before pooling; 0 for attention over all tokens.
    """

    def __init__(
        self, dim: int, dim_out: int, heads: int, *, size: int, stride_q: int, stride_kv: int, window: int
    ) -> None:
        super().__init__()
        self.heads = heads
        self.window_q, self.window_kv = window // stride_q, window // stride_kv
        head_dim = dim_out // heads
        self.qkv = nn.Linear(dim, dim_out * 3)
        self.proj = nn.Linear(dim_out, dim_out)
        for name, stride in (("q", stride_q), ("k", stride_kv), ("v", stride_kv)):
            pool = nn.Conv2d(head_dim, head_dim, 3, stride=stride, padding=1, groups=head_dim, bias=False)
            self.add_module(f"pool_{name}", pool)
            self.add_module(f"norm_{name}", _norm(head_dim))
        distances = 2 * max(size // stride_q, size // stride_kv) - 1
        self.rel_pos_h = nn.Parameter(torch.zeros(distances, head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(distances, head_dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """`(n, h, w, dim)` to `(n, h / stride_q, w / stride_q, dim_out)`."""
        count, height, width, _ = tokens.shape
        qkv = self.qkv(tokens).view(count, height, width, 3, self.heads, -1)
        # (3, n * heads, head_dim, h, w): heads are pooled alike, as if they were images
        qkv = qkv.permute(3, 0, 4, 5, 1, 2).flatten(1, 2)
        query, key, value = (
            getattr(self, f"norm_{name}")(getattr(self, f"pool_{name}")(part).permute(0, 2, 3, 1))
            for name, part in zip("qkv", qkv, strict=True)
        )
        pooled_height, pooled_width = query.shape[1:3]
        if self.window_q:
            attended = unpartition(
                *self._attend_in_windows(query, key, value), height=pooled_height, width=pooled_width
            )
        else:
            attended = self._attend(query, key, value)
        attended = attended + query  # residual pooling
        merged = attended.unflatten(0, (count, self.heads)).permute(0, 2, 3, 1, 4).flatten(3)
        projected: Tensor = self.proj(merged)
        return projected

    def _attend_in_windows(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, tuple[int, int]]:
        query, padded = partition(query, self.window_q)
        (key, _), (value, _) = (partition(part, self.window_kv) for part in (key, value))
        return self._attend(query, key, value), padded

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention with decomposed relative positions, `(n, h, w, c)` each.

        The bias of a query and a key is `q . R_h[dh] + q . R_w[dw]`. Written as further channels, the query's products
        with all R_h and R_w against a one-hot code of the key's row and column, it needs no matrix of its own.
        """
        (_, q_height, q_width, head_dim), (_, k_height, k_width, _) = query.shape, key.shape
        along_h = relative_positions(q_height, k_height, self.rel_pos_h)
        along_w = relative_positions(q_width, k_width, self.rel_pos_w)
        bias_h = torch.einsum("nhwc,hkc->nhwk", query, along_h)
        bias_w = torch.einsum("nhwc,wkc->nhwk", query, along_w)
        row = torch.eye(k_height, dtype=key.dtype, device=key.device)[:, None].expand(-1, k_width, -1)
        column = torch.eye(k_width, dtype=key.dtype, device=key.device)[None].expand(k_height, -1, -1)
        place = torch.cat((row, column), dim=-1).expand(len(key), -1, -1, -1)
        extended_query = torch.cat((query * head_dim**-0.5, bias_h, bias_w), dim=-1).flatten(1, 2)
        extended_key = torch.cat((key, place), dim=-1).flatten(1, 2)
        attended = functional.scaled_dot_product_attention(
            extended_query[:, None], extended_key[:, None], value.flatten(1, 2)[:, None], scale=1.0
        )
        return attended[:, 0].unflatten(1, (q_height, q_width))


class MultiScaleBlock(nn.Module):
    """Attention and a feed-forward layer, each with a residual path."""

    def __init__(
        self, dim: int, dim_out: int, heads: int, *, size: int, stride_q: int, stride_kv: int, window: int, drop: float
    ) -> None:
        super().__init__()
        self.norm1 = _norm(dim)
        self.attn = MultiScaleAttention(
            dim, dim_out, heads, size=size, stride_q=stride_q, stride_kv=stride_kv, window=window
        )
        self.drop_path = StochasticDepth(drop, mode="row")
        self.norm2 = _norm(dim_out)
        self.mlp = Mlp(dim_out, dim_out * 4)
        if dim != dim_out:
            self.proj = nn.Linear(dim, dim_out)
        if stride_q > 1:
            self.pool_skip = nn.MaxPool2d(stride_q + 1, stride_q, (stride_q + 1) // 2)

    def forward(self, tokens: Tensor) -> Tensor:
        """`(n, h, w, dim)` to `(n, h / stride_q, w / stride_q, dim_out)`."""
        normed = self.norm1(tokens)
        if hasattr(self, "proj"):
            tokens = self.proj(normed)
        if hasattr(self, "pool_skip"):
            tokens = self.pool_skip(tokens.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        tokens = tokens + self.drop_path(self.attn(normed))
        return tokens + self.drop_path(self.mlp(self.norm2(tokens)))


class MViT(Backbone):  # type: ignore[misc]
    """The backbone: feature maps `scale2` to `scale5` at strides 4 to 32, with `dim`, 2, 4 and 8 `dim` channels.

    Args:
        channels: of the input image.
        dim: channels of the first stage.
        depth: number of blocks.
        heads: attention heads of the first stage; doubled with the channels.
        last_blocks: index of the last block of each of the four stages.
        window: window of the first stage in tokens; halved from stage to stage.
        kv_stride: pooling of keys and values in the first stage; halved from stage to stage.
        drop_path: rate of the last block's stochastic depth; grows linearly from 0.
        image_size: side in px for which the relative position tables are made; other sizes interpolate them.
    """

    def __init__(
        self,
        channels: int = 3,
        *,
        dim: int = 96,
        depth: int = 16,
        heads: int = 1,
        last_blocks: Sequence[int] = (0, 2, 11, 15),
        window: int = 56,
        kv_stride: int = 4,
        drop_path: float = 0.0,
        image_size: int = 224,
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(channels, dim)
        self.blocks = nn.ModuleList()
        self.last_blocks = tuple(last_blocks)
        self._out_features = [f"scale{stage}" for stage in range(2, 2 + len(last_blocks))]
        self._out_feature_strides: dict[str, int] = {}
        self._out_feature_channels: dict[str, int] = {}
        dim_out, size = dim, image_size // 4
        for index in range(depth):
            self.blocks.append(
                MultiScaleBlock(
                    dim,
                    dim_out,
                    heads,
                    size=size,
                    stride_q=2 if index - 1 in last_blocks else 1,
                    # the last blocks of the second and third stage pool twice as much, for they see all tokens
                    stride_kv=kv_stride * 2 if index in last_blocks[1:3] else kv_stride,
                    window=0 if index in last_blocks[1:] else window,
                    drop=drop_path * index / max(depth - 1, 1),
                )
            )
            dim = dim_out
            if index - 1 in last_blocks:  # the first block of a stage still sees the tokens of the stage before
                window, size = window // 2, size // 2
            if index in last_blocks:
                name = self._out_features[len(self._out_feature_strides)]
                self._out_feature_strides[name] = 4 * 2 ** len(self._out_feature_strides)
                self._out_feature_channels[name] = dim_out
                self.add_module(f"{name}_norm", _norm(dim_out))
                dim_out, heads, kv_stride = dim_out * 2, heads * 2, max(kv_stride // 2, 1)
        self.apply(_initialise)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Feature maps `(n, c, h / stride, w / stride)` by name.

        Args:
            image: `(n, channels, h, w)`; h and w are multiples of 32.
        """
        tokens = self.patch_embed(image)
        outputs = {}
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index in self.last_blocks:
                name = self._out_features[self.last_blocks.index(index)]
                outputs[name] = getattr(self, f"{name}_norm")(tokens).permute(0, 3, 1, 2)
        return outputs


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
