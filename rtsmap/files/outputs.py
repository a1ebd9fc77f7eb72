"""Checks of output files before any work: that they can be written, and that no other file is lost."""

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

#: Suffixes of files that rtsmap writes but never reads from a folder of scenes. Only such files are replaced there.
_RESULTS = (".gpkg", ".parquet", ".png")


def check_outputs(*outputs: Path | None, overwrite: bool, inputs: Iterable[Path | str | None] = ()) -> None:
    """Fail before any work if an output could not be written at the end, or would replace another file.

    Args:
        *outputs: all files that a command will write; None is ignored.
        overwrite: whether they may exist.
        inputs: everything that the command reads: paths of files and folders, or GDAL dataset names.

    Raises:
        InputError: the message names the file and the reason in one line.
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
    """Fail if nothing could be written under a path. The parent folder is created.

    Raises:
        InputError: the folder cannot be made or written, or the name is too long.
    """
    target = resolved(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(target.parent) as folder:  # the output will be written in the same way
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
        raise InputError(f"{second}: contains {first} or lies in it, but both are to be files; choose another name")


class _Read:
    """The inputs of a command, by resolved path and by file identity (device and inode)."""

    def __init__(self, inputs: list[Path]) -> None:
        self._paths = {resolved(path): path for path in inputs}
        self._files = {_identity(path): path for path in inputs}
        self._folders = {real: path for real, path in self._paths.items() if real.is_dir()}

    def check(self, path: Path) -> None:
        target = resolved(path)
        read = self._paths.get(target) or (self._files.get(_identity(target)) if _state(target) else None)
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
    """Device and inode, which are the same for all names of a file; None if the file does not exist."""
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
