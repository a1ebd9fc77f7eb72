"""What goes wrong with one scene, a number or a model ends in one clear line, and takes nothing else with it."""

import errno
import os
import re
import shutil
from pathlib import Path

import geopandas
import numpy as np
import onnx
import pytest
from affine import Affine
from onnx import TensorProto, helper

from rtsmap.cli import options
from rtsmap.errors import InputError, ModelError, SceneError
from rtsmap.files.writing import sha256
from rtsmap.models import find_model, list_models, verify
from rtsmap.runtime import batching
from rtsmap.runtime.failures import UnforeseenError, explained
from rtsmap.runtime.machine import cores
from rtsmap.settings.card import LARGEST_CHIP, ModelCard
from rtsmap.settings.section import Section
from tests.detectors import BareGround, card, tundra
from tests.scenes import PROPERTIES, TRANSFORM, write_planetscope, write_raster

MARS = (
    'GEOGCS["Mars",DATUM["Mars",SPHEROID["Mars",3396190,169.89]],PRIMEM["Reference",0],'
    'UNIT["degree",0.0174532925199433]]'
)
GROUND = tundra(96, 100, [(30, 30, 30, 30)])


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """A model that answers at once: its card, and in place of the network a detector that knows bare ground."""
    folder = tmp_path / "bare-ground"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"none")
    card().updated(sha256=sha256(folder / "weights.safetensors")).to_toml(folder / "model.toml")
    monkeypatch.setattr("rtsmap.predict.detector.build_detector", lambda *_, **__: BareGround())
    return folder


def bad_scenes() -> dict[str, tuple[dict[str, object], str]]:
    """Rasters that cannot be mapped: what `write_raster` makes them of, and what is said."""
    degrees = Affine(1e-4, 0, 10, 0, -1e-4, 70)
    return {
        "a site's own CRS": ({"crs": 'LOCAL_CS["site",UNIT["metre",1]]'}, "neither projected nor geographic"),
        "geocentric": ({"crs": "EPSG:4978"}, "neither projected nor geographic"),
        "geocentric of another datum": ({"crs": "EPSG:4936"}, "neither projected nor geographic"),
        "another planet": ({"crs": MARS, "transform": degrees}, "none of the Earth"),
        "another planet's map": (
            {"crs": f'PROJCS["map",{MARS},PROJECTION["Equirectangular"],UNIT["metre",1]]'},
            "Earth",
        ),
        "metres called degrees": ({"crs": "EPSG:4326"}, "in WGS 84, does not lie on the Earth"),
        "degrees called metres": ({"transform": degrees}, "a pixel size of .* m is not plausible"),
        "far from everything": ({"transform": Affine(3, 0, 6e8, 0, -3, 4e8)}, "does not lie on the Earth"),
        "complex": ({"numbers": GROUND.astype(np.complex64)}, "holds complex numbers"),
        "doubly complex": ({"numbers": GROUND.astype(np.complex128)}, "holds complex numbers"),
    }


@pytest.mark.parametrize("kind", bad_scenes())
def test_a_raster_that_cannot_be_mapped_is_named(rtsmap, quick, tmp_path, kind):
    made_of, message = bad_scenes()[kind]
    bad = write_raster(tmp_path / "bad.tif", **{"numbers": GROUND, **made_of})
    code, _, err = rtsmap("predict", bad, "-o", tmp_path / "slumps.gpkg", "--model", quick)
    assert code == 2
    assert re.search(rf"^rtsmap: {bad}: .*{message}", err, re.MULTILINE)
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "slumps.gpkg").exists()


@pytest.mark.parametrize("acquired", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "1066-10-14"])
def test_a_date_of_no_satellite_is_that_scene_s_failure(rtsmap, quick, tmp_path, acquired):
    bad = write_planetscope(tmp_path / "order", GROUND, properties={**PROPERTIES, "acquired": acquired})
    code, _, err = rtsmap("predict", bad, "-o", tmp_path / "slumps.gpkg", "--model", quick)
    assert code == 2
    assert re.search(r"metadata\.json: is not valid metadata \(no satellite took an image on .*\)", err)


