"""The log of a training run: a table of losses, and curves for TensorBoard."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from torch.utils.tensorboard import SummaryWriter

LOSSES = "losses.csv"
_STEP = "iteration"


class Log:
    """Writes one row per step to `losses.csv`, and the same values to `tensorboard/`.

    Rows after the checkpoint that a run continues from are removed.

    Args:
        folder: folder of the run.
        step: step that the run continues from; 0 for a new run.
        writes: whether this process writes; only the main process does.
    """

    def __init__(self, folder: Path, step: int, *, writes: bool) -> None:
        self._writes = writes
        if not writes:
            return
        path = folder / LOSSES
        before = path.read_text(encoding="utf-8").splitlines() if step and path.exists() else []
        self._file = path.open("w", newline="", encoding="utf-8")
        self._file.writelines(f"{line}\n" for line in before[: step + 1])  # one more line, for the header
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._curves = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writes:
            self._file.close()
            self._curves.close()

    @staticmethod
    def may_begin(folder: Path) -> bool:
        """Whether `losses.csv` may be written: it is missing, or it is the log of a run that left no checkpoint."""
        path = folder / LOSSES
        if not path.exists():
            return True
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline(100).partition(",")[0] in ("", _STEP)

    def write(self, step: int, losses: Mapping[str, float], learning_rate: float) -> None:
        """Add a row, which is flushed to disk with the next checkpoint."""
        if not self._writes:
            return
        if not self._file.tell():
            self._writer.writerow([_STEP, *losses])
        self._writer.writerow([step, *(round(value, 5) for value in losses.values())])
        for name, value in losses.items():
            self._curves.add_scalar(f"loss/{name.removeprefix('loss_')}", value, step)
        self._curves.add_scalar("learning_rate", learning_rate, step)

    def write_validation(self, step: int, average_precision: float) -> None:
        """Add the AP50, 0..1, of the validation images."""
        if self._writes:
            self._curves.add_scalar("validation/AP50", average_precision, step)

    def flush(self) -> None:
        """Flush all rows to disk."""
        if self._writes:
            self._file.flush()
            self._curves.flush()
