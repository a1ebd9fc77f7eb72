"""`rtsmap dataset split`."""

from pathlib import Path
from typing import Literal

import click

from rtsmap.cli import options
from rtsmap.cli.tables import echo_table


class Fraction(click.ParamType[tuple[str, float]]):
    """`FOLD=SHARE`, such as `train=0.7`."""

    name = "FOLD=SHARE"

    def convert(
        self, value: str | tuple[str, float], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """Parse the name of a fold and its share, 0..1."""
        if isinstance(value, tuple):
            return value
        name, sign, share = (part.strip() for part in value.partition("="))
        if not (name and sign and share):
            self.fail(f"{value!r} does not look like train=0.7", param, ctx)
        return name, options.share.convert(share, param, ctx)


@click.command()
@click.argument("folder", metavar="DATASET", type=options.input_path)
@click.option("--folds", type=click.IntRange(2), metavar="K", help="Make K equal folds for cross-validation.")
@click.option(
    "--fraction",
    "fractions",
    multiple=True,
    type=Fraction(),
    help="A fold of this name and share, such as train=0.7; repeat it for each fold.",
)
@click.option(
    "--split",
    "published",
    type=options.input_path,
    metavar="FILE",
    help="Take the folds of a published split: a CSV file with the columns image and fold.",
)
@click.option(
    "--by",
    type=click.Choice(["site", "scene", "block", "image-within-site"]),
    default="site",
    show_default=True,
    help="Unit that is never divided. A block is a set of images connected by gaps smaller than --gap-m. "
    "image-within-site assigns single images within each site, as Li et al. (2025) do.",
)
@click.option(
    "--gap-m",
    type=options.not_negative,
    default=1000.0,
    show_default=True,
    help="Least distance between blocks, in metres.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the order of equally large units."
)
@options.overwrite
def split(
    folder: Path,
    folds: int | None,
    fractions: tuple[tuple[str, float], ...],
    published: Path | None,
    by: Literal["site", "scene", "block", "image-within-site"],
    gap_m: float,
    seed: int,
    overwrite: bool,
) -> None:
    """Divide a data set into folds that share no ground, and write them to its file split.csv.

    Images of one site, scene or block stay in one fold, because neighbouring images show the same ground, and every
    score would otherwise be too high. Scenes and blocks are distributed within each site. With as many folds as sites,
    each fold is one site. The command prints the numbers of images and slumps of each fold and site.

    Use --by image-within-site or --split only to reproduce published results.

    \b
    Examples:
      rtsmap dataset split dataset --folds 5
      rtsmap dataset split dataset --fraction train=0.7 --fraction val=0.15 --fraction test=0.15 --by block
      rtsmap dataset split dataset --split published.csv
      rtsmap dataset check dataset
    """
    if [folds is not None, bool(fractions), published is not None].count(True) != 1:
        raise click.UsageError("needs one of --folds, --fraction and --split")
    shares = dict(fractions)
    if len(shares) < len(fractions):
        raise click.UsageError("--fraction gives one fold twice; give each fold one share")
    from rtsmap.dataset.images import SPLIT, read_dataset
    from rtsmap.dataset.splitting import equal_folds, given_folds, split_folds, split_table, write_split
    from rtsmap.files.outputs import check_outputs

    dataset = read_dataset(folder)
    check_outputs(folder / SPLIT, overwrite=overwrite, inputs=[published])
    if published:
        assigned = given_folds(dataset, published)
    else:
        assigned = split_folds(dataset, shares or equal_folds(folds or 0), by=by, gap_m=gap_m, seed=seed)
    write_split(dataset, assigned, folder / SPLIT, overwrite=overwrite)
    names = list(shares or sorted(set(assigned.values())))
    echo_table(split_table(dataset, assigned, names))
    click.echo(f"images / slumps; written to {folder / SPLIT}", err=True)
