"""`rtsmap predict`."""

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options
from rtsmap.cli.progress import SceneBars
from rtsmap.cli.scenes import end_if_failed, say_failure
from rtsmap.runtime.failures import readable

if TYPE_CHECKING:
    from rtsmap.detector import Runtime
    from rtsmap.errors import RtsmapError
    from rtsmap.layer import SceneResult
    from rtsmap.predict.detector import ReadyDetector
    from rtsmap.predict.options import Options, ResolvedOptions
    from rtsmap.predict.scenes import MappedScenes
    from rtsmap.settings.card import ModelCard

#: More threads for each core are refused as a mistake.
_THREADS_PER_CORE = 4

#: An overlap of observed areas below this share of them, or below this area, is the coarseness of their outlines.
_SHARE_SEEN_AGAIN, _LEAST_SEEN_AGAIN_KM2 = 0.001, 0.05


def _for_the_cores(_context: click.Context, _parameter: click.Parameter, threads: int | None) -> int | None:
    from rtsmap.runtime.machine import cores

    if threads is not None and threads > (most := _THREADS_PER_CORE * cores()):
        raise click.BadParameter(f"{threads} threads are too many for {cores()} cores; give at most {most}")
    return threads


@click.command()
@click.argument("scenes", nargs=-1, required=True, metavar="SCENE...")
@click.option("-o", "--output", type=options.output_path, help="Layer to write: .gpkg, or .parquet for GeoParquet.")
@options.model
@options.device
@options.runtime
@options.tta
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Number of chips in one call of the network.  [default: as many as fit into half of the GPU's memory; 1 on a "
    "CPU]",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    callback=_for_the_cores,
    help="Number of threads of the network on a CPU.  [default: one for each core]",
)
@click.option(
    "--score", type=options.share, help="Keep slumps with at least this score.  [default: the model's threshold]"
)
@click.option(
    "--min-area",
    type=options.not_negative,
    help="Keep slumps of at least this area, m2.  [default: the model's value, or 300]",
)
@options.mask
@options.bands
@options.scale
@options.offset
@click.option("--chip-size", type=options.chip_px, help="Side of a chip, px.  [default: the model's value]")
@click.option(
    "--overlap",
    type=options.overlap_px,
    help="Number of pixels that neighbouring chips share.  [default: the model's value]",
)
@options.aoi
@options.aoi_layer
@options.dem
@options.overwrite
@click.option("--dry-run", is_flag=True, help="Print what would be done and how long it would take; write nothing.")
@click.option(
    "--preview", type=options.output_path, metavar="PNG", help="Also draw the outlines over the scene, as an image."
)
@click.option("--profile", type=options.output_path, metavar="JSON", help="Also write how long each step took.")
def predict(
    scenes: tuple[str, ...],
    output: Path | None,
    model: str,
    device: str,
    runtime: "Runtime",
    tta: int,
    batch_size: int | None,
    threads: int | None,
    score: float | None,
    min_area: float | None,
    mask: tuple[str, ...],
    bands: dict[str, int] | None,
    scale: float | None,
    offset: float | None,
    chip_size: int | None,
    overlap: int | None,
    aoi: Path | None,
    aoi_layer: str | None,
    dem: str | None,
    overwrite: bool,
    dry_run: bool,
    preview: Path | None,
    profile: Path | None,
) -> None:
    """Map the slumps of one or more scenes into one GIS layer.

    SCENE is a PlanetScope image or order folder, a Sentinel-2 product (.SAFE folder or zip), a Landsat Collection 2
    scene (folder or tar), a STAC item, or any georeferenced raster with blue, green, red and near-infrared bands. It
    can be a path, a URL, or any name that GDAL can open (/vsis3/...). All scenes of one call are written into the same
    layers of one file.

    If an --aoi is given in longitude and latitude, its edges follow parallels and meridians; it may cross the
    antimeridian and contain a pole.

    A model that uses the terrain (with dem among its modalities) needs --dem, a raster of elevations in metres that
    covers all scenes, in any CRS.

    \b
    Examples:
      rtsmap predict 20230716_201512_45_2461_3B_AnalyticMS_SR.tif -o slumps.gpkg
      rtsmap predict order-folder/ -o slumps.gpkg --preview slumps.png
      rtsmap predict S2B_MSIL2A_20220716T201849_N0400_R071_T07WFR_20220716T225510.SAFE -o slumps.gpkg
      rtsmap predict stack.tif -o slumps.gpkg --bands blue=1,green=2,red=3,nir=4 --scale 1e-4
      rtsmap predict *_SR.tif -o slumps.parquet --aoi peninsula.geojson --dry-run
    """
    from rtsmap.runtime.machine import share_cores

    share_cores(threads)  # before any library is imported that reads the number of threads
    from rtsmap.files.outputs import check_outputs
    from rtsmap.layer import output_files
    from rtsmap.models import find_model, model_files, verify
    from rtsmap.polygons import check_area
    from rtsmap.predict.detector import assemble
    from rtsmap.predict.options import Options, check_dem
    from rtsmap.runtime.batching import check_memory, fitting

    if output is None and not dry_run:
        raise click.UsageError("Missing option '-o' / '--output'.")
    if aoi_layer and not aoi:
        raise click.UsageError("--aoi-layer names a layer of the file of --aoi; give --aoi too.")
    if preview and len(scenes) > 1:
        raise click.UsageError("--preview draws one scene; omit it for several scenes.")
    chosen = Options(
        score=score,
        min_area_m2=min_area,
        mask=mask,
        bands=bands,
        scale=scale,
        offset=offset,
        chip_size=chip_size,
        overlap=overlap,
        aoi=aoi,
        aoi_layer=aoi_layer,
        dem=dem,
    )
    if aoi:
        check_area(aoi, aoi_layer)
    folder, card = find_model(model)
    verify(folder, card)
    resolved = chosen.for_model(card)
    check_dem(card, resolved)
    _warn_of_options(card, chosen, resolved, tta)
    execution = fitting(device, resolved.chip_size)
    execution = replace(execution, batch_size=batch_size or execution.batch_size)
    check_memory(device, execution, resolved.chip_size)
    if output is None or dry_run:
        _plan(
            scenes, card, resolved,
            lambda: assemble(folder, card, resolved, execution, device=device, runtime=runtime, tta=tta),
        )  # fmt: skip
        return
    check_outputs(
        *output_files(output), profile, preview,
        overwrite=overwrite, inputs=[*scenes, aoi, dem, *model_files(folder, card)],  # also an unnecessary dem
    )  # fmt: skip
    detector = assemble(folder, card, resolved, execution, device=device, runtime=runtime, tta=tta)
    command = _command(scenes, model, chosen, resolved, tta, runtime)
    map_to_layer(scenes, detector, output=output, preview=preview, overwrite=overwrite, command=command)
    if profile:
        times = execution.profile
        times.write(profile, overwrite=overwrite, command=command, model=card.name, model_sha256=card.sha256)
        click.echo(f"profile: {times.summary()} -> {profile}", err=True)


