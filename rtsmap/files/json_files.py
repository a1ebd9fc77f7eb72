"""JSON that others wrote: any file that cannot be used is one clear error, however odd it is."""

import json
from pathlib import Path
from typing import Any

from rtsmap.errors import RtsmapError

#: What code may raise that takes a document for what it should be: values missing, of another type, too large, or
#: nested deeper than Python can follow.
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)


def read_json(path: Path, error: type[RtsmapError], advice: str) -> Any:
    """The content of a JSON file.

    Args:
        path: of the file, in UTF-8, with or without a byte order mark.
        error: to raise.
        advice: what to do about it, the end of the error's line.

    Raises:
        RtsmapError: of the kind asked for; the file cannot be read, or is not JSON.
    """
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror}); {advice}") from problem
    return parse_json(path, content, error, advice)


def parse_json(name: Path | str, content: bytes, error: type[RtsmapError], advice: str) -> Any:
    """The document that the bytes of a JSON file hold.

    Args:
        name: of the file, for the error.
        content: in UTF-8, with or without a byte order mark.
        error: see `read_json`.
        advice: see `read_json`.

    Raises:
        RtsmapError: of the kind asked for; the content is not JSON.
    """
    try:
        return json.loads(content.decode("utf-8-sig"))
    except RecursionError as problem:
        raise error(f"{name}: is not usable JSON (nested too deeply); {advice}") from problem
    except UnicodeDecodeError as problem:
        raise error(f"{name}: is not JSON (no UTF-8 text); {advice}") from problem
    except ValueError as problem:
        raise error(f"{name}: is not JSON ({problem}); {advice}") from problem
