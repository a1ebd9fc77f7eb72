"""Nothing that is there is lost: what is checked before any work, and what happens when another was faster."""

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import geopandas
import pytest
import shapely

from rtsmap.errors import InputError, OutputError
from rtsmap.files.folders import check_folder, replacing_folder
from rtsmap.files.outputs import check_outputs
from rtsmap.files.scratch import PREFIX, scratch_folder
from rtsmap.files.writing import replacing, replacing_together
from tests.datasets import write_dataset
from tests.detectors import tundra
from tests.scenes import clear_udm2, write_planetscope

MODEL = Path(__file__).parent.parent / "models" / "rts-mini"

SCENE = "order/20210714_221320_10_2413_3B_AnalyticMS_SR.tif"
FILES = (
    SCENE, "order/20210714_221320_10_2413_metadata.json", "order/20210714_221320_10_2413_3B_udm2.tif",
    "order/slumps.gpkg", "plain.tif", "plain.tif.ovr", "plain.tfw", "maps.gpkg", "scenes.zip", "old.gpkg",
)  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with files, links to some, a virtual raster, a STAC item, and a named pipe."""
    folder = tmp_path / "work"
    (folder / "order").mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text(name)
    (folder / "mosaic.vrt").write_text('<SourceFilename relativeToVRT="1">plain.tif</SourceFilename>')
    (folder / "item.json").write_text('{"assets": {"B02": {"href": "./plain.tif"}}}')
    (folder / "link.gpkg").symlink_to("maps.gpkg")
    (folder / "same.gpkg").hardlink_to(folder / "maps.gpkg")
    (folder / "circle.gpkg").symlink_to("circle.gpkg")
    os.mkfifo(folder / "pipe.gpkg")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("outputs", "inputs", "message"),
    [
        # two outputs
        (["x.gpkg", "x.gpkg"], [], "x.gpkg: would be written twice"),
        (["x.gpkg", "./order/../x.gpkg"], [], "x.gpkg: would be written twice"),
        (["link.gpkg", "same.gpkg"], [], "same.gpkg: would be written twice"),
        (["x.gpkg", "x.gpkg/preview.png"], [], "choose another name"),
        # an output that is an input
        (["plain.tif"], ["plain.tif"], "plain.tif: is an input"),
        (["link.gpkg"], ["maps.gpkg"], r"link.gpkg: is an input of this command \(maps.gpkg\)"),
        (["same.gpkg"], ["link.gpkg"], "same.gpkg: is an input"),
        (["maps.gpkg"], ["GPKG:maps.gpkg:raster"], "maps.gpkg: is an input"),
        (["maps.gpkg"], ['GPKG:"{here}/maps.gpkg":raster'], "maps.gpkg: is an input"),
        (["scenes.zip"], ["/vsizip/scenes.zip/a/b.tif"], "scenes.zip: is an input"),
        (["scenes.zip"], ["/vsizip/{here}/scenes.zip/b.tif"], "scenes.zip: is an input"),
        (["scenes.zip"], ["zip://scenes.zip!/b.tif"], "scenes.zip: is an input"),
        (["plain.tif"], ["file://{here}/plain.tif"], "plain.tif: is an input"),
        (["plain.tif"], ["mosaic.vrt"], "plain.tif: is an input"),
        (["plain.tif"], ["item.json"], "plain.tif: is an input"),
        (["plain.tif.ovr"], ["plain.tif"], "plain.tif.ovr: is an input"),
        (["plain.tfw"], ["plain.tif"], "plain.tfw: is an input"),
        ([FILES[1]], [SCENE], "metadata.json: is an input"),
        ([FILES[2]], [SCENE], "udm2.tif: is an input"),
        ([FILES[2]], ["order"], "may be part of the input order"),
        # what cannot be written
        (["order"], [], "order: is a folder"),
        (["pipe.gpkg"], [], "pipe.gpkg: is no ordinary file"),
        (["circle.gpkg"], [], "circle.gpkg: is a link that leads back to itself"),
        (["/proc/x.gpkg"], [], "/proc: cannot write there"),
        (["plain.tif/x.gpkg"], [], "plain.tif: cannot write there"),
        (["n" * 251 + ".gpkg"], [], "the name is too long"),
        (["é" * 126 + ".gpkg"], [], "the name is too long"),
        (["d" * 256 + "/x.gpkg"], [], "the name is too long"),
    ],
)  # fmt: skip
def test_outputs_are_refused_before_any_work(place, outputs, inputs, message):
    before = {path: path.lstat().st_mtime_ns for path in place.rglob("*") if not path.is_dir()}
    with pytest.raises(InputError, match=message):
        check_outputs(*map(Path, outputs), overwrite=True, inputs=[name.format(here=place) for name in inputs])
    assert {path: path.lstat().st_mtime_ns for path in place.rglob("*") if not path.is_dir()} == before


@pytest.mark.parametrize(
    ("outputs", "inputs"),
    [
        (["order/slumps.gpkg"], ["order"]),  # of an earlier run
        (["old.gpkg", "order/new.json"], [SCENE, "https://example.org/plain.tif", "/vsicurl/https://a.b/c.tif"]),
        (["n" * 250 + ".gpkg"], ["x" * 5000, None]),
        (["new/folder/x.gpkg", "new/folder/x.png"], ["plain.tif"]),
    ],
)
def test_outputs_that_harm_nothing_pass(place, outputs, inputs):
    check_outputs(*map(Path, outputs), None, overwrite=True, inputs=inputs)
    assert not list(place.rglob(f"{PREFIX}*"))


def test_an_existing_file_needs_leave_to_be_replaced(place):
    with pytest.raises(InputError, match=r"old\.gpkg: exists already; choose another name or add --overwrite"):
        check_outputs(Path("old.gpkg"), overwrite=False)


def test_of_a_link_the_target_is_replaced(place):
    with replacing(Path("link.gpkg")) as temporary:
        temporary.write_text("new")
    assert Path("link.gpkg").readlink() == Path("maps.gpkg")
    assert Path("maps.gpkg").read_text() == "new"


@pytest.mark.parametrize("hard_links", [True, False])
def test_who_comes_second_keeps_the_result_under_another_name(place, monkeypatch, hard_links):
    if not hard_links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(95, "not supported")))
    Path("a.1.parquet").write_text("taken too")
    pair = [Path("a_observed.parquet"), Path("a.parquet")]

    def write():
        with replacing_together(pair, overwrite=False) as temporary:
            for path in temporary:
                path.write_text("second")
            Path("a.parquet").write_text("first")

    with pytest.raises(OutputError, match=r"a.parquet: was written by another run meanwhile.* a.2.parquet"):
        write()
    assert Path("a.parquet").read_text() == "first"
    assert Path("a.1.parquet").read_text() == "taken too"
    assert not Path("a_observed.parquet").exists()
    assert [Path(name).read_text() for name in ("a.2.parquet", "a_observed.2.parquet")] == ["second", "second"]


WRITER = """
import sys, time
from pathlib import Path
from rtsmap.errors import OutputError
from rtsmap.files.writing import replacing
try:
    with replacing(Path("shared.gpkg"), overwrite=False) as temporary:
        temporary.write_text(sys.argv[1])
        print("ready", flush=True)
        sys.stdin.readline()
