"""`rtsmap dataset build`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options
from rtsmap.cli.progress import progress_bar

if TYPE_CHECKING:
    from rtsmap.dataset.build import BuildSummary
    from rtsmap.dataset.chip_selection import ChipOptions
    from rtsmap.dataset.labelled_scenes import Inputs
    from rtsmap.dataset.sources import Source


@click.command()
@click.argument("scenes", nargs=-1, metavar="[SCENE]...")
@click.option("-o", "--output", type=options.input_path, metavar="FOLDER", help="Data set to write.")
@click.option(
    "--labels", type=options.input_path, metavar="FILE", help="Slumps: polygons, or a mask GeoTIFF in which 1 is slump."
)
@click.option(
    "--footprints",
    type=options.input_path,
    metavar="FILE",
    help="Polygons of the area that the labeller searched.  [default: whole scenes]",
)
@click.option(
    "--table",
    type=options.input_path,
    metavar="CSV",
    help="Table of scenes and their labels, instead of SCENE and --labels.",
)
@options.labels_layer
@click.option("--footprints-layer", metavar="NAME", help="Layer of --footprints, where its file has several.")
@click.option(
    "--scene-field", metavar="NAME", help="Field of the labels with the id of the scene.  [default: by its usual name]"
)
@click.option(
    "--date-field", metavar="NAME", help="Field with the date, YYYY-MM-DD or start,end.  [default: by its usual name]"
)
@click.option("--site-field", metavar="NAME", help="Field with the site.  [default: by its usual name]")
@click.option("--uid-field", metavar="NAME", help="Field with the id of each outline.  [default: by its usual name]")
@click.option("--site", metavar="NAME", help="Site of all scenes.  [default: that of the table or of the labels]")
@click.option(
    "--days",
    type=click.IntRange(0, 36_500),
    default=30,
    show_default=True,
    help="Greatest number of days between scene and label.",
)
@click.option("--any-date", is_flag=True, help="Match labels by place alone, whatever their dates.")
@click.option("--chip-size", type=options.chip_px, default=256, show_default=True, help="Side of a chip, px.")
@click.option(
    "--overlap",
    type=options.overlap_px,
    default=0,
    show_default=True,
    help="Number of pixels that neighbouring chips share; even.",
)
@click.option("--gsd", type=options.pixel_m, metavar="M", help="Resample scenes to pixels of this size, m.")
@click.option(
    "--min-visible",
    type=options.share,
    default=0.3,
    show_default=True,
    help="Least share of a slump that a chip must show; a slump that shows less is neither slump nor background.",
)
@click.option(
    "--min-valid",
    type=options.share,
    default=0.05,
    show_default=True,
    help="Least share of a chip that must be observed, unless the chip holds a slump.",
)
@click.option(
    "--negatives",
    type=options.not_negative,
    metavar="N",
    help="Number of chips without a slump for each chip with one.  [default: all chips]",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the random choice of negatives."
)
@click.option(
    "--hard-negatives",
    type=options.input_path,
    metavar="FILE",
    help="A map of rtsmap predict. Its polygons that touch no label are taken as no slumps, and their chips are kept.",
)
@click.option(
    "--hard-negatives-layer",
    metavar="NAME",
    help="Layer of --hard-negatives.  [default: thaw_slumps, or the only layer]",
)
@options.bands
@options.scale
@options.offset
@options.mask
@click.option(
    "--modality-files",
    is_flag=True,
    help="Also write RGB, NDVI, NIR and mask of each chip as files, for other software.",
)
@options.dem
@click.option("--shards", type=click.IntRange(1, 1_000_000), metavar="N", help="Write tar files of N chips each.")
@options.overwrite
@click.option("--dry-run", is_flag=True, help="Report what would be written, but write nothing.")
def build(
    scenes: tuple[str, ...],
    output: Path | None,
    labels: Path | None,
    footprints: Path | None,
    table: Path | None,
    layer: str | None,
    footprints_layer: str | None,
    scene_field: str | None,
    date_field: str | None,
    site_field: str | None,
    uid_field: str | None,
    site: str | None,
    days: int,
    any_date: bool,
    chip_size: int,
    overlap: int,
    gsd: float | None,
    min_visible: float,
    min_valid: float,
    negatives: float | None,
    seed: int,
    hard_negatives: Path | None,
    hard_negatives_layer: str | None,
    bands: dict[str, int] | None,
    scale: float | None,
    offset: float | None,
    mask: tuple[str, ...],
    modality_files: bool,
    dem: str | None,
    shards: int | None,
    overwrite: bool,
    dry_run: bool,
) -> None:
    """Cut scenes and their labels into chips to train on.

    A label belongs to the scene whose id it names (image_id, scene). Labels without ids belong to scenes that they lie
    on and that were acquired within --days of their date. That is the local day, or the day in UTC where the label has
    a time. Of a slump that was drawn at several dates, the outline that is closest in time is taken.

    --table is a CSV file with the columns image, labels and site, and the optional columns footprints, layer (of the
    labels), footprints_layer, date, dem, scale and offset. Paths are relative to the table. An empty cell in the column
    labels stands for a scene that was searched and has no slumps. Labels of a table that have no date do not need
    --any-date.

    With --dem, or a column dem, chips also hold relative elevation and slope for the modality dem, which needs them in
    all chips of a data set.

    Fields are recognised by their names in AWI's training labels, ARTS (its Negative outlines become hard negatives),
    the inventories of Barth and Runge, and maps of rtsmap. Name other fields with --scene-field, --date-field,
    --site-field and --uid-field.

    \b
    Examples:
      rtsmap dataset build *_SR.tif --labels slumps.gpkg --any-date --site herschel -o dataset
      rtsmap dataset build --table scenes.csv -o dataset --negatives 1
      rtsmap dataset build *_SR.tif --labels slumps.gpkg -o dataset --hard-negatives map.gpkg --dry-run
    \b
    With AWI's training labels and the area that was searched, and with ARTS:
      rtsmap dataset build *_SR.tif --labels TrainingLabel.gpkg --footprints ImageFootprints.gpkg -o dataset
      rtsmap dataset build *_SR.tif --labels ARTS_main_dataset.geojson --days 365 -o dataset
    """
    from rtsmap.dataset.chip_selection import ChipOptions
    from rtsmap.dataset.folder_contents import foreign_files
    from rtsmap.dataset.label_matching import Rule
    from rtsmap.dataset.labelled_scenes import Inputs
    from rtsmap.dataset.labels import Fields
    from rtsmap.files.folders import check_folder

    if output is None and not dry_run:
        raise click.UsageError("Missing option '-o' / '--output'.")
    sources = _sources(scenes, labels, footprints, table)
    if output is not None and not dry_run:
        read = [path for one in sources for path in (one.image, one.labels, one.footprints, one.dem)]
        check_folder(output, foreign_files, overwrite=overwrite, inputs=[*read, table, hard_negatives, dem])
    inputs = Inputs(
        bands=bands,
        scale=scale,
        offset=offset,
        mask=mask,
        layer=layer,
        footprint_layer=footprints_layer,
        fields=Fields(scene_field, date_field, site_field, uid_field),
        rule=Rule(None if any_date else days, undated=any_date),
        site=site,
        hard_negatives=hard_negatives,
        dem=dem,
        hard_negatives_layer=hard_negatives_layer,
    )
    options = ChipOptions(chip_size, overlap, gsd, min_visible, min_valid, negatives, seed)
    report = _build(sources, None if dry_run else output, inputs, options, shards or 0, modality_files, overwrite)
    _say(report, None if dry_run else output)


def _sources(
    scenes: tuple[str, ...], labels: Path | None, footprints: Path | None, table: Path | None
) -> list["Source"]:
    from rtsmap.dataset.sources import Source, read_table

    if table is not None:
        if scenes or labels or footprints:
            raise click.UsageError(
                "--table names scenes, labels and footprints; leave out SCENE, --labels and --footprints."
            )
        return read_table(table)
    if not scenes:
        raise click.UsageError("Missing argument SCENE, or option --table.")
    if labels is None:
        raise click.UsageError("Missing option '--labels'; or give a --table.")
    return [Source(scene, labels, footprints) for scene in scenes]


def _build(
    sources: list["Source"],
    folder: Path | None,
    inputs: "Inputs",
    options: "ChipOptions",
    shard_size: int,
    modality_files: bool,
    overwrite: bool,
) -> "BuildSummary":
    from rtsmap.dataset.build import build as build_dataset

    with progress_bar("step", "scenes") as progress:
        return build_dataset(
            sources,
            folder,
            inputs,
            options,
            description=_description(sources),
            shard_size=shard_size,
            modality_files=modality_files,
            overwrite=overwrite,
            progress=progress,
        )


def _description(sources: list["Source"]) -> str:
    labels = sorted({source.labels.name for source in sources if source.labels is not None})
    return f"rtsmap dataset build: {len(sources)} scenes; labels: {', '.join(labels) or 'none'}"


def _say(report: "BuildSummary", output: Path | None) -> None:
    for note in report.notes:
        click.echo(f"rtsmap: {note}", err=True)
    if report.unmatched:
        total = report.matched + report.unmatched
        click.echo(
            f"rtsmap: {report.unmatched} of {total} label polygons belong to no scene by id, date or place",
            err=True,
        )
    for scene in report.scenes:
        hard = f", {scene.hard_negatives} hard negatives" if scene.hard_negatives else ""
        click.echo(
            f"{scene.scene_id} ({scene.site}): {scene.labels} labels, {scene.chips} chips, "
            f"{scene.with_slumps} of them with {scene.slumps} slumps{hard}"
        )
    chips, slumps = sum(scene.chips for scene in report.scenes), sum(scene.slumps for scene in report.scenes)
    where = "nothing was written" if output is None else f"-> {output}"
    click.echo(f"{len(report.scenes)} scenes, {report.matched} labels, {chips} chips, {slumps} slumps in them {where}")
