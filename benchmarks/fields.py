"""Simulated outlines as overlapping chips see them, and how well they were put together again.

Truth is a field of irregular blobs that do not touch. Every chip that sees part of one gets its own version of it,
distorted by noise, cut at the chip's window. Before merging, 37 % (56 px) to 58 % (177 px) of the instances are
duplicates or parts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from rtsmap.chips.grid import ChipGrid
from rtsmap.geometry import largest_polygon
from rtsmap.records import ChipWindow, Grid, Instance

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
    windows: list[ChipWindow]

    @property
    def truth(self) -> NDArray[np.object_]:
        """The blobs as polygons."""
        return blobs(self.centres, self.radii)


def waves(count: int, amplitude: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth relative deviations of a radius, `(count, VERTICES)`, of standard deviation `amplitude`."""
    angles = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    phases = rng.uniform(0, 2 * np.pi, (count, len(HARMONICS), 1))
    strength = rng.normal(0, amplitude * np.sqrt(2 / len(HARMONICS)), phases.shape)
    summed: NDArray[np.float64] = (strength * np.cos(HARMONICS[:, None] * angles + phases)).sum(axis=1)
    return summed


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
    return Field(centres, radii, list(chip_grid.all_windows()))


def detect(field: Field, noise: float, rng: np.random.Generator) -> list[Instance]:
    """What each chip sees of the blobs."""
    windows = shapely.box(*np.array([window.extent.bounds for window in field.windows], dtype=float).T)
    chip, blob = shapely.STRtree(field.truth).query(windows)
    radii = field.radii[blob] * np.clip(1 + waves(len(blob), noise, rng), 0.3, 1.7)
    centres = field.centres[blob] + rng.normal(0, noise / 4, (len(blob), 2)) * field.radii[blob].mean(axis=1)[:, None]
    seen = shapely.intersection(shapely.make_valid(blobs(centres, radii)), windows[chip], grid_size=1 / 64)
    return list(_instances(field, chip, seen, rng))


def _instances(
    field: Field, chip: NDArray[np.intp], seen: NDArray[np.object_], rng: np.random.Generator
) -> Iterator[Instance]:
    for window, shape, score in zip(chip, seen, rng.uniform(0.5, 1, len(seen)), strict=True):
        part = largest_polygon(shape)
        if part.area >= SMALLEST_PX:
            yield Instance(field.windows[window], part, float(score))


@dataclass(frozen=True)
class Quality:
    """How a merge did.

    Attributes:
        too_many: outputs beyond the number of blobs found, % of it.
        falsely_merged: outputs that hold two blobs.
        under_half: blobs that no single output covers by half.
        under_half_share: these, % of all.
    """

    too_many: float
    falsely_merged: int
    under_half: int
    under_half_share: float


def quality(truth: NDArray[np.object_], shapes: NDArray[np.object_]) -> Quality:
    """Compare outputs with the blobs they were made of."""
    output, blob = shapely.STRtree(truth).query(shapes, predicate="intersects")
    covered = shapely.area(shapely.intersection(shapes[output], truth[blob])) / shapely.area(truth[blob])
    best = np.zeros(len(truth))
    np.maximum.at(best, blob, covered)
    held = np.bincount(output[covered > 0.5], minlength=len(shapes))
    found = np.unique(blob[covered > 0.05])
    missed = int((best < 0.5).sum())
    return Quality(100 * (len(shapes) / len(found) - 1), int((held > 1).sum()), missed, 100 * missed / len(truth))
