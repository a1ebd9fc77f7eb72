"""`rtsmap dataset`."""

import click

from rtsmap.cli.commands import Commands


@click.group(
    cls=Commands, package="rtsmap.cli.dataset", names=("build", "import", "split", "check", "stats", "anchors")
)
def dataset() -> None:
    """Build or import a data set of labelled images to train on; split, check and describe it.

    \b
    Examples:
      rtsmap dataset build scenes/*.tif --labels slumps.gpkg -o dataset
      rtsmap dataset split dataset --folds 5
      rtsmap dataset check dataset
    """
