"""Peak memory of `predict` against the size of the scene.

    python -m benchmarks.memory [--model NAME|DIR] [SIDE ...]

Each scene is simulated, sparse (one chip in fifty holds ground, the rest is nodata, as in a mosaic), and predicted in a
process of its own.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

BLOCK = 512
CHILD = """
import resource, sys
from rtsmap.cli import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sides", type=int, nargs="*", default=[4000, 20000])
    parser.add_argument("--model", default="rts-mini")
    arguments = parser.parse_args()
    print(f"{'side, px':>10}{'blocks with ground':>20}{'peak, MB':>10}{'seconds':>9}")
    for side in arguments.sides:
        with tempfile.TemporaryDirectory() as folder:
            blocks = write_scene(Path(folder) / "scene.tif", side)
            start = time.perf_counter()
            words = ["predict", f"{folder}/scene.tif", "-o", f"{folder}/slumps.gpkg", "--model", arguments.model]
            child = subprocess.run([sys.executable, "-c", CHILD, *words], capture_output=True, text=True, check=True)
            peak = int(child.stderr.split()[-1])
            print(f"{side:>10}{blocks:>20}{peak:>10}{time.perf_counter() - start:>9.0f}", flush=True)


def write_scene(path: Path, side: int) -> int:
    """A tiled GeoTIFF with as many blocks of tundra whatever its size, spread over it; returns their number."""
    rng = np.random.default_rng(0)
    profile = {
        "driver": "GTiff", "height": side, "width": side, "count": 4, "dtype": "uint16", "nodata": 0, "tiled": True,
        "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate", "sparse_ok": True, "crs": "EPSG:32645",
        "transform": rasterio.Affine(3, 0, 500_000, 0, -3, 8_100_000),
    }  # fmt: skip
    count = side // BLOCK
    chosen = {(int(i * count / 7), int(j * count / 7)) for i in range(7) for j in range(7)}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.descriptions = ("blue", "green", "red", "nir")
        for row, column in sorted(chosen):
            ground = np.array([340, 580, 620, 2600]).reshape(4, 1, 1) * rng.normal(1, 0.1, (4, BLOCK, BLOCK))
            dataset.write(ground.astype(np.uint16), window=Window(column * BLOCK, row * BLOCK, BLOCK, BLOCK))
    return len(chosen)


if __name__ == "__main__":
    main()