def map_to_layer(
    scenes: Sequence[str],
    detector: "ReadyDetector",
    *,
    output: Path,
    preview: Path | None,
    overwrite: bool,
    command: str,
) -> None:
    """Map the scenes, write the layer and the preview, and print a summary, for `rtsmap predict` and `rtsmap demo`."""
    from rtsmap.layer import write_layer
    from rtsmap.predict.drawing import draw

    start = time.perf_counter()
    mapped = _map(scenes, detector)
    with detector.execution.profile.stage("write"):
        write_layer(output, mapped.results, detector.provenance(mapped.scenes, command), overwrite=overwrite)
    if preview:
        draw(preview, scenes[0], mapped.results[0], detector.options, overwrite=overwrite)
    _summarise(mapped.results, output, preview, time.perf_counter() - start)
    _warn_of_clouds(
        [result.info.scene_id for result in mapped.results if result.cloud_fraction is None], detector.options
    )
    end_if_failed(mapped.failures, scenes, "the others are written")


def _map(scenes: Sequence[str], detector: "ReadyDetector") -> "MappedScenes":
    """Map the scenes with a progress bar for each."""
    from rtsmap.predict.scenes import map_scenes

    with SceneBars() as bars:

        def on_failure(failure: "RtsmapError") -> None:
            bars.close()
            say_failure(failure)

        return map_scenes(scenes, detector, replace(detector.execution, progress=bars), on_failure=on_failure)


