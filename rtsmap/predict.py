"""One scene, end to end: scene -> chips -> detector -> instances -> merge -> attributes -> layer."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from rtsmap import __version__, bands, preview
from rtsmap.attributes import Describer
from rtsmap.chips import ChipBlock, ChipGrid, read_chips
from rtsmap.config import ModelCard
from rtsmap.detector import Detector
from rtsmap.errors import InputError, SceneError
from rtsmap.instances import outlines
from rtsmap.layer import SceneResult
from rtsmap.merge import Merger
from rtsmap.observed import ObservedArea
from rtsmap.polygons import read_area
from rtsmap.records import (
    PRECISION_PX,
    Chip,
    ChipWindow,
    FloatArray,
    Grid,
    Instance,
    MergedInstance,
    PixelSource,
    Slump,
)
from rtsmap.scene import DEFAULT_MASK, Scene, open_scene

#: A slump is dropped when less than this share of it was seen clearly: what lies under a cloud was not observed.
MIN_CLEAR_FRACTION = 0.5

#: Smallest slump that is kept where neither the user nor the model's card says.
MIN_AREA_M2 = 300.0


@dataclass(frozen=True)
class Options:
    """What decides the result, beside scene and model. None takes the value of the model's card."""

    score: float | None = None
    min_area_m2: float | None = None
    mask: tuple[str, ...] = DEFAULT_MASK
    bands: Mapping[str, int] | None = None
    scale: float | None = None
    chip_size: int | None = None
    overlap: int | None = None
    aoi: Path | None = None
    dem: str | None = None  # an elevation model, for models that see the terrain

    def for_model(self, card: ModelCard) -> "Resolved":
        """What holds with this model: the option where it is given, else the card's value."""
        return Resolved(
            score=card.score_threshold if self.score is None else self.score,
            min_area_m2=_first(self.min_area_m2, card.min_area_m2, MIN_AREA_M2),
            chip_size=card.input.chip_size if self.chip_size is None else self.chip_size,
            overlap=card.input.overlap if self.overlap is None else self.overlap,
        )


@dataclass(frozen=True)
class Resolved:
    """The options that a model's card may decide."""

    score: float
    min_area_m2: float
    chip_size: int
    overlap: int


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


@dataclass(frozen=True)
class Plan:
    """What a prediction would do, for `--dry-run`: chips at most, and the area that they cover."""

    scene_id: str
    gsd_m: float
    resampled: bool
    chips: int
    area_km2: float


def no_progress(_done: int, _total: int) -> None:
    """Progress for callers that want none."""


def plan_scene(path: str, card: ModelCard, options: Options) -> Plan:
    """Count chips without reading a pixel; chips that turn out to hold none are never computed."""
    with _open(path, options, dem_for(card, options)) as scene:
        source = scene.at_gsd(card.input.gsd_m, card.input.gsd_range_m)
        lattice, wanted, _ = _layout(source, card, options)
        cores = [place.core for row in range(lattice.rows) for place in lattice.places(row) if wanted(place)]
        resampled = source is not scene
        gsd_m = card.input.gsd_m if resampled else scene.info.gsd_m
        area = sum(core.height * core.width for core in cores) * gsd_m**2
        return Plan(scene.info.scene_id, gsd_m, resampled, len(cores), area / 1e6)


def predict_scene(
    path: str,
    card: ModelCard,
    detector: Detector,
    options: Options,
    *,
    batch_size: int = 4,
    progress: Callable[[int, int], None] = no_progress,
) -> SceneResult:
    """Map the slumps of one scene.

    Args:
        path: anything that `open_scene` takes.
        card: the model's card.
        detector: the model itself.
        options: what decides the result.
        batch_size: chips per call of the detector; changes nothing but speed and memory.
        progress: called with the chips done and their number.

    Raises:
        SceneError: the scene cannot be opened or read, or holds no valid pixel.
        InputError: an option does not fit, or the model sees the terrain and there is no elevation model.
    """
    with _open(path, options, dem_for(card, options)) as scene:
        source = scene.at_gsd(card.input.gsd_m, card.input.gsd_range_m)
        lattice, wanted, area = _layout(source, card, options)
        cache = scene.read_cache(lattice.chip_size, source.grid)
        observed = ObservedArea(source.grid, area)
        describer = Describer(source.grid, scene.info, model=card.name, model_sha256=card.sha256)
        blocks = _watched(read_chips(source, lattice, wanted=wanted), lattice, wanted, progress)
        resolved = options.for_model(card)
        found = _instances(_counted(blocks, observed), card, detector, resolved.score, batch_size)
        with cache:
            slumps = list(_describe(_merge(found), source, describer, resolved.min_area_m2, area))
        if area is None and not observed.valid_pixels:
            raise SceneError(f"{path}: has no valid pixel; is the download complete?")
        return SceneResult(
            info=scene.info,
            crs=source.grid.crs,
            slumps=slumps,
            observed=observed.polygon(),
            observed_km2=observed.observed_km2,
            cloud_fraction=observed.cloud_fraction,
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
    batch_size: int = 4,
) -> list[MergedInstance]:
    """Find slumps in pixels, without a file and without attributes: what `predict_scene` does in between.

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
    lattice = ChipGrid(source.grid, size, card.input.overlap if overlap is None else overlap, card.network.alignment)
    found = _instances(read_chips(source, lattice), card, detector, score, batch_size)
    inside = (_cut_to(source.grid, instance) for instance in _merge(found))
    return [instance for instance in inside if instance.geometry.area > 0]


def seconds_per_chip(detector: Detector, card: ModelCard, options: Options) -> float:
    """Time of the network for one chip on this machine, measured on noise."""
    size = options.for_model(card).chip_size
    shape = (1, len(bands.channels(card.input.modalities)), size, size)
    noise = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    times = []
    for _ in range(4):  # the first calls set things up
        start = time.perf_counter()
        detector.detect(noise)
        times.append(time.perf_counter() - start)
    return min(times)


def draw(path: Path, scene_path: str, result: SceneResult, options: Options) -> None:
    """Draw the outlines of a scene over its colours, as PNG."""
    with _open(scene_path, options) as scene:
        pixels = scene.read_decimated(preview.MAX_SIDE)
        step = max(scene.grid.width / pixels.valid.shape[1], scene.grid.height / pixels.valid.shape[0])
        shape = pixels.valid.shape
        transform = scene.grid.transform @ Affine.scale(scene.grid.width / shape[1], scene.grid.height / shape[0])
        preview.write_preview(
            path,
            pixels,
            transform,
            [slump.geometry for slump in result.slumps],
            heading=preview.title(result.info, len(result.slumps)),
            pixel_m=scene.info.gsd_m * step,
        )


def provenance(paths: Sequence[str], card: ModelCard, options: Options, command: str) -> dict[str, object]:
    """All that is needed to make the layer again, in JSON's types."""
    resolved = options.for_model(card)
    return {
        "software": f"rtsmap {__version__}",
        "command": command,
        "scenes": list(paths),
        "options": {
            "score": resolved.score,
            "min_area_m2": resolved.min_area_m2,
            "mask": list(options.mask),
            "bands": dict(options.bands) if options.bands else None,
            "scale": options.scale,
            "chip_size": resolved.chip_size,
            "overlap": resolved.overlap,  # at least
            "aoi": str(options.aoi) if options.aoi else None,
            **({"dem": options.dem} if sees_terrain(card) else {}),
        },
        "model": card.describe(),
    }


