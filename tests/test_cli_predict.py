import json
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.warp
import shapely
from PIL import Image

from rtsmap.layer import OBSERVED_FIELDS, SLUMP_FIELDS
from tests.detectors import tundra
from tests.networks import write_model
from tests.scenes import TRANSFORM, clear_udm2, truncate, write_planetscope, write_raster

SHAPE = (150, 160)


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "random-weights", score=0.505)  # a handful of its detections pass


@pytest.fixture
def scene(tmp_path):
    rng = np.random.default_rng(0)
    numbers = tundra(*SHAPE, [(30, 30, 40, 40)])
    noisy = np.clip(numbers * rng.normal(1, 0.2, numbers.shape), 1, 9000).astype(np.uint16)
    return write_planetscope(tmp_path / "order" / "PSScene", noisy, udm2=clear_udm2(*SHAPE))


def only_inputs_in(folder):
    return {path.name for path in folder.iterdir()} <= {"order", "random-weights", "out"}


def test_a_scene_becomes_a_layer(rtsmap, scene, model, tmp_path):
    output = tmp_path / "new" / "slumps.gpkg"
    code, out, _ = rtsmap("predict", scene, "-o", output, "--model", model, "--min-area", 0)
    assert code == 0
    slumps = geopandas.read_file(output, layer="thaw_slumps")
    assert len(slumps)
    assert slumps.is_valid.all()
    assert slumps.slump_id.is_unique
    assert set(slumps.columns) == {*SLUMP_FIELDS, "geometry"}
    observed = geopandas.read_file(output, layer="observed_area")
    assert set(observed.columns) == {*OBSERVED_FIELDS, "geometry"}
    assert observed.observed_km2[0] == pytest.approx(SHAPE[0] * SHAPE[1] * 9 / 1e6, rel=0.01)
    assert f"{len(slumps)} slumps" in out.splitlines()[-1]
    assert str(output) in out


def test_the_profile_says_where_the_time_went(rtsmap, scene, model, tmp_path):
    profile = tmp_path / "profile.json"
    code, _, err = rtsmap("predict", scene, "-o", tmp_path / "slumps.gpkg", "--model", model, "--profile", profile)
    assert code == 0
    report = json.loads(profile.read_text())
    assert report["command"].startswith("rtsmap predict")
    assert report["chips"]["computed"] > 0
    assert all(report["stages"][stage]["calls"] for stage in ("load", "read", "prepare", "network", "merge", "write"))
    assert re.search(rf"profile: .* chips/s; \d+\.\d\d s in the network per chip.* -> {profile}", err)


def test_an_existing_profile_is_kept_without_overwrite(rtsmap, scene, model, tmp_path):
    (tmp_path / "profile.json").write_text("precious")
    output = tmp_path / "slumps.gpkg"
    code, _, err = rtsmap("predict", scene, "-o", output, "--model", model, "--profile", tmp_path / "profile.json")
    assert code == 2
    assert "--overwrite" in err
    assert not output.exists()


def test_an_order_folder_is_a_scene(rtsmap, scene, model, tmp_path):
    code, out, _ = rtsmap("predict", scene.parents[1], "-o", tmp_path / "slumps.parquet", "--model", model)
    assert code == 0
    assert "20210714_221320_10_2413" in out
    assert geopandas.read_parquet(tmp_path / "slumps.parquet").crs == "EPSG:32607"
    assert (tmp_path / "slumps_observed.parquet").exists()


def test_several_scenes_share_one_file(rtsmap, scene, model, tmp_path):
    other = write_planetscope(tmp_path / "other", tundra(*SHAPE, []), item_id="20210715_010203_10_2413")
    code, out, _ = rtsmap("predict", scene, other, "-o", tmp_path / "slumps.gpkg", "--model", model)
    assert code == 0
    observed = geopandas.read_file(tmp_path / "slumps.gpkg", layer="observed_area")
    assert sorted(observed.scene_id) == ["20210714_221320_10_2413", "20210715_010203_10_2413"]
    assert len(out.splitlines()) == 3


def test_a_scene_that_fails_does_not_take_the_others_with_it(rtsmap, scene, model, tmp_path):
    code, _, err = rtsmap("predict", tmp_path / "none.tif", scene, "-o", tmp_path / "slumps.gpkg", "--model", model)
    assert code == 3
    assert "none.tif" in err
    assert "1 of 2 scenes failed" in err
    assert len(geopandas.read_file(tmp_path / "slumps.gpkg", layer="observed_area")) == 1


def test_at_a_fixed_date_the_same_scene_gives_the_same_bytes_whatever_the_batch(
    rtsmap, scene, model, tmp_path, monkeypatch
):
    monkeypatch.setenv("OGR_CURRENT_DATE", "2026-01-01T00:00:00.000Z")
    written = []
    for batch_size in (1, 3, 16):
        output = tmp_path / str(batch_size) / "slumps.gpkg"
        code, _, _ = rtsmap("predict", scene, "-o", output, "--model", model, "--batch-size", batch_size)
        assert code == 0
        written.append(output.read_bytes())
    assert written[0] == written[1] == written[2]


