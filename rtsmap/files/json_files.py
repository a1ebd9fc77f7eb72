"""Reading of JSON from other programs: every file that cannot be used gives one clear error, whatever its fault."""

import json
from pathlib import Path
from typing import Any

from rtsmap.errors import RtsmapError

#: Exceptions that code may raise if it assumes a valid document: values are missing, have another type, are too large,
#: or are nested more deeply than Python can follow.
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)


def read_json(path: Path, error: type[RtsmapError], advice: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file, in UTF-8, with or without a byte order mark.
        error: the class of the error to raise.
        advice: what the user can do; it ends the error message.

    Raises:
        RtsmapError: of the class `error`; the file cannot be read, or is not JSON.
    """
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror}); {advice}") from problem
    return parse_json(path, content, error, advice)


def parse_json(name: Path | str, content: bytes, error: type[RtsmapError], advice: str) -> Any:
    """Parse the content of a JSON file.

    Args:
        name: the name of the file, for the error message.
        content: the bytes of the file, in UTF-8, with or without a byte order mark.
        error: see `read_json`.
        advice: see `read_json`.

    Raises:
        RtsmapError: of the class `error`; the content is not JSON.
    """
    try:
        return json.loads(content.decode("utf-8-sig"))
    except RecursionError as problem:
        raise error(f"{name}: is not usable JSON (nested too deeply); {advice}") from problem
    except UnicodeDecodeError as problem:
        raise error(f"{name}: is not JSON (no UTF-8 text); {advice}") from problem
    except ValueError as problem:
        raise error(f"{name}: is not JSON ({problem}); {advice}") from problem
