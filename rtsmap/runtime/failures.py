"""Unforeseen exceptions as one clear line, for the failure of one scene or of the whole command."""

import errno
import os
import traceback

from rtsmap.errors import InputError, RtsmapError

#: If this variable is set in the environment, failures are reported with a traceback.
DEBUG = "RTSMAP_DEBUG"

#: System errors that arise if the user gave a file that cannot be read.
_OF_A_NAME = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP}


class UnforeseenError(RtsmapError):
    """A failure for which rtsmap has no specific message."""


def explained(error: Exception, subject: str = "") -> RtsmapError:
    """Turn an exception into a failure with one clear line.

    Args:
        error: any exception; an `RtsmapError` keeps its class, and therefore its exit code.
        subject: what was processed, such as the path of a scene; the line begins with it unless it already contains it.

    Returns:
        An `InputError` if a file or its name is the cause, otherwise an `UnforeseenError`.
    """
    name = readable(subject)
    if isinstance(error, RtsmapError):
        return error if name in readable(str(error)) else type(error)(f"{name}: {error}")
    of_input = isinstance(error, UnicodeError | RecursionError) or getattr(error, "errno", None) in _OF_A_NAME
    line = _reason(error)
    return (InputError if of_input else UnforeseenError)(line if line.startswith(name) else f"{name}: {line}")


def story(error: BaseException) -> str:
    """The traceback of a failure if the environment variable `RTSMAP_DEBUG` is set, otherwise an empty string."""
    return "".join(traceback.format_exception(error)) if os.environ.get(DEBUG) else ""


def readable(text: str) -> str:
    r"""Make text that every terminal and file accepts: bytes of a file name that are not UTF-8 become `\\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def in_one_line(text: str) -> str:
    r"""Escape line breaks and other control characters, which a file name may contain, as `\n` and the like."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in readable(text))


def _reason(error: Exception) -> str:
    detail = readable(str(error)).strip().partition("\n")[0]
    match error:
        case MemoryError():
            return f"the memory does not suffice ({detail or 'none is left'}); free some, or give a smaller --chip-size"
        case RecursionError():
            return "is nested too deeply to be read; check that it is the file you meant"
        case UnicodeError():
            return f"a name or a text is not UTF-8 ({detail}); rename the file or save it as UTF-8"
        case OSError(strerror=str(reason)):
            return f"{readable(str(error.filename))}: {reason}" if error.filename else reason
    what = f"{type(error).__name__}: {detail}" if detail else type(error).__name__
    return f"rtsmap cannot go on ({what}); {DEBUG}=1 in the environment shows where in the code"
