"""ONNX Runtime against torch on the CPU: the whole detector on chips of the demo's real scene.

    python -m benchmarks.onnx_runtime [MODEL ...] [--threads 1] [--repeat 5] [--cpu-time] [--bf16]

MODEL is a model with an ONNX file, or an architecture (`efficientnet-lite0`), which gets random weights and the fusion
`channels`: its time is the network's, its detections mean nothing. Both runtimes have as many threads and take turns
chip by chip; the ratio is the median over all turns, with quartiles. `--cpu-time` counts the seconds of the process
instead of the clock's, for machines that are shared; `--bf16` adds torch with matrix products in 16 bits. The time to
start (imports and loading, CPU seconds) and the memory are of a process of its own for each runtime.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from rtsmap import bands
from rtsmap.chips.grid import ChipGrid
from rtsmap.chips.reading import read_chips
from rtsmap.demo import example_folder
from rtsmap.detector import build_detector
from rtsmap.detector.torch import TorchDetector
from rtsmap.files.writing import sha256
from rtsmap.models import CARD, DEFAULT_MODEL, find_model
from rtsmap.network.cascade import seeded_network
from rtsmap.network.checkpoint import save_weights
from rtsmap.network.exporting import export_onnx, fixed_size
from rtsmap.records import FloatArray
from rtsmap.runtime.machine import cpu_model, share_cores
from rtsmap.scene import open_scene
from rtsmap.settings.card import ModelCard
from rtsmap.settings.network import PRESETS

SCORE = 0.1

HEADINGS = ("model", "chip, px", "torch, s", "ONNX Runtime, s", "ONNX Runtime / torch (quartiles)")
BF16_HEADINGS = ("torch bf16, s", "torch bf16 / torch (quartiles)")
ALONE_HEADINGS = ("start, CPU s: torch, ONNX Runtime", "peak memory, MB: torch, ONNX Runtime")

#: Run by itself, lest one runtime's memory be counted as the other's. Not by `getrusage`: what that says begins with
#: the peak of the process that started this one.
ALONE = """
import json, sys, time
begin = time.process_time()
from rtsmap.detector import build_detector
from rtsmap.models import find_model
folder, card = find_model(sys.argv[1])
size = card.input.chip_size
detector = build_detector(folder, card, "cpu", 0.1, runtime=sys.argv[2], chip_size=size)
seconds = time.process_time() - begin
import numpy
from rtsmap import bands
shape = (1, len(bands.channels(card.input.modalities)), size, size)
for seed in range(2):
    detector.detect(numpy.random.default_rng(seed).normal(size=shape).astype("float32"))
(peak,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"seconds": seconds, "mb": int(peak) * 1024 / 1e6}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=[DEFAULT_MODEL], metavar="MODEL")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(share_cores(arguments.threads))
    unit = "CPU" if arguments.cpu_time else "wall"
    print(f"{cpu_model()}, torch {torch.__version__}, {arguments.threads} threads, {unit} seconds per chip\n")
    headings = [*HEADINGS, *(BF16_HEADINGS if arguments.bf16 else ()), *ALONE_HEADINGS]
    print(f"| {' | '.join(headings)} |\n|{'---|' * len(headings)}")
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    for name in arguments.models:
        with model_folder(name) as (folder, card):
            cells = [name, *race(folder, card, clock, arguments.repeat, bf16=arguments.bf16), *starts(folder)]
            print(f"| {' | '.join(cells)} |", flush=True)


@contextmanager
def model_folder(name: str) -> Iterator[tuple[Path, ModelCard]]:
    """A model, or an architecture made one."""
    if name not in PRESETS:
        yield find_model(name)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _, card = find_model(DEFAULT_MODEL)
        network = PRESETS[name].model_copy(update={"fusion": "channels"})
        save_weights(seeded_network(network, card.input.modalities, seed=1).state_dict(), folder / card.weights)
        weights = sha256(folder / card.weights)
        card = card.updated(name=name, network=network.model_dump(), sha256=weights, onnx=None)
        (folder / "model.onnx").write_bytes(export_onnx(folder, card))
        file = {"sha256": sha256(folder / "model.onnx"), "chip_size": fixed_size(card)}
        card = card.updated(onnx=file)
        card.to_toml(folder / CARD)
        yield folder, card


def race(folder: Path, card: ModelCard, clock: Callable[[], float], repeat: int, *, bf16: bool) -> list[str]:
    """Size of a chip, seconds of each runtime, and their ratio."""
    size = card.input.chip_size
    onnx = build_detector(folder, card, "cpu", SCORE, runtime="onnx", chip_size=size)
    eager = TorchDetector(card, folder / card.weights, device="cpu", min_score=SCORE)

    def in_16_bits(chips: FloatArray) -> object:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return eager.network.inference([{"image": torch.from_numpy(chips[0])}], do_postprocess=False)

    ways: dict[str, Callable[[FloatArray], object]] = {"torch": eager.detect, "onnx": onnx.detect}
    if bf16:
        ways["bf16"] = in_16_bits
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    chips = real_chips(card)
    for turn in range(-1, repeat):  # the first warms up
        chip = chips[turn % len(chips)][np.newaxis]
        for way, run in ways.items():
            begin = clock()
            run(chip)
            if turn >= 0:
                seconds[way].append(clock() - begin)
    cells = [str(size), middle(seconds["torch"]), middle(seconds["onnx"]), ratio(seconds["onnx"], seconds["torch"])]
    return [*cells, middle(seconds["bf16"]), ratio(seconds["bf16"], seconds["torch"])] if bf16 else cells


def real_chips(card: ModelCard) -> FloatArray:
    """All chips of the demo's scene, as the network takes them: `(n, channels, rows, columns)`."""
    inputs = card.input
    with open_scene(str(example_folder() / "taimyr.tif")) as scene:
        source = scene.at_gsd(inputs.gsd_m, inputs.gsd_range_m)
        chip_grid = ChipGrid(source.grid, inputs.chip_size, inputs.overlap, card.network.alignment)
        pixels = [chip.pixels for block in read_chips(source, chip_grid) for chip in block.chips]
    normalised = (inputs.modalities, inputs.mean, inputs.std)
    return np.stack([bands.network_input(one.reflectance, one.valid, *normalised) for one in pixels])


def middle(times: list[float]) -> str:
    return f"{statistics.median(times):.2f}"


def ratio(times: list[float], others: list[float]) -> str:
    """Median and quartiles of the ratios, turn by turn."""
    ratios = [one / other for one, other in zip(times, others, strict=True)]
    low, half, high = statistics.quantiles(ratios, n=4)
    return f"{half:.2f} ({low:.2f} to {high:.2f})"


def starts(folder: Path) -> list[str]:
    """CPU seconds until a detector is loaded, and the most memory with two chips, of both runtimes."""
    answers = []
    for runtime in ("torch", "onnx"):
        command = [sys.executable, "-c", ALONE, str(folder), runtime]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
        answers.append(json.loads(done.stdout))
    return [
        ", ".join(f"{one['seconds']:.1f}" for one in answers),
        ", ".join(f"{one['mb']:.0f}" for one in answers),
    ]


if __name__ == "__main__":
    main()
