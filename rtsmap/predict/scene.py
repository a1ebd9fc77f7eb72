"""One scene, end to end: scene -> chips -> detector -> instances -> merge -> attributes -> layer."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from rtsmap import bands, preview
from rtsmap.attributes import Describer
from rtsmap.chips.grid import ChipGrid
from rtsmap.chips.reading import ChipBlock, read_chips
from rtsmap.detector import Detector
from rtsmap.errors import SceneError
from rtsmap.layer import SceneResult
from rtsmap.observed import ObservedArea
from rtsmap.polygons import read_area
from rtsmap.predict.options import MIN_AREA_M2, Options, dem_for, provenance
from rtsmap.predict.pipeline import PREFETCH, Flow, Shared, merged_instances
from rtsmap.records import PRECISION_PX, ChipWindow, Grid, MergedInstance, PixelSource, Slump
from rtsmap.runtime.batching import ONE, Batching
from rtsmap.runtime.profile import Profile
from rtsmap.runtime.threads import ordered_map
from rtsmap.scene import Scene, open_scene
from rtsmap.scene.ground_distance import pixel_size_m
from rtsmap.settings.card import ModelCard

#: A slump is dropped when less than this share of it was seen clearly: what lies under a cloud was not observed.
MIN_CLEAR_FRACTION = 0.5

__all__ = [
    "MIN_AREA_M2",
    "MIN_CLEAR_FRACTION",
    "Options",
    "Plan",
    "dem_for",
    "draw",
    "find",
    "no_progress",
    "plan_scene",
    "predict_scene",
    "provenance",
    "seconds_per_chip",
]


def no_progress(_done: int, _total: int) -> None:
    """Progress for callers that want none."""


@dataclass(frozen=True)
class Plan:
    """What a prediction would do, for `--dry-run`.

    Attributes:
        scene_id: of the scene.
        gsd_m: at which the network would see it.
        resampled: whether that is not the scene's own.
        chips: at most.
        area_km2: that they cover.
        clouds_masked: whether a cloud mask would be read.
    """

    scene_id: str
    gsd_m: float
    resampled: bool
    chips: int
    area_km2: float
    clouds_masked: bool = True


def plan_scene(path: str, card: ModelCard, options: Options) -> Plan:
    """Count chips without reading a pixel; chips that turn out to hold none are never computed."""
    with _open(path, options, dem_for(card, options)) as scene:
        source = scene.at_gsd(card.input.gsd_m, card.input.gsd_range_m)
        chip_grid, wanted, _ = _layout(source, card, options)
        cores = [window.core for window in chip_grid.all_windows() if wanted(window)]
        resampled = source is not scene
        gsd_m = card.input.gsd_m if resampled else scene.info.gsd_m
        area = sum(core.height * core.width for core in cores) * gsd_m**2
        return Plan(scene.info.scene_id, gsd_m, resampled, len(cores), area / 1e6, scene.clouds_masked)


def predict_scene(
    path: str,
    card: ModelCard,
    detector: Detector,
    options: Options,
    *,
    batch_size: int = 1,
    concurrency: int = 1,
    prefetch: int | None = None,
    progress: Callable[[int, int], None] = no_progress,
    profile: Profile | None = None,
) -> SceneResult:
    """Map the slumps of one scene.

    Args:
        path: anything that `open_scene` takes.
        card: the model's card.
        detector: the model itself.
        options: what decides the result.
        batch_size: chips per call of the detector; like all that follows, it changes nothing but speed and memory.
        concurrency: calls of the detector side by side; `load_detector` is told how many.
        prefetch: batches that each stage makes before the next one asks; 0: one stage after another, without threads of
            their own. Without it 2, or 0 where calls side by side are ahead enough: more threads would slow theirs.
        progress: called with the chips done and their number.
        profile: takes the times.

    Raises:
        SceneError: the scene cannot be opened or read, or holds no valid pixel.
        InputError: an option does not fit, or the model sees the terrain and there is no elevation model.
    """
    resolved, profile = options.for_model(card), profile or Profile()
    with _open(path, options, dem_for(card, options)) as scene:
        source = Shared(scene.at_gsd(card.input.gsd_m, card.input.gsd_range_m))
        chip_grid, wanted, area = _layout(source, card, options, one_strip=scene.striped)
        total = sum(map(wanted, chip_grid.all_windows()))
        observed = ObservedArea(source.grid, area)
        describer = Describer(source.grid, scene.info, model=card.name, model_sha256=card.sha256)
        blocks = _counted(read_chips(source, chip_grid, wanted=wanted), observed)
        prefetch = (PREFETCH if concurrency == 1 else 0) if prefetch is None else prefetch
        flow = Flow(batch_size, concurrency, prefetch, lambda done: progress(done, total), profile)
        with (
            scene.read_cache(chip_grid.chip_size, chip_grid.strip_px, source.grid),
            closing(merged_instances(blocks, chip_grid, card, detector, resolved.score, flow)) as merged,
        ):
            slumps = list(_described(merged, source, describer, resolved.min_area_m2, area, profile))
        progress(total, total)
        if area is None and not observed.valid_pixels:
            raise SceneError(f"{path}: has no valid pixel; is the download complete?")
        with profile.stage("describe"):
            outline = observed.polygon()
        return SceneResult(
            info=scene.info,
            crs=source.grid.crs,
            slumps=slumps,
            observed=outline,
            observed_km2=observed.observed_km2,
            cloud_fraction=observed.cloud_fraction if scene.clouds_masked else None,
            model=card.name,
        )


def find(
    source: PixelSource,
    card: ModelCard,
    detector: Detector,
    *,
    score: float,
    chip_size: int | None = None,
    overlap: int | None = None,
    batch_size: int = 1,
) -> list[MergedInstance]:
    """Find slumps in pixels, without a file, attributes and threads: what `predict_scene` does in between.

    Args:
        source: the pixels, at a ground sampling distance that the model accepts.
        card: the model's card.
        detector: the model itself.
        score: the lowest that is kept, 0..1.
        chip_size: px; the card's without it.
        overlap: px that neighbouring chips share; the card's without it.
        batch_size: chips per call of the detector.

    Returns:
        Outlines in pixel coordinates of the source's grid, cut to it.

    Raises:
        InputError: chip size and overlap do not fit, or the model sees the terrain and the pixels have none.
    """
    size = card.input.chip_size if chip_size is None else chip_size
    chip_grid = ChipGrid(source.grid, size, card.input.overlap if overlap is None else overlap, card.network.alignment)
    blocks, flow = read_chips(source, chip_grid), Flow(batch_size, prefetch=0)
    merged = merged_instances(blocks, chip_grid, card, detector, score, flow)
    inside = (_cut_to(source.grid, instance) for instance in merged)
    return [instance for instance in inside if instance.geometry.area > 0]


def seconds_per_chip(detector: Detector, card: ModelCard, options: Options, batching: Batching = ONE) -> float:
    """Time of the network for one chip of many on this machine, measured on noise."""
    size = options.for_model(card).chip_size
    shape = (batching.batch_size, len(bands.channels(card.input.modalities)), size, size)
    noise = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    times = []
    for _ in range(4):  # the first calls set things up
        start = time.perf_counter()
        deque(ordered_map(detector.detect, [noise] * batching.concurrency, batching.concurrency))
        times.append(time.perf_counter() - start)
    return min(times) / math.prod(batching)


def draw(path: Path, scene_path: str, result: SceneResult, options: Options, *, overwrite: bool = True) -> None:
    """Draw the outlines of a scene over its colours, as PNG."""
    with _open(scene_path, options) as scene:
        pixels = scene.read_decimated(preview.MAX_SIDE)
        shape = pixels.valid.shape
        transform = scene.grid.transform @ Affine.scale(scene.grid.width / shape[1], scene.grid.height / shape[0])
        preview.write_preview(
            path,
            pixels,
            transform,
            [slump.geometry for slump in result.slumps],
            heading=preview.title(result.info, len(result.slumps)),
            pixel_m=pixel_size_m(scene.grid)[0] * scene.grid.width / shape[1],
            overwrite=overwrite,
        )


def _open(path: str, options: Options, dem: str | None = None) -> Scene:
    return open_scene(path, bands=options.bands, scale=options.scale, offset=options.offset, mask=options.mask, dem=dem)


def _layout(
    source: PixelSource, card: ModelCard, options: Options, *, one_strip: bool = False
) -> tuple[ChipGrid, Callable[[ChipWindow], bool], BaseGeometry | None]:
    """The chip grid, which of them are wanted, and the area of interest in the grid's CRS."""
    resolved = options.for_model(card)
    sizes = resolved.chip_size, resolved.overlap, card.network.alignment
    chip_grid = ChipGrid(source.grid, *sizes, one_strip=one_strip)
    if options.aoi is None:
        return chip_grid, lambda _window: True, None
    extent = affine_transform(shapely.box(*source.grid.window.bounds), source.grid.transform.to_shapely()).bounds
    area = read_area(options.aoi, source.grid.crs, extent, options.aoi_layer)
    in_pixels = affine_transform(area, (~source.grid.transform).to_shapely())
    shapely.prepare(in_pixels)
    return chip_grid, lambda window: bool(in_pixels.intersects(shapely.box(*window.core.bounds))), area


