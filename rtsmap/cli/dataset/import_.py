"""`rtsmap dataset import`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtsmap.dataset import LabelledImage
    from rtsmap.dataset.image_import import ImportSettings
    from rtsmap.records import Pixels


@click.command("import")
@click.argument("source", type=options.input_path)
@click.option("-o", "--output", required=True, type=options.output_folder, help="Data set to write.")
@click.option(
    "--form",
    type=click.Choice(["paper", "coco"]),
    required=True,
    help="Form of SOURCE. paper: a folder of GeoTIFFs (RGB, NDVI, NIR) with masks; coco: a JSON file and its images.",
)
@click.option(
    "--images", type=options.input_path, help="With coco: folder of the images.  [default: the folder of SOURCE]"
)
@click.option(
    "--category", multiple=True, metavar="NAME", help="With coco: import only this category; may be repeated."
)
@click.option(
    "--bands",
    type=options.BandNumbers(("red", "green", "blue"), ("ndvi", "nir", "mask")),
    help="Numbers of the bands, counted from 1: red, green, blue and, optionally, ndvi, nir, mask.",
)
@click.option(
    "--scale",
    type=options.positive,
    help="Reflectance per digital number.  [default: that of the file; else 1e-4, 1 for floats, 1/255 for 8 bits]",
)
@options.offset
@click.option("--gsd", type=options.pixel_m, metavar="M", help="Pixel size of images without a CRS, m.")
@click.option("--site", help="Site of all images.  [default: their subfolder, or else all]")
@click.option(
    "--site-from-name",
    metavar="REGEX",
    help="Regular expression for the site in the name of each file: its first group, or the whole match.",
)
@click.option(
    "--scene-from-name", metavar="REGEX", help="Regular expression that finds the scene of an image in the same way."
)
@click.option("--shards", type=click.IntRange(1, 1_000_000), metavar="N", help="Write tar files of N images each.")
@options.overwrite
def import_(
    source: Path,
    output: Path,
    form: str,
    images: Path | None,
    category: tuple[str, ...],
    bands: dict[str, int] | None,
    scale: float | None,
    offset: float | None,
    gsd: float | None,
    site: str | None,
    site_from_name: str | None,
    scene_from_name: str | None,
    shards: int | None,
    overwrite: bool,
) -> None:
    """Import a data set of labelled images from another form.

    SOURCE is a folder (paper) or a JSON file (coco). In the form paper, the mask of an image is one of its bands, the
    file NAME_mask.tif beside it, or masks/NAME.tif; each connected part of the mask is a slump. NDVI is computed
    anew from red and NIR. Images that have only red, green and blue can be used to train on the modality RGB.

    \b
    Examples:
      rtsmap dataset import tiles -o dataset --form paper --site-from-name '^[a-z]+'
      rtsmap dataset import train.json -o dataset --form coco --images jpegs --gsd 4 --site yamal
    """
    from tqdm import tqdm

    from rtsmap.dataset.folder_contents import foreign_files
    from rtsmap.dataset.image_import import ImportSettings
    from rtsmap.dataset.writer import writing_dataset
    from rtsmap.files.folders import check_folder

    if site and site_from_name:
        raise click.UsageError("give either --site or --site-from-name")
    if form == "paper" and (images or category):
        raise click.UsageError("--images and --category belong to --form coco")
    check_folder(output, foreign_files, overwrite=overwrite, inputs=[source, images])
    settings = ImportSettings(bands, scale, offset, gsd, site, site_from_name, scene_from_name)
    pairs = _pairs(source, form, images, category, settings)
    n_images, n_slumps = 0, 0
    with writing_dataset(output, f"import of {source}", shard_size=shards or 0, overwrite=overwrite) as writer:
        for image, pixels in tqdm(pairs, unit="image", disable=None):
            writer.add(image, pixels)
            n_images, n_slumps = n_images + 1, n_slumps + len(image.slumps)
    click.echo(f"{output}: {n_images} images, {n_slumps} slumps")
    click.echo(f"\nNext: rtsmap dataset check {output}\n      rtsmap dataset split {output} --folds 5", err=True)


def _pairs(
    source: Path, form: str, images: Path | None, category: tuple[str, ...], settings: "ImportSettings"
) -> "Iterator[tuple[LabelledImage, Pixels]]":
    from rtsmap.dataset.from_coco import coco_images, read_coco
    from rtsmap.dataset.from_masks import masked_images

    if form == "paper":
        return masked_images(source, settings)
    return coco_images(read_coco(source, category), images or source.parent, settings)
