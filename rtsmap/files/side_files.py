"""Files that other programs keep beside one, and that must not meet another file of its name."""

import os
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: What SQLite keeps beside a GeoPackage that is open, or was when its program crashed. SQLite would apply what is in
#: them to whatever file has the name.
_OF_DATABASES = ("-wal", "-journal", "-shm")

#: What GDAL and QGIS keep beside a raster: statistics and overviews of what was in it.
_OF_RASTERS = (".aux.xml", ".ovr")

_FIRST_LOCKED_BYTE, _LOCKED_BYTES = 0x40000000, 512  # https://www.sqlite.org/fileformat2.html#the_lock_byte_page


def in_use(path: Path) -> Path | None:
    """The file beside `path` that holds changes not yet in it, or tells that a program has it open; None without."""
    beside = [file for file in _beside(path, _OF_DATABASES) if os.path.lexists(file)]
    for file in beside:
        if not file.name.endswith("-shm") and file.stat().st_size:
            return file
    return beside[0] if beside and _locked(path) else None


def remove_stale(path: Path) -> None:
    """Remove what describes the file that is about to be replaced, and what `in_use` found to be empty."""
    for file in _beside(path, (*_OF_DATABASES, *(_OF_RASTERS if path.exists() else ()))):
        with suppress(FileNotFoundError):
            file.unlink()


def _beside(path: Path, endings: tuple[str, ...]) -> list[Path]:
    return [path.with_name(f"{path.name}{ending}") for ending in endings]


def _locked(path: Path) -> bool:
    """Whether another process holds one of SQLite's locks on a file."""
    try:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCKED_BYTES, _FIRST_LOCKED_BYTE)
    except FileNotFoundError:
        return False
    except (OSError, AttributeError):  # locked, or not to be known
        return True
    return False