def raising(error: Exception):
    """A scene's work that fails so for `bad.tif`, and does what it should for the others."""
    from rtsmap.predict.scene import predict_scene

    def work(path, *words, **named):
        if Path(path).name == "bad.tif":
            raise error
        return predict_scene(path, *words, **named)

    return work


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "the memory does not suffice"),
        (np.exceptions.AxisError("axis 7"), "rtsmap cannot go on (AxisError: axis 7); RTSMAP_DEBUG=1"),
        (RecursionError(), "is nested too deeply"),
        (PermissionError(errno.EACCES, "Permission denied", "secret/udm2.tif"), "secret/udm2.tif: Permission denied"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), "is not UTF-8"),
        (ZeroDivisionError("division by zero\nand more"), "ZeroDivisionError: division by zero)"),
        (SceneError("udm2.tif: is damaged"), "udm2.tif: is damaged"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_whatever_goes_wrong_with_one_scene_the_others_are_written(
    rtsmap, quick, tmp_path, monkeypatch, error, message
):
    monkeypatch.setattr("rtsmap.predict.scenes.predict_scene", raising(error))
    scenes = [write_raster(tmp_path / name, GROUND) for name in ("first.tif", "bad.tif", "last.tif")]
    code, out, err = rtsmap("predict", *scenes, "-o", tmp_path / "slumps.gpkg", "--model", quick)
    assert code == 3
    line, unmasked, last = err.splitlines()
    assert "clouds were not masked" in unmasked
    assert line.startswith(f"rtsmap: {scenes[1]}: ")
    assert message in line
    assert last == "rtsmap: 1 of 3 scenes failed; the others are written"
    assert "first: 1 slumps" in out
    observed = geopandas.read_file(tmp_path / "slumps.gpkg", layer="observed_area")
    assert list(observed.scene_id) == ["first", "last"]


def test_the_traceback_is_shown_where_the_environment_asks_for_it(rtsmap, quick, tmp_path, monkeypatch):
    monkeypatch.setattr("rtsmap.predict.scenes.predict_scene", raising(KeyError("nir")))
    scene = write_raster(tmp_path / "bad.tif", GROUND)
    words = ("predict", scene, "-o", tmp_path / "slumps.gpkg", "--model", quick)
    code, _, err = rtsmap(*words)
    assert (code, len(err.splitlines())) == (1, 1)
    monkeypatch.setenv("RTSMAP_DEBUG", "1")
    code, _, err = rtsmap(*words)
    assert code == 1
    assert "in raising" not in err
    assert "in work" in err
    assert err.splitlines()[-1].startswith(f"rtsmap: {scene}: rtsmap cannot go on (KeyError: 'nir')")


@pytest.mark.parametrize(
    ("names", "code", "message"),
    [
        (("none.tif", "no folder"), 2, "none of the 2 scenes could be worked on"),
        (("n" * 300 + ".tif", "good.tif"), 3, "File name too long"),
        (("empty", "good.tif"), 3, "empty: holds no PlanetScope image"),
        ((b"\xff\xfe.tif", "good.tif"), 3, r"udcff\\udcfe\.tif: its name is not UTF-8"),
        (("pipe.tif", "good.tif"), 3, r"pipe\.tif: is a pipe, which allows no random access"),
        (("two\nlines.tif", "good.tif"), 3, r"two\\nlines\.tif: no such file"),
        (("bell\a.tif", "good.tif"), 3, r"bell\\x07\.tif: no such file"),
    ],
    ids=["none", "too long", "empty folder", "no UTF-8", "a pipe", "a line break", "a control character"],
)
def test_names_that_lead_nowhere(rtsmap, quick, tmp_path, names, code, message):
    good = write_raster(tmp_path / "good.tif", GROUND)
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.tif")
    shutil.copy(good, os.path.join(os.fsencode(tmp_path), b"\xff\xfe.tif"))  # noqa: PTH118  (bytes)
    scenes = [tmp_path / os.fsdecode(name) for name in names]
    done = rtsmap("predict", *scenes, "-o", tmp_path / "slumps.gpkg", "--model", quick)
    assert done[0] == code
    assert re.search(message, done[2])


def test_an_empty_name_is_not_the_working_folder(rtsmap, quick, tmp_path, monkeypatch):
    write_planetscope(tmp_path, GROUND)
    monkeypatch.chdir(tmp_path)
    for name in ("", " "):
        code, _, err = rtsmap("predict", name, "-o", "slumps.gpkg", "--model", quick)
        assert (code, "the name of a scene is empty" in err) == (2, True)


@pytest.mark.parametrize("words", [("-o", "slumps.gpkg"), ("--dry-run",)])
def test_an_area_that_cannot_be_used_is_said_once_and_before_any_work(rtsmap, quick, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    scenes = [write_raster(tmp_path / f"{name}.tif", GROUND) for name in "ab"]
    os.mkfifo("pipe.geojson")
    Path("text.geojson").write_text("none", encoding="utf-8")
    Path("point.geojson").write_text('{"type": "Point", "coordinates": [0, 0]}', encoding="utf-8")
    for name, message in (("none", "cannot be read"), ("pipe", "is a pipe"), ("text", "cannot be read"),
                          ("point", "holds no polygon; give a layer of polygons")):  # fmt: skip
        code, _, err = rtsmap("predict", *scenes, *words, "--aoi", f"{name}.geojson", "--model", quick)
        assert code == 2
        assert re.fullmatch(rf"rtsmap: {name}\.geojson: {message}.*\n", err)


def test_a_dry_run_with_a_bad_scene_plans_the_others(rtsmap, quick, tmp_path, monkeypatch):
    monkeypatch.setattr("rtsmap.predict.planning.seconds_per_chip", lambda *_: 0.5)
    good, none = write_raster(tmp_path / "good.tif", GROUND), tmp_path / "none.tif"
    code, out, err = rtsmap("predict", none, good, "--dry-run", "--model", quick)
    assert code == 3
    assert re.search(r"^good: at most \d+ chips", out)
    assert "none.tif: no such file" in err
    assert "1 of 2 scenes failed; the plan is that of the others" in err
    assert rtsmap("predict", none, tmp_path / "nor.tif", "--dry-run", "--model", quick)[0] == 2


def test_a_scene_that_the_layer_s_crs_does_not_reach_fails_alone(rtsmap, quick, tmp_path):
    stereographic = write_raster(tmp_path / "gnomonic.tif", GROUND, crs="+proj=gnom +lat_0=70 +lon_0=-139",
                                 transform=Affine(3, 0, 0, 0, -3, 0))  # fmt: skip
    south = write_raster(tmp_path / "south.tif", GROUND, crs="EPSG:32733", transform=Affine(3, 0, 5e5, 0, -3, 3e6))
    code, _, err = rtsmap("predict", stereographic, south, "-o", tmp_path / "slumps.gpkg", "--model", quick)
    assert code == 3
    assert "south.tif: lies where the CRS of the first scene" in err


@pytest.mark.parametrize("how", ["the same", "a symbolic link", "a hard link", "another path", "a copy of one id"])
def test_a_scene_that_comes_twice_is_refused_before_any_work(rtsmap, quick, tmp_path, how):
    scene, again = write_raster(tmp_path / "scene.tif", GROUND), tmp_path / "again.tif"
    (tmp_path / "other").mkdir()
    match how:
        case "the same":
            again = scene
        case "a symbolic link":
            again.symlink_to(scene)
        case "a hard link":
            again.hardlink_to(scene)
        case "another path":
            again = tmp_path / "other" / ".." / "scene.tif"
        case _:
            again = Path(shutil.copy(scene, tmp_path / "other"))
    for words in (("-o", tmp_path / "slumps.gpkg"), ("--dry-run",)):
        code, out, err = rtsmap("predict", scene, again, *words, "--model", quick)
        assert code == 2
        assert re.search(r"is the same scene as .*scene\.tif|has the same id as .*scene\.tif, scene; give one", err)
        assert not out


@pytest.mark.parametrize(
    ("shift_px", "said"),
    [(20, r"0\.2 km2 observed, 0\.1 km2 of them more than once"), (0, r"0\.1 km2 of them more than once"), (100, None)],
)
def test_the_summary_says_what_was_seen_twice(rtsmap, quick, tmp_path, shift_px, said):
    first = write_raster(tmp_path / "first.tif", GROUND)
    second = write_raster(tmp_path / "second.tif", GROUND, transform=TRANSFORM @ Affine.translation(shift_px, 0))
    code, out, _ = rtsmap("predict", first, second, "-o", tmp_path / "slumps.gpkg", "--model", quick)
    assert code == 0
    last = out.splitlines()[-1]
    assert re.search(said, last) if said else "more than once" not in last
    slumps = geopandas.read_file(tmp_path / "slumps.gpkg", layer="thaw_slumps")
    assert slumps.slump_id.is_unique
    assert len(slumps) == 2


NUMBERS = [
    ("predict s.tif --score", ("nan", "inf", "-0.1", "1.5", "half")),
    ("predict s.tif --min-area", ("nan", "inf", "-inf", "-1")),
    ("predict s.tif --scale", ("nan", "inf", "0", "-1e-4")),
    ("predict s.tif --chip-size", ("31", "100000", "1e3", "nan")),
    ("predict s.tif --overlap", ("-2", "100000")),
    ("predict s.tif --batch-size", ("0", "-1", "nan")),
    ("predict s.tif --threads", ("0", "5000", "1.5")),
    ("models show --params --chip-size", ("100000",)),
    ("evaluate maps a b --iou", ("nan", "inf", "-1")),
    ("evaluate maps a b --score", ("nan", "2")),
    ("evaluate panels d --score", ("nan",)),
    ("evaluate panels d --seed", ("-1",)),
    ("dataset check d --gap-m", ("nan", "inf", "-5")),
    ("dataset split d --gap-m", ("nan", "inf")),
    ("dataset split d --fraction", ("a=nan", "a=inf", "a=-1")),
    ("dataset split d --seed", ("-1",)),
    ("dataset import d --scale", ("nan", "0")),
    ("dataset import d --gsd", ("inf", "nan", "1e-9", "1e9")),
    ("dataset build s.tif --gsd", ("nan", "inf", "0.01")),
    ("dataset build s.tif --min-visible", ("nan", "1.1")),
    ("dataset build s.tif --min-valid", ("nan",)),
    ("dataset build s.tif --negatives", ("nan", "inf")),
    ("dataset build s.tif --days", ("1000000000",)),
    ("dataset build s.tif --chip-size", ("1048576",)),
    ("dataset anchors d --per-level", ("0", "5000")),
    ("simulate scene --gsd", ("nan", "inf", "0.1")),
    ("simulate scene --density", ("nan", "inf", "1e9")),
    ("simulate scene --clouds", ("nan", "1")),
    ("simulate scene --thin-clouds", ("nan", "0.95")),
    ("simulate scene --vary", ("nan", "inf")),
    ("simulate scene --date", ("0001-01-01", "9999-12-31")),
    ("simulate series --years 2019,2020 --density", ("nan",)),
]


@pytest.mark.parametrize("words", [f"{words} {value}" for words, values in NUMBERS for value in values])
def test_numbers_that_cannot_be_are_refused_at_the_start(rtsmap, words):
    option = words.split()[-2]
    code, out, err = rtsmap(*words.split())
    assert code == 2
    assert f"'{option}'" in err
    assert "Traceback" not in err
    assert not out


def test_every_number_of_every_command_is_finite():
    import click

    from rtsmap.cli import rtsmap as group
    from tests.test_cli import all_commands

    loose = []
    for words in all_commands(group):
        command: click.Command = group
        for word in words:
            command = command.get_command(click.Context(command), word)  # type: ignore[attr-defined]
        for option in command.params:
            types = option.type.types if isinstance(option.type, click.Tuple) else [option.type]
            floats = [one for one in types if isinstance(one, click.types.FloatParamType)]
            loose += [(words, option.name) for one in floats if not isinstance(one, options.Real)]
            loose += [(words, option.name) for one in types if type(one) is click.types.IntParamType]
    assert loose == []


def test_the_bounds_of_options_are_those_of_cards():
    assert options.LARGEST_CHIP == LARGEST_CHIP


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--batch-size", 100_000), r"100000 chips of 128 px in a call need about \d+ GB of memory, and 8 GB are free"),
        (("--chip-size", 16_384), r"1 chips of 16384 px in a call need about \d+ GB"),
        (("--threads", 4 * cores() + 1), rf"too many for {cores()} cores; give at most {4 * cores()}"),
    ],
)
def test_what_the_machine_has_not_is_refused_at_the_start(rtsmap, quick, tmp_path, monkeypatch, words, message):
    monkeypatch.setattr(batching, "free_memory", lambda: 8 * 10**9)
    monkeypatch.setattr(batching, "gpu_memory", lambda: None)
    for last in (("-o", tmp_path / "slumps.gpkg"), ("--dry-run",)):
        code, _, err = rtsmap("predict", tmp_path / "none.tif", *words, *last, "--model", quick)
        assert code == 2
        assert re.search(message, err)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--slumps 1000000", "1000000 slumps are too many for an area of this size"),
        ("--slumps 5000 --pixels 256 256", "5000 slumps are too many for an area of this size"),
        ("--size-km inf 10", "is not a finite number"),
        ("--size-km 10 nan", "is not a finite number"),
        ("--size-km 1e300 10", "is not in the range"),
        ("--size-km 9000 9000", "each side must be"),
        ("--pixels 1000000 1000000", "each side must be"),
        ("--at nan,72", "must be longitude"),
        ("--at 10,inf", "must be longitude"),
    ],
)
def test_a_simulation_that_cannot_be_is_refused_at_the_start(rtsmap, tmp_path, words, message):
    words = words if "--size-km" in words or "--pixels" in words else f"{words} --pixels 512 512"
    code, _, err = rtsmap("simulate", "scene", "-o", tmp_path / "simulated", *words.split())
    assert code == 2
    assert message in err
    assert not (tmp_path / "simulated").exists()


