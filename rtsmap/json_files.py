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
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror}); {advice}") from problem
    except RecursionError as problem:
        raise error(f"{path}: is not usable JSON (nested too deeply); {advice}") from problem
    except UnicodeDecodeError as problem:
        raise error(f"{path}: is not JSON (no UTF-8 text); {advice}") from problem
    except ValueError as problem:
        raise error(f"{path}: is not JSON ({problem}); {advice}") from problem
