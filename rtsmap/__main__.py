"""`rtsmap` and `python -m rtsmap`, which `torchrun -m rtsmap` needs."""

import sys

from rtsmap.errors import InterruptedRunError
from rtsmap.interrupts import heeding_signals, say_interrupted


def main() -> None:
    """Run the command line; a signal is heeded before anything that takes time is imported."""
    with heeding_signals():
        try:
            from rtsmap.cli import main as run  # noqa: PLC0415  (signals are heeded before)
        except KeyboardInterrupt:
            say_interrupted()
            sys.exit(InterruptedRunError.exit_code)
        run()


if __name__ == "__main__":
    main()
