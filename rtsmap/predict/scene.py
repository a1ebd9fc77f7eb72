"""One scene, end to end: scene -> chips -> detector -> instances -> merge -> attributes -> result."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace

import shapely
from shapely.geometry.base import BaseGeometry

from rtsmap.attributes import AttributeComputer
from rtsmap.chips.grid import ChipGrid
from rtsmap.chips.reading import ChipBlock, read_chips
from rtsmap.detector import Detector
from rtsmap.errors import SceneError
from rtsmap.fields import Slump
from rtsmap.layer import SceneResult
from rtsmap.observed import ObservedArea
from rtsmap.predict.detector import ReadyDetector
from rtsmap.predict.layout import layout, open_with
from rtsmap.predict.options import check_dem
from rtsmap.predict.pipeline import LockedSource, merged_instances
from rtsmap.records import PRECISION_PX, Grid, MergedInstance, PixelSource
from rtsmap.runtime.execution import Execution
from rtsmap.runtime.profile import Profile
from rtsmap.settings.card import ModelCard

#: A slump is dropped if less than this share of it was observed clearly: the area under a cloud was not observed.
MIN_CLEAR_FRACTION = 0.5


def predict_scene(path: str, detector: ReadyDetector, execution: Execution | None = None) -> SceneResult:
    """Map the slumps of one scene.

    Args:
        path: anything that `open_scene` accepts.
        detector: from `load_detector`, with the options that decide the result.
        execution: how the work is executed; that of the detector without it.

    Returns:
        The slumps and the observed area, in the CRS of the scene.

    Raises:
        SceneError: the scene cannot be opened or read, or has no valid pixel.
        InputError: an option does not fit, or the model uses the terrain and there is no elevation model.

    Example:
        >>> import rtsmap
        >>> detector = rtsmap.load_detector("rts-mini")
        >>> result = rtsmap.predict_scene("scene.tif", detector)
        >>> slumps = result.slumps_frame()
        >>> len(slumps), slumps.crs.to_string(), bool((slumps.score > 0.2).all())
        (3, 'EPSG:32645', True)
    """
    card, options, execution = detector.card, detector.options, execution or detector.execution
    profile = execution.profile
    check_dem(card, options)
    with open_with(path, options) as scene:
        source = LockedSource(scene.at_gsd(card.input.gsd_m, card.input.gsd_range_m))
        chips = layout(source, card, options, one_strip=scene.striped)
        chip_grid, total = chips.chip_grid, len(chips.windows())
        observed = ObservedArea(source.grid, chips.area)
        attributes = AttributeComputer(source.grid, scene.info, model=card.name, model_sha256=card.sha256)
        blocks = _counted(read_chips(source, chip_grid, wanted=chips.wanted), observed)
        execution.progress(path, 0, total)
        merging = merged_instances(
            blocks,
            chip_grid,
            card,
            detector,
            options.score,
            execution,
            lambda done: execution.progress(path, done, total),
        )
        with (
            scene.read_cache(chip_grid.chip_size, chip_grid.strip_px, source.grid),
            closing(merging) as merged,
        ):
            slumps = list(_described(merged, source, attributes, options.min_area_m2, chips.area, profile))
        execution.progress(path, total, total)
        if chips.area is None and not observed.valid_pixels:
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
    """Find slumps in pixels: the steps of `predict_scene` between reading a file and computing attributes.

    Everything runs in the calling thread.

    Args:
        source: the pixels, at a ground sampling distance that the model accepts.
        card: card of the model.
        detector: computes the network.
        score: lowest score that is kept, 0..1.
        chip_size: px; that of the card without it.
        overlap: px that neighbouring chips share; those of the card without it.
        batch_size: number of chips in one call of the detector.

    Returns:
        Outlines in pixel coordinates of the grid of the source, clipped to it.

    Raises:
        InputError: chip size and overlap do not fit, or the model uses the terrain and the pixels have none.
    """
    size = card.input.chip_size if chip_size is None else chip_size
    chip_grid = ChipGrid(source.grid, size, card.input.overlap if overlap is None else overlap, card.network.alignment)
    blocks, execution = read_chips(source, chip_grid), Execution(batch_size, prefetch=0)
    merged = merged_instances(blocks, chip_grid, card, detector, score, execution)
    inside = (_cut_to(source.grid, instance) for instance in merged)
    return [instance for instance in inside if instance.geometry.area > 0]


def _counted(blocks: Iterable[ChipBlock], observed: ObservedArea) -> Iterator[ChipBlock]:
    """Pass blocks on, and add their pixels to the observed area."""
    for block in blocks:
        observed.add(block.core, block.valid, block.clear)
        yield block


def _described(
    merged: Iterable[MergedInstance],
    source: PixelSource,
    attributes: AttributeComputer,
    min_area_m2: float,
    area: BaseGeometry | None,
    profile: Profile,
) -> Iterator[Slump]:
    """Compute the attributes of slumps; keep those that are large enough, clear enough and in the area of interest."""
    inside = (_cut_to(source.grid, instance) for instance in merged)
    for instance in attributes.at_least(inside, min_area_m2):
        with profile.stage("describe"):
            window = attributes.buffer_window(instance)
            slump = attributes.compute(instance, window, source.read(window))
        if slump.clear_fraction < MIN_CLEAR_FRACTION:
            continue
        if area is None or slump.geometry.representative_point().within(area):
            yield slump


def _cut_to(grid: Grid, instance: MergedInstance) -> MergedInstance:
    """Clip an outline to the scene, because the last chips extend beyond it."""
    scene = shapely.box(*grid.window.bounds)
    if scene.contains(instance.geometry):
        return instance
    return replace(instance, geometry=shapely.intersection(instance.geometry, scene, grid_size=PRECISION_PX))
