"""How good a model is when scenes are averaged to coarser ground sampling distances.

    python -m benchmarks.ground_sampling MODEL [DATASET ...] [--scene SCENE LABELS] [--simulated N]

Simulated scenes of 3 m, made here, are averaged to 4, 5, 6, 8 and 10 m; real ones, the images of data sets and scenes
with outlines, from their own distance to 12, 15 and 20 m. Those out of the range of the model's card are then
resampled to the distance of its training, as `rtsmap predict` does. Labels are the same at all distances. The threshold
and the smallest area are those of the card; intervals are of a bootstrap over simulated scenes, and over real scenes or
images as in `rtsmap evaluate chips`.
"""

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio.features
import shapely
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from rtsmap.dataset.images import Dataset, read_dataset
from rtsmap.dataset.pixels import ImagePixels
from rtsmap.detector import Detector, build_detector
from rtsmap.detector.calibrated import calibrated
from rtsmap.evaluation.image_scores import units_of
from rtsmap.evaluation.matching import Comparison, compare, joined
from rtsmap.evaluation.predictions import LOWEST_SCORE, predict_pixels
from rtsmap.evaluation.rates import EvaluatedArea
from rtsmap.evaluation.report import Row, report_of
from rtsmap.models import find_model, verify
from rtsmap.polygons import read_polygons
from rtsmap.predict.options import Options
from rtsmap.records import PixelSource
from rtsmap.scene import open_scene
from rtsmap.scene.ground_distance import gsd_m
from rtsmap.scene.resample import ResampledSource
from rtsmap.settings.card import ModelCard
from rtsmap.simulate.product.writing import write_product
from rtsmap.simulate.scene import SceneOptions, make_scene
from rtsmap.simulate.terrain.regions import REGIONS

SIMULATED_M, REAL_M = (3.0, 4.0, 5.0, 6.0, 8.0, 10.0), (10.0, 12.0, 15.0, 20.0)
HEAD = "| scenes | pixel, m | slumps | km² | AP50 % (95 %) | recall % (95 %) | false per 100 km² (95 %) |"


