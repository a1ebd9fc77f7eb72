"""Temporary folders beside the output, and the removal of those that a killed run left behind.

Each holds a lock that ends with its process, whatever ends that; so what is locked is in use, and the rest is not.
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

#: Short, so that there is room for it wherever there is room for a name.
PREFIX = ".rtsmap-"

_LOCK = "lock"
#: After which a folder is removed whose process cannot be seen from here: another machine's, or one without a lock.
_FORGOTTEN_S = 7 * 24 * 3600.0


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """An empty folder in `parent`, on the same disk as all that is renamed from there to its place; gone in the end.

    Those of dead processes in the same place are removed first.

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
    """A new folder and the open file whose lock tells that it is in use."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        half_written.add(folder)
        lock = -1
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(lock, f"{platform.node()} {os.getpid()}\n".encode())
            _lock(lock, wait=True)
            if (folder / _LOCK).exists():  # else another run took it for abandoned before it was locked
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
        here = text.split(" ")[0] == platform.node()  # locks of some network disks are known to one machine only
        if (here or time.time() - lock.stat().st_mtime > _FORGOTTEN_S) and _lock(descriptor):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, wait: bool = False) -> bool:
    """Whether the lock is ours now; false also where the disk knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, AttributeError):
        return False
    return True
