import signal
import sys

import pytest


@pytest.fixture
def rtsmap(monkeypatch, capsys):
    """Run the command line as a shell would; gives the exit code, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        from rtsmap.cli import main

        monkeypatch.setattr(sys, "argv", ["rtsmap", *map(str, words)])
        before = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            signal.signal(signal.SIGTERM, before)
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run
