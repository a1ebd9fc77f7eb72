"""How good a model is on a labelled scene, beside chance and beside a threshold on NDVI.

    python -m benchmarks.accuracy SCENE LABELS [--model NAME|DIR]

Chance: the model's own outlines and scores, each moved to a random place of the observed area. NDVI: connected patches
below a threshold, the best of nine thresholds chosen on the very labels that it is scored with, which favours it.
"""

import argparse
from pathlib import Path

import geopandas
import numpy as np
import shapely

from rtsmap.cli.options import BandNumbers, Real
from rtsmap.detector import build_detector
from rtsmap.detector.calibrated import calibrated
from rtsmap.evaluation.map_scores import score_map
from rtsmap.evaluation.precision import Score
from rtsmap.evaluation.predictions import LOWEST_SCORE
from rtsmap.layer import SceneResult
from rtsmap.models import find_model, verify
from rtsmap.polygons import read_polygons
from rtsmap.predict.detector import ReadyDetector
from rtsmap.predict.options import Options
from rtsmap.predict.scene import predict_scene
from tests.shortcuts import ndvi_patches

DRAWS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene")
    parser.add_argument("labels", type=Path)
    parser.add_argument("--model", default="rts-mini")
    parser.add_argument("--bands", type=BandNumbers(), help="such as blue=1,green=2,red=3,nir=4")
    parser.add_argument("--scale", type=Real(0, min_open=True), help="reflectance per digital number")
    parser.add_argument("--offset", type=Real(-10, 10), help="reflectance of the number 0")
    arguments = parser.parse_args()
    folder, card = find_model(arguments.model)
    verify(folder, card)
    lowest = float(calibrated(LOWEST_SCORE, card.calibration))
    options = Options(score=lowest, bands=arguments.bands, scale=arguments.scale, offset=arguments.offset)
    detector = build_detector(folder, card, "cpu", min_score=lowest)
    result = predict_scene(arguments.scene, ReadyDetector.of(card, detector, options))
    found = geopandas.GeoDataFrame(
        {"score": [slump.score for slump in result.slumps]},
        geometry=[slump.geometry for slump in result.slumps],
        crs=result.crs,
    )
    labels = read_polygons(arguments.labels, result.crs).explode(ignore_index=True)
    labels = labels[labels.representative_point().within(result.observed)]
    print(f"{result.info.scene_id}: {result.observed_km2:.1f} km2, {len(labels)} labels, {card.name} {card.version}")
    print(f"{'':<28}{'AP50 %':>8}{'95 %':>14}{'AP30 %':>8}{'AP10 %':>8}{'polygons':>10}")
    print(line("model", found, labels))
    print(line_of_chance(found, labels, result))
    print(line("NDVI threshold, best of 9", *ndvi_patches(arguments.scene, options, labels)))
    print(f"\n{'score from':<12}{'polygons':>9}{'precision':>11}{'recall':>9}{'F1':>7}{'false per 100 km2':>19}")
    for threshold in np.arange(0.1, 0.95, 0.1):
        score = score_map(found[found["score"] >= threshold], labels, resamples=0)
        false = (score.predictions - score.matched) / result.observed_km2 * 100
        print(
            f"{threshold:<12.1f}{score.predictions:>9}{score.precision:>11.2f}{score.recall:>9.2f}{score.f1:>7.2f}"
            f"{false:>19.0f}"
        )


def line(name: str, found: geopandas.GeoDataFrame, labels: geopandas.GeoDataFrame) -> str:
    """A row of the table."""
    scores = [score_map(found, labels, min_iou=iou, resamples=1000 if iou == 0.5 else 0) for iou in (0.5, 0.3, 0.1)]
    low, high = scores[0].interval
    values = [f"{score.average_precision * 100:.1f}" for score in scores]
    interval = f"{low * 100:.1f} to {high * 100:.1f}"
    return f"{name:<28}{values[0]:>8}{interval:>14}{values[1]:>8}{values[2]:>8}{len(found):>10}"


def line_of_chance(found: geopandas.GeoDataFrame, labels: geopandas.GeoDataFrame, result: SceneResult) -> str:
    """Mean over random placements, and the range of their AP50."""
    rng = np.random.default_rng(0)
    drawn = [scores_of(placed_at_random(found, result, rng), labels) for _ in range(DRAWS)]
    ap = np.array([[score.average_precision * 100 for score in scores] for scores in drawn])
    values = [f"{value:.1f}" for value in ap.mean(axis=0)]
    interval = f"{ap[:, 0].min():.1f} to {ap[:, 0].max():.1f}"
    return f"{'chance':<28}{values[0]:>8}{interval:>14}{values[1]:>8}{values[2]:>8}{len(found):>10}"


def scores_of(found: geopandas.GeoDataFrame, labels: geopandas.GeoDataFrame) -> list[Score]:
    """At the three overlaps of the table, without intervals."""
    return [score_map(found, labels, min_iou=iou, resamples=0) for iou in (0.5, 0.3, 0.1)]


def placed_at_random(
    found: geopandas.GeoDataFrame, result: SceneResult, rng: np.random.Generator
) -> geopandas.GeoDataFrame:
    """Every outline moved to a random place of the observed area."""
    left, bottom, right, top = result.observed.bounds
    area = result.observed
    shapely.prepare(area)
    moved = []
    for outline in found.geometry:
        while not area.contains(place := shapely.Point(rng.uniform(left, right), rng.uniform(bottom, top))):
            pass
        center = outline.centroid
        moved.append(shapely.affinity.translate(outline, place.x - center.x, place.y - center.y))
    return geopandas.GeoDataFrame({"score": found["score"].to_numpy()}, geometry=moved, crs=found.crs)


if __name__ == "__main__":
    main()
