"""What `rtsmap dataset check` reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing that a check of a data set found.

    Attributes:
        severity: an error makes training or its scores wrong; a warning may; info is to be known.
        image: its name, or the file that is meant.
        what: is the matter.
        action: to take; empty where there is none.
    """

    severity: Literal["error", "warning", "info"]
    image: str
    what: str
    action: str = ""

    def __str__(self) -> str:
        return f"{self.severity:<7}  {self.image}: {self.what}" + (f"; {self.action}" if self.action else "")


def summary(findings: Sequence[Finding]) -> str:
    """How many there are of each severity: `1 error, 2 warnings, 0 infos`."""
    counts = {level: sum(one.severity == level for one in findings) for level in ("error", "warning", "info")}
    return ", ".join(f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items())
