"""What a prediction would do, and how long it would take, for `--dry-run`."""

import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from rtsmap import bands
from rtsmap.predict.detector import ReadyDetector
from rtsmap.predict.layout import layout, open_with
from rtsmap.predict.options import ResolvedOptions, check_dem
from rtsmap.runtime.threads import ordered_map
from rtsmap.settings.card import ModelCard


@dataclass(frozen=True)
class Plan:
    """What a prediction would do with one scene.

    Attributes:
        scene_id: identifier of the scene.
        gsd_m: ground sampling distance that the network would be given, m.
        resampled: whether the scene would be resampled to it.
        chips: largest number of chips that the network would compute.
        area_km2: area that these chips cover, km2.
        clouds_masked: whether a cloud mask would be read.
    """

    scene_id: str
    gsd_m: float
    resampled: bool
    chips: int
    area_km2: float
    clouds_masked: bool = True


def plan_scene(path: str, card: ModelCard, options: ResolvedOptions) -> Plan:
    """Count the chips of a scene without reading a pixel; chips without a valid pixel will not be computed."""
    check_dem(card, options)
    with open_with(path, options) as scene:
        source = scene.at_gsd(card.input.gsd_m, card.input.gsd_range_m)
        cores = [window.core for window in layout(source, card, options).windows()]
        resampled = source is not scene
        gsd_m = card.input.gsd_m if resampled else scene.info.gsd_m
        area = sum(core.height * core.width for core in cores) * gsd_m**2
        return Plan(scene.info.scene_id, gsd_m, resampled, len(cores), area / 1e6, scene.clouds_masked)


def seconds_per_chip(detector: ReadyDetector) -> float:
    """Measure the time of the network for one chip of many on this machine, on noise."""
    execution, size = detector.execution, detector.options.chip_size
    shape = (execution.batch_size, len(bands.channels(detector.card.input.modalities)), size, size)
    noise = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    times = []
    for _ in range(4):  # the first calls include set-up
        start = time.perf_counter()
        deque(ordered_map(detector.detect, [noise] * execution.concurrency, execution.concurrency))
        times.append(time.perf_counter() - start)
    return min(times) / (execution.batch_size * execution.concurrency)
