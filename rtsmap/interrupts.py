"""Ending a run on a signal: Ctrl-C (SIGINT), a scheduler's SIGTERM, or SIGHUP when the terminal is closed.

Usually a run ends through every `finally`, as Python does on Ctrl-C. But Python handles a signal only between two of
its own instructions, and a network may compute one chip for minutes. Therefore a separate thread receives the signal
as well. It waits for a second, then removes half-written files and ends the process.

This module imports nothing that takes time, so that signals are handled while everything else is being imported.
"""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import ClassVar

from rtsmap.errors import InterruptedRunError

#: The last line that is printed.
MESSAGE = "rtsmap: interrupted; run the same command again"

#: Time in which a run may end by itself, s.
GRACE_S = 1.0

#: Folders of half-written files of this process, which are removed in any case; see `rtsmap.files.scratch`.
half_written: set[Path] = set()

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def remove_half_written() -> None:
    """Remove the folders of `half_written`, even while other threads still write into them."""
    for _ in range(3):  # a thread may make a file in a folder that was just found empty
        for folder in tuple(half_written):
            shutil.rmtree(folder, ignore_errors=True)


def say_interrupted() -> None:
    """Print once what happened and what to do."""
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
def handling_signals() -> Iterator[None]:
    """Handle signals in the block: raise KeyboardInterrupt, and soon afterwards end the process with exit code 75.

    A signal that is ignored stays ignored, such as SIGHUP under nohup, or SIGINT in the background of a shell.
    """
    if threading.current_thread() is not threading.main_thread() or _Watcher.current is not None:
        yield  # only the main thread can handle signals, and one watcher is enough
        return
    watcher = _Watcher()
    watcher.start()
    try:
        yield
    finally:
        watcher.stop()


class _Watcher:
    """The thread that receives a signal at once, and the handlers that were set before."""

    current: ClassVar["_Watcher | None"] = None
    said: ClassVar[bool] = False

    def __init__(self) -> None:
        open_missing_streams()  # what is printed would come out of the pipe
        self._receiver, self._sender = os.pipe()
        os.set_blocking(self._sender, False)
        self._signalled = False

    def start(self) -> None:
        _Watcher.current = self
        self._wakeup_before = signal.set_wakeup_fd(self._sender, warn_on_full_buffer=False)
        self._before = {one: signal.getsignal(one) for one in _SIGNALS}
        for one, handler in self._before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(one, self._interrupt)
        threading.Thread(target=self._watch, name="signals", daemon=True).start()

    def stop(self) -> None:
        """End the thread, unless there was a signal: other threads may still keep the process from ending."""
        if self._signalled or _Watcher.current is not self:
            return
        self.restore()
        os.close(self._sender)  # ends the thread

    def restore(self) -> None:
        _Watcher.current = None
        signal.set_wakeup_fd(self._wakeup_before)
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if not self._signalled:  # a second signal would only disturb the clean-up
            self._signalled = True
            raise KeyboardInterrupt

    def _watch(self) -> None:
        while heard := os.read(self._receiver, 64):
            if any(number in _SIGNALS for number in heard):
                time.sleep(GRACE_S)
                remove_half_written()
                say_interrupted()
                os._exit(InterruptedRunError.exit_code)
        os.close(self._receiver)


def _in_child() -> None:
    """Stop watching in a forked child, such as one that prepares chips for training; its parent ends it."""
    half_written.clear()
    if _Watcher.current is not None:
        _Watcher.current.restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
