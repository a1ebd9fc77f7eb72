"""Norms of feature maps, by their names in the configuration."""

from collections.abc import Callable

from torch import Tensor, nn


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of `(n, c, h, w)`, independent of the batch."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, features: Tensor) -> Tensor:
        """The same shape as `features`."""
        return super().forward(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class HeadBatchNorm(nn.BatchNorm2d):
    """Batch normalisation that takes a batch without a single proposal."""

    def forward(self, features: Tensor) -> Tensor:
        """The same shape as `features`."""
        return super().forward(features) if features.numel() else features


#: By the name in the configuration, as detectron2 takes norms.
NORMS: dict[str, str | Callable[[int], nn.Module]] = {"layer": ChannelNorm, "batch": HeadBatchNorm, "none": ""}
