"""EfficientNet-Lite, the small convolutional network of Tan and Le 2019 ("EfficientNet: Rethinking Model Scaling").

The Lite variants, published by Google in 2020, have no squeeze-and-excitation, ReLU6 instead of swish, and the same
width of the stem and depth of the first and last stage for all sizes. Parameter names are those of
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

#: Epsilon of TensorFlow's batch normalisation, with which the published weights were trained; torch's default is 1e-5.
BATCH_NORM_EPSILON = 1e-3

STEM_CHANNELS = 32

#: Width and depth relative to lite0, from Google's `efficientnet_lite_builder`.
VARIANTS = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}


class Stage(NamedTuple):
    """A row of table 1 of Tan and Le 2019; its first block has the stride."""

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
    """Scale `STAGES`: channels to the nearest multiple of 8, and numbers of blocks, except at both ends, rounded up."""
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
    return rounded if rounded >= 0.9 * channels else rounded + 8  # at most a tenth of the channels is lost


def convolve(features: Tensor, convolution: nn.Conv2d, norm: FrozenBatchNorm2d) -> Tensor:
    """Apply a convolution and its normalisation in one step, padded as with `SAME` in TensorFlow.

    The padding is the same where the stride divides the size of the map. The normalisation is fixed, so it is applied
    to the kernel instead of the map, and keeps nothing for the backward pass.
    """
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    kernel = convolution.weight * scale[:, None, None, None]
    bias = norm.bias - norm.running_mean * scale
    (size, _), (stride, _) = convolution.kernel_size, convolution.stride
    near, far = (size - stride) // 2, (size - stride + 1) // 2
    if near != far:  # with a stride of 2 the padding is larger by 1 at the bottom and right edges
        features, near = functional.pad(features, (near, far, near, far)), 0
    return functional.conv2d(features, kernel, bias, convolution.stride, near, groups=convolution.groups)


def _rectify(features: Tensor) -> Tensor:
    return functional.relu6(features, inplace=True)


def _convolution(channels: int, channels_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, channels_out, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> FrozenBatchNorm2d:
    return FrozenBatchNorm2d(channels, eps=BATCH_NORM_EPSILON)


class Block(nn.Module):
    """Inverted bottleneck: 1 x 1 to more channels, depthwise convolution, 1 x 1 to fewer; residual if shapes allow."""

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
        """Map `(n, channels, h, w)` to `(n, channels of the stage, h / stride, w / stride)`."""
        hidden = features
        if hasattr(self, "_expand_conv"):
            hidden = _rectify(convolve(hidden, self._expand_conv, self._bn0))
        hidden = _rectify(convolve(hidden, self._depthwise_conv, self._bn1))
        out = convolve(hidden, self._project_conv, self._bn2)
        return features + self.drop_path(out) if self.residual else out

    def initialise(self, residual_gain: float) -> None:
        """Set random weights that preserve the mean square of the features; see `EfficientNetLite`."""
        if hasattr(self, "_expand_conv"):
            nn.init.kaiming_normal_(self._expand_conv.weight, nonlinearity="linear")  # its input is not rectified
        nn.init.kaiming_normal_(self._depthwise_conv.weight, nonlinearity="relu")
        nn.init.kaiming_normal_(self._project_conv.weight, nonlinearity="relu")
        if self.residual:
            with torch.no_grad():
                self._project_conv.weight.mul_(residual_gain)


class EfficientNetLite(Backbone):  # type: ignore[misc]
    """The backbone, with feature maps `scale2` to `scale5` of the last blocks at strides 4, 8, 16 and 32.

    Statistics and scales of the normalisations are fixed, as is usual where weights come from ImageNet and batches are
    small. Without weights from ImageNet they have no effect, so random weights are scaled as for a network without
    normalisation.

    Args:
        channels: number of channels of the image.
        variant: one of `VARIANTS`.
        drop_path: rate of stochastic depth, which grows linearly from 0 towards this value.
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
        self.last_blocks: dict[int, str] = {}  # index of the last block of each scale -> name of the scale
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
        # n residual blocks that each add a share of 1 / n enlarge the mean square by a factor (1 + 1 / n)^n < e
        blocks = [block for block in self._blocks if isinstance(block, Block)]
        residual = sum(block.residual for block in blocks)
        for block in blocks:
            block.initialise(residual**-0.5)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the feature maps `(n, c, h / stride, w / stride)` by name.

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
