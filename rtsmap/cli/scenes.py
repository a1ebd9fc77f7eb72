"""Several scenes in one call: none of them twice, and no failure of one that takes the others with it."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import click

from rtsmap.errors import InputError, InterruptedRunError, RtsmapError, SomeScenesFailedError
from rtsmap.runtime.failures import explained, in_one_line, story

_Done = TypeVar("_Done")


def one_by_one(scenes: Sequence[str], work: Callable[[str], _Done]) -> tuple[list[_Done], list[RtsmapError]]:
    """Do the work scene by scene; whatever goes wrong with one ends that scene alone, with a line that names it.

    Returns:
        What the work gave, and the failures of the other scenes.

    Raises:
        RtsmapError: the failure of the only scene; or none of several could be worked on, an `InputError` where it was
            their input's fault.
    """
    done: list[_Done] = []
    failures: list[RtsmapError] = []
    for scene in scenes:
        try:
            done.append(work(scene))
        except InterruptedRunError:
            raise
        except Exception as error:
            failures.append(failure := explained(error, scene))
            if len(scenes) == 1:
                raise failure from error
            click.echo(f"{story(error)}rtsmap: {in_one_line(str(failure))}", err=True)
    if failures and not done:
        kind = InputError if all(isinstance(failure, InputError) for failure in failures) else RtsmapError
        raise kind(f"none of the {len(scenes)} scenes could be worked on")
    return done, failures


def say_failed(failures: Sequence[RtsmapError], scenes: Sequence[str], of_the_others: str) -> None:
    """End with exit code 3 where some scenes failed."""
    if failures:
        raise SomeScenesFailedError(f"{len(failures)} of {len(scenes)} scenes failed; {of_the_others}")


def check_distinct(scenes: Sequence[str]) -> None:
    """Refuse a scene that comes twice before any is worked on; one that cannot be found says so in its turn."""
    if len(scenes) < 2:
        return
    from rtsmap.predict import together
    from rtsmap.scene.finding import find

    found = []
    for scene in scenes:
        with suppress(Exception):
            found.append((scene, find(scene)))
    together.check_distinct(found)