CARDS = [
    ("gsd_m = 3.0", "gsd_m = inf", "input.gsd_m: Input should be a finite number"),
    ("gsd_m = 3.0", "gsd_m = nan", "input.gsd_m: Input should be a finite number"),
    ("gsd_m = 3.0", "gsd_m = 1e-9", "input.gsd_m: Input should be greater than or equal to 0.1"),
    ("gsd_m = 3.0", "gsd_m = 1e7", "input.gsd_m: Input should be less than or equal to 1000"),
    ("chip_size = 128", "chip_size = 1048576", "input.chip_size: Input should be less than or equal to 16384"),
    ("chip_size = 128", "chip_size = 0", "input.chip_size: Input should be greater than or equal to 32"),
    ("overlap = 32", "overlap = 128", "overlap must be smaller than chip_size"),
    ("red = 0.04", "red = 0.0", "input.std.red: Input should be greater than or equal to"),
    ("red = 0.04", "red = nan", "input.std.red: Input should be a finite number"),
    ("red = 0.06", "red = -inf", "input.mean.red: Input should be a finite number"),
    ("score_threshold = 0.5", "score_threshold = nan", "score_threshold: Input should be a finite number"),
    ("score_threshold = 0.5", "score_threshold = 0.5\nmin_area_m2 = inf", "min_area_m2: Input should be a finite"),
    ("embed_dim = 8", "embed_dim = 1000000000", "network.embed_dim: Input should be less than or equal to 65536"),
    ("fusion_mlp_ratio = 4.0", "fusion_mlp_ratio = -1.0", "network.fusion_mlp_ratio: Input should be greater than 0"),
    ('weights = "weights.safetensors"', 'weights = "../weights"', "must be the name of a file beside the card"),
    ('weights = "weights.safetensors"', 'weights = "/etc/hosts"', "must be the name of a file beside the card"),
    ('name = "bare-ground"', f"name = {'[' * 5000}", "is not valid TOML"),
    ('name = "bare-ground"', f"name = {'9' * 5000}", "is not valid TOML"),
    ('name = "bare-ground"', "", "name: Field required"),
]


