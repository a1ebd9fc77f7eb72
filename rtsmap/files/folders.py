"""Folders that are written completely or not at all, and that never replace files that rtsmap did not write."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rtsmap.errors import InputError, OutputError
from rtsmap.files.inputs import local_paths
from rtsmap.files.outputs import EXISTS, check_place
from rtsmap.files.scratch import scratch_folder
from rtsmap.files.writing import free_name, keep_beside, rename_to_free, resolved, target_of

#: Returns the names of those entries of an existing folder that the command does not write and that must not be lost.
Foreign = Callable[[Path], list[str]]

_LISTED = 3  # names that an error message lists


def check_folder(path: Path, foreign: Foreign, *, overwrite: bool, inputs: Iterable[Path | str | None] = ()) -> None:
    """Fail before any work if a folder could not be written at the end, or if replacing it would delete other files.

    Args:
        path: the folder. An empty folder counts as absent.
        foreign: returns the entries of an existing folder that must not be lost.
        overwrite: whether a folder without foreign entries may be replaced.
        inputs: everything that the command reads: paths or GDAL dataset names.

    Raises:
        InputError: the folder cannot be written or must not be replaced; the message gives the reason in one line.
    """
    target = resolved(path)
    try:
        if os.path.lexists(target):
            _check_replaceable(path, target, foreign, overwrite=overwrite, inputs=local_paths(inputs))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); choose another folder") from error
    check_place(path)


@contextmanager
def replacing_folder(path: Path, foreign: Foreign, *, overwrite: bool = False) -> Iterator[Path]:
    """Fill a folder under a temporary name; it replaces `path` only if the block succeeds.

    Args:
        path: the folder; if it is a symbolic link, the target of the link is replaced.
        foreign: see `check_folder`.
        overwrite: see `check_folder`. If a folder that must not be replaced exists when the block ends, the new folder
            is kept beside it under a free name.

    Yields:
        The temporary folder, which is empty.

    Raises:
        InputError: see `check_folder`.
        OutputError: the disk is full, the folder cannot be written, or another run has written it meanwhile.
    """
    check_folder(path, foreign, overwrite=overwrite)
    try:
        with scratch_folder(target_of(path).parent) as temporary:
            yield temporary
            _put_in_place(temporary, path, foreign, overwrite=overwrite)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error


def _check_replaceable(path: Path, target: Path, foreign: Foreign, *, overwrite: bool, inputs: list[Path]) -> None:
    if not target.is_dir():
        raise InputError(f"{path}: is a file; give the name of a folder")
    for kept, name in ((Path.cwd(), "the working folder"), (Path.home(), "your home folder")):
        if _holds(target, kept):
            raise InputError(f"{path}: is or holds {name}, which is never replaced; give the name of a new folder")
    for file in inputs:
        if _holds(target, file):
            raise InputError(f"{path}: holds {file}, an input of this command; choose another folder")
    if os.path.ismount(target):
        raise InputError(f"{path}: is a mount point and cannot be replaced; name a folder in it")
    if not any(target.iterdir()):
        return
    if not overwrite:
        raise InputError(f"{path}: {EXISTS}")
    if names := foreign(target):
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        raise InputError(
            f"{path}: holds what this command does not write ({', '.join(names[:_LISTED])}{more}), so that it is not "
            "replaced; choose another folder, or remove it yourself"
        )


def _holds(folder: Path, file: Path) -> bool:
    target = resolved(file)
    return any(path.exists() and folder.samefile(path) for path in (target, *target.parents))


def _put_in_place(temporary: Path, path: Path, foreign: Foreign, *, overwrite: bool) -> None:
    """Replace the folder: the old one is renamed first, and renamed back if the new one cannot be moved there."""
    target = target_of(path)
    replaces = overwrite and target.exists()
    try:
        if replaces:
            _check_replaceable(path, target, foreign, overwrite=True, inputs=[])  # hours may have passed
    except InputError as error:
        raise keep_beside([temporary], [target], str(error).partition(": ")[2]) from error
    aside = free_name(target)  # not in the temporary folder, which a signal may remove at any moment
    if replaces:
        target.rename(aside)
    try:
        rename_to_free(temporary, target)
    except FileExistsError:
        raise keep_beside([temporary], [target], "was written by another run meanwhile") from None
    finally:
        if replaces:
            aside.rename(temporary.with_name("old") if target.exists() else target)