@dataclass(frozen=True)
class Sample:
    """Pixels with what is to be found there and areas where nothing is known, in pixel coordinates."""

    pixels: PixelSource
    slumps: Sequence[BaseGeometry]
    ignored: Sequence[BaseGeometry]
    unit: int

    def averaged(self, size_m: float) -> "Sample":
        """The same at a coarser ground sampling distance."""
        if abs(gsd_m(self.pixels.grid) / size_m - 1) < 0.01:
            return self
        coarse = ResampledSource(self.pixels, size_m)
        change = (~coarse.grid.transform @ self.pixels.grid.transform).to_shapely()
        slumps, ignored = ([affine_transform(one, change) for one in many] for many in (self.slumps, self.ignored))
        return Sample(coarse, slumps, ignored, self.unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("datasets", nargs="*", type=Path)
    parser.add_argument("--scene", nargs=2, action="append", default=[], metavar=("SCENE", "LABELS"))
    parser.add_argument("--simulated", type=int, default=14, metavar="N", help="scenes, of all regions in turn")
    parser.add_argument("--side", type=int, default=768, help="of a simulated scene, px of 3 m")
    parser.add_argument("--slumps", type=int, default=6, help="in a simulated scene")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder, card = find_model(arguments.model)
    verify(folder, card)
    detector = build_detector(folder, card, "cpu", min_score=float(calibrated(LOWEST_SCORE, card.calibration)))
    print(f"{card.name} {card.version}, {card.input.gsd_range_m[0]:g} to {card.input.gsd_range_m[1]:g} m by its card\n")
    print(HEAD, "|---|---|---|---|---|---|---|", sep="\n")
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        scenes = list(simulated(home, arguments, stack))
        print_rows("simulated", scenes, SIMULATED_M, card, detector)
        for path in arguments.datasets:
            print_rows(path.name, list(images(read_dataset(path))), REAL_M, card, detector)
        for number, (scene, labels) in enumerate(arguments.scene):
            real = Path(scene).stem, [labelled_scene(scene, Path(labels), None, number, stack)]
            print_rows(*real, REAL_M, card, detector)


def simulated(home: Path, arguments: argparse.Namespace, stack: ExitStack) -> Iterator[Sample]:
    """Clear simulated scenes of all regions in turn, with the slumps as they were rendered."""
    for number in range(arguments.simulated):
        region = list(REGIONS)[number % len(REGIONS)]
        size = arguments.side, arguments.side
        options = SceneOptions(region, arguments.seed + number, pixels=size, clouds=0.0, slumps=arguments.slumps)
        written = write_product(make_scene(options), home / str(number))
        yield labelled_scene(str(written.image), written.truth, "rts", number, stack)


def labelled_scene(path: str, labels: Path, layer: str | None, unit: int, stack: ExitStack) -> Sample:
    """A scene that stays open as long as the stack."""
    scene = stack.enter_context(open_scene(path))
    grid = scene.grid
    outlines = read_polygons(labels, grid.crs, layer).explode(ignore_index=True)
    back = (~grid.transform).to_shapely()
    inside = shapely.box(*grid.window.bounds)
    slumps = [affine_transform(outline, back) for outline in outlines.geometry]
    return Sample(scene, [one for one in slumps if inside.contains(one.representative_point())], (), unit)


def images(dataset: Dataset) -> Iterator[Sample]:
    """The images of a data set."""
    for unit, image in zip(units_of(dataset), dataset.images, strict=True):
        slumps = [slump.outline for slump in image.slumps]
        yield Sample(ImagePixels(dataset.folder, image), slumps, image.ignored, unit)


def print_rows(
    name: str, samples: Sequence[Sample], sizes_m: Iterable[float], card: ModelCard, detector: Detector
) -> None:
    """A row for each ground sampling distance that is not below that of the scenes."""
    finest = max((gsd_m(sample.pixels.grid) for sample in samples), default=np.inf)
    for size_m in sizes_m:
        if size_m > finest * 0.99:
            print(line(name, size_m, score([one.averaged(size_m) for one in samples], card, detector)), flush=True)


def score(samples: Sequence[Sample], card: ModelCard, detector: Detector) -> Row:
    """Detect and compare."""
    limits = Options().for_model(card)
    comparison = joined([compared(sample, card, detector) for sample in samples])
    comparison = comparison.where(comparison.prediction_m2 >= limits.min_area_m2)
    ground = EvaluatedArea(
        np.array([observed_km2(sample) for sample in samples]),
        np.array([sample.unit for sample in samples], dtype=np.intp),
        np.ones(len(comparison.scores), dtype=np.bool_),
    )
    return report_of(comparison, [], threshold=limits.score, over_ious=False, area=ground).rows[0]


def compared(sample: Sample, card: ModelCard, detector: Detector) -> Comparison:
    """What is found in a sample beside what is there."""
    lowest = float(calibrated(LOWEST_SCORE, card.calibration))
    found = predict_pixels(sample.pixels, card, detector, lowest)
    return compare(
        [one.outline for one in found],
        [one.score for one in found],
        sample.slumps,
        sample.ignored,
        unit_m2=gsd_m(sample.pixels.grid) ** 2,
        unit=sample.unit,
    )


def observed_km2(sample: Sample) -> float:
    """Area of the clear pixels in no ignored area."""
    grid = sample.pixels.grid
    clear = sample.pixels.read(grid.window).clear
    if sample.ignored:
        shape = (grid.height, grid.width)
        clear = clear & ~rasterio.features.rasterize(sample.ignored, out_shape=shape, dtype="uint8").astype(np.bool_)
    return float(np.count_nonzero(clear)) * gsd_m(grid) ** 2 / 1e6


def line(name: str, size_m: float, row: Row) -> str:
    """A row of the table."""
    score, rates = row.score, row.rates
    cells = [
        f"{score.average_precision * 100:.1f}{interval(score.interval, 100)}",
        f"{score.recall * 100:.1f}{interval(rates.recall_interval, 100)}",
        f"{rates.false_per_100km2:.1f}{interval(rates.false_interval, 1)}",
    ]
    return f"| {name} | {size_m:g} | {score.labels} | {rates.km2:.1f} | " + " | ".join(cells) + " |"


def interval(limits: tuple[float, float], factor: float) -> str:
    """In parentheses."""
    return f" ({limits[0] * factor:.1f} to {limits[1] * factor:.1f})"


if __name__ == "__main__":
    main()
