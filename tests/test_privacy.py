"""A prediction tells nobody anything: it writes its output and nothing else, and opens no socket."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rtsmap.cli import rtsmap as rtsmap_cli
from tests.detectors import tundra
from tests.networks import TINY, write_model
from tests.scenes import write_raster

#: Python says of every file that it opens and of every socket; the list goes to a file of its own.
WATCH = """
import os, sys

seen = os.open(os.environ["SEEN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def heed(event, given):
    if event.startswith("socket.") or event in ("urllib.Request", "ftplib.connect", "http.client.connect"):
        os.write(seen, f"{event} {given}\\n".encode())
    if event == "open" and isinstance(given[0], str) and isinstance(given[2], int):
        if given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            os.write(seen, f"writes {os.path.abspath(given[0])}\\n".encode())

sys.addaudithook(heed)
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model that runs on ONNX Runtime, as the one that comes with rtsmap does."""
    network = TINY.model_copy(update={"backbone": "efficientnet-lite", "fusion": "channels"})
    folder = write_model(tmp_path_factory.mktemp("models") / "convolutions", network=network)
    rtsmap_cli.main(["export", "onnx", str(folder)], standalone_mode=False)
    return folder


def tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("home", ["empty", "unwritable"])
def test_a_prediction_writes_its_output_alone_and_opens_no_socket(exported, tmp_path, home):
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    scene = write_raster(tmp_path / "scenes" / "scene.tif", tundra(96, 100, [(30, 30, 30, 30)]))
    of_home = tmp_path / "places" if home == "empty" else Path("/proc/places")  # where not even root may write
    places = {name: of_home / name for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    if home == "empty":
        for place in places.values():
            place.mkdir(parents=True)
    before, models = tree(tmp_path), tree(exported)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))},
        **{name: str(place) for name, place in places.items()},
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "watch"), str(Path(__file__).parents[1])]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SEEN": str(tmp_path / "seen.txt"),
    }
    words = ["predict", scene, "-o", tmp_path / "out" / "slumps.gpkg", "--model", exported, "--score", "0.6"]
    done = subprocess.run(
        [sys.executable, "-m", "rtsmap", *map(str, words)],
        env=environment, cwd=tmp_path / "scenes", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    new = {str(path.relative_to(tmp_path)) for path in tree(tmp_path) - before}
    assert new == {"out", "out/slumps.gpkg", "seen.txt"}
    assert tree(exported) == models
    events = [line for line in (tmp_path / "seen.txt").read_text().splitlines() if not line.endswith("/dev/null")]
    assert [line for line in events if not line.startswith("writes ")] == []
    assert [line for line in events if not line.startswith(f"writes {tmp_path / 'out'}")] == []


def test_the_telemetry_of_onnx_runtime_is_off_before_it_is_imported():
    code = (
        "import os, rtsmap, sys; sys.exit(os.environ['ORT_DISABLE_TELEMETRY'] != '1' or 'onnxruntime' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
