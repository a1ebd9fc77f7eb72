"""EfficientNet-Lite, the small convolutional network of Tan and Le 2019 ("EfficientNet: Rethinking Model Scaling").

The Lite variants, published by Google in 2020, leave out squeeze-and-excitation, have ReLU6 for swish, and keep the
width of the stem and the depth of the first and last stage whatever the size. Parameter names are those of
`efficientnet_lite_pytorch`, so that its published checkpoints fit; the classifier on top is left out.
"""

import math
from typing import NamedTuple

import torch
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling import Backbone
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torchvision.ops import StochasticDepth

#: Of TensorFlow's batch normalisation, with which the published weights were trained; torch's default is 1e-5.
BATCH_NORM_EPSILON = 1e-3

STEM_CHANNELS = 32

#: Width and depth relative to lite0, of Google's `efficientnet_lite_builder`.
VARIANTS = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}


class Stage(NamedTuple):
    """A row of table 1 of Tan and Le 2019; the first of its blocks has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(blocks=1, kernel=3, stride=1, expansion=1, channels=16),
    Stage(blocks=2, kernel=3, stride=2, expansion=6, channels=24),
    Stage(blocks=2, kernel=5, stride=2, expansion=6, channels=40),
    Stage(blocks=3, kernel=3, stride=2, expansion=6, channels=80),
    Stage(blocks=3, kernel=5, stride=1, expansion=6, channels=112),
    Stage(blocks=4, kernel=5, stride=2, expansion=6, channels=192),
    Stage(blocks=1, kernel=3, stride=1, expansion=6, channels=320),
)


def scaled_stages(width: float, depth: float) -> list[Stage]:
    """`STAGES` of another size: channels to the next multiple of 8, blocks rounded up, but at both ends."""
    last = len(STAGES) - 1
    return [
        stage._replace(
            channels=_round_to_8(stage.channels * width),
            blocks=stage.blocks if index in (0, last) else math.ceil(stage.blocks * depth),
        )
        for index, stage in enumerate(STAGES)
    ]


def _round_to_8(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8  # a tenth is lost at most


def convolve(features: Tensor, convolution: nn.Conv2d, norm: FrozenBatchNorm2d) -> Tensor:
    """A convolution and its norm in one, padded as TensorFlow's `SAME` where the stride divides the map.

    The norm is fixed, so it scales the kernel instead of the map: nothing is kept of it for the backward pass.
    """
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    kernel = convolution.weight * scale[:, None, None, None]
    bias = norm.bias - norm.running_mean * scale
    (size, _), (stride, _) = convolution.kernel_size, convolution.stride
    near, far = (size - stride) // 2, (size - stride + 1) // 2
    if near != far:  # at a stride of 2 there is one more at the far edges
        features, near = functional.pad(features, (near, far, near, far)), 0
    return functional.conv2d(features, kernel, bias, convolution.stride, near, groups=convolution.groups)


def _rectify(features: Tensor) -> Tensor:
    return functional.relu6(features, inplace=True)


def _convolution(channels: int, channels_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, channels_out, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> FrozenBatchNorm2d:
    return FrozenBatchNorm2d(channels, eps=BATCH_NORM_EPSILON)


class Block(nn.Module):
    """Inverted bottleneck: 1 x 1 to more channels, depthwise convolution, 1 x 1 to few; residual where shapes allow."""

    def __init__(self, channels: int, stage: Stage, stride: int, drop: float) -> None:
        super().__init__()
        hidden = channels * stage.expansion
        if stage.expansion > 1:
            self._expand_conv = _convolution(channels, hidden)
            self._bn0 = _norm(hidden)
        self._depthwise_conv = _convolution(hidden, hidden, stage.kernel, stride, groups=hidden)
        self._bn1 = _norm(hidden)
        self._project_conv = _convolution(hidden, stage.channels)
        self._bn2 = _norm(stage.channels)
        self.residual = stride == 1 and channels == stage.channels
        self.drop_path = StochasticDepth(drop, mode="row")

    def forward(self, features: Tensor) -> Tensor:
        """`(n, channels, h, w)` to `(n, channels of the stage, h / stride, w / stride)`."""
        hidden = features
        if hasattr(self, "_expand_conv"):
            hidden = _rectify(convolve(hidden, self._expand_conv, self._bn0))
        hidden = _rectify(convolve(hidden, self._depthwise_conv, self._bn1))
        out = convolve(hidden, self._project_conv, self._bn2)
        return features + self.drop_path(out) if self.residual else out

    def initialise(self, residual_gain: float) -> None:
        """Random weights that keep the mean square of the features; see `EfficientNetLite`."""
        if hasattr(self, "_expand_conv"):
            nn.init.kaiming_normal_(self._expand_conv.weight, nonlinearity="linear")  # its input is not rectified
        nn.init.kaiming_normal_(self._depthwise_conv.weight, nonlinearity="relu")
        nn.init.kaiming_normal_(self._project_conv.weight, nonlinearity="relu")
        if self.residual:
            with torch.no_grad():
                self._project_conv.weight.mul_(residual_gain)


class EfficientNetLite(Backbone):  # type: ignore[misc]
    """The backbone: feature maps `scale2` to `scale5`, of the last blocks at strides 4, 8, 16 and 32.

    Statistics and scales of the norms are fixed, as is usual where weights come from ImageNet and batches are small.
    Without such weights they do nothing, so the random ones are scaled for a network without norms.

    Args:
        channels: of the input image.
        variant: one of `VARIANTS`.
        drop_path: rate of stochastic depth, which grows linearly from 0 towards it.
        recompute: see `MViT`.
    """

    def __init__(
        self, channels: int = 3, *, variant: str = "lite0", drop_path: float = 0.0, recompute: bool = False
    ) -> None:
        super().__init__()
        self.recompute = recompute
        stages = scaled_stages(*VARIANTS[variant])
        depth = sum(stage.blocks for stage in stages)
        self._conv_stem = _convolution(channels, STEM_CHANNELS, kernel=3, stride=2)
        self._bn0 = _norm(STEM_CHANNELS)
        self._blocks = nn.ModuleList()
        self.last_blocks: dict[int, str] = {}  # of each scale, with its name
        self._out_feature_strides: dict[str, int] = {}
        self._out_feature_channels: dict[str, int] = {}
        channels, total = STEM_CHANNELS, 2
        for stage, after in zip(stages, [*stages[1:], None], strict=True):
            for index in range(stage.blocks):
                stride = stage.stride if index == 0 else 1
                self._blocks.append(Block(channels, stage, stride, drop_path * len(self._blocks) / depth))
                channels = stage.channels
            total *= stage.stride
            if total >= 4 and (after is None or after.stride > 1):
                name = f"scale{2 + len(self.last_blocks)}"
                self.last_blocks[len(self._blocks) - 1] = name
                self._out_feature_strides[name], self._out_feature_channels[name] = total, channels
        self._out_features = list(self._out_feature_strides)
        self._initialise()

    def _initialise(self) -> None:
        nn.init.kaiming_normal_(self._conv_stem.weight, nonlinearity="linear")
        # n residual blocks that add a share of 1 / n each make the mean square (1 + 1 / n)^n < e times as large
        blocks = [block for block in self._blocks if isinstance(block, Block)]
        residual = sum(block.residual for block in blocks)
        for block in blocks:
            block.initialise(residual**-0.5)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Feature maps `(n, c, h / stride, w / stride)` by name.

        Args:
            image: `(n, channels, h, w)`; h and w are multiples of 32.
        """
        features = _rectify(convolve(image, self._conv_stem, self._bn0))
        outputs = {}
        for index, block in enumerate(self._blocks):
            if self.recompute and torch.is_grad_enabled():
                features = checkpoint(block, features, use_reentrant=False)
            else:
                features = block(features)
            if index in self.last_blocks:
                outputs[self.last_blocks[index]] = features
        return outputs
