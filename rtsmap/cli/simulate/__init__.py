"""`rtsmap simulate`."""

import click

from rtsmap.cli.commands import Commands


@click.group(cls=Commands, package="rtsmap.cli.simulate", names=("scene", "series"))
def simulate() -> None:
    """Simulate realistic scenes with known slumps for trying out, testing and training.

    \b
    Example:
      rtsmap simulate scene -o simulated --size-km 10 6 --region taimyr
    """
