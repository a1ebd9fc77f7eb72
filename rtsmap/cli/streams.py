"""Standard output and error that may be closed, full, or piped to a program that has ended, without stopping work."""

import io
import sys
from contextlib import suppress
from typing import TextIO

from rtsmap.interrupts import open_missing_streams


class StandardStreams:
    """A context in which text that standard output or error cannot take is dropped, and the first error is kept.

    A layer that took hours must not be lost because a progress message could not be printed.
    """

    def __init__(self) -> None:
        self._raw: list[_Forgiving] = []

    def __enter__(self) -> "StandardStreams":
        open_missing_streams()
        self._before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (self._forgiving(stream, number) for number, stream in enumerate(self._before, 1))
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, ValueError, OSError):
                stream.flush()
        sys.stdout, sys.stderr = self._before

    @property
    def failure(self) -> OSError | None:
        """The first error of standard output; None if there was none, or if its reader had ended, as `head` does."""
        with suppress(AttributeError, ValueError):
            sys.stdout.flush()
        errors = [raw.error for raw in self._raw if raw.fileno() == 1 and not isinstance(raw.error, BrokenPipeError)]
        return errors[0] if errors else None

    def _forgiving(self, stream: TextIO | None, number: int) -> TextIO:
        if stream is None:  # it was closed when Python started, but libraries write to it without a check
            return open(number, "w", encoding="utf-8", closefd=False)
        if not _is_file(stream, number):  # it is closed, or was replaced by a test
            return stream
        raw = _Forgiving(number, "w", closefd=False)
        self._raw.append(raw)
        return io.TextIOWrapper(
            io.BufferedWriter(raw), stream.encoding, stream.errors,
            line_buffering=number == 2 or raw.isatty(),
        )  # fmt: skip


class _Forgiving(io.FileIO):
    """A file that accepts all data, and keeps the first error of writing."""

    error: OSError | None = None

    def write(self, data: "io.ReadableBuffer") -> int:  # type: ignore[name-defined]
        """Write data. Returns its whole length, even if it could not be written."""
        if self.error is None:
            try:
                return super().write(data)
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes


def _is_file(stream: TextIO | None, number: int) -> bool:
    try:
        return stream is not None and stream.fileno() == number
    except (OSError, ValueError):
        return False
