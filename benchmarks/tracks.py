"""Evaluation of tracks: links, events and rates against reference data, and the time and memory that they need.

    python -m benchmarks.tracks links DATA        links of Barth et al. 2023 in DATA (labels of the open data)
    python -m benchmarks.tracks series            links, events and rates of simulated series
    python -m benchmarks.tracks rates             rates of slumps that grow evenly
    python -m benchmarks.tracks scaling 10000 100000

Simulated series are degraded as a detector would show them: every outline is redrawn in every year, as two people draw
the same slump (the median IoU with the true outline is 0.74), a tenth of the slumps is missed, and a tenth as many
false detections are added. Each size of `scaling` is measured in a separate process.
"""

import argparse
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.time_series import barth, coverage, scaling, simulated
from benchmarks.time_series.scores import LinkScore

REGIONS = ("chukotka", "lena")


def links(data: Path) -> None:
    """Print the scores of the links of Barth et al., site by site."""
    folder = data / "labels" if (data / "labels").is_dir() else data
    _print_scores(barth.compare(folder))


def series(seeds: int) -> None:
    """Print the scores of simulated series, as rendered and as a detector would show them."""
    for name, noise in (("as rendered", simulated.Noise(False, 0, 0)), ("as detected", simulated.Noise())):
        total, events, ends = LinkScore(0, 0, 0), Counter(), Counter()
        overlaps, held, count = [], 0, 0
        for region in REGIONS:
            for seed in range(seeds):
                with TemporaryDirectory() as folder:
                    detections, tiles = simulated.run(region, seed, noise, Path(folder))
                one = simulated.links(detections, tiles)
                total = LinkScore(total.found + one.found, total.known + one.known, total.right + one.right)
                events.update(simulated.events(detections, tiles))
                ends.update(simulated.ends(detections, tiles))
                overlaps.append(simulated.overlaps(tiles))
                rates = coverage.coverage_of_series(detections, tiles)
                held, count = held + rates.held, count + rates.count
        print(f"\n## {name}: {seeds} seeds of {', '.join(REGIONS)}\n")
        _print_scores([("all", total)])
        print(f"\nmedian IoU of one-to-one links: {np.median(np.concatenate(overlaps)):.2f}")
        print(f"95 % intervals that contain the true rate: {held / count:.1%} of {count}\n")
        print("\n".join([*simulated.table_of(events), "", *simulated.table_of(ends)]))


def rates(seeds: int, slumps: int) -> None:
    """Print how well rates of evenly growing slumps are found, by the errors of outlines and the number of years."""
    columns = "outlines", "years", "tracks", "true rate in the interval", "half width, m2 a year", "growing"
    print("| " + " | ".join((*columns, "of these, correctly")) + " |")
    print("|---|---|---|---|---|---|---|")
    for name, draw in (
        ("boundary error 3 m, correlated over 30 m", coverage.jittered),
        ("redrawn, IoU 0.74", coverage.redrawn),
    ):
        for years in (simulated.YEARS, (2018, 2019, 2021)):
            found = []
            for seed in range(seeds):
                with TemporaryDirectory() as folder:
                    paths = coverage.even_growth(Path(folder), draw, slumps, seed, years)
                    found.append(coverage.coverage_of_even_growth(paths))
            count = sum(one.count for one in found)
            held, growing = sum(one.held for one in found), sum(one.growing for one in found)
            width, rightly = np.mean([one.half_width for one in found]), sum(one.growing_rightly for one in found)
            print(
                f"| {name} | {len(years)} | {count} | {held / count:.1%} | {width:.0f} | {growing} | {rightly} |",
                flush=True,
            )


def scale(sizes: Iterable[int]) -> None:
    """Print time and memory by the number of outlines."""
    rows = []
    print("| outlines | CPU, s | wall clock, s | peak memory, MB |\n|---|---|---|---|")
    for size in sizes:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.tracks", "one-size", str(size)],
            capture_output=True,
            text=True,
            check=True,
        )
        outlines, cpu, clock, peak = (float(text) for text in done.stdout.split())
        rows.append((outlines, cpu))
        print(f"| {outlines:.0f} | {cpu:.1f} | {clock:.1f} | {peak:.0f} |", flush=True)
    if len(rows) > 1:
        (first, one), (last, other) = rows[0], rows[-1]
        print(f"\nexponent {math.log(other / one) / math.log(last / first):.2f}")


def one_size(size: int) -> None:
    """Print the time and memory that one size needs in this process."""
    with TemporaryDirectory() as folder:
        measured = scaling.measure(Path(folder), size)
    print(*(measured[name] for name in ("outlines", "cpu_s", "clock_s", "peak_mb")))


def _print_scores(scores: Iterable[tuple[str, LinkScore]]) -> None:
    print("| site | links found | known | precision | recall | F1 |\n|---|---|---|---|---|---|")
    for name, one in scores:
        print(f"| {name} | {one.found} | {one.known} | {one.precision:.3f} | {one.recall:.3f} | {one.f1:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("links").add_argument("data", type=Path)
    commands.add_parser("series").add_argument("--seeds", type=int, default=3)
    of_rates = commands.add_parser("rates")
    of_rates.add_argument("--seeds", type=int, default=3)
    of_rates.add_argument("--slumps", type=int, default=200)
    commands.add_parser("scaling").add_argument("sizes", type=int, nargs="+")
    commands.add_parser("one-size").add_argument("size", type=int)
    given = parser.parse_args()
    if given.command == "links":
        links(given.data)
    elif given.command == "series":
        series(given.seeds)
    elif given.command == "rates":
        rates(given.seeds, given.slumps)
    elif given.command == "scaling":
        scale(given.sizes)
    else:
        one_size(given.size)


if __name__ == "__main__":
    main()
