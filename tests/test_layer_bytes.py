"""The bytes of a layer stay the same from one version to the next, unless its content is meant to change."""

import hashlib

from rtsmap.layer import write_layer
from rtsmap.predict.detector import ReadyDetector
from rtsmap.predict.scene import predict_scene
from tests.detectors import BareGround, card, tundra
from tests.scenes import clear_udm2, write_planetscope

#: SHA-256 of the GeoPackage, with the dependencies of requirements.lock. A change that is meant to change the layer
#: states so in CHANGELOG.md and stores the new value here.
STORED = "1262ddf75c4d00a7952790047cb36be253ea1814e16232070b6fe0b5834d88bb"

SLUMPS = [(20, 20, 20, 24), (40, 95, 18, 30), (90, 30, 12, 70)]
SHAPE = (150, 160)


def test_the_layer_of_a_known_scene_keeps_its_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("OGR_CURRENT_DATE", "2026-01-01T00:00:00.000Z")
    monkeypatch.chdir(tmp_path)
    write_planetscope(tmp_path / "scene", tundra(*SHAPE, SLUMPS), udm2=clear_udm2(*SHAPE))
    detector = ReadyDetector.of(card(), BareGround())
    result = predict_scene("scene", detector)
    assert len(result.slumps) == len(SLUMPS)
    write_layer(tmp_path / "slumps.gpkg", [result], detector.provenance(["scene"], "test"))
    assert hashlib.sha256((tmp_path / "slumps.gpkg").read_bytes()).hexdigest() == STORED