except OutputError as error:
    sys.exit(f"{error}")
"""


def run(code, *words, **keywords):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code, *words], **{**pipes, **keywords})


def test_two_runs_that_write_one_file_both_keep_their_results(place):
    runs = [run(WRITER, name) for name in ("one", "other")]
    assert [process.stdout.readline() for process in runs] == ["ready\n", "ready\n"]
    for process in runs:
        process.stdin.write("\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in runs]
    assert sorted(process.returncode for process in runs) == [0, 1]
    assert "this run's result is kept as shared.1.gpkg" in "".join(errors)
    assert {Path(name).read_text() for name in ("shared.gpkg", "shared.1.gpkg")} == {"one", "other"}


def test_what_a_killed_run_left_is_removed_and_what_a_living_one_writes_stays(place):
    killed, living = run(WRITER, "killed"), run(WRITER, "living")
    assert [process.stdout.readline() for process in (killed, living)] == ["ready\n", "ready\n"]
    killed.kill()
    killed.communicate()
    assert len(list(place.glob(f"{PREFIX}*"))) == 2
    with replacing(Path("another.gpkg")) as temporary:
        temporary.touch()
    assert len(list(place.glob(f"{PREFIX}*"))) == 1
    living.communicate("\n", timeout=60)
    assert Path("shared.gpkg").read_text() == "living"
    assert not list(place.glob(f"{PREFIX}*"))


@pytest.mark.parametrize(
    ("beside", "refused"),
    [
        ({"-wal": "frames"}, True),
        ({"-journal": "pages"}, True),
        ({"-wal": "frames", "-shm": "index"}, True),
        ({"-wal": ""}, False),
        ({"-wal": "", "-shm": "index"}, False),
        ({"-journal": ""}, False),
    ],
)
@pytest.mark.parametrize("exists", [True, False])
def test_files_that_sqlite_left_beside_a_geopackage(place, beside, refused, exists):
    target = Path("old.gpkg" if exists else "new.gpkg")
    for ending, text in beside.items():
        target.with_name(f"{target.name}{ending}").write_text(text)
    if refused:
        with pytest.raises(InputError, match=r"gpkg-\w+ lies beside it, so that another program, such as QGIS"):
            check_outputs(target, overwrite=True)
        return
    check_outputs(target, overwrite=True)
    with replacing(target) as temporary:
        temporary.write_text("new")
    assert not list(place.glob(f"{target.name}-*"))


READER = """
import sqlite3
database = sqlite3.connect("open.gpkg")
database.execute("select * from a").fetchall()
print("ready", flush=True)
input()
"""


def test_a_geopackage_that_another_program_has_open_is_refused(place):
    database = sqlite3.connect("open.gpkg")
    database.execute("pragma journal_mode=wal")
    database.execute("create table a (b)")
    database.commit()
    database.execute("pragma wal_checkpoint(truncate)")
    database.close()
    reader = run(READER)
    assert reader.stdout.readline() == "ready\n"
    try:
        with pytest.raises(InputError, match="another program, such as QGIS, has it open"):
            check_outputs(Path("open.gpkg"), overwrite=True)
    finally:
        reader.communicate("\n", timeout=60)
    check_outputs(Path("open.gpkg"), overwrite=True)


def test_a_database_opened_while_the_new_one_was_made_stays_and_so_does_the_new_one(place):
    def write():
        with replacing(Path("old.gpkg")) as temporary:
            temporary.write_text("new")
            Path("old.gpkg-wal").write_text("frames")

    with pytest.raises(OutputError, match=r"has it open .* kept as .*old.1.gpkg"):
        write()
    assert [Path(name).read_text() for name in ("old.gpkg", "old.1.gpkg")] == ["old.gpkg", "new"]


# --- folders


def only_new(folder):
    """Takes a folder for its own that holds nothing but files called new."""
    return sorted(path.name for path in folder.iterdir() if path.name != "new")


@pytest.mark.parametrize(
    ("folder", "inputs", "message"),
    [
        (".", [], "is or holds the working folder"),
        ("..", [], "is or holds the working folder"),
        ("/", [], "is or holds the working folder"),
        ("{home}", [], "is or holds your home folder"),
        ("{home}/..", [], "is or holds (your home|the working) folder"),
        ("order", [SCENE], "order: holds order/.*SR.tif, an input"),
        ("order", ["GPKG:order/slumps.gpkg:a"], "an input of this command"),
        ("order", [], r"order: holds what this command does not write \(.*tif.* and 1 more\)"),
        ("linked", [], "linked: holds what this command does not write"),
        ("plain.tif", [], "plain.tif: is a file"),
        ("plain.tif/x", [], "plain.tif: cannot write there"),
        ("/proc", [], "is a mount point"),
        ("n" * 256, [], "the name is too long"),
    ],
)
def test_folders_are_never_replaced_with_what_is_another_s(place, monkeypatch, folder, inputs, message):
    monkeypatch.setenv("HOME", str(place.parent / "home" / "me"))
    Path.home().mkdir(parents=True)
    Path("linked").symlink_to("order")
    with pytest.raises(InputError, match=message):
        check_folder(Path(folder.format(home=Path.home())), only_new, overwrite=True, inputs=inputs)
    assert Path(SCENE).read_text() == SCENE


@pytest.mark.parametrize("existing", [None, {}, {"new": "old"}])
def test_a_folder_of_one_s_own_is_replaced(place, existing):
    folder = Path("out")
    if existing is not None:
        folder.mkdir()
        for name, text in existing.items():
            (folder / name).write_text(text)
    with replacing_folder(folder, only_new, overwrite=bool(existing)) as temporary:
        (temporary / "new").write_text("new")
    assert [path.read_text() for path in folder.iterdir()] == ["new"]
    assert not list(place.glob(f"{PREFIX}*"))
    assert not Path("out.1").exists()


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_that_another_filled_meanwhile_stays(place, overwrite):
    def write():
        with replacing_folder(Path("out"), only_new, overwrite=overwrite) as temporary:
            (temporary / "new").write_text("second")
            Path("out").mkdir()
            Path("out/theirs").write_text("first")

    with pytest.raises(OutputError, match=r"out: .* kept as .*out\.1"):
        write()
    assert Path("out/theirs").read_text() == "first"
    assert Path("out.1/new").read_text() == "second"


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(place, monkeypatch):
    Path("out").mkdir()
    Path("out/new").write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    def write():
        with replacing_folder(Path("out"), only_new, overwrite=True) as temporary:
            (temporary / "new").write_text("new")
            monkeypatch.setattr("rtsmap.files.folders.rename_to_free", fail)

    with pytest.raises(OutputError, match="out: cannot be written"):
        write()
    assert Path("out/new").read_text() == "old"
    assert sorted(path.name for path in place.glob("out*")) == ["out"]


@pytest.mark.parametrize("shards", [0, 2])
def test_only_a_data_set_is_replaced_by_a_data_set(tmp_path, shards):
    from rtsmap.dataset.folder_contents import foreign_files

    folder = write_dataset(tmp_path / "dataset", per_site=1, shard_size=shards).folder
    (folder / "split.csv").write_text("image,fold\n")
    assert foreign_files(folder) == []
    (folder / "images").mkdir(exist_ok=True)
    (folder / "images" / "notes.txt").touch()
    assert foreign_files(folder) == ["images/notes.txt"]
    (folder / "annotations.json").write_text('{"images": [{"file_name": "images/a.tif"}], "annotations": []}')
    assert "annotations.json" in foreign_files(folder)  # COCO's, but another's


def test_a_scratch_folder_that_is_lost_on_the_way_is_no_harm(tmp_path):
    with scratch_folder(tmp_path) as folder:
        assert time.time() - folder.stat().st_mtime < 60
    assert list(tmp_path.iterdir()) == []


# --- commands


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes") / "order"
    return write_planetscope(folder, tundra(150, 160, [(30, 30, 40, 40)]), udm2=clear_udm2(150, 160))


@pytest.fixture(scope="module")
def labels(scene):
    path = scene.parent.parent / "labels.gpkg"
    box = shapely.box(570_090, 7_719_790, 570_210, 7_719_910)
    geopandas.GeoDataFrame(geometry=[box], crs="EPSG:32607").to_file(path, layer="labels")
    return path


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("predict {scene} -o x.gpkg --preview x.gpkg", "x.gpkg: would be written twice"),
        ("predict {scene} -o x.parquet --profile x_observed.parquet", "x_observed.parquet: would be written twice"),
        ("predict {scene} -o x.gpkg --preview {scene}", "SR.tif: is an input"),
        ("predict {scene} -o x.gpkg --profile {order}/20210714_221320_10_2413_metadata.json", "is an input"),
        ("predict {order} -o x.gpkg --profile {order}/20210714_221320_10_2413_metadata.json", "may be part of the"),
        ("predict {scene} -o {labels} --aoi {labels}", "labels.gpkg: is an input"),
        ("predict {scene} GPKG:{labels}:labels -o {labels}", "labels.gpkg: is an input"),
        ("predict {scene} -o x.gpkg --preview {labels} --dem {labels}", "labels.gpkg: is an input"),
        ("predict {scene} -o x.gpkg --preview {model}/model.toml", "model.toml: is an input"),
        ("predict {scene} -o " + "n" * 251 + ".gpkg", "the name is too long"),
        ("predict {scene} -o " + "n" * 244 + ".parquet", "the name is too long"),  # its second file's
        ("evaluate maps {labels} {labels} --matches {labels}", "labels.gpkg: is an input"),
        ("evaluate chips {set} --detections d/detections.json -o d", "detections.json: is an input"),
        ("evaluate panels {set} --detections a=d/detections.json -o d/detections.json", "is an input"),
        ("dataset stats {set} --png {set}/annotations.json", "annotations.json: is an input"),
        ("dataset stats {set} --png {set}/images/taimyr-0.tif", "images/taimyr-0.tif: may be part of the input"),
        ("dataset build {scene} --labels {labels} --any-date --site s -o .", "is or holds the working folder"),
        ("dataset build {scene} --labels {labels} --any-date --site s -o {order}", "an input of this command"),
        ("dataset build {scene} --labels {labels} --any-date --site s -o d", "what this command does not write"),
        ("dataset import {set} --form paper -o {set}", "an input of this command"),
        ("export onnx {model} -o {model}/weights.safetensors", "weights.safetensors: is an input"),
        ("models import d/weights.safetensors -o d --network mini", "weights.safetensors: is an input"),
    ],
)  # fmt: skip
def test_commands_refuse_outputs_that_would_destroy(rtsmap, place, scene, labels, command, message):
    Path("d").mkdir()
    for name in ("d/detections.json", "d/weights.safetensors"):
        Path(name).write_text("[]")
    data = write_dataset(place / "set", per_site=1).folder if "{set}" in command else "set"
    words = command.format(scene=scene, order=scene.parent, labels=labels, set=data, model=MODEL).split()
    before = {path: path.read_bytes() for path in (scene, labels, *scene.parent.iterdir())}
    code, _, err = rtsmap(*words, *(["--overwrite"]))
    assert (code, message in err) == (2, True), err
    assert {path: path.read_bytes() for path in before} == before


def test_training_writes_over_nothing(rtsmap, tmp_path):
    data = write_dataset(tmp_path / "set", per_site=1).folder
    for name, text in (("losses.csv", "year,loss of ice\n"), ("card.md", "mine"), ("weights.safetensors", "mine")):
        folder = tmp_path / f"with {name}"
        folder.mkdir()
        (folder / name).write_text(text)
        code, _, err = rtsmap("train", "unimodal", data, "-o", folder, "--modality", "rgb", "--set", "iterations=1")
        assert (code, f"{name}: was not written by a training that continues here" in err) == (2, True), err
        assert (folder / name).read_text() == text


def test_a_full_disk_leaves_nothing_of_a_series_or_a_data_set(rtsmap, scene, labels, tmp_path, monkeypatch):

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rtsmap.simulate.product.metadata.write_xml", full)
    small = ("--pixels", 64, 64, "--slumps", 1, "--no-clouds")
    code, _, err = rtsmap("simulate", "series", "-o", tmp_path / "years", "--years", "2019,2020", *small)
    assert (code, "cannot be written (No space left" in err) == (1, True)
    assert list((tmp_path / "years").iterdir()) == []
    monkeypatch.setattr("rtsmap.dataset.modality_files._mask", full)
    words = ("--labels", labels, "--any-date", "--site", "s", "--chip-size", 64, "--modality-files")
    code, _, err = rtsmap("dataset", "build", scene, *words, "-o", tmp_path / "set")
    assert (code, "set: cannot be written (No space left" in err) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["years"]
