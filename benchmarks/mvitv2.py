"""Our MViTv2 beside that of detectron2's main branch: the same numbers, and faster.

    python -m benchmarks.mvitv2 DETECTRON2_SOURCE [--speed | --write]

DETECTRON2_SOURCE is a folder with a checkout of the main branch; the installed detectron2 v0.6, which has no MViT, is
not touched. Both networks get the same weights (tests/golden.py). Printed is the largest difference in each of the four
scales over the largest value there, in float32. `--speed` prints milliseconds instead (medians of repetitions in turn,
training mode without dropped paths), `--write` makes the fixture of the tests.
"""

import argparse
import importlib
import json
import statistics
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from rtsmap.files.writing import sha256
from rtsmap.network.mvitv2 import LAYER_NORM_EPSILON, Mlp, MViT
from rtsmap.settings.network import PRESETS, NetworkConfig
from tests import golden

from detectron2.modeling.backbone import backbone  # isort: skip  # after rtsmap.network, which makes it importable

COMMIT = "02b5c4e"  # of detectron2's main branch that the fixture was made with
FOLDER = Path("detectron2", "modeling", "backbone")
PACKAGE = "_detectron2_main"
NORM = partial(nn.LayerNorm, eps=LAYER_NORM_EPSILON)  # as in detectron2's configurations of MViTv2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="DETECTRON2_SOURCE")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    reference = load_reference(arguments.source)
    if arguments.write:
        write(reference, arguments.source)
    elif arguments.speed:
        print(f"torch {torch.__version__}, {arguments.threads} threads, median of {arguments.repeat}")
        speed(reference, arguments.repeat)
    else:
        differences(reference)


def arguments_of(preset: NetworkConfig) -> dict[str, Any]:
    """Arguments of our `MViT`, without dropped paths."""
    return {
        "dim": preset.embed_dim, "depth": preset.depth, "heads": preset.num_heads, "last_blocks": preset.last_blocks,
        "window": preset.window_size, "kv_stride": preset.kv_stride, "global_blocks": preset.global_blocks,
    }  # fmt: skip


def load_reference(source: Path) -> ModuleType:
    """Detectron2's `mvit.py` under a package name of its own."""
    package = ModuleType(PACKAGE)
    package.__path__ = [str(source / FOLDER)]
    sys.modules[PACKAGE] = package
    sys.modules[f"{PACKAGE}.backbone"] = backbone
    return importlib.import_module(f"{PACKAGE}.mvit")


def build_reference(reference: ModuleType, ours: dict[str, Any], **changes: Any) -> nn.Module:
    """The reference's network for arguments of our `MViT`; `changes` are arguments of its own."""
    translated = {
        "embed_dim": ours["dim"], "depth": ours["depth"], "num_heads": ours["heads"],
        "last_block_indexes": ours["last_blocks"], "adaptive_window_size": ours["window"], "norm_layer": NORM,
    }  # fmt: skip
    layers = ModuleType("timm.models.layers")
    layers.DropPath = partial(StochasticDepth, mode="row")  # type: ignore[attr-defined]
    layers.Mlp = StockMlp  # type: ignore[attr-defined]
    # it imports timm when a block is made, for these two
    with patch.dict(sys.modules, {"timm": layers, "timm.models": layers, "timm.models.layers": layers}):
        network: nn.Module = reference.MViT(**translated | changes)
    if not ours.get("global_blocks", True):
        _in_windows_only(network, reference, ours)
    return network


class StockMlp(Mlp):
    """With torch's own linear layers, as timm's."""

    def __init__(self, in_features: int, hidden_features: int, **_: Any) -> None:
        nn.Module.__init__(self)
        self.fc1, self.fc2 = nn.Linear(in_features, hidden_features), nn.Linear(hidden_features, in_features)


def _in_windows_only(network: nn.Module, reference: ModuleType, arguments: dict[str, Any]) -> None:
    """Put attention within windows into every block, which the reference has no option for."""
    for block, own in zip(network.blocks, MViT(**arguments).blocks, strict=True):
        attention = own.attn
        stride_q, stride_kv = attention.pool_q.stride[0], attention.pool_k.stride[0]
        size = (len(attention.rel_pos_h) + 1) // 2 * min(stride_q, stride_kv)
        block.attn = reference.MultiScaleAttention(
            attention.qkv.in_features, attention.proj.out_features, attention.heads, norm_layer=NORM,
            stride_q=stride_q, stride_kv=stride_kv, window_size=attention.window_q * stride_q,
            use_rel_pos=True, input_size=(size, size),
        )  # fmt: skip


