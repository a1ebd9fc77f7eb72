"""Chips per second against threads of the network, and against scenes that are predicted at once.

    python -m benchmarks.workers [SCENE] [--model NAME|DIR] [--cores N]

Every row is as many processes as scenes at once, each a prediction from start to written layer with its share of the
cores: so says `rtsmap predict --profile`, whose files are added up. Chips per second leave out loading. Without SCENE
the demo's is taken.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rtsmap.demo import example_folder
from rtsmap.runtime.machine import cores, cpu_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", nargs="?", default=str(example_folder() / "taimyr.tif"))
    parser.add_argument("--model", default="rts-mini")
    parser.add_argument("--cores", type=int, default=cores())
    arguments = parser.parse_args()
    print(f"{arguments.model}, {arguments.cores} cores of {cpu_model()}\n")
    print("| scenes at once | threads each | chips/s | over the first | CPU s per chip | MB each |")
    print("|---|---|---|---|---|---|")
    first: float | None = None
    for processes, threads in arrangements(arguments.cores):
        reports = predicted(arguments.scene, arguments.model, processes, threads)
        chips = sum(report["chips"]["computed"] for report in reports)
        busy = max(report["wall_s"] - report["stages"]["load"]["wall_s"] for report in reports)
        cpu = sum(report["cpu_s"] - report["stages"]["load"]["cpu_s"] for report in reports)
        peak = max(report["peak_memory_mb"] for report in reports)
        rate = chips / busy
        first = first or rate
        row = f"{rate:.2f} | {rate / first:.2f} | {cpu / chips:.2f} | {peak:.0f}"
        print(f"| {processes} | {threads} | {row} |", flush=True)


def arrangements(available: int) -> Iterator[tuple[int, int]]:
    """Scenes at once, and threads of each: one of both; all cores on one scene; a scene on each core; too many."""
    yield 1, 1
    if available > 1:
        yield 1, available
        yield available, 1
    yield available, available


def predicted(scene: str, model: str, processes: int, threads: int) -> list[dict[str, Any]]:
    """The profiles of as many predictions at once."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        children = [subprocess.Popen(command(scene, model, threads, folder / str(n))) for n in range(processes)]
        codes = [child.wait() for child in children]  # all of them, before their folder goes
        if any(codes):
            sys.exit("a prediction failed")
        return [json.loads((folder / str(n) / "profile.json").read_text()) for n in range(processes)]


def command(scene: str, model: str, threads: int, folder: Path) -> list[str]:
    """Of one prediction, quiet but for errors."""
    words = ["predict", scene, "-o", f"{folder}/slumps.gpkg", "--profile", f"{folder}/profile.json"]
    words += ["--model", model, "--threads", str(threads), "--device", "cpu"]
    quiet = "import os, sys; from rtsmap.cli import main; sys.stdout = sys.stderr = open(os.devnull, 'w'); main()"
    return [sys.executable, "-c", quiet, *words]


if __name__ == "__main__":
    main()
