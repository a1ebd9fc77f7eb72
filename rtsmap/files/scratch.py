"""Temporary folders beside the output, and the removal of those that a killed run left behind.

Each folder holds a lock file. The operating system releases the lock when the process ends for any reason, so that a
locked folder is in use and an unlocked one is abandoned.
"""

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rtsmap.interrupts import half_written

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: Short, so that the temporary name fits wherever the name of the output fits.
PREFIX = ".rtsmap-"

_LOCK = "lock"
#: Age after which a folder is removed if its process cannot be checked: it was made on another machine, or has no lock.
_FORGOTTEN_S = 7 * 24 * 3600.0


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Create an empty temporary folder in `parent`, and remove it at the end.

    It lies on the same disk as the output, so that files can be renamed from it. Temporary folders in `parent` whose
    process has ended are removed first.

    Yields:
        The folder.

    Raises:
        OSError: `parent` is missing, full, or cannot be written.
    """
    remove_abandoned(parent)
    folder, lock = _locked(parent)
    half_written.add(folder)
    try:
        content = folder / "new"
        content.mkdir(mode=0o755)
        yield content
    finally:
        _give_up(folder, lock)


def remove_abandoned(parent: Path) -> None:
    """Remove the temporary folders in `parent` whose process has ended without removing them."""
    with suppress(OSError):
        for folder in parent.glob(f"{PREFIX}*"):
            with suppress(OSError):
                _remove_if_abandoned(folder)


def _locked(parent: Path) -> tuple[Path, int]:
    """Create a folder and lock a file in it. Returns the folder and the descriptor of the locked file."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        half_written.add(folder)
        lock = -1
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(lock, f"{platform.node()} {os.getpid()}\n".encode())
            _lock(lock, wait=True)
            if (folder / _LOCK).exists():  # else another run removed it as abandoned before it was locked
                return folder, lock
        except BaseException as error:
            _give_up(folder, lock)
            if not isinstance(error, FileNotFoundError) or not parent.exists():
                raise
        else:
            _give_up(folder, lock)


def _give_up(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    half_written.discard(folder)
    if lock >= 0:
        os.close(lock)


def _remove_if_abandoned(folder: Path) -> None:
    lock = folder / _LOCK
    if not lock.exists():
        if time.time() - folder.stat().st_mtime > _FORGOTTEN_S:
            shutil.rmtree(folder, ignore_errors=True)
        return
    descriptor = os.open(lock, os.O_RDWR)
    try:
        text = os.read(descriptor, 300).decode(errors="replace")
        here = text.split(" ")[0] == platform.node()  # on some network disks, only the locking machine sees the lock
        if (here or time.time() - lock.stat().st_mtime > _FORGOTTEN_S) and _lock(descriptor):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock a file. Returns whether this process now holds the lock; False also on disks that do not support locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, AttributeError):
        return False
    return True
