"""Progress bars on standard error; there are none if it is not a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


@contextmanager
def progress_bar(
    unit: str, description: str = "", total: int | None = None, *, shown: bool = True
) -> Iterator[Callable[[int, int], None]]:
    """Show one progress bar.

    Args:
        unit: what is counted, such as `chip`.
        description: text before the bar.
        total: number of units, if it is known already.
        shown: false for no bar, as in all but one of several processes.

    Yields:
        A function to be called with the number of units that are done and the number of all units.
    """
    with _bar(unit, description, total, shown=shown) as bar:
        yield lambda done, of: _update(bar, done, of)


class SceneBars:
    """One progress bar after another, one for each scene; its instances are of the type `Progress`."""

    def __init__(self) -> None:
        self._scene = ""
        self._current: tqdm[Any] | None = None

    def __enter__(self) -> "SceneBars":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, scene: str, done: int, total: int) -> None:
        """Show how many of the chips of a scene are done."""
        if self._current is None or scene != self._scene:
            self.close()
            self._scene, self._current = scene, _bar("chip", Path(scene).name[:40], total)
        _update(self._current, done, total)

    def close(self) -> None:
        """End the bar of the scene, so that other lines can be printed below it."""
        if self._current is not None:
            self._current.close()
            self._current = None


def _bar(unit: str, description: str, total: int | None, *, shown: bool = True) -> "tqdm[Any]":
    from tqdm import tqdm

    return tqdm(unit=unit, desc=description or None, total=total, disable=None if shown else True)


def _update(bar: "tqdm[Any]", done: int, total: int) -> None:
    bar.total = total
    bar.update(done - bar.n)
