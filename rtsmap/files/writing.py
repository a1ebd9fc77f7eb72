"""Atomic writing of files, and their checksums."""

import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rtsmap.errors import OutputError
from rtsmap.files.scratch import scratch_folder
from rtsmap.files.side_files import in_use, remove_stale

_LONGEST_NAME = 255  # bytes, on nearly every disk


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 checksum of the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Write a file under a temporary name; it replaces `path` only if the block succeeds.

    The temporary name has the suffix of `path`, from which GDAL and other libraries choose a format.

    Args:
        path: the file. If it is a symbolic link, the target is replaced and the link stays.
        overwrite: whether the file may exist when the block ends. If it may not but does, because another run has
            written it meanwhile, it is left as it is, and the new file is kept beside it under a free name.

    Yields:
        The temporary path to write to.

    Raises:
        OutputError: the disk is full, the folder cannot be written, or another run has written the file meanwhile.
    """
    with replacing_together([path], overwrite=overwrite) as (temporary,):
        yield temporary


@contextmanager
def replacing_together(paths: Sequence[Path], *, overwrite: bool = True) -> Iterator[list[Path]]:
    """Write files that belong together, as `replacing` writes one; none is moved to its path before all are written.

    Args:
        paths: the files, all in one folder; they are moved in this order.
        overwrite: see `replacing`.

    Yields:
        Their temporary paths, all in one folder.

    Raises:
        OutputError: see `replacing`.
    """
    try:
        targets = [target_of(path) for path in paths]
        with scratch_folder(targets[-1].parent) as folder:
            # short names, because SQLite appends its own endings and a long name would leave no room for them
            temporary = [folder / f"{number}{path.suffix}" for number, path in enumerate(paths)]
            yield temporary
            _put_in_place(temporary, targets, overwrite=overwrite)
    except OSError as error:
        raise OutputError(f"{paths[-1]}: cannot be written ({error.strerror or error})") from error


def resolved(path: Path) -> Path:
    """The path with all symbolic links followed, whether it exists or not."""
    return Path(os.path.realpath(path))


def target_of(path: Path) -> Path:
    """The path to replace: the target of a symbolic link, else the path as the user wrote it, for use in messages."""
    return resolved(path) if path.is_symlink() or path.name in ("", "..") else path


def keep_beside(sources: Sequence[Path], wanted: Sequence[Path], why: str) -> OutputError:
    """Rename results whose paths are taken to the first free names of `name.1.suffix`, `name.2.suffix`, ...

    Returns:
        The error to raise, with the reason and the names under which the results are kept.

    Raises:
        OSError: the results cannot be renamed.
    """
    for number in itertools.count(1):
        names = [_numbered(path, number) for path in wanted]
        try:
            _rename(sources, names, overwrite=False)
        except FileExistsError:
            continue
        break
    kept = " and ".join(map(str, names))
    return OutputError(f"{wanted[-1]}: {why}; it is left as it is, and this run's result is kept as {kept}")


def free_name(path: Path) -> Path:
    """The first of `name.1.suffix`, `name.2.suffix`, ... that does not exist."""
    return next(name for number in itertools.count(1) if not os.path.lexists(name := _numbered(path, number)))


def rename_to_free(source: Path, target: Path) -> None:
    """Rename a file or a folder unless the target exists.

    Raises:
        FileExistsError: the target exists. If a folder is renamed, an empty target folder counts as absent.
    """
    if source.is_dir():
        try:
            source.rename(target)
        except OSError as error:
            if os.path.lexists(target):
                raise FileExistsError(*error.args) from error
            raise
        return
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links
        target.open("x").close()
        source.replace(target)
    else:
        source.unlink()


def _put_in_place(sources: Sequence[Path], targets: Sequence[Path], *, overwrite: bool) -> None:
    if used := next(filter(None, map(in_use, targets)), None):
        raise keep_beside(sources, targets, f"another program, such as QGIS, has it open ({used.name})")
    try:
        _rename(sources, targets, overwrite=overwrite)
    except FileExistsError:
        raise keep_beside(sources, targets, "was written by another run meanwhile") from None


def _rename(sources: Sequence[Path], targets: Sequence[Path], *, overwrite: bool) -> None:
    """Rename all files; without `overwrite`, if one of them fails, the others are renamed back."""
    renamed: list[tuple[Path, Path]] = []
    try:
        for source, target in zip(sources, targets, strict=True):
            if overwrite:
                remove_stale(target)
                source.replace(target)
            else:
                rename_to_free(source, target)
                renamed.append((source, target))
    except BaseException:
        for source, target in renamed:
            target.replace(source)
        raise


def _numbered(path: Path, number: int) -> Path:
    """Insert a number: `slumps.gpkg` and 1 give `slumps.1.gpkg`; a name that becomes too long is shortened."""
    stem, ending = path.stem, f".{number}{path.suffix}"
    while len(os.fsencode(stem + ending)) > _LONGEST_NAME and len(stem) > 1:
        stem = stem[:-1]
    return path.with_name(stem + ending)
