"""What is checked of outputs before any work: that they can be written, and that nothing is lost by it."""

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from itertools import combinations
from pathlib import Path

from rtsmap.errors import InputError
from rtsmap.files.inputs import local_paths
from rtsmap.files.scratch import scratch_folder
from rtsmap.files.side_files import in_use
from rtsmap.files.writing import resolved

EXISTS = "exists already; choose another name or add --overwrite"

#: Suffixes of what rtsmap writes and never reads as part of a folder of scenes: only these are replaced there.
_RESULTS = (".gpkg", ".parquet", ".png")


def check_outputs(*outputs: Path | None, overwrite: bool, inputs: Iterable[Path | str | None] = ()) -> None:
    """Fail before any work when a file could not be written at its end, or would take another one's place.

    Args:
        *outputs: all files that a command is to write; None counts for nothing.
        overwrite: whether they may exist.
        inputs: all that the command reads: paths of files and folders, or names for GDAL.

    Raises:
        InputError: in one line, which file and why.
    """
    wanted = [path for path in outputs if path is not None]
    for first, second in combinations(wanted, 2):
        _check_apart(first, second)
    read = _Read(local_paths(inputs))
    for path in wanted:
        read.check(path)
    for path in wanted:
        check_place(path)
        _check_file(path, overwrite=overwrite)


def check_place(path: Path) -> None:
    """Fail when nothing could be written under a name; makes the folder that it lies in.

    Raises:
        InputError: the folder cannot be made or written, or the name is too long.
    """
    target = resolved(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(target.parent) as folder:  # as it will be in the end
            (folder / f"0{target.suffix}-journal").touch()
        with suppress(FileNotFoundError):
            target.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"{path}: the name is too long for this disk; choose a shorter one") from error
        reason = f"cannot write there ({error.strerror}); choose another folder"
        raise InputError(f"{path.parent}: {reason}") from error


def _check_apart(first: Path, second: Path) -> None:
    one, other = resolved(first), resolved(second)
    if one == other or (_state(one) and _identity(one) == _identity(other)):
        raise InputError(f"{second}: would be written twice; give each output a name of its own")
    if one in other.parents or other in one.parents:
        raise InputError(f"{second}: would be in {first}, or that in it, which is to be a file; choose another name")


class _Read:
    """The inputs of a command, by where they really lie and by which files they are."""

    def __init__(self, inputs: list[Path]) -> None:
        self._places = {resolved(path): path for path in inputs}
        self._files = {_identity(path): path for path in inputs}
        self._folders = {place: path for place, path in self._places.items() if place.is_dir()}

    def check(self, path: Path) -> None:
        target = resolved(path)
        read = self._places.get(target) or (self._files.get(_identity(target)) if _state(target) else None)
        if read is not None:
            raise InputError(f"{path}: is an input of this command ({read}); choose another name")
        within = next((self._folders[folder] for folder in target.parents if folder in self._folders), None)
        if within is not None and _state(target) and target.suffix.lower() not in _RESULTS:
            raise InputError(f"{path}: may be part of the input {within}; choose another name")


def _state(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file it is, whatever its name; None of one that is not there."""
    state = _state(path)
    return (state.st_dev, state.st_ino) if state else None


def _check_file(path: Path, *, overwrite: bool) -> None:
    target = resolved(path)
    if state := _state(target):
        if stat.S_ISDIR(state.st_mode):
            raise InputError(f"{path}: is a folder; give the name of a file")
        if not stat.S_ISREG(state.st_mode):
            raise InputError(f"{path}: is no ordinary file; choose another name")
        if not overwrite:
            raise InputError(f"{path}: {EXISTS}")
    if target.is_symlink():
        raise InputError(f"{path}: is a link that leads back to itself; remove it or choose another name")
    if used := in_use(target):
        raise InputError(
            f"{path}: {used.name} lies beside it, so that another program, such as QGIS, has it open or had it when it "
            "crashed; close it there (after a crash open and close it once), or choose another name"
        )
