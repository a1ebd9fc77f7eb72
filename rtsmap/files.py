"""Files written whole or not at all, and their checksums."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rtsmap.errors import InputError, OutputError


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(path: Path, *, overwrite: bool) -> None:
    """Fail early, before any long work, when `path` could not be written at its end.

    Raises:
        InputError: it exists and must not be overwritten, or its folder cannot be made or written.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file")
    if path.exists() and not overwrite:
        raise InputError(f"{path}: exists already; choose another name or add --overwrite")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(f"{path.parent}: cannot write there ({error.strerror}); choose another folder") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under a temporary sibling name; it takes the place of `path` only when the block succeeds.

    The sibling keeps the suffix of `path`, by which GDAL and others choose a format. Whatever lies beside the sibling
    (journals) goes with it.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        temporary = folder / path.name
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def replacing_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Fill a folder under a temporary sibling name; it takes the place of `path` only when the block succeeds.

    Raises:
        InputError: `path` exists and must not be overwritten.
        OutputError: the disk is full or the folder cannot be written.
    """
    if path.exists() and not overwrite:
        raise InputError(f"{path}: exists already; choose another name or add --overwrite")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        temporary.chmod(0o755)  # mkdtemp's folders are their owner's alone
        yield temporary
        if path.exists():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        temporary.rename(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
