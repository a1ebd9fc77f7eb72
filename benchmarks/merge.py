"""Speed and quality of the merge across chips, as one table: `python -m benchmarks.merge`.

Truth is a field of irregular blobs that do not touch. Every chip that sees part of one gets its own version of it,
distorted by `--noise`, cut at the chip's window. Before merging, 37 % (56 px) to 58 % (177 px) of the instances are
duplicates or parts.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from rtsmap.chips import ChipGrid
from rtsmap.merge import merge
from rtsmap.records import ChipWindow, Grid, Instance, MergedInstance

CHIP, OVERLAP = 512, 64  # px
SPACING = 1.7  # distance of neighbouring blobs, in diameters
VERTICES = 64
HARMONICS = np.arange(2, 8)
SMALLEST_PX = 16.0  # parts below this area are not detected


@dataclass(frozen=True)
class Field:
    """Blobs by centre `(n, 2)` and radius at each angle `(n, VERTICES)`, and the chips of the scene around them."""

    centres: NDArray[np.float64]
    radii: NDArray[np.float64]
    places: list[ChipWindow]

    @property
    def truth(self) -> NDArray[np.object_]:
        """The blobs as polygons."""
        return blobs(self.centres, self.radii)


def waves(count: int, amplitude: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth relative deviations of a radius, `(count, VERTICES)`, of standard deviation `amplitude`."""
    angles = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    phases = rng.uniform(0, 2 * np.pi, (count, len(HARMONICS), 1))
    strength = rng.normal(0, amplitude * np.sqrt(2 / len(HARMONICS)), phases.shape)
    return (strength * np.cos(HARMONICS[:, None] * angles + phases)).sum(axis=1)


def blobs(centres: NDArray[np.float64], radii: NDArray[np.float64]) -> NDArray[np.object_]:
    """Polygons with their vertices on the lattice of the instances."""
    angles = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    points = centres[:, None] + radii[..., None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return np.asarray(shapely.polygons(np.round(points * 64) / 64))


def simulate(instances: int, diameter: float, rng: np.random.Generator) -> Field:
    """A square scene with blobs that give about this number of instances."""
    seen = 1 + (2 * diameter + OVERLAP) / (CHIP - OVERLAP)  # chips per blob, roughly
    side = max(2, round(np.sqrt(instances / seen)))
    step = diameter * SPACING
    rows, columns = np.divmod(np.arange(side * side), side)
    centres = (np.column_stack([columns, rows]) + 0.5) * step
    centres += rng.uniform(-0.15, 0.15, centres.shape) * diameter
    radii = diameter / 2 * np.clip(1 + waves(len(centres), 0.12, rng), 0.4, 1.4)
    size = int(np.ceil(side * step))
    chip_grid = ChipGrid(Grid(None, None, size, size), CHIP, OVERLAP)  # type: ignore[arg-type]
    return Field(centres, radii, [place for row in range(chip_grid.rows) for place in chip_grid.places(row)])


def detect(field: Field, noise: float, rng: np.random.Generator) -> list[Instance]:
    """What each chip sees of the blobs."""
    windows = shapely.box(*np.array([place.window.bounds for place in field.places], dtype=float).T)
    chip, blob = shapely.STRtree(field.truth).query(windows)
    radii = field.radii[blob] * np.clip(1 + waves(len(blob), noise, rng), 0.3, 1.7)
    centres = field.centres[blob] + rng.normal(0, noise / 4, (len(blob), 2)) * field.radii[blob].mean(axis=1)[:, None]
    seen = shapely.intersection(shapely.make_valid(blobs(centres, radii)), windows[chip], grid_size=1 / 64)
    return list(_instances(field, chip, seen, rng))


def _instances(
    field: Field, chip: NDArray[np.intp], seen: NDArray[np.object_], rng: np.random.Generator
) -> Iterator[Instance]:
    for place, shape, score in zip(chip, seen, rng.uniform(0.5, 1, len(seen)), strict=True):
        part = max(shapely.get_parts(shape), key=lambda one: one.area, default=shape)
        if part.area >= SMALLEST_PX:
            yield Instance(field.places[place], part, float(score))


def quality(truth: NDArray[np.object_], slumps: list[MergedInstance]) -> tuple[float, int, int]:
    """Outputs too many (% of the truth found), outputs that hold two blobs, blobs not half covered by one output."""
    shapes = np.array([slump.geometry for slump in slumps], dtype=object)
    output, blob = shapely.STRtree(truth).query(shapes, predicate="intersects")
    covered = shapely.area(shapely.intersection(shapes[output], truth[blob])) / shapely.area(truth[blob])
    best = np.zeros(len(truth))
    np.maximum.at(best, blob, covered)
    held = np.bincount(output[covered > 0.5], minlength=len(shapes))
    found = np.unique(blob[covered > 0.05])
    return 100 * (len(shapes) / len(found) - 1), int((held > 1).sum()), int((best < 0.5).sum())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, nargs="+", default=[1000, 10_000, 50_000])
    parser.add_argument("--diameter", type=float, nargs="+", default=[56, 177], help="of the blobs, px")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.05], help="of each chip's view, of the radius")
    parser.add_argument("--agreement", type=float, nargs="+", default=[0.5])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    print("| diameter px | noise | agreement | instances | truth | seconds | exponent | outputs too many % "
          "| falsely merged | under half |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    for diameter, noise, agreement in (
        (d, n, a) for d in options.diameter for n in options.noise for a in options.agreement
    ):
        previous: tuple[int, float] | None = None
        for count in options.instances:
            rng = np.random.default_rng(0)
            field = simulate(count, diameter, rng)
            instances = detect(field, noise, rng)
            times = []
            for _ in range(options.repeat):
                begin = time.perf_counter()
                slumps = merge(instances, agreement=agreement)
                times.append(time.perf_counter() - begin)
            seconds = statistics.median(times)
            exponent = "-"
            if previous:
                exponent = f"{np.log(seconds / previous[1]) / np.log(len(instances) / previous[0]):.2f}"
            previous = len(instances), seconds
            extra, merged, under = quality(field.truth, slumps)
            print(f"| {diameter:g} | {noise:g} | {agreement:g} | {len(instances)} | {len(field.truth)} | {seconds:.3f} "
                  f"| {exponent} | {extra:.2f} | {merged} | {under} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
