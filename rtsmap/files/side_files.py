"""Sidecar files that other programs keep beside a file, and that must not be applied to a new file of the same name."""

import os
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: Files that SQLite keeps beside a GeoPackage that is open, or that was open when a program crashed. SQLite would apply
#: their content to any later file of the same name.
_OF_DATABASES = ("-wal", "-journal", "-shm")

#: Files that GDAL and QGIS keep beside a raster: statistics and overviews of its former content.
_OF_RASTERS = (".aux.xml", ".ovr")

_FIRST_LOCKED_BYTE, _LOCKED_BYTES = 0x40000000, 512  # https://www.sqlite.org/fileformat2.html#the_lock_byte_page


def in_use(path: Path) -> Path | None:
    """The sidecar file that shows that `path` is open in a program or has uncommitted changes, or None."""
    beside = [file for file in _beside(path, _OF_DATABASES) if os.path.lexists(file)]
    for file in beside:
        if not file.name.endswith("-shm") and file.stat().st_size:
            return file
    return beside[0] if beside and _locked(path) else None


def remove_stale(path: Path) -> None:
    """Remove outdated sidecar files: GDAL's, which describe the old file, and SQLite's, which `in_use` found unused."""
    for file in _beside(path, (*_OF_DATABASES, *(_OF_RASTERS if path.exists() else ()))):
        with suppress(FileNotFoundError):
            file.unlink()


def _beside(path: Path, endings: tuple[str, ...]) -> list[Path]:
    return [path.with_name(f"{path.name}{ending}") for ending in endings]


def _locked(path: Path) -> bool:
    """Whether another process holds one of SQLite's locks on a file; True also if that cannot be determined."""
    try:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCKED_BYTES, _FIRST_LOCKED_BYTE)
    except FileNotFoundError:
        return False
    except (OSError, AttributeError):  # it is locked, or cannot be checked
        return True
    return False
