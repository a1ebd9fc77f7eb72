"""`rtsmap predict`."""

import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options
from rtsmap.cli.scenes import check_distinct, one_by_one, say_failed
from rtsmap.runtime.failures import readable

if TYPE_CHECKING:
    from rtsmap.detector import Detector, Runtime
    from rtsmap.layer import SceneResult
    from rtsmap.predict.scene import Options
    from rtsmap.runtime.batching import Batching
    from rtsmap.runtime.profile import Profile
    from rtsmap.settings.card import ModelCard

#: Threads for each core that anybody could want.
_THREADS_PER_CORE = 4

#: Less of what was observed is the roughness of its outlines.
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
@options.flips
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Chips in a call of the network.  [default: what half of the GPU's memory takes; 1 on a CPU]",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    callback=_for_the_cores,
    help="Threads of the network on a CPU.  [default: one for each core]",
)
@click.option("--score", type=options.share, help="Lowest score that is kept.  [default: the model's]")
@click.option(
    "--min-area", type=options.not_negative, help="Smallest slump that is kept, m2.  [default: the model's, or 300]"
)
@options.mask
@options.bands
@options.scale
@options.offset
@click.option("--chip-size", type=options.chip_px, help="Side of a chip, px.  [default: the model's]")
@click.option("--overlap", type=options.overlap_px, help="Pixels that chips share.  [default: the model's]")
@options.aoi
@options.aoi_layer
@options.dem
@options.overwrite
@click.option("--dry-run", is_flag=True, help="Say what would be done and how long it might take; write nothing.")
@click.option("--preview", type=options.output_path, metavar="PNG", help="Also draw the outlines over the scene.")
@click.option("--profile", type=options.output_path, metavar="JSON", help="Also write where the time went.")
def predict(
    scenes: tuple[str, ...],
    output: Path | None,
    model: str,
    device: str,
    runtime: "Runtime",
    flips: int,
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
    scene (folder or tar), a STAC item, or any georeferenced raster with blue, green, red and near-infrared bands: a
    path, a URL, or what GDAL can open (/vsis3/...). Scenes of one call share the layers of one file.

    The edges of an --aoi in longitude and latitude follow parallels and meridians; it may cross the antimeridian, and
    reach a pole.

    A model that sees the terrain (dem among its modalities) needs --dem: heights in metres of all scenes, in any CRS.

    \b
    Examples:
      rtsmap predict 20230716_201512_45_2461_3B_AnalyticMS_SR.tif -o slumps.gpkg
      rtsmap predict order-folder/ -o slumps.gpkg --preview slumps.png
      rtsmap predict S2B_MSIL2A_20220716T201849_N0400_R071_T07WFR_20220716T225510.SAFE -o slumps.gpkg
      rtsmap predict stack.tif -o slumps.gpkg --bands blue=1,green=2,red=3,nir=4 --scale 1e-4
      rtsmap predict *_SR.tif -o slumps.parquet --aoi peninsula.geojson --dry-run
    """
    from rtsmap.runtime.machine import share_cores

    share_cores(threads)  # before any library that counts them is imported
    from rtsmap.files.outputs import check_outputs
    from rtsmap.layer import output_files
    from rtsmap.models import find_model, model_files, verify
    from rtsmap.polygons import check_area
    from rtsmap.predict.scene import Options, dem_for
    from rtsmap.runtime.batching import check_memory, fitting
    from rtsmap.runtime.profile import Profile

    if output is None and not dry_run:
        raise click.UsageError("Missing option '-o' / '--output'.")
    if aoi_layer and not aoi:
        raise click.UsageError("--aoi-layer names a layer of --aoi; give that too.")
    if preview and len(scenes) > 1:
        raise click.UsageError("--preview draws one scene; leave it out for several.")
    settings = Options(
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
    if dem_for(card, settings) is None and dem is not None:
        click.echo(f"rtsmap: {card.name} does not see the terrain; --dem changes nothing", err=True)
        settings = replace(settings, dem=None)
    if card.calibration and card.calibration.views != flips:
        views = card.calibration.views
        click.echo(f"rtsmap: scores of {card.name} are probabilities with --flips {views}, not with {flips}", err=True)
    sizes = settings.for_model(card)
    batching = fitting(device, sizes.chip_size)
    if batch_size:
        batching = batching._replace(batch_size=batch_size)
    check_memory(device, batching, sizes.chip_size)
    if output is None or dry_run:
        _plan(scenes, folder, card, settings, device, flips, runtime, batching)
        return
    check_outputs(
        *output_files(output), profile, preview,
        overwrite=overwrite, inputs=[*scenes, aoi, dem, *model_files(folder, card)],  # also a dem that is not needed
    )  # fmt: skip
    times = Profile()
    with times.stage("load"):
        detector = load(folder, card, settings, device, flips, runtime, batching)
    command = _command(scenes, model, settings, card, flips, runtime)
    run(
        scenes, card, detector, settings,
        output=output, preview=preview, overwrite=overwrite, batching=batching, command=command, profile=times,
    )  # fmt: skip
    if profile:
        times.write(profile, overwrite=overwrite, command=command, model=card.name, model_sha256=card.sha256)
        click.echo(f"profile: {times.summary()} -> {profile}", err=True)


def load(
    folder: Path,
    card: "ModelCard",
    settings: "Options",
    device: str,
    flips: int,
    runtime: "Runtime",
    batching: "Batching",
) -> "Detector":
    """The model on the device asked for, looking at as many views of each chip."""
    from rtsmap.detector import load_detector

    resolved = settings.for_model(card)
    return load_detector(
        folder, card, device, resolved.score,
        flips=flips, runtime=runtime, chip_size=resolved.chip_size, at_once=batching.at_once,
    )  # fmt: skip


def run(
    scenes: tuple[str, ...],
    card: "ModelCard",
    detector: "Detector",
    settings: "Options",
    *,
    output: Path,
    preview: Path | None,
    overwrite: bool,
    command: str,
    batching: "Batching",
    profile: "Profile | None" = None,
) -> list["SceneResult"]:
    """Predict, write, and print the summary; what `rtsmap demo` does too."""
    from rtsmap.layer import write_layer
    from rtsmap.predict.scene import draw, provenance
    from rtsmap.predict.together import check_layer
    from rtsmap.runtime.profile import Profile

    start, profile = time.perf_counter(), profile or Profile()
    results: list[SceneResult] = []

    def map_one(scene: str) -> str:
        result = _predict_one(scene, card, detector, settings, batching, profile)
        check_layer(results[0] if results else result, result)
        results.append(result)
        return scene

    check_distinct(scenes)
    done, failures = one_by_one(scenes, map_one)
    with profile.stage("write"):
        write_layer(output, results, provenance(done, card, settings, command), overwrite=overwrite)
    if preview:
        draw(preview, scenes[0], results[0], settings, overwrite=overwrite)
    _summarise(results, output, preview, time.perf_counter() - start)
    _warn_of_clouds([result.info.scene_id for result in results if result.cloud_fraction is None], settings)
    say_failed(failures, scenes, "the others are written")
    return results


def _predict_one(
    scene: str, card: "ModelCard", detector: "Detector", settings: "Options", batching: "Batching", profile: "Profile"
) -> "SceneResult":
    from tqdm import tqdm

    from rtsmap.predict.scene import predict_scene

    with tqdm(unit="chip", disable=None, desc=Path(scene).name[:40]) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return predict_scene(
            scene, card, detector, settings, **batching._asdict(), progress=progress, profile=profile
        )  # fmt: skip


def _summarise(results: list["SceneResult"], output: Path, preview: Path | None, seconds: float) -> None:
    from rtsmap.predict.together import seen_again_km2

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


def _warn_of_clouds(unmasked: list[str], settings: "Options") -> None:
    """Say once which scenes have no cloud mask, unless none was wanted."""
    if not unmasked or not settings.mask:
        return
    named = ", ".join(unmasked[:3]) + (f" and {len(unmasked) - 3} more" if len(unmasked) > 3 else "")
    click.echo(
        f"rtsmap: clouds were not masked in {named}: no cloud mask was found (UDM2, scene classification, QA_PIXEL); "
        "cloud_fraction is NULL",
        err=True,
    )


def _plan(
    scenes: tuple[str, ...],
    folder: Path,
    card: "ModelCard",
    settings: "Options",
    device: str,
    flips: int,
    runtime: "Runtime",
    batching: "Batching",
) -> None:
    from rtsmap.predict.scene import plan_scene, seconds_per_chip

    check_distinct(scenes)
    plans, failures = one_by_one(scenes, lambda scene: plan_scene(scene, card, settings))
    detector = load(folder, card, settings, device, flips, runtime, batching)
    each = seconds_per_chip(detector, card, settings, batching)
    for plan in plans:
        how = f"resampled to {plan.gsd_m:g} m" if plan.resampled else f"at {plan.gsd_m:g} m"
        click.echo(f"{plan.scene_id}: at most {plan.chips} chips, {plan.area_km2:.1f} km2 {how}")
    chips = sum(plan.chips for plan in plans)
    click.echo(f"{chips} chips, about {chips * each:.0f} s on this machine ({each:.2f} s a chip); nothing was written")
    _warn_of_clouds([plan.scene_id for plan in plans if not plan.clouds_masked], settings)
    say_failed(failures, scenes, "the plan is that of the others")


def _command(
    scenes: tuple[str, ...], model: str, settings: "Options", card: "ModelCard", flips: int, runtime: "Runtime"
) -> str:
    """The command that gives the same layer again, without what does not change it."""
    words = ["rtsmap", "predict", *scenes, "--model", model, "--min-area", f"{settings.for_model(card).min_area_m2:g}"]
    words += ["--mask", ",".join(settings.mask) or "none"]
    if settings.bands:
        words += ["--bands", ",".join(f"{name}={number}" for name, number in settings.bands.items())]
    words += ["--flips", str(flips)] if flips > 1 else []
    words += ["--runtime", runtime] if runtime != "auto" else []
    for name in ("score", "scale", "offset", "chip_size", "overlap", "aoi", "aoi_layer", "dem"):
        if (value := getattr(settings, name)) is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(map(readable, words))
