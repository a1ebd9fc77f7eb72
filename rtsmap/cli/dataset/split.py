"""`rtsmap dataset split`."""

from pathlib import Path
from typing import Literal

import click

from rtsmap.cli import options
from rtsmap.cli.tables import echo_table


class Fractions(click.ParamType[dict[str, float]]):
    """`train=0.7,val=0.15,test=0.15`."""

    name = "FOLD=SHARE,..."

    def convert(
        self, value: str | dict[str, float], param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, float]:
        """Parse, and refuse what is not a share."""
        if isinstance(value, dict):
            return value
        try:
            shares = {name.strip(): float(share) for name, share in (part.split("=") for part in value.split(","))}
            shares = {name: options.share.convert(share, param, ctx) for name, share in shares.items()}
        except ValueError:
            self.fail(f"{value!r} does not look like train=0.7,val=0.15,test=0.15", param, ctx)
        return shares


@click.command()
@click.argument("folder", metavar="DATASET", type=options.input_path)
@click.option("--folds", type=click.IntRange(2), metavar="K", help="K equal folds for cross-validation.")
@click.option("--fractions", type=Fractions(), help="Folds of these names and shares, as train=0.7,val=0.15,test=0.15.")
@click.option(
    "--split",
    "published",
    type=options.input_path,
    metavar="FILE",
    help="Folds of a published split: CSV with the columns image and fold.",
)
@click.option(
    "--by",
    type=click.Choice(["site", "scene", "block", "image-within-site"]),
    default="site",
    show_default=True,
    help="What stays in one fold; a block is all images that lie nearer than --gap-m, in a chain. image-within-site "
    "draws single images of each site, as Li et al. do.",
)
@click.option(
    "--gap-m", type=options.not_negative, default=1000.0, show_default=True, help="Gap between blocks, in metres."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the order of equal groups.")
@options.overwrite
def split(
    folder: Path,
    folds: int | None,
    fractions: dict[str, float] | None,
    published: Path | None,
    by: Literal["site", "scene", "block", "image-within-site"],
    gap_m: float,
    seed: int,
    overwrite: bool,
) -> None:
    """Divide a data set into folds that share no ground, and write them to split.csv in it.

    Images of one site, scene or block are never divided, since neighbours show the same ground and would flatter every
    score. Scenes and blocks are divided within each site. As many folds as sites leave one site out at a time. Prints
    images / slumps of each fold and site. Only to repeat what others have published are single images divided
    (--by image-within-site) or their own folds taken (--split).

    \b
    Example:
      rtsmap dataset split dataset --folds 5
      rtsmap dataset split dataset --fractions train=0.7,val=0.15,test=0.15 --by block
      rtsmap dataset split dataset --split published.csv
      rtsmap dataset check dataset
    """
    if [folds is None, fractions is None, published is None].count(False) != 1:
        raise click.UsageError("needs one of --folds, --fractions and --split")
    from rtsmap.dataset.images import SPLIT, read_dataset
    from rtsmap.dataset.splitting import equal_folds, given_folds, split_folds, split_table, write_split
    from rtsmap.files.outputs import check_outputs

    dataset = read_dataset(folder)
    check_outputs(folder / SPLIT, overwrite=overwrite, inputs=[published])
    if published:
        assigned = given_folds(dataset, published)
    else:
        assigned = split_folds(dataset, fractions or equal_folds(folds or 0), by=by, gap_m=gap_m, seed=seed)
    write_split(dataset, assigned, folder / SPLIT, overwrite=overwrite)
    names = list(fractions or sorted(set(assigned.values())))
    echo_table(split_table(dataset, assigned, names))
    click.echo(f"images / slumps; written to {folder / SPLIT}", err=True)