def sees_terrain(card: ModelCard) -> bool:
    """Whether a model needs an elevation model."""
    return "dem" in card.input.modalities


def dem_for(card: ModelCard, options: Options) -> str | None:
    """The elevation model to open for a model: none where it does not see the terrain.

    Raises:
        InputError: the model sees the terrain, and there is no elevation model.
    """
    if not sees_terrain(card):
        return None
    if options.dem is None:
        raise InputError(f"{card.name}: sees the terrain; give an elevation model of the scene with --dem FILE")
    return options.dem


def _open(path: str, options: Options, dem: str | None = None) -> Scene:
    return open_scene(path, bands=options.bands, scale=options.scale, mask=options.mask, dem=dem)


def _layout(
    source: PixelSource, card: ModelCard, options: Options
) -> tuple[ChipGrid, Callable[[ChipWindow], bool], BaseGeometry | None]:
    """The lattice of chips, which of them are wanted, and the area of interest in the grid's CRS."""
    resolved = options.for_model(card)
    lattice = ChipGrid(source.grid, resolved.chip_size, resolved.overlap, card.network.alignment)
    if options.aoi is None:
        return lattice, lambda _place: True, None
    area = read_area(options.aoi, source.grid.crs)
    in_pixels = affine_transform(area, (~source.grid.transform).to_shapely())
    shapely.prepare(in_pixels)
    return lattice, lambda place: bool(in_pixels.intersects(shapely.box(*place.core.bounds))), area


def _watched(
    blocks: Iterator[ChipBlock],
    lattice: ChipGrid,
    wanted: Callable[[ChipWindow], bool],
    progress: Callable[[int, int], None],
) -> Iterator[ChipBlock]:
    """The same blocks, reporting a block's chips as done when the next block is asked for."""
    total = sum(wanted(place) for row in range(lattice.rows) for place in lattice.places(row))
    done = 0
    for block in blocks:
        yield block
        done += block.places
        progress(done, total)


def _counted(blocks: Iterable[ChipBlock], observed: ObservedArea) -> Iterator[ChipBlock]:
    """The same blocks, their pixels added to the observed area."""
    for block in blocks:
        observed.add(block.core, block.valid, block.clear)
        yield block


def _instances(
    blocks: Iterable[ChipBlock], card: ModelCard, detector: Detector, score: float, batch_size: int
) -> Iterator[tuple[int, Instance]]:
    """Chip row and outline of everything that the network finds."""
    for block in blocks:
        chips = iter(block.chips)
        while batch := list(islice(chips, batch_size)):
            found = detector.detect(np.stack([_network_input(chip, card) for chip in batch]))
            for chip, detections in zip(batch, found, strict=True):
                for instance in outlines(detections, chip.place, score=score):
                    yield chip.place.row, instance


def _network_input(chip: Chip, card: ModelCard) -> FloatArray:
    inputs, pixels = card.input, chip.pixels
    return bands.network_input(
        pixels.reflectance, pixels.valid, inputs.modalities, inputs.mean, inputs.deviation, pixels.terrain
    )


def _merge(found: Iterable[tuple[int, Instance]]) -> Iterator[MergedInstance]:
    merger = Merger()
    for row, group in groupby(found, key=lambda pair: pair[0]):
        yield from merger.add_row(row, [instance for _, instance in group])
    yield from merger.finish()


def _describe(
    merged: Iterable[MergedInstance],
    source: PixelSource,
    describer: Describer,
    min_area_m2: float,
    area: BaseGeometry | None,
) -> Iterator[Slump]:
    """Slumps that are large enough, seen well enough and inside the area of interest."""
    inside = (_cut_to(source.grid, instance) for instance in merged)
    for instance in describer.at_least(inside, min_area_m2):
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
