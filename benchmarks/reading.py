"""Chips from striped, tiled and cloud-optimised files, rtsmap against other ways: `python -m benchmarks.reading`.

Mpixel/s are pixels of the scene (each counted once, whatever the overlap) per CPU second; the median of repeats that
take turns, each in a process of its own. rtsmap gives reflectance as float32 with two masks, the others the numbers
of the file. The peers come from an environment of their own, see `benchmarks.against`, and read the tiled file only;
where one takes longer than the limit, the table has its figure for a scene of half the side.
"""

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.windows import Window

from benchmarks.children import PEERS, ChildError, ask, interpreter, workplace

OWN = "rtsmap"
PLAIN = ("plain windows, GDAL's cache", "plain windows, 128 MiB")
#: rtsmap is to be this many times faster.
TARGETS = {PLAIN[1]: 40 / 44, "torchgeo GridGeoSampler": 5.0, "sahi slice_image": 8.0, "detectree2 tile_data": 7.0}
GROWTH_MIB = 250  # at most
STRIPED = 2.0  # times the time of a tiled file, at most
KINDS = ("striped", "tiled", "cloud-optimised")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=16_000, help="of the scene, px [default: %(default)s]")
    parser.add_argument("--chip", type=int, default=512)
    parser.add_argument("--overlap", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--limit", type=float, default=150, help="seconds for one reading [default: %(default)s]")
    parser.add_argument("--peers", type=Path, default=PEERS, help="their Python [default: %(default)s]")
    options = parser.parse_args()
    python = interpreter(options.peers)
    ways = [(kind, method) for kind in KINDS for method in (OWN, *PLAIN)]
    ways += [("tiled", method) for method in TARGETS if method not in PLAIN and options.peers.exists()]
    with workplace() as folder:
        found: dict[tuple[str, str], list[dict[str, Any]]] = {way: [] for way in ways}
        for _ in range(options.repeat):
            for kind, method in ways:
                found[kind, method].append(_measure(folder, kind, method, python, options))
    print(table(found, options.side))


def _measure(folder: Path, kind: str, method: str, python: str, options: argparse.Namespace) -> dict[str, Any]:
    """One reading, of a smaller scene where the whole one takes too long."""
    failure = ""
    for side in (options.side, options.side // 2):
        path = name(folder, kind, side)
        if not path.exists():
            write(folder, kind, side)
        words = [method, path, options.chip, options.overlap]
        try:
            found: dict[str, Any] = ask(python, "benchmarks.against.reading", *words, limit_s=options.limit, threads=1)
            return found | {"side": side}
        except ChildError as error:
            failure = str(error)
    return {"missing": failure}


def table(found: dict[tuple[str, str], list[dict[str, Any]]], side: int) -> str:
    """Markdown; `found` by kind of file and method."""
    lines = [
        f"| file, {side} x {side} x 4 uint16 | way | Mpixel/s | rtsmap is faster | target | memory growth, MiB |",
        "|---|---|---|---|---|---|",
    ]
    for (kind, method), readings in found.items():
        good = [reading for reading in readings if "missing" not in reading]
        if not good:
            lines.append(f"| {kind} | {method} | {readings[0]['missing']} | | | |")
            continue
        own, other = _speed(found[kind, OWN]), _speed(readings)
        target = f"{TARGETS[method]:.2g} x" if kind == "tiled" and method in TARGETS else ""
        size = "" if good[0]["side"] == side else f" (on {good[0]['side']} px)"
        growth = f"{max(reading['growth_mib'] for reading in good):.0f}"
        growth += f" (at most {GROWTH_MIB})" if method == OWN else ""
        lines.append(f"| {kind} | {method} | {other:.1f}{size} | {own / other:.2f} x | {target} | {growth} |")
    slower = _speed(found["tiled", OWN]) / _speed(found["striped", OWN])
    lines += ["", f"A striped file takes {slower:.2f} times as long as a tiled one (target: at most {STRIPED:g})."]
    return "\n".join(lines)


def _speed(readings: list[dict[str, Any]]) -> float:
    speeds = [one["side"] ** 2 / one["cpu_s"] / 1e6 for one in readings if "missing" not in one]
    return statistics.median(speeds) if speeds else float("nan")


def name(folder: Path, kind: str, side: int) -> Path:
    """Where `write` puts a file."""
    return folder / f"{kind}_{side}.tif"


def write(folder: Path, kind: str, side: int) -> None:
    """A scene of noise on slow waves, which deflate by about as much as reflectance does."""
    profile = {
        "driver": "GTiff", "height": side, "width": side, "count": 4, "dtype": "uint16", "nodata": 0,
        "crs": "EPSG:32645", "transform": rasterio.Affine(3, 0, 501_000, 0, -3, 8_100_000),
        "compress": "deflate", "predictor": 2, "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "interleave": "pixel"}
    path = name(folder, kind, side)
    if kind == "cloud-optimised":
        if not name(folder, "tiled", side).exists():
            write(folder, "tiled", side)
        with rasterio.open(name(folder, "tiled", side)) as tiled:
            rasterio.shutil.copy(tiled, path, driver="COG", compress="deflate", predictor="yes", blocksize=512)
        return
    with rasterio.open(path, "w", **profile, **(tiles if kind == "tiled" else {})) as dataset:
        dataset.descriptions = ("blue", "green", "red", "nir")
        for row, rows in enumerate(_rows(side)):
            height = rows.shape[1]
            dataset.write(rows, window=Window(0, row * 256, side, height))


def _rows(side: int) -> Iterator[np.ndarray[Any, np.dtype[np.uint16]]]:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 25, (4, 256, 2048))
    across = 300 * np.sin(np.arange(side) / 211)
    for start in range(0, side, 256):
        height = min(256, side - start)
        level = np.array([400, 600, 700, 2500]).reshape(4, 1, 1) + across
        down = np.sin(np.arange(start, start + height) / 173)[:, None] * 100
        fine = np.roll(noise, start * 7, axis=2)[:, :height]
        yield np.rint(level + down + np.tile(fine, -(-side // 2048))[:, :, :side]).clip(1, None).astype(np.uint16)


if __name__ == "__main__":
    main()