@pytest.mark.parametrize(("text", "instead", "message"), CARDS, ids=[instead[:30] for _, instead, _ in CARDS])
def test_a_card_with_values_that_cannot_be_is_refused(quick, text, instead, message):
    file = quick / "model.toml"
    written = file.read_text()
    assert text in written
    file.write_text(written.replace(text, instead, 1) if "red" not in text else instead.join(written.rsplit(text, 1)))
    with pytest.raises(ModelError, match=re.escape(message)) as refused:
        find_model(str(quick))
    assert str(refused.value).startswith(f"{file}: ")
    assert "\n" not in str(refused.value)


def test_a_broken_card_among_one_s_models_is_named(quick, monkeypatch):
    monkeypatch.setenv("RTSMAP_MODELS", str(quick.parent))
    (quick / "model.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match=r"model\.toml: is not valid TOML"):
        list(list_models())
    with pytest.raises(ModelError, match="nothing: no such model; give one of bare-ground, rts-mini"):
        find_model("nothing")


@pytest.mark.parametrize("name", ["n" * 300, "none/" * 2000, ""])
def test_a_name_that_can_be_no_model_is_an_unknown_one(name):
    with pytest.raises(ModelError, match="no such model"):
        find_model(name)


def test_weights_that_cannot_be_read_are_named(quick, monkeypatch):
    def refuse(_path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("rtsmap.models.sha256", refuse)
    with pytest.raises(ModelError, match=r"weights\.safetensors: cannot be read \(Permission denied\)"):
        verify(*find_model(str(quick)))


def graph(inputs: dict[str, tuple[int | str, ...]], outputs: tuple[str, ...]) -> bytes:
    """An ONNX file that does nothing with inputs of these shapes."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    nodes = [helper.make_node("Identity", [next(iter(inputs))], [name]) for name in outputs]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    made = helper.make_graph(nodes, "nothing", values, results)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(onnx.ModelProto.SerializeToString(model))


ALL = ("boxes", "scores", "masks", "chip_indices")
FILES = {
    "nothing": (b"", "ONNX Runtime cannot load it"),
    "text": (b"<html>not found</html>", "ONNX Runtime cannot load it"),
    "zeros": (bytes(5000), "ONNX Runtime cannot load it"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "ONNX Runtime cannot load it"),
    "another network": (graph({"image": (1, 3, 224, 224)}, ("classes",)), "is not a detector of rtsmap"),
    "other outputs": (graph({"chips": ("n", 5, "r", "c"), "min_score": ()}, ("boxes",)), "is not a detector of rtsmap"),
    "other axes": (graph({"chips": ("n", 5), "min_score": ()}, ALL), "is not a detector of rtsmap"),
    "other channels": (graph({"chips": ("n", 3, "r", "c"), "min_score": ()}, ALL), "takes 3 channels"),
    "other weights": (graph({"chips": ("n", 5, "r", "c"), "min_score": ()}, ALL), "was made from other weights"),
}


@pytest.mark.parametrize("kind", FILES)
def test_an_onnx_file_that_is_none_of_ours_is_a_model_error(tmp_path, kind):
    from rtsmap.detector.onnx import OnnxDetector

    content, message = FILES[kind]
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=message) as refused:
        OnnxDetector(card(), tmp_path / "model.onnx", device="cpu", min_score=0.5)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("error", "subject", "kind", "line"),
    [
        (InputError("a.tif: is blue"), "a.tif", InputError, "a.tif: is blue"),
        (InputError("is blue"), "a.tif", InputError, "a.tif: is blue"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.tif"), "a.tif", InputError, "a.tif: No such file"),
        (OSError(errno.ENOSPC, "No space left", "a.tif"), "", UnforeseenError, "a.tif: No space left"),
        (ValueError(), "a", UnforeseenError, "a: rtsmap cannot go on (ValueError); RTSMAP_DEBUG=1 in the environment "
         "shows where in the code"),
        (InputError("x"), "\udcff", InputError, "\\udcff: x"),
    ],
)  # fmt: skip
def test_every_exception_becomes_a_line(error, subject, kind, line):
    failure = explained(error, subject)
    assert type(failure) is kind
    assert str(failure) == line


def test_settings_are_finite_everywhere():
    assert Section.model_config["allow_inf_nan"] is False
    with pytest.raises(InputError, match="finite"):
        card().updated(score_threshold=float("nan"))
    assert ModelCard.model_config["allow_inf_nan"] is False
