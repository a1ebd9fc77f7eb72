import geopandas
from PIL import Image


def test_the_demo_maps_a_real_scene(rtsmap, tmp_path):
    code, out, err = rtsmap("demo", "-o", tmp_path / "demo")
    assert code == 0
    slumps = geopandas.read_file(tmp_path / "demo" / "slumps.gpkg", layer="thaw_slumps")
    assert slumps.is_valid.all()
    assert slumps.slump_id.is_unique
    assert 5 <= len(slumps) <= 60  # 40 are published for this scene
    assert slumps.ndvi_contrast.median() < 0  # bare ground in tundra
    assert "of 40 published slumps found" in out
    assert "was trained on this site" in out  # said, so that nobody takes it for a measure
    assert "QGIS" in err
    with Image.open(tmp_path / "demo" / "preview.png") as picture:
        assert picture.width >= 800


def test_the_demo_does_not_replace_a_result_unasked(rtsmap, tmp_path):
    (tmp_path / "slumps.gpkg").touch()
    code, _, err = rtsmap("demo", "-o", tmp_path)
    assert code == 2
    assert "--overwrite" in err


def test_the_doctor_finds_this_machine_well(rtsmap):
    code, out, _ = rtsmap("doctor")
    assert code == 0
    assert "GDAL" in out
    assert "torch" in out
