"""The Python interface: `import rtsmap`."""

import doctest
import importlib
import subprocess
import sys

import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

import rtsmap
from rtsmap.demo import example_folder
from rtsmap.errors import InputError, RtsmapError
from rtsmap.predict.detector import ReadyDetector
from tests.detectors import BareGround, card, tundra
from tests.scenes import write_raster

#: Modules whose docstrings hold the examples.
EXAMPLES = (
    "rtsmap.layer",
    "rtsmap.layer.reading",
    "rtsmap.layer.tables",
    "rtsmap.predict.detector",
    "rtsmap.predict.scene",
    "rtsmap.predict.scenes",
    "rtsmap.scene.opening",
)

GROUND = tundra(120, 120, [(30, 40, 30, 24)])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with `scene.tif`: a part of the demo's scene that holds slumps."""
    monkeypatch.chdir(tmp_path)
    with rasterio.open(example_folder() / "taimyr.tif") as scene:
        window, transform = Window(330, 120, 160, 160), scene.transform @ Affine.translation(330, 120)
        profile = {**scene.profile, "height": 160, "width": 160, "transform": transform}
        with rasterio.open("scene.tif", "w", **profile) as part:
            part.write(scene.read(window=window))
            part.descriptions = scene.descriptions
            part.scales, part.offsets = scene.scales, scene.offsets
            part.update_tags(**scene.tags())
    return tmp_path


@pytest.mark.parametrize("module", EXAMPLES)
def test_the_examples_of_docstrings_are_true(here, module):
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted
    assert not result.failed


def test_every_public_name_is_there_and_has_a_description():
    for name in set(rtsmap.__all__) - {"__version__"}:
        assert getattr(rtsmap, name).__doc__
    assert set(rtsmap.__all__) <= set(dir(rtsmap))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        rtsmap.nothing  # noqa: B018


def test_importing_rtsmap_imports_nothing_heavy():
    code = "import sys, rtsmap; print(*sorted({'numpy', 'rasterio', 'geopandas', 'click'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet"])
def test_a_layer_is_read_as_it_was_written(tmp_path, suffix):
    scene = write_raster(tmp_path / "scene.tif", GROUND)
    detector = ReadyDetector.of(card(), BareGround())
    mapped = rtsmap.map_scenes([str(scene)], detector)
    rtsmap.write_layer(str(tmp_path / f"slumps{suffix}"), mapped.results, detector.provenance(mapped.scenes))
    slumps, observed = rtsmap.read_layer(tmp_path / f"slumps{suffix}")
    written = mapped.results[0].slumps_frame()
    assert len(slumps) == len(written) == 1
    assert slumps.crs == written.crs
    assert slumps.geometry.geom_equals_exact(written.geometry, 1e-6).all()
    assert slumps.area_m2.tolist() == written.area_m2.tolist()
    assert observed.n_slumps.tolist() == [1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.gpkg", None, "none.gpkg: no such file"),
        ("none.parquet", None, "none.parquet: no such file"),
        ("text.gpkg", b"text", "text.gpkg: cannot be read as a layer of rtsmap"),
        ("text.parquet", b"text", "text.parquet: cannot be read as a layer of rtsmap"),
        ("slumps.shp", b"", "cannot tell the format"),
    ],
)
def test_what_is_no_layer_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        rtsmap.read_layer(tmp_path / name)


def test_a_scene_that_fails_leaves_the_others(tmp_path):
    good = write_raster(tmp_path / "good.tif", GROUND)
    seen, detector = [], ReadyDetector.of(card(), BareGround())
    mapped = rtsmap.map_scenes([str(tmp_path / "none.tif"), str(good)], detector, on_failure=seen.append)
    assert mapped.scenes == [str(good)]
    assert [len(result.slumps) for result in mapped.results] == [1]
    assert mapped.failures == seen
    assert "none.tif: no such file" in str(seen[0])
    with pytest.raises(RtsmapError, match="none of the 2 scenes"):
        rtsmap.map_scenes([str(tmp_path / name) for name in ("a.tif", "b.tif")], detector)
    with pytest.raises(InputError, match="is the same scene as"):
        rtsmap.map_scenes([str(good), str(good)], detector)
