"""Merges the same instances with every library that is installed: `python -m benchmarks.against.merging COUNT ...`.

One method after the other, and all of them again for each repeat, in one process: what disturbs the machine disturbs
all. Times are CPU seconds of the merge alone, on inputs that are made beforehand in the form that each one takes.
"""

# mypy: disable-error-code="import-not-found"
# ruff: noqa: PLC0415  (what one method needs is imported for it alone, outside the measured time)

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from benchmarks.fields import Field, detect, quality, simulate
from rtsmap.merge import merge
from rtsmap.records import Instance

Outputs = Any
Method = Callable[[], Outputs]

PIXEL_M = 3  # of the scene that detectree2's tiles come from
STITCH_UP_TO = 20_000  # instances; beyond it reading one file per tile takes minutes


def rtsmap(instances: list[Instance], field: Field) -> tuple[Method, Callable[[Outputs], Outputs]]:
    return lambda: merge(instances), lambda slumps: [slump.geometry for slump in slumps]


def _sahi(instances: list[Instance], *, masks: bool) -> tuple[Method, Callable[[Outputs], Outputs]]:
    """`GREEDYNMM` on the intersection over the smaller, 0.5: the defaults of `get_sliced_prediction`."""
    from sahi.postprocess.combine import GreedyNMMPostprocess
    from sahi.prediction import ObjectPrediction

    far = int(max(one.window.extent.bounds[2] for one in instances))
    size = [max(far, int(max(one.window.extent.bounds[3] for one in instances)))] * 2
    common: dict[str, Any] = {"category_id": 0, "category_name": "slump", "full_shape": size}
    made = [
        ObjectPrediction(
            bbox=None if masks else [round(side) for side in one.polygon.bounds],
            segmentation=[shapely.get_coordinates(one.polygon.exterior)[:-1].ravel().tolist()] if masks else None,
            score=one.score,
            **common,
        )
        for one in instances
    ]
    postprocess = GreedyNMMPostprocess(match_threshold=0.5, match_metric="IOS", class_agnostic=False)

    def outlines(found: Any) -> list[Any]:
        if not masks:
            return [shapely.box(*one.bbox.to_xyxy()) for one in found]
        rings = [[np.reshape(ring, (-1, 2)) for ring in one.mask.segmentation if len(ring) >= 6] for one in found]
        return [shapely.union_all(shapely.make_valid([shapely.Polygon(r) for r in parts])) for parts in rings]

    return lambda: postprocess(list(made)), outlines


def _torchvision(instances: list[Instance], field: Field) -> tuple[Method, Callable[[Outputs], Outputs]]:
    import torch
    from torchvision.ops import nms

    boxes = torch.tensor([one.polygon.bounds for one in instances], dtype=torch.float32)
    scores = torch.tensor([one.score for one in instances], dtype=torch.float32)
    return lambda: nms(boxes, scores, 0.5), lambda kept: [instances[k].polygon for k in kept.tolist()]


def _clean_crowns(instances: list[Instance], field: Field) -> tuple[Method, Callable[[Outputs], Outputs]]:
    """With the settings of the tutorial's landscape predictions."""
    import geopandas
    from detectree2.models.outputs import clean_crowns

    scores = {"Confidence_score": [one.score for one in instances]}
    polygons = [one.polygon for one in instances]
    crowns = geopandas.GeoDataFrame(scores, geometry=polygons, crs="EPSG:32645").scale(PIXEL_M, PIXEL_M, origin=(0, 0))
    table = geopandas.GeoDataFrame(scores, geometry=crowns)
    return lambda: clean_crowns(table, 0.6, confidence=0, verbose=False), _to_pixels


def _stitch_crowns(
    instances: list[Instance], field: Field, folder: Path
) -> tuple[Method, Callable[[Outputs], Outputs]]:
    """Reading one file per tile, then cleaning; the files are written beforehand."""
    import geopandas
    from detectree2.models.outputs import clean_crowns, stitch_crowns

    by_chip: dict[tuple[int, int, int, int], list[Instance]] = {}
    for one in instances:
        by_chip.setdefault(one.window.extent.bounds, []).append(one)
    for (left, top, right, _), group in by_chip.items():
        buffer = 32 * PIXEL_M
        corner = left * PIXEL_M + buffer, top * PIXEL_M + buffer
        name = (
            f"Prediction_scene_{corner[0]}_{corner[1]}_{(right - left) * PIXEL_M - 2 * buffer}_{buffer}_32645.geojson"
        )
        scores = {"Confidence_score": [one.score for one in group]}
        frame = geopandas.GeoDataFrame(scores, geometry=[one.polygon for one in group], crs="EPSG:32645")
        frame.geometry = frame.scale(PIXEL_M, PIXEL_M, origin=(0, 0))
        frame.to_file(folder / name, driver="GeoJSON")
    return lambda: clean_crowns(stitch_crowns(str(folder), 1), 0.6, confidence=0, verbose=False), _to_pixels


def _to_pixels(crowns: Any) -> Any:
    return crowns.scale(1 / PIXEL_M, 1 / PIXEL_M, origin=(0, 0)).to_list()


def methods(folder: Path) -> dict[str, Callable[[list[Instance], Field], tuple[Method, Callable[[Outputs], Outputs]]]]:
    """What can be compared, by name."""
    return {
        "rtsmap": rtsmap,
        "sahi GREEDYNMM, masks": lambda instances, field: _sahi(instances, masks=True),
        "sahi GREEDYNMM, boxes": lambda instances, field: _sahi(instances, masks=False),
        "detectree2 clean_crowns": _clean_crowns,
        "detectree2 stitch_crowns + clean_crowns": lambda ones, field: _stitch_crowns(ones, field, folder),
        "torchvision NMS": _torchvision,
    }


def compare(count: int, diameter: float, noise: float, repeat: int, names: list[str]) -> list[dict[str, Any]]:
    """Seconds and quality of each method."""
    rng = np.random.default_rng(0)
    field = simulate(count, diameter, rng)
    instances = detect(field, noise, rng)
    about = {"instances": len(instances), "truth": len(field.truth)}
    with tempfile.TemporaryDirectory() as folder:
        ready, rows = {}, []
        for name in names:
            if "stitch" in name and count > STITCH_UP_TO:
                rows.append({"method": name, **about, "missing": f"not run beyond {STITCH_UP_TO} instances"})
                continue
            try:
                ready[name] = methods(Path(folder))[name](instances, field)
            except ImportError as error:
                rows.append({"method": name, **about, "missing": f"not installed ({error})"})
        seconds: dict[str, list[float]] = {name: [] for name in ready}
        found: dict[str, Any] = {}
        for _ in range(repeat):
            for name, (run, _outlines) in ready.items():
                start = time.process_time()
                found[name] = run()
                seconds[name].append(time.process_time() - start)
        for name, (_run, outlines) in ready.items():
            shapes: NDArray[np.object_] = np.array(outlines(found[name]), dtype=np.object_)
            measured = asdict(quality(field.truth, shapely.make_valid(shapes)))
            rows.append({"method": name, **about, "seconds": statistics.median(seconds[name]), **measured})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--diameter", type=float, default=56)
    parser.add_argument("--noise", type=float, default=0.05)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=list(methods(Path())))
    options = parser.parse_args()
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        rows = compare(options.count, options.diameter, options.noise, options.repeat, options.methods)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
