"""Normalisation layers of feature maps, by their names in the settings."""

from collections.abc import Callable

from torch import Tensor, nn


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of `(n, c, h, w)`, independent of the batch."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, features: Tensor) -> Tensor:
        """Return the normalised features, of the same shape."""
        return super().forward(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class HeadBatchNorm(nn.BatchNorm2d):
    """Batch normalisation that accepts a batch without any proposal."""

    def forward(self, features: Tensor) -> Tensor:
        """Return the normalised features, of the same shape."""
        return super().forward(features) if features.numel() else features


#: Normalisation layers by their names in the settings, in the form that detectron2 takes.
NORMS: dict[str, str | Callable[[int], nn.Module]] = {"layer": ChannelNorm, "batch": HeadBatchNorm, "none": ""}
