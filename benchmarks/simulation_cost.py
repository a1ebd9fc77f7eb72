"""Processor time and peak memory of `simulate scene` against the size of the scene.

    python -m benchmarks.simulation_cost [--keep-in FOLDER] [SIDE ...]

Each scene is simulated in a separate process, written, measured and deleted. Megapixels are those of the raster, of
which two fifths are empty as in real products. Their number per CPU second does not depend on the load of the machine.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HEADINGS = "   side, px  slumps   CPU, s  Mpx per CPU s  seconds  peak, MB  on disk, MB"

CHILD = """
import resource, sys
from rtsmap.cli import main
try:
    main()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_maxrss // 1024, used.ru_utime + used.ru_stime, file=sys.stderr)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sides", type=int, nargs="*", default=[4000, 16000])
    parser.add_argument("--region", default="lena")
    parser.add_argument("--keep-in", type=Path, help="a folder on a disk with room (6 GB for 40000 px)")
    arguments = parser.parse_args()
    print(HEADINGS)
    for side in arguments.sides:
        with tempfile.TemporaryDirectory(dir=arguments.keep_in) as folder:
            start = time.perf_counter()
            words = ["simulate", "scene", "-o", folder, "--pixels", str(side), str(side), "--region", arguments.region]
            child = subprocess.run([sys.executable, "-c", CHILD, *words], capture_output=True, text=True, check=True)
            seconds = time.perf_counter() - start
            peak, processor = (float(word) for word in child.stderr.split()[-2:])
            slumps = int(child.stdout.split(" slumps")[0].split()[-1])
            size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
            rate = side**2 / 1e6 / processor
            print(
                f"{side:>11}{slumps:>8}{processor:>9.0f}{rate:>15.1f}{seconds:>9.0f}{peak:>10.0f}{size:>13.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
