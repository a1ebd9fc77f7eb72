import os
import sys

import pytest


@pytest.fixture
def rtsmap(monkeypatch, capsys):
    """Run the command line as a shell would; gives the exit code, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        from rtsmap.cli import main

        monkeypatch.setattr(sys, "argv", ["rtsmap", *map(str, words)])
        environment = dict(os.environ)
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            os.environ.clear()  # numbers of threads that a command sets are for its own process
            os.environ.update(environment)
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run
