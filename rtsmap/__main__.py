"""`rtsmap` and `python -m rtsmap`, which `torchrun -m rtsmap` needs."""

import sys

from rtsmap.errors import InterruptedRunError
from rtsmap.interrupts import handling_signals, say_interrupted


def main() -> None:
    """Run the command line; signals are handled before anything is imported that takes time."""
    with handling_signals():
        try:
            from rtsmap.cli import main as run  # noqa: PLC0415  (signals must be handled before)
        except KeyboardInterrupt:
            say_interrupted()
            sys.exit(InterruptedRunError.exit_code)
        run()


if __name__ == "__main__":
    main()
