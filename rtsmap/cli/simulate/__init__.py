"""`rtsmap simulate`."""

import click

from rtsmap.cli.commands import Commands


@click.group(cls=Commands, package="rtsmap.cli.simulate", names=("scene", "series"))
def simulate() -> None:
    """Make realistic scenes whose slumps are known, to try, test and train with.

    \b
    Example:
      rtsmap simulate scene -o simulated --size-km 10 6 --region taimyr
    """