def differences(reference: ModuleType) -> None:
    """Print the table of differences."""
    networks = {"small": golden.SMALL, "mini, windows only": arguments_of(PRESETS["mini"]), "T": golden.TINY}
    print(f"{'':<22}{'px':>12}{'scale2':>10}{'scale3':>10}{'scale4':>10}{'scale5':>10}")
    for name, arguments in networks.items():
        own, other = MViT(**arguments).eval(), build_reference(reference, arguments).eval()
        for network in (own, other):
            golden.fill(network)
        for size in golden.SIZES:
            values = "".join(f"{value:>10.1e}" for value in difference(own, other, golden.image(*size)))
            print(f"{name:<22}{golden.label(*size):>12}{values}", flush=True)


def difference(own: nn.Module, other: nn.Module, image: Tensor) -> list[float]:
    """In each scale, over the largest value there."""
    with torch.inference_mode():
        pairs = zip(own(image).values(), other(image).values(), strict=True)
        return [((one - two).abs().max() / two.abs().max()).item() for one, two in pairs]


def write(reference: ModuleType, source: Path) -> None:
    """Make the fixture: what the reference's small network gives, and the names and shapes of MViTv2-T's parameters."""
    network = build_reference(reference, golden.SMALL).eval()
    golden.fill(network)
    with torch.inference_mode():
        outputs = {
            golden.label(*size): {
                name: golden.summary(name, features) for name, features in network(golden.image(*size)).items()
            }
            for size in golden.SIZES
        }
    fixture = {
        "made_by": "python -m benchmarks.mvitv2 DETECTRON2_SOURCE --write",
        "reference": {
            "repository": "https://github.com/facebookresearch/detectron2",
            "commit": COMMIT,
            "sha256": {(FOLDER / name).as_posix(): sha256(source / FOLDER / name) for name in ("mvit.py", "utils.py")},
            "torch": torch.__version__,
        },
        "recipe": golden.RECIPE,
        "network": golden.SMALL,
        "outputs": outputs,
        "network_t": golden.TINY,
        "parameters_t": golden.fingerprint(build_reference(reference, golden.TINY)),
    }
    golden.FIXTURE.parent.mkdir(exist_ok=True)
    golden.FIXTURE.write_text(json.dumps(fixture, indent=1) + "\n", encoding="utf-8")
    print(f"{golden.FIXTURE}: {golden.FIXTURE.stat().st_size} bytes")


def speed(reference: ModuleType, repeat: int) -> None:
    """Print the table of times, on the CPU in float32 and, where there is a GPU, there in bfloat16."""
    large, mini = arguments_of(PRESETS["mvitv2-t"]), arguments_of(PRESETS["mini"])
    cases: Sequence[tuple[str, dict[str, Any], int, int, dict[str, dict[str, Any]]]] = (
        ("T", large, 1, 512, {"window 56": {"adaptive_window_size": 56}, "window 64": {}}),
        ("mini", mini, 4, 256, {"windows only": {}}),
        ("mini", mini, 1, 512, {"windows only": {}}),
    )
    print(f"{'':<6}{'chips':>11}  {'device':<8}{'':<20}{'ours':>9}  {'reference':<14}{'':>9}{'ratio':>8}")
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for name, arguments, count, size, others in cases:
            networks = [build_reference(reference, arguments, **changes) for changes in others.values()]
            networks = [network.to(device).train() for network in (MViT(**arguments), *networks)]
            images = golden.image(size, size).repeat(count, 1, 1, 1).to(device)
            for network in networks:
                golden.fill(network)
            for backward in (True, False):
                own, *times = milliseconds(networks, images, repeat, backward=backward)
                for other, value in zip(others, times, strict=True):
                    print(f"{name:<6}{f'{count} x {size} px':>11}  {device:<8}"
                          f"{'forward + backward' if backward else 'forward':<20}{own:>9.1f}  {other:<14}"
                          f"{value:>9.1f}{value / own:>8.2f}", flush=True)  # fmt: skip


def milliseconds(networks: Sequence[nn.Module], images: Tensor, repeat: int, *, backward: bool) -> list[float]:
    """Median time of each network; they run in turn, so that what else the machine does hits all of them."""
    times: list[list[float]] = [[] for _ in networks]
    for _ in range(repeat + 1):
        for network, taken in zip(networks, times, strict=True):
            network.zero_grad()
            start = _now(images)
            half = torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda)
            with half, torch.set_grad_enabled(backward):
                loss = torch.stack([scale.float().square().mean() for scale in network(images).values()]).sum()
            if backward:
                loss.backward()
            taken.append((_now(images) - start) * 1e3)
    return [statistics.median(taken[1:]) for taken in times]  # the first run warms up


def _now(images: Tensor) -> float:
    if images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
