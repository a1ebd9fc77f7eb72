"""`rtsmap train`."""

import click

from rtsmap.cli.commands import Commands


@click.group(
    cls=Commands, package="rtsmap.cli.train", names=("template", "unimodal", "fusion", "end-to-end", "experiment")
)
def train() -> None:
    """Train a network on a data set: first one network per modality and then their fusion, or all at once.

    \b
    Example:
      rtsmap train unimodal dataset --modality rgb -o runs/rgb --without taimyr
      rtsmap train fusion dataset --backbones runs/rgb runs/ndvi runs/nir -o runs/fused --without taimyr
      rtsmap predict scene.tif -o slumps.gpkg --model runs/fused
    """
