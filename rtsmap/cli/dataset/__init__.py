"""`rtsmap dataset`."""

import click

from rtsmap.cli.commands import Commands


@click.group(
    cls=Commands, package="rtsmap.cli.dataset", names=("build", "import", "split", "check", "stats", "anchors")
)
def dataset() -> None:
    """Make labelled images into a data set to train on; split, check and describe it.

    \b
    Example:
      rtsmap dataset build scenes/*.tif --labels slumps.gpkg -o dataset
      rtsmap dataset split dataset --folds 5
      rtsmap dataset check dataset
    """
