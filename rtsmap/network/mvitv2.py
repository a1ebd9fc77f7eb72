"""MViTv2, the multiscale vision transformer of Li et al. 2022 ("MViTv2: Improved Multiscale Vision Transformers").

Pooling attention with residual pooling and decomposed relative positions, hybrid window attention (windows in all
blocks but the last of the later stages) or windows in all of them. Parameter names are those of detectron2's `MViT`, so
that its published checkpoints fit. Tokens stay channels last throughout. Where the CPU and other devices want different
operations, the choice follows `python -m benchmarks.mvitv2 --speed`.
"""

from collections.abc import Sequence

import torch
from detectron2.modeling import Backbone
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torchvision.ops import StochasticDepth

LAYER_NORM_EPSILON = 1e-6

#: Rows of tokens from which torch hands a 1 x 1 convolution to oneDNN however many threads it has.
ONEDNN_ROWS = 16


def _norm(channels: int) -> nn.LayerNorm:
    return nn.LayerNorm(channels, eps=LAYER_NORM_EPSILON)


def project(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`torch.nn.functional.linear` of tokens `(n, h, w, c)` or `(n, tokens, c)`.

    On the CPU as a 1 x 1 convolution of rows of tokens: that is oneDNN's, twice as fast as MKL's product on AMD's
    processors. Few rows are left to MKL, lest the last bits of the result depend on the number of threads. An exported
    graph has the product: its runtime chooses by itself.
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
    """`torch.nn.Linear` through `project`."""

    def forward(self, tokens: Tensor) -> Tensor:
        """`(n, ..., c)` to `(n, ..., out_features)`."""
        return project(tokens, self.weight, self.bias)


class PatchEmbed(nn.Module):
    """Cuts an image into overlapping patches of 7 px every 4 px: `(n, c, h, w)` to `(n, h / 4, w / 4, dim)`."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, kernel_size=7, stride=4, padding=3)

    def forward(self, image: Tensor) -> Tensor:
        """Tokens, channels last in memory too."""
        tokens: Tensor = self.proj(image)
        return tokens.permute(0, 2, 3, 1).contiguous()


class Mlp(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.fc2 = Linear(hidden, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """The same shape as `tokens`."""
        out: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return out


def partition(tokens: Tensor, window: int, heads: int = 1) -> tuple[Tensor, tuple[int, int]]:
    """Cut `(n, h, w, c)` into windows `(n * windows * heads, window, window, c / heads)`, each head's channels apart.

    Padded with zeros at the far edges; a window of 0 is the whole map.

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
    """Put windows together again, the inverse of `partition`."""
    _, rows, columns, channels = windows.shape
    windows = windows.view(-1, padded[0] // rows, padded[1] // columns, heads, rows, columns, channels)
    tokens = windows.permute(0, 1, 4, 2, 5, 3, 6).reshape(-1, *padded, heads * channels)
    return tokens[:, :height, :width]


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


def attend_with_matrix(query: Tensor, key: Tensor, value: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
    """Attention of queries `(n, q_height * q_width, c)` to keys, with a matrix of their biases to start from.

    Those are of each query and row of keys, `(n, q_height, q_width, k_height)`, and each query and column of keys.
    """
    logits = (bias_h[..., None] + bias_w[..., None, :]).reshape(-1, query.shape[1], key.shape[1])
    logits.baddbmm_(query, key.transpose(1, 2), alpha=query.shape[-1] ** -0.5)
    return torch.bmm(logits.softmax(dim=-1), value)


def attend_without_matrix(query: Tensor, key: Tensor, value: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
    """The same through `scaled_dot_product_attention`, which keeps no matrix of queries and keys on GPUs.

    Biases are further channels of the queries, against a one-hot code of each key's row and column.
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
        """`(n, h, w, dim)` to `(n, h / stride_q, w / stride_q, dim_out)`."""
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
        """Queries, keys or values of all heads, which are pooled alike: `(n, h / stride, w / stride, dim_out)`."""
        image = part.permute(0, 3, 1, 2)
        if image.is_cuda:
            image = image.contiguous()  # torch's kernel for depthwise convolution, not cuDNN's
        kernel = pool.weight.repeat(self.heads, 1, 1, 1)
        pooled = functional.conv2d(image, kernel, stride=pool.stride, padding=1, groups=len(kernel))
        normed: Tensor = norm(pooled.permute(0, 2, 3, 1).unflatten(3, (self.heads, -1)))
        return normed.flatten(3)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention with decomposed relative positions, `(n, h, w, c)` each.

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
        global_blocks: the last block of each stage but the first sees all tokens, as in MViTv2. Without, windows only:
            a feature then depends on its surroundings alone, not on where the image is cut or how large it is.
        image_size: side in px for which the relative position tables are made; other sizes interpolate them.
        recompute: keep no activations within blocks for the backward pass; slower by a third, much less memory.
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
                    # the last blocks of the second and third stage pool twice as much, for they see all tokens
                    stride_kv=kv_stride * 2 if global_blocks and index in last_blocks[1:3] else kv_stride,
                    window=0 if global_blocks and index in last_blocks[1:] else window,
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
