"""Files written whole or not at all, and their checksums."""

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
    """Hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Write a file under a temporary name; it takes the place of `path` only when the block succeeds.

    The temporary name has the suffix of `path`, by which GDAL and others choose a format.

    Args:
        path: of the file. Of a symbolic link the target is replaced, and the link stays.
        overwrite: whether a file may be there when the block ends. If it may not but is, which another run must have
            made meanwhile, it stays, and the new one is kept under a name beside it.

    Raises:
        OutputError: the disk is full, the folder cannot be written, or another run was faster.
    """
    with replacing_together([path], overwrite=overwrite) as (temporary,):
        yield temporary


@contextmanager
def replacing_together(paths: Sequence[Path], *, overwrite: bool = True) -> Iterator[list[Path]]:
    """Write files that belong together, as `replacing` writes one; none takes its place before all are written.

    Args:
        paths: of the files, all in one folder; the last takes its place last.
        overwrite: see `replacing`.

    Yields:
        Their temporary names, in one folder too.

    Raises:
        OutputError: see `replacing`.
    """
    try:
        targets = [target_of(path) for path in paths]
        with scratch_folder(targets[-1].parent) as folder:
            # not under their own names, which may leave no room for what SQLite adds to them
            temporary = [folder / f"{number}{path.suffix}" for number, path in enumerate(paths)]
            yield temporary
            _put_in_place(temporary, targets, overwrite=overwrite)
    except OSError as error:
        raise OutputError(f"{paths[-1]}: cannot be written ({error.strerror or error})") from error


def resolved(path: Path) -> Path:
    """Where a path leads when all links are followed, whether there is something or not."""
    return Path(os.path.realpath(path))


def target_of(path: Path) -> Path:
    """What is to be replaced: of a link where it leads; else the path as the user wrote it, as messages show it."""
    return resolved(path) if path.is_symlink() or path.name in ("", "..") else path


def keep_beside(sources: Sequence[Path], wanted: Sequence[Path], why: str) -> OutputError:
    """Give results whose place is taken the first free names `name.1.suffix`, `name.2.suffix`, ... instead.

    Returns:
        The error that says so.

    Raises:
        OSError: that is not possible either.
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
    """Rename a file, or a folder, unless something is there by then.

    Raises:
        FileExistsError: something is there. An empty folder counts as nothing where a folder is renamed.
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
    """Rename all or, where one fails that must not replace anything, none."""
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
    """`slumps.gpkg` and 1 give `slumps.1.gpkg`, of a long name as much as there is room for."""
    stem, ending = path.stem, f".{number}{path.suffix}"
    while len(os.fsencode(stem + ending)) > _LONGEST_NAME and len(stem) > 1:
        stem = stem[:-1]
    return path.with_name(stem + ending)
