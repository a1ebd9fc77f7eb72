"""A signal ends a run within a second or two, whatever it does, and leaves nothing half written."""

import signal
import subprocess
import sys
import time

import pytest

#: As the command line does it, round what it does.
RUN = """
import hashlib, pathlib, sys, time
from concurrent.futures import ThreadPoolExecutor
from rtsmap.files.writing import replacing
from rtsmap.interrupts import handling_signals, say_interrupted

def compute():  # in C, where Python does not hear of signals, as in a network's work on a large chip
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)

def run(work):
    with handling_signals():
        try:
            with replacing(pathlib.Path("out.gpkg")) as temporary:
                temporary.write_text("half")
                print("ready", flush=True)
                work()
        except KeyboardInterrupt:
            say_interrupted()
            sys.exit(75)
"""

BLOCKED = RUN + "run(compute)"

#: Another thread computes, and the main one waits for it, also after the signal.
POOLED = """
def work():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(compute).result()

run(work)
"""
POOLED = RUN + POOLED

#: A library takes the interrupt for an error of its own, and goes on.
SWALLOWED = """
def work():
    for _ in range(600):
        try:
            time.sleep(0.1)
        except BaseException:
            pass

run(work)
"""
SWALLOWED = RUN + SWALLOWED

#: The command line is still being imported.
IMPORTING = """
import sys, time
class Slow:
    def find_spec(self, name, path, target=None):
        if name == "rtsmap.cli":
            print("ready", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
from rtsmap.__main__ import main
main()
"""


def started(code, folder, **keywords):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=folder, **pipes, **keywords)
    assert process.stdout.readline() == "ready\n"
    return process


def heed(*ignored):
    def prepare():  # tests may run in a shell's background, where SIGINT is ignored
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    return prepare


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (BLOCKED, signal.SIGTERM),
        (BLOCKED, signal.SIGHUP),
        (BLOCKED, signal.SIGINT),
        (POOLED, signal.SIGTERM),
        (IMPORTING, signal.SIGTERM),
        (IMPORTING, signal.SIGHUP),
        (SWALLOWED, signal.SIGTERM),
    ],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else "",
)
def test_a_signal_ends_a_run_soon_and_whole(tmp_path, code, number):
    process = started(code, tmp_path, preexec_fn=heed())
    time.sleep(0.3)  # by now it is in C
    began = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 75
    assert err.count("rtsmap: interrupted; run the same command again") == 1
    assert "Traceback" not in err
    assert time.monotonic() - began < 6  # 1 to 2 s on a machine with nothing else to do
    assert list(tmp_path.iterdir()) == []


IGNORING = """
from rtsmap.interrupts import handling_signals
with handling_signals():
    print("ready", flush=True)
    input()
"""


def test_a_run_under_nohup_goes_on_without_its_terminal(tmp_path):
    process = started(IGNORING, tmp_path, preexec_fn=heed(signal.SIGHUP))
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    process.communicate("\n", timeout=20)
    assert process.returncode == 0


FORKED = """
import multiprocessing, time
from rtsmap.interrupts import handling_signals
with handling_signals():
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    time.sleep(0.5)
    child.terminate()
    child.join(10)
    print("ready", flush=True)
    time.sleep(1.5)
    raise SystemExit(child.exitcode != -15)
"""


def test_a_child_that_is_ended_does_not_end_its_parent(tmp_path):
    process = started(FORKED, tmp_path, preexec_fn=heed())
    process.communicate(timeout=20)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("stdout", "code", "message"),
    [
        ("/dev/full", 1, r"standard output cannot be written (No space left on device)"),
        ("closed", 0, ""),
        ("no reader", 0, ""),
    ],
)
def test_a_standard_output_that_takes_nothing_gives_no_traceback(tmp_path, stdout, code, message):
    words = f"{sys.executable} -m rtsmap models list"
    ways = {
        "/dev/full": f"{words} > /dev/full",
        "closed": f"{words} >&-",
        "no reader": f"{words} | true",
    }
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", ways[stdout]], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_libraries_may_write_to_streams_that_were_closed_when_python_started(tmp_path):
    script = "import sys\nfrom rtsmap.cli.streams import StandardStreams\n"
    script += "with StandardStreams():\n sys.stdout.write('out'), sys.stderr.write('error')\n"
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    done = subprocess.run(["bash", "-c", f"{sys.executable} {tmp_path}/script.py >&- 2>&-"], check=False, timeout=60)
    assert done.returncode == 0
