"""`rtsmap evaluate panels`."""

from pathlib import Path

import click

from rtsmap.cli import options


class NamedFile(click.ParamType[tuple[str, Path]]):
    """`NAME=FILE`."""

    name = "NAME=FILE"

    def convert(
        self, value: str | tuple[str, Path], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        """Parse a name and a path."""
        if isinstance(value, tuple):
            return value
        name, sign, path = value.partition("=")
        if not (name and sign and path):
            self.fail(f"{value!r} does not look like NAME=FILE", param, ctx)
        return name, Path(path)


@click.command()
@click.argument("dataset", type=options.input_path)
@click.option(
    "--detections",
    multiple=True,
    required=True,
    type=NamedFile(),
    help="Title of a column, and the detections.json of rtsmap evaluate chips -o; repeat it for each model. Files of "
    "the same name, such as those of the folds of a cross-validation, share a column.",
)
@click.option("--images", multiple=True, metavar="NAME", help="Show this image; may be repeated.")
@click.option(
    "--count", type=click.IntRange(1), default=6, show_default=True, help="Number of images to show without --images."
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the random choice of images without --images.",
)
@click.option(
    "--score",
    type=options.share,
    help="Draw predictions from this score on.  [default: that of the highest F1 of each model]",
)
@click.option("-o", "--output", required=True, type=options.output_path, help="PNG to write.")
@options.overwrite
def panels(
    dataset: Path,
    detections: tuple[tuple[str, Path], ...],
    images: tuple[str, ...],
    count: int,
    seed: int,
    score: float | None,
    output: Path,
    overwrite: bool,
) -> None:
    """Draw sample images side by side, with a row for each image and a column for each model.

    Labels are drawn in red and predictions in blue. Without --images, images with slumps are chosen at random from all
    sites in turn.

    \b
    Examples:
      rtsmap evaluate panels dataset --detections RGB=rgb/detections.json --detections RGB+NIR=both/detections.json \\
          -o panels.png
    """
    from rtsmap.dataset.folder_contents import dataset_files
    from rtsmap.dataset.images import read_dataset
    from rtsmap.evaluation.image_scores import best_score
    from rtsmap.evaluation.panels import choose_images, covered_by_all, write_panels
    from rtsmap.evaluation.predictions import image_named, read_all
    from rtsmap.files.outputs import check_outputs

    inputs = [*dataset_files(dataset), *(path for _, path in detections)]
    check_outputs(output, overwrite=overwrite, inputs=inputs)
    data = read_dataset(dataset)
    files: dict[str, list[Path]] = {}
    for name, path in detections:
        files.setdefault(name, []).append(path)
    models = {name: read_all(paths, data) for name, paths in files.items()}
    chosen = [image_named(data, name) for name in images]
    chosen = chosen or choose_images(covered_by_all(data, models), count, seed)
    scores = {name: best_score(data, predictions) if score is None else score for name, predictions in models.items()}
    write_panels(output, data, chosen, models, scores, overwrite=overwrite)
    click.echo(f"{len(chosen)} images, {len(models)} models -> {output}")
