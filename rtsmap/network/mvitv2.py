"""MViTv2, the multiscale vision transformer of Li et al. 2022 ("MViTv2: Improved Multiscale Vision Transformers").

It has pooling attention with residual pooling and decomposed relative positions, and either hybrid window attention
(windows in all blocks but the last of each later stage) or windows in all blocks. Parameter names are those of
detectron2's `MViT`, so that its published checkpoints fit. Tokens are channels last throughout. Where different
operations are faster on the CPU and on other devices, the choice follows `python -m benchmarks.mvitv2 --speed`.
"""

from collections.abc import Sequence

import torch
from detectron2.modeling import Backbone
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torchvision.ops import StochasticDepth

LAYER_NORM_EPSILON = 1e-6

#: Number of rows of tokens from which torch uses oneDNN for a 1 x 1 convolution with any number of threads.
ONEDNN_ROWS = 16


def _norm(channels: int) -> nn.LayerNorm:
    return nn.LayerNorm(channels, eps=LAYER_NORM_EPSILON)


def project(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute `torch.nn.functional.linear` of tokens `(n, h, w, c)` or `(n, tokens, c)`.

    On the CPU it is computed as a 1 x 1 convolution of rows of tokens with oneDNN, which is twice as fast as the matrix
    product of MKL on AMD processors. Few rows are computed with MKL, so that the last bits of the result do not depend
    on the number of threads. An exported graph contains the matrix product, and its runtime chooses the implementation.
    """
    traced: bool = torch.jit.is_tracing()  # type: ignore[attr-defined]
    if traced or tokens.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return functional.linear(tokens, weight, bias)
    rows = tokens.flatten(0, -3)
    if len(rows) < ONEDNN_ROWS:
        return functional.linear(tokens, weight, bias)
    out = functional.conv2d(rows.transpose(1, 2).unsqueeze(2), weight[:, :, None, None], bias)
    return out.squeeze(2).transpose(1, 2).reshape(*tokens.shape[:-1], -1)


class Linear(nn.Linear):
    """`torch.nn.Linear` computed by `project`."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Map `(n, ..., c)` to `(n, ..., out_features)`."""
        return project(tokens, self.weight, self.bias)


class PatchEmbed(nn.Module):
    """Embeds overlapping patches of 7 px at every 4 px of an image: `(n, c, h, w)` to `(n, h / 4, w / 4, dim)`."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, kernel_size=7, stride=4, padding=3)

    def forward(self, image: Tensor) -> Tensor:
        """Return the tokens, with channels last in memory too."""
        tokens: Tensor = self.proj(image)
        return tokens.permute(0, 2, 3, 1).contiguous()


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.fc2 = Linear(hidden, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        out: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return out


def partition(tokens: Tensor, window: int, heads: int = 1) -> tuple[Tensor, tuple[int, int]]:
    """Split `(n, h, w, c)` into windows `(n * windows * heads, window, window, c / heads)`, separately for each head.

    The map is padded with zeros at the bottom and right; a window of 0 is the whole map.

    Returns:
        The windows, and height and width after padding.
    """
    _, height, width, channels = tokens.shape
    rows, columns = (window, window) if window else (height, width)
    below, right = -height % rows, -width % columns
    if below or right:
        tokens = functional.pad(tokens, (0, 0, 0, right, 0, below))
    padded = (height + below, width + right)
    windows = tokens.view(-1, padded[0] // rows, rows, padded[1] // columns, columns, heads, channels // heads)
    return windows.permute(0, 1, 3, 5, 2, 4, 6).reshape(-1, rows, columns, channels // heads), padded


def unpartition(windows: Tensor, padded: tuple[int, int], height: int, width: int, heads: int = 1) -> Tensor:
    """Join windows to a map, the inverse of `partition`."""
    _, rows, columns, channels = windows.shape
    windows = windows.view(-1, padded[0] // rows, padded[1] // columns, heads, rows, columns, channels)
    tokens = windows.permute(0, 1, 4, 2, 5, 3, 6).reshape(-1, *padded, heads * channels)
    return tokens[:, :height, :width]


def relative_positions(queries: int, keys: int, table: Tensor) -> Tensor:
    """Return the embedding of each distance from query to key along one axis, `(queries, keys, c)`.

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


def attend_with_matrix(query: Tensor, key: Tensor, value: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
    """Compute attention of queries `(n, q_height * q_width, c)` to keys, with an explicit matrix of the biases.

    `bias_h` is the bias of each query and row of keys, `(n, q_height, q_width, k_height)`, and `bias_w` that of each
    query and column of keys, `(n, q_height, q_width, k_width)`.
    """
    logits = (bias_h[..., None] + bias_w[..., None, :]).reshape(-1, query.shape[1], key.shape[1])
    logits.baddbmm_(query, key.transpose(1, 2), alpha=query.shape[-1] ** -0.5)
    return torch.bmm(logits.softmax(dim=-1), value)


def attend_without_matrix(query: Tensor, key: Tensor, value: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
    """Compute the same with `scaled_dot_product_attention`, which keeps no matrix of queries and keys on GPUs.

    The biases are additional channels of the queries, which are multiplied by a one-hot code of the row and column of
    each key.
    """
    row, column = (torch.eye(bias.shape[-1], dtype=key.dtype, device=key.device) for bias in (bias_h, bias_w))
    code = torch.cat((row.repeat_interleave(len(column), dim=0), column.repeat(len(row), 1)), dim=1)
    key = torch.cat((key, code.expand(len(key), -1, -1)), dim=-1)
    bias = torch.cat((bias_h, bias_w), dim=-1).flatten(1, 2)
    query = torch.cat((query * query.shape[-1] ** -0.5, bias), dim=-1)
    return functional.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None], scale=1.0)[:, 0]


class MultiScaleAttention(nn.Module):
    """Attention between pooled queries and pooled keys and values.

    Args:
        dim: number of channels of the input tokens.
        dim_out: number of channels of the output tokens.
        heads: number of attention heads.
        size: side of the largest input in tokens, for the tables of relative positions.
        stride_q: pooling stride of the queries (2 between stages).
        stride_kv: pooling stride of keys and values.
        window: side of a window in tokens before pooling; 0 for attention over all tokens.
    """

    def __init__(
        self, dim: int, dim_out: int, heads: int, *, size: int, stride_q: int, stride_kv: int, window: int
    ) -> None:
        super().__init__()
        self.heads = heads
        self.window_q, self.window_kv = window // stride_q, window // stride_kv
        head_dim = dim_out // heads
        self.qkv = Linear(dim, dim_out * 3)
        self.proj = Linear(dim_out, dim_out)
        for name, stride in (("q", stride_q), ("k", stride_kv), ("v", stride_kv)):
            pool = nn.Conv2d(head_dim, head_dim, 3, stride=stride, padding=1, groups=head_dim, bias=False)
            self.add_module(f"pool_{name}", pool)
            self.add_module(f"norm_{name}", _norm(head_dim))
        distances = 2 * max(size // stride_q, size // stride_kv) - 1
        self.rel_pos_h = nn.Parameter(torch.zeros(distances, head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(distances, head_dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map `(n, h, w, dim)` to `(n, h / stride_q, w / stride_q, dim_out)`."""
        weights, biases = self.qkv.weight.chunk(3), self.qkv.bias.chunk(3)
        query, key, value = (
            self._pool(project(tokens, weight, bias), getattr(self, f"pool_{name}"), getattr(self, f"norm_{name}"))
            for name, weight, bias in zip("qkv", weights, biases, strict=True)
        )
        queries, padded = partition(query, self.window_q, self.heads)
        keys, values = (partition(part, self.window_kv, self.heads)[0] for part in (key, value))
        _, height, width, _ = query.shape
        attended = unpartition(self._attend(queries, keys, values), padded, height, width, self.heads)
        projected: Tensor = self.proj(attended + query)  # residual pooling
        return projected

    def _pool(self, part: Tensor, pool: nn.Conv2d, norm: nn.LayerNorm) -> Tensor:
        """Pool queries, keys or values, in the same way for all heads: `(n, h / stride, w / stride, dim_out)`."""
        image = part.permute(0, 3, 1, 2)
        if image.is_cuda:
            image = image.contiguous()  # selects the depthwise convolution of torch instead of that of cuDNN
        kernel = pool.weight.repeat(self.heads, 1, 1, 1)
        pooled = functional.conv2d(image, kernel, stride=pool.stride, padding=1, groups=len(kernel))
        normed: Tensor = norm(pooled.permute(0, 2, 3, 1).unflatten(3, (self.heads, -1)))
        return normed.flatten(3)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Compute attention with decomposed relative positions, `(n, h, w, c)` each.

        The bias of a query and a key is `q . R_h[dh] + q . R_w[dw]`.
        """
        along_h = relative_positions(query.shape[1], key.shape[1], self.rel_pos_h)
        along_w = relative_positions(query.shape[2], key.shape[2], self.rel_pos_w)
        bias_h = torch.einsum("nhwc,hkc->nhwk", query, along_h)
        bias_w = torch.einsum("nhwc,wkc->nhwk", query, along_w)
        attend = attend_with_matrix if query.device.type == "cpu" else attend_without_matrix
        attended = attend(query.flatten(1, 2), key.flatten(1, 2), value.flatten(1, 2), bias_h, bias_w)
        return attended.unflatten(1, query.shape[1:3])


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
            self.proj = Linear(dim, dim_out)
        if stride_q > 1:
            self.pool_skip = nn.MaxPool2d(stride_q + 1, stride_q, (stride_q + 1) // 2)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map `(n, h, w, dim)` to `(n, h / stride_q, w / stride_q, dim_out)`."""
        normed = self.norm1(tokens)
        if hasattr(self, "proj"):
            tokens = self.proj(normed)
        if hasattr(self, "pool_skip"):
            tokens = self.pool_skip(tokens.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        tokens = tokens + self.drop_path(self.attn(normed))
        return tokens + self.drop_path(self.mlp(self.norm2(tokens)))


class MViT(Backbone):  # type: ignore[misc]
    """The backbone: feature maps `scale2` to `scale5` at strides 4 to 32, with 1, 2, 4 and 8 times `dim` channels.

    Args:
        channels: number of channels of the image.
        dim: number of channels of the first stage.
        depth: number of blocks.
        heads: number of attention heads of the first stage, doubled together with the channels.
        last_blocks: index of the last block of each of the four stages.
        window: side of the windows of the first stage in tokens, halved from stage to stage.
        kv_stride: pooling stride of keys and values in the first stage, halved from stage to stage.
        drop_path: rate of stochastic depth of the last block; it grows linearly from 0.
        global_blocks: whether the last block of each stage but the first attends to all tokens, as in MViTv2. Otherwise
            all blocks have windows, and a feature depends only on its surroundings, not on the extent of the image.
        image_size: side in px for which the tables of relative positions are made; they are interpolated for other
            sizes.
        recompute: keep no activations within blocks for the backward pass; a third slower, with much less memory.
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
        global_blocks: bool = True,
        image_size: int = 224,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.recompute = recompute
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
                    size=size if global_blocks else window,
                    stride_q=2 if index - 1 in last_blocks else 1,
                    # the last blocks of the second and third stage pool twice as much, because they attend to all
                    # tokens
                    stride_kv=kv_stride * 2 if global_blocks and index in last_blocks[1:3] else kv_stride,
                    window=0 if global_blocks and index in last_blocks[1:] else window,
                    drop=drop_path * index / max(depth - 1, 1),
                )
            )
            dim = dim_out
            if index - 1 in last_blocks:  # the first block of a stage still attends to the tokens of the previous stage
                window, size = window // 2, size // 2
            if index in last_blocks:
                name = self._out_features[len(self._out_feature_strides)]
                self._out_feature_strides[name] = 4 * 2 ** len(self._out_feature_strides)
                self._out_feature_channels[name] = dim_out
                self.add_module(f"{name}_norm", _norm(dim_out))
                dim_out, heads, kv_stride = dim_out * 2, heads * 2, max(kv_stride // 2, 1)
        self.apply(_initialise)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the feature maps `(n, c, h / stride, w / stride)` by name.

        Args:
            image: `(n, channels, h, w)`; h and w are multiples of 32.
        """
        tokens = self.patch_embed(image)
        outputs = {}
        for index, block in enumerate(self.blocks):
            if self.recompute and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
            if index in self.last_blocks:
                name = self._out_features[self.last_blocks.index(index)]
                outputs[name] = getattr(self, f"{name}_norm")(tokens).permute(0, 3, 1, 2)
        return outputs


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