def _warn_of_options(card: "ModelCard", chosen: "Options", resolved: "ResolvedOptions", tta: int) -> None:
    """Print which options have no effect with this model, or a doubtful one."""
    if chosen.dem is not None and resolved.dem is None:
        click.echo(f"rtsmap: {card.name} does not use the terrain; --dem has no effect", err=True)
    if card.calibration and card.calibration.views != tta:
        views = card.calibration.views
        click.echo(f"rtsmap: scores of {card.name} are probabilities with --tta {views}, not with {tta}", err=True)


def _summarise(results: Sequence["SceneResult"], output: Path, preview: Path | None, seconds: float) -> None:
    from rtsmap.predict.scenes import seen_again_km2

    for result in results:
        count = len(result.slumps)
        click.echo(f"{result.info.scene_id}: {count} slumps in {result.observed_km2:.1f} km2 observed")
        if not result.observed_km2:
            click.echo("nothing to do: no clear pixel of the scene lies in the area asked for", err=True)
    total = sum(len(result.slumps) for result in results)
    area = sum(result.observed_km2 for result in results)
    again = seen_again_km2(results)
    twice = (
        f", {again:.1f} km2 of them more than once"
        if again > max(_LEAST_SEEN_AGAIN_KM2, _SHARE_SEEN_AGAIN * area)
        else ""
    )
    click.echo(f"{total} slumps, {area:.1f} km2 observed{twice}, {seconds:.1f} s -> {output}")
    if preview:
        click.echo(f"preview -> {preview}")


def _warn_of_clouds(unmasked: list[str], resolved: "ResolvedOptions") -> None:
    """Print which scenes have no cloud mask, unless none was wanted."""
    if not unmasked or not resolved.mask:
        return
    named = ", ".join(unmasked[:3]) + (f" and {len(unmasked) - 3} more" if len(unmasked) > 3 else "")
    click.echo(
        f"rtsmap: clouds were not masked in {named}: no cloud mask was found (UDM2, scene classification, QA_PIXEL); "
        "cloud_fraction is NULL",
        err=True,
    )


def _plan(
    scenes: Sequence[str], card: "ModelCard", resolved: "ResolvedOptions", load: "Callable[[], ReadyDetector]"
) -> None:
    """Print what would be done; the detector is loaded only to measure its speed."""
    from rtsmap.predict.planning import plan_scene, seconds_per_chip
    from rtsmap.predict.scenes import check_given_once, one_by_one

    check_given_once(scenes)
    plans, failures = one_by_one(scenes, lambda scene: plan_scene(scene, card, resolved), say_failure)
    each = seconds_per_chip(load())
    for plan in plans:
        how = f"resampled to {plan.gsd_m:g} m" if plan.resampled else f"at {plan.gsd_m:g} m"
        click.echo(f"{plan.scene_id}: at most {plan.chips} chips, {plan.area_km2:.1f} km2 {how}")
    chips = sum(plan.chips for plan in plans)
    click.echo(f"{chips} chips, about {chips * each:.0f} s on this machine ({each:.2f} s a chip); nothing was written")
    _warn_of_clouds([plan.scene_id for plan in plans if not plan.clouds_masked], resolved)
    end_if_failed(failures, scenes, "the plan is that of the others")


def _command(
    scenes: Sequence[str], model: str, chosen: "Options", resolved: "ResolvedOptions", tta: int, runtime: "Runtime"
) -> str:
    """The command that makes the same layer again, without the options that do not change it."""
    words = ["rtsmap", "predict", *scenes, "--model", model, "--min-area", f"{resolved.min_area_m2:g}"]
    words += ["--mask", ",".join(resolved.mask) or "none"]
    if resolved.bands:
        words += ["--bands", ",".join(f"{name}={number}" for name, number in resolved.bands.items())]
    words += ["--tta", str(tta)] if tta > 1 else []
    words += ["--runtime", runtime] if runtime != "auto" else []
    given = replace(chosen, dem=resolved.dem)
    for name in ("score", "scale", "offset", "chip_size", "overlap", "aoi", "aoi_layer", "dem"):
        if (value := getattr(given, name)) is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(map(readable, words))
