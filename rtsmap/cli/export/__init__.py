"""`rtsmap export`."""

import click

from rtsmap.cli.commands import Commands


@click.group(cls=Commands, package="rtsmap.cli.export", names=("onnx",))
def export() -> None:
    """Write a model in a form that runs without torch.

    \b
    Example:
      rtsmap export onnx rts-mini
    """
