"""`rtsmap evaluate`."""

import click

from rtsmap.cli.commands import Commands


@click.group(cls=Commands, package="rtsmap.cli.evaluate", names=("chips", "maps", "panels"))
def evaluate() -> None:
    """Score a model on the images of a data set, or a finished layer against outlines drawn by people.

    \b
    Examples:
      rtsmap evaluate chips dataset --model runs/mine --only fold-0
      rtsmap evaluate maps slumps.gpkg published_slumps.gpkg
    """
