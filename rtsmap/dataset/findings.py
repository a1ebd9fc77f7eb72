"""The findings that `rtsmap dataset check` reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One finding of a check of a data set.

    Attributes:
        severity: an error makes training or its scores wrong, a warning may do so, and an info is only worth knowing.
        image: name of the image, or of the file concerned.
        what: what was found.
        action: what to do about it; empty where nothing needs to be done.
    """

    severity: Literal["error", "warning", "info"]
    image: str
    what: str
    action: str = ""

    def __str__(self) -> str:
        return f"{self.severity:<7}  {self.image}: {self.what}" + (f"; {self.action}" if self.action else "")


def summary(findings: Sequence[Finding]) -> str:
    """Count the findings of each severity: `1 error, 2 warnings, 0 infos`."""
    counts = {level: sum(one.severity == level for one in findings) for level in ("error", "warning", "info")}
    return ", ".join(f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items())
