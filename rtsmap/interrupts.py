"""Ending a run when it is told to: by Ctrl-C, by a scheduler (SIGTERM), or with the terminal that it ran in (SIGHUP).

Usually a run ends through every `finally`, as Python does on Ctrl-C. But Python hears of a signal only between two of
its own instructions, and a network may compute for minutes on one chip. So a thread of its own, which the signal
reaches wherever the others are, gives them a second; then it removes what is half written and ends the process.

Nothing is imported here that takes time: signals are to be heeded while all else is still being imported.
"""

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import ClassVar

from rtsmap.errors import InterruptedRunError

#: What is said last.
MESSAGE = "rtsmap: interrupted; run the same command again"

#: Seconds in which a run may end by itself.
GRACE_S = 1.0

#: Folders of half-written files that this process has open, to be removed whatever happens; see `rtsmap.files.scratch`.
half_written: set[Path] = set()

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def remove_half_written() -> None:
    """Remove the folders of `half_written`, also while other threads still write into them."""
    for _ in range(3):  # a thread may make a file in a folder that was just found empty
        for folder in tuple(half_written):
            shutil.rmtree(folder, ignore_errors=True)


def say_interrupted() -> None:
    """Say what happened and what to do, once."""
    if not _Watcher.said:
        _Watcher.said = True
        with suppress(OSError):  # standard error may be closed or full
            os.write(2, f"{MESSAGE}\n".encode())


def open_missing_streams() -> None:
    """Give closed descriptors to nothing: else the next file to be opened would get them, and all that is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


@contextmanager
def heeding_signals() -> Iterator[None]:
    """End what happens in the block by a KeyboardInterrupt, and the process with exit code 75 soon after a signal.

    A signal that is ignored stays so, as SIGHUP under nohup, and SIGINT in a shell's background.
    """
    if threading.current_thread() is not threading.main_thread() or _Watcher.current is not None:
        yield  # signals are the main thread's business, and one watcher is enough
        return
    watcher = _Watcher()
    watcher.start()
    try:
        yield
    finally:
        watcher.stop()


class _Watcher:
    """The thread that a signal reaches at once, and what was there before it."""

    current: ClassVar["_Watcher | None"] = None
    said: ClassVar[bool] = False

    def __init__(self) -> None:
        open_missing_streams()  # what is printed would come out of the sockets
        self._ours, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self._told = False

    def start(self) -> None:
        _Watcher.current = self
        self._wakeup_before = signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        self._before = {one: signal.getsignal(one) for one in _SIGNALS}
        for one, handler in self._before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(one, self._interrupt)
        threading.Thread(target=self._watch, name="signals", daemon=True).start()

    def stop(self) -> None:
        """Once a signal was there the thread stays: threads that compute may yet keep the process from ending."""
        if self._told or _Watcher.current is not self:
            return
        self.restore()
        self._theirs.close()  # ends the thread

    def restore(self) -> None:
        _Watcher.current = None
        signal.set_wakeup_fd(self._wakeup_before)
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if not self._told:  # a second one would only disturb what is being cleared away
            self._told = True
            raise KeyboardInterrupt

    def _watch(self) -> None:
        while heard := self._ours.recv(64):
            if any(number in _SIGNALS for number in heard):
                time.sleep(GRACE_S)
                remove_half_written()
                say_interrupted()
                os._exit(InterruptedRunError.exit_code)
        self._ours.close()


def _in_child() -> None:
    """A forked child, such as one that prepares chips for training, is ended by its parent, and must not end that."""
    half_written.clear()
    if _Watcher.current is not None:
        _Watcher.current.restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
