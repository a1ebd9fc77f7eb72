"""A whole scene with rtsmap and with what one would write oneself: `python -m benchmarks.peers --model NAME`.

The same weights, chips, overlap and threshold for all, on the demo's scene and on a simulated PlanetScope scene; see
`benchmarks.against.jobs` for what had to be bridged. Each job is a process of its own and uses all cores. Duplicate:
a true slump that two or more outputs each cover by more than half. Split: one that no output covers by half, but two or
more together do. Repeated: outputs that share more than half of the smaller with another output, on true slumps or not.
"""

import argparse
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import shapely

from benchmarks.children import PEERS, ChildError, Cost, interpreter, run, workplace
from rtsmap.evaluation.map_scores import score_map
from rtsmap.models import DEFAULT_MODEL
from rtsmap.polygons import read_polygons

OWN = "rtsmap predict"
TARGET = "rtsmap at least 3 x faster, AP50 equal or better, no duplicates"
TAIMYR = Path("examples/taimyr")


@dataclass(frozen=True)
class Task:
    """A scene, the outlines that are true in it, and their layer in that file."""

    name: str
    scene: Path
    labels: Path
    layer: str | None = None


@dataclass(frozen=True)
class Faults:
    """Numbers of true slumps found twice, of those found in pieces only, and of outputs that repeat another."""

    duplicate: int
    split: int
    repeated: int


def main() -> None:
    """Print a table for each scene."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder [default: %(default)s]")
    parser.add_argument(
        "--pixels", type=int, nargs=2, default=[9000, 4400], help="of the simulated scene; 0 0 for none"
    )
    parser.add_argument("--slumps", type=int, default=150, help="in it [default: %(default)s]")
    parser.add_argument("--no-taimyr", action="store_true", help="leave the demo's scene out")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--limit", type=float, default=1800, help="seconds for one job [default: %(default)s]")
    parser.add_argument("--peers", type=Path, default=PEERS, help="their Python [default: %(default)s]")
    options = parser.parse_args()
    python = interpreter(options.peers)
    with workplace() as folder:
        tasks = [] if options.no_taimyr else [Task("Taimyr", TAIMYR / "taimyr.tif", TAIMYR / "published_slumps.gpkg")]
        if all(options.pixels):
            tasks.append(simulate(folder, options.pixels, options.slumps))
        for task in tasks:
            print(f"\n{task.name}. Target: {TARGET}\n")
            print(table(task, jobs(task, options.model, python, folder), options.repeat, options.limit), flush=True)


def simulate(folder: Path, pixels: list[int], slumps: int) -> Task:
    """A PlanetScope scene under a clear sky, for rtsmap leaves out what clouds hide and the others do not."""
    output = folder / "simulated"
    width, height = pixels
    words = ["--pixels", width, height, "--slumps", slumps, "--no-clouds", "--seed", 0]
    run([sys.executable, "-m", "rtsmap", "simulate", "scene", "-o", str(output), *map(str, words)], limit_s=1800)
    [scene], [truth] = output.glob("*_SR.tif"), output.glob("*_truth.gpkg")
    return Task(f"Simulated, {width} x {height} px", scene, truth, "rts")


def jobs(task: Task, model: str, python: str, folder: Path) -> dict[str, tuple[list[str], Path]]:
    """Command and output of each way."""
    made = {name: folder / f"{name}.gpkg" for name in ("rtsmap", "sahi", "detectree2")}
    scene = str(task.scene)
    own = [sys.executable, "-m", "rtsmap", "predict", scene, "-o", str(made["rtsmap"]), "--model", model, "--overwrite"]
    peer = [python, "-W", "ignore", "-m", "benchmarks.against.jobs"]
    commands = {OWN: (own, made["rtsmap"])}
    for name in ("sahi", "detectree2"):
        commands[name] = [*peer, name, scene, model, str(made[name])], made[name]
    return commands


def table(task: Task, commands: dict[str, tuple[list[str], Path]], repeat: int, limit_s: float) -> str:
    """Run all, in turns, and compare."""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    missing: dict[str, str] = {}
    for _ in range(repeat):
        for name, (command, _output) in commands.items():
            try:
                costs[name].append(run(command, limit_s=limit_s)[1])
            except ChildError as error:
                missing[name] = str(error)
    lines = [
        "| way | wall s | CPU s | rtsmap is faster (wall, CPU) | peak MiB | outputs | AP50 % | duplicate | split "
        "| repeated |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    own = None if OWN in missing else _median(costs[OWN])
    for name, (_command, output) in commands.items():
        if name in missing:
            lines.append(f"| {name} | {missing[name]} | | | | | | | | |")
            continue
        cost = _median(costs[name])
        ratio = f"{cost.wall_s / own.wall_s:.2f} x, {cost.cpu_s / own.cpu_s:.2f} x" if own else ""
        outputs, labels = _layers(output, task)
        faults = count_faults(outputs, labels)
        ap50 = 100 * score_map(outputs, labels, resamples=0).average_precision
        lines.append(
            f"| {name} | {cost.wall_s:.0f} | {cost.cpu_s:.0f} | {ratio} | {cost.peak_mib:.0f} | {len(outputs)} "
            f"| {ap50:.1f} | {faults.duplicate} | {faults.split} | {faults.repeated} |"
        )
    return "\n".join(lines)


def count_faults(outputs: geopandas.GeoDataFrame, truth: geopandas.GeoDataFrame) -> Faults:
    """Duplicate and split slumps, and repeated outputs, of layers in one CRS."""
    found, true = outputs.geometry.to_numpy(), truth.geometry.to_numpy()
    output, slump = shapely.STRtree(true).query(found, predicate="intersects")
    covered = shapely.area(shapely.intersection(found[output], true[slump])) / shapely.area(true[slump])
    twice = np.bincount(slump[covered > 0.5], minlength=len(true)) > 1
    whole = np.bincount(slump[covered > 0.5], minlength=len(true)) > 0
    split = 0
    for k in np.flatnonzero(~whole & (np.bincount(slump[covered > 0.05], minlength=len(true)) > 1)):
        together = shapely.union_all(found[output[slump == k]]).intersection(true[k])
        split += int(together.area > 0.5 * true[k].area)
    first, second = shapely.STRtree(found).query(found, predicate="intersects")
    first, second = first[first != second], second[first != second]
    shared = shapely.area(shapely.intersection(found[first], found[second]))
    smaller = np.minimum(shapely.area(found[first]), shapely.area(found[second]))
    return Faults(int(twice.sum()), split, len(np.unique(first[shared > smaller / 2])))


def _layers(output: Path, task: Task) -> tuple[geopandas.GeoDataFrame, geopandas.GeoDataFrame]:
    outputs = read_polygons(output, layer="thaw_slumps").reset_index(drop=True)
    labels = read_polygons(task.labels, outputs.crs, layer=task.layer).explode(ignore_index=True)
    return outputs, labels


def _median(costs: list[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.wall_s for cost in costs),
        statistics.median(cost.cpu_s for cost in costs),
        max(cost.peak_mib for cost in costs),
    )


if __name__ == "__main__":
    main()
