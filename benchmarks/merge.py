"""Speed and quality of the merge across chips against other libraries, as one table: `python -m benchmarks.merge`.

Every chip's view of every object is simulated (`benchmarks.fields`). Seconds are CPU time of one thread, the median of
repeats that take turns. Targets hold at 50,000 instances of 56 px. The peers come from an environment of their own,
see `benchmarks.against`; without it rtsmap is measured alone.
"""

import argparse
import math
from pathlib import Path
from typing import Any

from benchmarks.children import PEERS, ask, interpreter

#: rtsmap is to be this many times faster at 50,000 instances.
TARGETS = {"sahi GREEDYNMM, masks": 4.0, "detectree2 clean_crowns": 5.0, "torchvision NMS": 2.0}
QUALITY = "exponent at most 1.1, too many at most 1 %, falsely merged 0, under half at most 0.1 %"
OWN = "rtsmap"

Rows = list[dict[str, Any]]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, nargs="+", default=[1000, 10_000, 50_000, 100_000])
    parser.add_argument("--diameter", type=float, nargs="+", default=[56, 177], help="of the objects, px")
    parser.add_argument("--noise", type=float, default=0.05, help="of each chip's view, of the radius")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=[], help="rtsmap and all peers without it")
    parser.add_argument("--peers", type=Path, default=PEERS, help="their Python [default: %(default)s]")
    options = parser.parse_args()
    python = interpreter(options.peers)
    words = ["--noise", options.noise, "--repeat", options.repeat]
    chosen = ["--methods", *options.methods] if options.methods else []
    for diameter in options.diameter:
        rows: Rows = []
        for count in options.instances:
            more = [count, "--diameter", diameter, *words, *chosen]
            rows += ask(python, "benchmarks.against.merging", *more, limit_s=3600, threads=1)
        print(f"\nObjects of {diameter:g} px, noise {options.noise:g}. Target of rtsmap: {QUALITY}\n")
        print(table(rows), flush=True)


def table(rows: Rows) -> str:
    """All sizes of one kind of object as Markdown."""
    lines = [
        "| instances | method | seconds | rtsmap is faster | target | exponent | too many % | falsely merged "
        "| under half | of all % |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    own = {row["instances"]: row["seconds"] for row in rows if row["method"] == OWN}
    for row in rows:
        lead = f"| {row['instances']} | {row['method']} |"
        if "missing" in row:
            lines.append(f"{lead} {row['missing']} | | | | | | | |")
            continue
        ratio = f"{row['seconds'] / own[row['instances']]:.1f} x" if row["instances"] in own else ""
        target = f"{TARGETS[row['method']]:g} x" if row["method"] in TARGETS else ""
        lines.append(
            f"{lead} {row['seconds']:.3f} | {ratio} | {target} | {_exponent(rows, row['method'])} "
            f"| {row['too_many']:.2f} | {row['falsely_merged']} | {row['under_half']} | {row['under_half_share']:.2f} |"
        )
    return "\n".join(lines)


def _exponent(rows: Rows, method: str) -> str:
    """Of the power law through all sizes, by least squares of the logarithms."""
    points = [(row["instances"], row["seconds"]) for row in rows if row["method"] == method and row.get("seconds")]
    if len(points) < 2:
        return "-"
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / sum((x - x_mean) ** 2 for x in xs)
    return f"{slope:.2f}"


if __name__ == "__main__":
    main()