def test_a_preview_is_drawn(rtsmap, scene, model, tmp_path):
    code, _, _ = rtsmap(
        "predict", scene, "-o", tmp_path / "slumps.gpkg", "--model", model, "--preview", tmp_path / "preview.png"
    )
    assert code == 0
    with Image.open(tmp_path / "preview.png") as picture:
        assert min(picture.size) > 500


def test_a_dry_run_writes_nothing(rtsmap, scene, model, tmp_path):
    code, out, _ = rtsmap("predict", scene, "--model", model, "--dry-run")
    assert code == 0
    assert re.search(r"at most \d+ chips, 0\.2 km2 at 3 m", out)
    assert only_inputs_in(tmp_path)


def test_bands_and_scale_of_a_plain_raster(rtsmap, model, tmp_path):
    plain = write_raster(tmp_path / "plain.tif", tundra(*SHAPE, []), descriptions=None)
    code, _, err = rtsmap("predict", plain, "-o", tmp_path / "slumps.gpkg", "--model", model)
    assert code == 2
    assert "--bands" in err
    code, _, _ = rtsmap(
        "predict", plain, "-o", tmp_path / "slumps.gpkg", "--model", model,
        "--bands", "blue=1,green=2,red=3,nir=4", "--scale", "1e-4",
    )  # fmt: skip
    assert code == 0


def test_an_area_outside_the_scene_is_nothing_to_do(rtsmap, scene, model, tmp_path):
    box = shapely.box(0, 0, 1, 1)
    geopandas.GeoDataFrame(geometry=[box], crs="EPSG:4326").to_file(tmp_path / "aoi.geojson")
    output = tmp_path / "slumps.gpkg"
    code, _, err = rtsmap("predict", scene, "-o", output, "--model", model, "--aoi", tmp_path / "aoi.geojson")
    assert code == 0
    assert "nothing to do" in err
    assert len(geopandas.read_file(output, layer="thaw_slumps")) == 0
    fields = pyogrio.read_info(output, layer="thaw_slumps")["fields"]
    assert set(fields) == set(SLUMP_FIELDS)


def test_the_layer_of_an_area_is_named_and_its_edges_are_parallels(rtsmap, scene, model, tmp_path):
    path = tmp_path / "areas.gpkg"
    with rasterio.open(scene) as dataset:
        west, south, east, north = rasterio.warp.transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    wide = shapely.box(west - 20, (south + north) / 2, east + 15, 80)
    for name, shape in (("far", shapely.box(0, 0, 1, 1)), ("north", wide)):
        geopandas.GeoDataFrame(geometry=[shape], crs="EPSG:4326").to_file(path, layer=name)
    words = ("predict", scene, "-o", tmp_path / "slumps.gpkg", "--model", model)
    code, _, err = rtsmap(*words, "--aoi", path)
    assert (code, "areas.gpkg: has several layers, far, north; choose one with --aoi-layer" in err) == (2, True), err
    code, _, err = rtsmap(*words, "--aoi-layer", "north")
    assert (code, "--aoi-layer names a layer of the file of --aoi" in err) == (2, True)
    code, _, err = rtsmap(*words, "--aoi", path, "--aoi-layer", "north")
    assert code == 0, err
    observed = geopandas.read_file(tmp_path / "slumps.gpkg", layer="observed_area")
    with rasterio.open(scene) as dataset:
        whole = dataset.width * dataset.height * 9 / 1e6
    assert observed["observed_km2"].sum() == pytest.approx(whole / 2, rel=0.1)
    with closing(sqlite3.connect(tmp_path / "slumps.gpkg")) as database:
        (text,) = database.execute("select metadata from gpkg_metadata").fetchone()
    assert '"aoi_layer": "north"' in text
    assert "--aoi-layer north" in text


