"""Figures for people, by matplotlib, which comes with the extra `[train]`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rtsmap.errors import DatasetError
from rtsmap.files.writing import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150


@contextmanager
def drawing(path: Path, size: tuple[float, float], *, overwrite: bool = True) -> Iterator["Figure"]:
    """A figure that is written as PNG when the block succeeds.

    Args:
        path: of the PNG.
        size: width and height, inches.
        overwrite: whether it may be there; see `files.replacing`.

    Yields:
        An empty figure that makes room for its labels.

    Raises:
        DatasetError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    try:  # without pyplot, which would look for a display and keep every figure
        from matplotlib.figure import Figure  # noqa: PLC0415  (slow to import, and only needed here)
    except ImportError as error:
        raise DatasetError(
            f"{path}: needs matplotlib, which comes with rtsmap[train]; pip install matplotlib"
        ) from error
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    yield figure
    with replacing(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format="png")
