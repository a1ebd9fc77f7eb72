"""Peak memory of a prediction against the size of the scene.

    python -m benchmarks.memory [SIDE ...] [--model NAME|DIR] [--dense]

Each scene is written, sparse (49 blocks hold ground wherever it is, the rest is nodata, as in a mosaic), and predicted
in a process of its own: read, prepared, merged, described and written as always. In place of the network stands a
threshold on NDVI, which takes next to no memory of its own and ends in minutes; its slumps are bare squares in the
ground. With --model a network does it. With --dense all of the scene is ground.
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
SIDES = (4000, 10_000, 20_000, 40_000)
GROUND, BARE = (340, 580, 620, 2600), (600, 800, 1000, 1200)  # reflectance of tundra and of bare soil, x 10000

#: Arguments: scene, layer, model or nothing. Prints the peak, and the memory held before the scene was opened.
CHILD = """
import sys
from dataclasses import replace
from pathlib import Path
from benchmarks.thresholding import BareGround
from rtsmap.detector import build_detector
from rtsmap.layer import write_layer
from rtsmap.runtime.machine import peak_memory_mb
from rtsmap.models import find_model
from rtsmap.predict.detector import ReadyDetector
from rtsmap.predict.scene import predict_scene

scene, layer, model = sys.argv[1:]
folder, card = find_model(model or "rts-mini")
ready = ReadyDetector.of(card, BareGround(card))
if model:
    size = ready.options.chip_size
    ready = replace(ready, detector=build_detector(folder, card, "cpu", ready.options.score, chip_size=size))
before = peak_memory_mb()
result = predict_scene(scene, ready)
write_layer(Path(layer), [result], ready.provenance([scene], "benchmark"))
print(before, peak_memory_mb(), len(result.slumps))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sides", type=int, nargs="*", default=SIDES, metavar="SIDE")
    parser.add_argument("--model", default="", help="a network in place of the threshold")
    parser.add_argument("--dense", action="store_true", help="ground everywhere")
    arguments = parser.parse_args()
    print("| side, px | blocks with ground | slumps | libraries, MB | peak, MB | over the first | seconds |")
    print("|---|---|---|---|---|---|---|")
    first: float | None = None
    for side in arguments.sides:
        with tempfile.TemporaryDirectory() as folder:
            blocks = write_scene(Path(folder) / "scene.tif", side, dense=arguments.dense)
            start = time.perf_counter()
            words = [f"{folder}/scene.tif", f"{folder}/slumps.gpkg", arguments.model]
            child = subprocess.run([sys.executable, "-c", CHILD, *words], stdout=subprocess.PIPE, text=True, check=True)
        before, peak, slumps = map(float, child.stdout.split())
        first = first or peak
        seconds = time.perf_counter() - start
        print(
            f"| {side} | {blocks} | {slumps:.0f} | {before:.0f} | {peak:.0f} | {peak / first:.2f} | {seconds:.0f} |",
            flush=True,
        )


def write_scene(path: Path, side: int, *, dense: bool = False) -> int:
    """A tiled GeoTIFF with as many blocks of tundra whatever its size, spread over it; returns their number."""
    profile = {
        "driver": "GTiff", "height": side, "width": side, "count": 4, "dtype": "uint16", "nodata": 0, "tiled": True,
        "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate", "sparse_ok": True, "crs": "EPSG:32645",
        "transform": rasterio.Affine(3, 0, 500_000, 0, -3, 8_100_000), "bigtiff": "if_safer",
    }  # fmt: skip
    count = side // BLOCK
    per_side = count if dense else 7
    steps = [int(step * count / per_side) for step in range(per_side)]
    block = ground(np.random.default_rng(0))
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.descriptions = ("blue", "green", "red", "nir")
        for row in steps:
            for column in steps:
                dataset.write(block, window=Window(column * BLOCK, row * BLOCK, BLOCK, BLOCK))
    return len(steps) ** 2


def ground(rng: np.random.Generator) -> np.ndarray:
    """A block of tundra with sixteen bare squares of 20 to 60 px."""
    block = np.tile(np.array(GROUND, dtype=np.float64).reshape(4, 1, 1), (1, BLOCK, BLOCK))
    for row in range(0, BLOCK, BLOCK // 4):
        for column in range(0, BLOCK, BLOCK // 4):
            tall, wide = rng.integers(20, 60, size=2)
            block[:, row + 32 : row + 32 + tall, column + 32 : column + 32 + wide] = np.array(BARE).reshape(4, 1, 1)
    return (block * rng.normal(1, 0.02, block.shape)).astype(np.uint16)


if __name__ == "__main__":
    main()
