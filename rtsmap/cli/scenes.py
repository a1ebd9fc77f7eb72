"""Messages about the scenes that failed."""

from collections.abc import Sequence

import click

from rtsmap.errors import RtsmapError, SomeScenesFailedError
from rtsmap.runtime.failures import in_one_line, story


def say_failure(failure: RtsmapError) -> None:
    """Print the failure of one scene as one line, while the work on the others goes on."""
    click.echo(f"{story(failure)}rtsmap: {in_one_line(str(failure))}", err=True)


def end_if_failed(failures: Sequence[RtsmapError], scenes: Sequence[str], of_the_others: str) -> None:
    """End with exit code 3 if some scenes failed."""
    if failures:
        raise SomeScenesFailedError(f"{len(failures)} of {len(scenes)} scenes failed; {of_the_others}")
