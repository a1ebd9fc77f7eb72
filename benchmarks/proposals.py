"""Accuracy and time against what the network computes: proposals, the filter between stages, the overlap of chips.

    python -m benchmarks.proposals MODEL SCENE LABELS [--bands ...] [--only proposals,stages,overlap]

Every row is the whole prediction of the scene with one thing changed; the first row is the model's own card. Time is
CPU time of the process, so that other work on the machine does not show; one chip is computed before the first row.
"""

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas

from rtsmap.cli.options import BandNumbers, Real
from rtsmap.detector import build_detector
from rtsmap.evaluation.map_scores import score_map
from rtsmap.layer import SceneResult
from rtsmap.models import find_model
from rtsmap.polygons import read_polygons
from rtsmap.predict.detector import ReadyDetector
from rtsmap.predict.options import Options
from rtsmap.predict.planning import seconds_per_chip
from rtsmap.predict.scene import predict_scene
from rtsmap.runtime.execution import Execution
from rtsmap.runtime.profile import Profile
from rtsmap.settings.card import ModelCard

LOWEST_SCORE = 0.05
PROPOSALS = (1000, 300, 100, 50)
STAGE_SCORES = (0.003, 0.01, 0.03, 0.1)
OVERLAPS = (320, 192, 128, 64)


@dataclass(frozen=True)
class Change:
    """A row of the table: what differs from the card."""

    name: str
    network: Mapping[str, Any]
    overlap: int | None = None


def changes(kinds: set[str]) -> Iterator[Change]:
    """The rows."""
    yield Change("the card's", {})
    if "proposals" in kinds:
        for number in PROPOSALS:
            yield Change(f"best {number} proposals", {"proposals": number, "proposal_score": 0.0})
    if "stages" in kinds:
        for score in STAGE_SCORES:
            yield Change(f"stage 1 from {score:g}", {"stage_score": score})
    if "overlap" in kinds:
        for overlap in OVERLAPS:
            yield Change(f"overlap {overlap} px", {}, overlap)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("scene")
    parser.add_argument("labels", type=Path)
    parser.add_argument("--bands", type=BandNumbers(), help="such as blue=1,green=2,red=3,nir=4")
    parser.add_argument("--scale", type=Real(0, min_open=True), help="reflectance per digital number")
    parser.add_argument("--offset", type=Real(-10, 10), help="reflectance of the number 0")
    parser.add_argument("--only", default="proposals,stages,overlap")
    arguments = parser.parse_args()
    folder, card = find_model(arguments.model)
    options = Options(score=LOWEST_SCORE, bands=arguments.bands, scale=arguments.scale, offset=arguments.offset)
    print(f"{card.name} {card.version}, chips of {card.input.chip_size} px, {arguments.scene}\n", flush=True)
    print(
        "| | chips | CPU s per chip | CPU s | AP50 % | AP30 % | AP10 % | outlines |\n|---|---|---|---|---|---|---|---|"
    )
    for index, change in enumerate(changes(set(arguments.only.split(",")))):
        changed = card.model_copy(update={"network": card.network.model_copy(update=dict(change.network))})
        row = measured(folder, changed, arguments, replace(options, overlap=change.overlap), warm=index == 0)
        print(f"| {change.name} | {row} |", flush=True)


def measured(folder: Path, card: ModelCard, arguments: argparse.Namespace, options: Options, *, warm: bool) -> str:
    """The figures of a row."""
    detector = build_detector(folder, card, "cpu", min_score=LOWEST_SCORE, runtime="torch")  # a graph has them fixed
    ready = ReadyDetector.of(card, detector, options)
    if warm:
        seconds_per_chip(ready)
    profile, start = Profile(), time.process_time()
    result = predict_scene(arguments.scene, ready, Execution(profile=profile))
    seconds = time.process_time() - start
    chips = len(profile.chip_s)
    precisions = (f"{100 * value:.1f}" for value in average_precisions(result, arguments.labels))
    return f"{chips} | {seconds / chips:.2f} | {seconds:.1f} | {' | '.join(precisions)} | {len(result.slumps)}"


def average_precisions(result: SceneResult, labels: Path) -> list[float]:
    """At intersections over union of 0.5, 0.3 and 0.1, on the map."""
    found = geopandas.GeoDataFrame(
        {"score": [slump.score for slump in result.slumps]},
        geometry=[slump.geometry for slump in result.slumps],
        crs=result.crs,
    )
    truth = read_polygons(labels, result.crs).explode(ignore_index=True)
    inside = truth[truth.representative_point().within(result.observed)]
    return [score_map(found, inside, min_iou=iou, resamples=0).average_precision for iou in (0.5, 0.3, 0.1)]


if __name__ == "__main__":
    main()