def _counted(blocks: Iterable[ChipBlock], observed: ObservedArea) -> Iterator[ChipBlock]:
    """The same blocks, their pixels added to the observed area."""
    for block in blocks:
        observed.add(block.core, block.valid, block.clear)
        yield block


def _described(
    merged: Iterable[MergedInstance],
    source: PixelSource,
    describer: Describer,
    min_area_m2: float,
    area: BaseGeometry | None,
    profile: Profile,
) -> Iterator[Slump]:
    """Slumps that are large enough, seen well enough and inside the area of interest."""
    inside = (_cut_to(source.grid, instance) for instance in merged)
    for instance in describer.at_least(inside, min_area_m2):
        with profile.stage("describe"):
            window = describer.surroundings(instance)
            slump = describer.describe(instance, window, source.read(window))
        clear_fraction = slump.attributes["clear_fraction"]
        if not isinstance(clear_fraction, float) or clear_fraction < MIN_CLEAR_FRACTION:
            continue
        if area is None or slump.geometry.representative_point().within(area):
            yield slump


def _cut_to(grid: Grid, instance: MergedInstance) -> MergedInstance:
    """Outlines may leave the scene where their chip does."""
    scene = shapely.box(*grid.window.bounds)
    if scene.contains(instance.geometry):
        return instance
    return replace(instance, geometry=shapely.intersection(instance.geometry, scene, grid_size=PRECISION_PX))