def test_the_layer_carries_its_provenance(rtsmap, scene, model, tmp_path):
    output = tmp_path / "slumps.gpkg"
    rtsmap("predict", scene, "-o", output, "--model", model, "--score", "0.506")
    with sqlite3.connect(output) as database:
        (text,) = database.execute("select metadata from gpkg_metadata").fetchone()
    database.close()
    assert '"score": 0.506' in text
    assert "rtsmap predict" in text
    assert '"name": "random-weights"' in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{tmp}/none.tif"], r"none\.tif: no such file"),
        (["{tmp}/text.tif"], r"text\.tif: "),
        (["{tmp}/no_crs.tif"], r"no_crs\.tif: .*coordinate reference system"),
        (["{tmp}/rotated.tif"], r"rotated\.tif: .*rotated"),
        (["{tmp}/three.tif"], r"three\.tif: "),
        (["{scene}", "--bands", "blue=1,green=2,red=3,nir=9"], "9"),
        (["{scene}", "--bands", "blue=1"], "must give a number"),
        (["{scene}", "--mask", "fog"], "unknown fog"),
        (["{scene}", "--overlap", "64"], "overlap"),
        (["{scene}", "--model", "nothing"], "nothing: no such model"),
        (["{scene}", "--aoi", "{tmp}/none.gpkg"], r"none\.gpkg: cannot be read"),
        (["{tmp}/nodata.tif"], r"nodata\.tif: has no valid pixel"),
        (["{tmp}/truncated.tif"], r"truncated\.tif: "),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(rtsmap, scene, model, tmp_path, words, message):
    (tmp_path / "text.tif").write_text("not a raster")
    write_raster(tmp_path / "no_crs.tif", crs=None)
    write_raster(tmp_path / "rotated.tif", transform=TRANSFORM @ rasterio.Affine.rotation(10))
    write_raster(tmp_path / "three.tif", np.ones((3, 50, 50), np.uint16), descriptions=None)
    write_raster(tmp_path / "nodata.tif", np.zeros((4, 50, 50), np.uint16), nodata=0)
    truncate(write_raster(tmp_path / "truncated.tif", tundra(300, 300, [])))
    before = set(tmp_path.rglob("*"))
    words = [word.format(tmp=tmp_path, scene=scene) for word in words]
    defaults = [] if "--model" in words else ["--model", model]
    code, out, err = rtsmap("predict", *words, "-o", tmp_path / "slumps.gpkg", *defaults)
    assert code == 2
    assert re.search(message, err)
    assert "Traceback" not in err
    assert not out
    assert set(tmp_path.rglob("*")) == before


def test_an_existing_output_is_kept_without_overwrite(rtsmap, scene, model, tmp_path):
    output = tmp_path / "slumps.gpkg"
    output.write_text("precious")
    code, _, err = rtsmap("predict", scene, "-o", output, "--model", model)
    assert code == 2
    assert "--overwrite" in err
    assert output.read_text() == "precious"
    code, _, _ = rtsmap("predict", scene, "-o", output, "--model", model, "--overwrite")
    assert code == 0


def test_changed_weights_are_refused(rtsmap, scene, model, tmp_path):
    with (model / "weights.safetensors").open("ab") as file:
        file.write(b"x")
    code, _, err = rtsmap("predict", scene, "-o", tmp_path / "slumps.gpkg", "--model", model)
    assert code == 2
    assert "is not what model.toml describes" in err


def test_without_torch_it_is_said_how_to_get_it(rtsmap, scene, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rtsmap.detector.torch", None)
    code, _, err = rtsmap("predict", scene, "-o", tmp_path / "slumps.gpkg", "--model", model)
    assert code == 2
    assert "the model needs torch and detectron2" in err
    assert "install rtsmap[train]: in a checkout, pip install uv, then uv pip install '.[train]'" in err


def test_a_misspelt_key_in_a_card_is_refused(rtsmap, scene, model, tmp_path):
    card = model / "model.toml"
    card.write_text(card.read_text().replace("score_threshold", "score_treshold"))
    code, _, err = rtsmap("predict", scene, "-o", tmp_path / "slumps.gpkg", "--model", model)
    assert code == 2
    assert "score_treshold" in err


def test_a_folder_that_cannot_be_written(rtsmap, scene, model):
    code, _, err = rtsmap("predict", scene, "-o", "/proc/slumps.gpkg", "--model", model)  # not even by root
    assert code == 2
    assert "/proc: cannot write there" in err


def test_a_file_in_place_of_the_folder(rtsmap, scene, model, tmp_path):
    (tmp_path / "out").write_text("a file")
    code, _, err = rtsmap("predict", scene, "-o", tmp_path / "out" / "slumps.gpkg", "--model", model)
    assert code == 2
    assert "choose another folder" in err


def run_in_background(scene, model, output, **keywords):
    words = ["predict", scene, "-o", output, "--model", model, "--min-area", "0"]
    code = "from rtsmap.cli import main; main()"
    return subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True, **keywords)


def test_a_full_disk_leaves_nothing_behind(scene, model, tmp_path):
    # a limit on the size of files stands in for the disk: writes beyond it fail, as on a full one
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    process = run_in_background(scene, model, tmp_path / "out" / "slumps.gpkg", preexec_fn=limit)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert re.search(r"slumps\.gpkg: cannot be written", err)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_layer_that_nobody_can_be_told_of_is_kept(scene, tmp_path):
    with Path("/dev/full").open("w") as full:
        process = run_in_background(scene, "rts-mini", tmp_path / "out" / "slumps.gpkg", stdout=full)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "standard output cannot be written" in err
    assert "Traceback" not in err
    assert len(geopandas.read_file(tmp_path / "out" / "slumps.gpkg", layer="observed_area")) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_leaves_nothing_and_exits_75(model, tmp_path, number):
    large = write_planetscope(tmp_path / "large", tundra(2500, 2500, []))

    def heed():  # a shell's background job, as these tests may be, is born with these ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    process = run_in_background(large, model, tmp_path / "out" / "slumps.gpkg", preexec_fn=heed)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "out").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(3)  # well inside the network's work, which takes minutes here
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 75
    assert "interrupted" in err
    assert list((tmp_path / "out").iterdir()) == []
