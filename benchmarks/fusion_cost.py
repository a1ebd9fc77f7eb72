"""What fusing three modalities costs on chips of growing size, by fusion.

    python -m benchmarks.fusion_cost [SIDE ...]

The fusion alone, on the maps of three MViTv2-T (`mvitv2-t`), counted from shapes (`rtsmap.network.cost`):
operations of a forward pass, and what is kept for the backward pass, the maps included. `written out` is what is kept
where attention stores a weight for every pair of tokens, as torch does without a fused kernel. Growth is that of the
operations between the last two sides; from one side to twice as much 4 is linear in the area, and 16 is quadratic.
"""

import argparse
from collections.abc import Mapping
from typing import Any

import torch

from rtsmap.network.cost import count_flop, kept_bytes, meta_network
from rtsmap.settings.network import PRESETS, NetworkConfig

MODALITIES = ("rgb", "ndvi", "nir")
WAYS: Mapping[str, Mapping[str, object]] = {
    "residual_cross, full attention": {"fusion_kv_grid": 0},
    "residual_cross, keys pooled to 16 x 16": {},
    "residual_cross, windows of 32, keys pooled to 8 x 8": {"fusion_kv_grid": 8, "fusion_window": 32},
    "cross, keys pooled to 16 x 16": {"fusion": "cross"},
    "residual_stacked, keys pooled to 16 x 16": {"fusion": "residual_stacked"},
    "stacked, keys pooled to 16 x 16": {"fusion": "stacked"},
    "residual_convolution": {"fusion": "residual_convolution"},
    "convolution": {"fusion": "convolution"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sides", type=int, nargs="*", default=[256, 512, 1024], help="of the chips, px")
    sides = parser.parse_args().sides
    print(row("fusion", *(f"GFLOP at {side} px" for side in sides), "growth", *(f"MB at {side} px" for side in sides)))
    print("|---" * (2 * len(sides) + 2) + "|")
    for name, changes in WAYS.items():
        config = PRESETS["mvitv2-t"].model_copy(update=changes)
        flop, fused, written_out = zip(*(cost(config, side) for side in sides), strict=True)
        growth = f"{flop[-1] / flop[-2]:.1f}" if len(sides) > 1 else ""
        megabytes = [memory(*pair) for pair in zip(fused, written_out, strict=True)]
        print(row(name, *(f"{one / 1e9:.1f}" for one in flop), growth, *megabytes))


def cost(config: NetworkConfig, side: int) -> tuple[int, int, int]:
    """Operations of the fusion on all scales of a chip, and bytes kept with fused and with written out attention."""
    bottom_up = meta_network(config, MODALITIES).backbone.bottom_up
    shapes = bottom_up.output_shape()

    def run() -> list[object]:
        return [fuse([a_map(shapes[scale], side) for _ in MODALITIES]) for scale, fuse in bottom_up.fusion.items()]

    weights = list(bottom_up.parameters())
    return count_flop(run), kept_bytes(run, weights), kept_bytes(run, weights, fused=False)


def a_map(shape: Any, side: int) -> torch.Tensor:
    """A backbone's feature map of one scale, detectron2's `ShapeSpec`."""
    tokens = side // shape.stride
    return torch.empty(1, shape.channels, tokens, tokens, device="meta", requires_grad=torch.is_grad_enabled())


def memory(fused: int, written_out: int) -> str:
    """Both figures in MB, or one where there is no attention."""
    return f"{fused / 1e6:.0f}" + (f" ({written_out / 1e6:.0f} written out)" if written_out != fused else "")


def row(*cells: object) -> str:
    """A line of a markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
