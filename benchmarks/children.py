"""Running a part of a benchmark in a process of its own, and what it cost."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.against import INSTALL

PEERS = Path("build/peers/bin/python")


@dataclass(frozen=True)
class Cost:
    """Of a process: seconds on the wall clock, of all cores, and its largest resident memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


class ChildError(Exception):
    """A process failed or ran too long; the message says which, in one line."""


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for large files, out of git's sight and gone afterwards."""
    Path("build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="build") as name:
        yield Path(name)


def interpreter(peers: Path) -> str:
    """The peers' Python where there is one; else this one, and a word on what is missing."""
    if peers.exists():
        return str(peers.absolute())  # not resolved: a link into an environment is how it is known
    print(f"No {peers}: the peers are left out. To have them: {INSTALL}", file=sys.stderr)
    return sys.executable


def run(command: list[str], *, limit_s: float = 600, threads: int | None = None) -> tuple[str, Cost]:
    """Run a command; returns what it printed, and its cost.

    Raises:
        ChildError: it failed or ran longer than `limit_s`.
    """
    environment = dict(os.environ)
    if threads is not None:
        environment |= {"OMP_NUM_THREADS": str(threads), "GDAL_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=said, stderr=complained, env=environment)
        used = _wait(child, start + limit_s)
        wall = time.perf_counter() - start
        said.seek(0)
        complained.seek(0)
        if used is None:
            raise ChildError(f"over {limit_s:.0f} s")
        if child.returncode:
            lines = complained.read().decode(errors="replace").strip().splitlines() or ["no message"]
            raise ChildError(lines[-1][:200])
        return said.read().decode(), Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def ask(python: str, module: str, *words: object, limit_s: float = 600, threads: int | None = None) -> Any:
    """What a module prints as JSON in its last line.

    Raises:
        ChildError: see `run`.
    """
    said, _ = run([python, "-W", "ignore", "-m", module, *map(str, words)], limit_s=limit_s, threads=threads)
    return json.loads(said.strip().splitlines()[-1])


def _wait(child: "subprocess.Popen[bytes]", until: float) -> Any:
    """The resources that a process used; None, and its end, where it has not come to one in time."""
    while time.perf_counter() < until:
        process, status, used = os.wait4(child.pid, os.WNOHANG)
        if process:
            child.returncode = os.waitstatus_to_exitcode(status)
            return used
        time.sleep(0.02)
    child.kill()
    child.wait()
    return None
