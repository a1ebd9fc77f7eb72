"""The commands of `benchmarks` on tiny inputs, without the peers."""

import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from shapely import box

from benchmarks import merge, reading
from benchmarks.against import merging
from benchmarks.against.reading import METHODS
from benchmarks.children import ChildError, interpreter, run
from benchmarks.fields import quality
from benchmarks.peers import Faults, count_faults

OWN = [reading.OWN, *reading.PLAIN]


def shapes(*all_of_them: shapely.Geometry) -> np.ndarray:
    return np.array(all_of_them, dtype=np.object_)


def layer(*all_of_them: shapely.Geometry) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame({"score": [0.9] * len(all_of_them)}, geometry=list(all_of_them), crs="EPSG:32645")


LEFT, RIGHT = box(0, 0, 10, 10), box(20, 0, 30, 10)


def test_quality_tells_duplicates_false_merges_and_poor_cover_apart():
    truth = shapes(LEFT, RIGHT)
    good = quality(truth, truth)
    assert (good.too_many, good.falsely_merged, good.under_half) == (0, 0, 0)
    assert quality(truth, shapes(LEFT, LEFT, RIGHT)).too_many == 50
    assert quality(truth, shapes(box(0, 0, 30, 10))).falsely_merged == 1
    poor = quality(truth, shapes(LEFT, box(20, 0, 24, 10)))
    assert (poor.under_half, poor.under_half_share) == (1, 50)


def test_rtsmap_merges_the_simulated_field_without_a_fault():
    [row] = merging.compare(300, 56, 0.05, 1, ["rtsmap"])
    assert row["instances"] > row["truth"] > 100
    assert (row["too_many"], row["falsely_merged"], row["under_half"]) == (0, 0, 0)


def test_the_table_of_merges_gives_ratios_exponents_and_what_is_missing():
    common: dict[str, float] = {
        "truth": 1,
        "too_many": 0.0,
        "falsely_merged": 0,
        "under_half": 0,
        "under_half_share": 0.0,
    }
    rows: list[dict[str, object]] = [
        {"instances": count, "method": method, "seconds": seconds, **common}
        for count, method, seconds in [(100, "rtsmap", 1.0), (1000, "rtsmap", 10.0), (1000, "torchvision NMS", 25.0)]
    ]
    table = merge.table([*rows, {"instances": 1000, "method": "other", "missing": "not installed"}])
    assert "| 1000 | torchvision NMS | 25.000 | 2.5 x | 2 x | - |" in table
    assert "| 1000 | rtsmap | 10.000 | 1.0 x |  | 1.00 |" in table
    assert "| 1000 | other | not installed |" in table


@pytest.mark.parametrize("kind", reading.KINDS)
def test_every_way_of_reading_gives_the_same_chips(tmp_path: Path, kind: str):
    reading.write(tmp_path, kind, 300)
    read = {method: METHODS[method](reading.name(tmp_path, kind, 300), 128, 0) for method in OWN}
    for chips in read.values():
        next(chips)  # ready
    compared = 0
    for chip, numbers, cached in zip(*(read[method] for method in OWN), strict=True):
        rows, columns = numbers.shape[1:]  # plain windows end with the file
        np.testing.assert_allclose(chip.pixels.reflectance[:, :rows, :columns], numbers * 1e-4, rtol=1e-6)
        np.testing.assert_array_equal(numbers, cached)
        compared += 1
    assert compared == 9


def test_the_table_of_readings_says_what_failed_and_on_which_size():
    one = {"side": 100, "cpu_s": 0.001, "growth_mib": 12.0}
    found = {(kind, reading.OWN): [one] for kind in reading.KINDS}
    found["tiled", "sahi slice_image"] = [one | {"side": 50}]
    found["tiled", "torchgeo GridGeoSampler"] = [{"missing": "over 5 s"}]
    table = reading.table(found, 100)
    assert "| tiled | sahi slice_image | 2.5 (on 50 px) | 4.00 x | 8 x | 12 |" in table
    assert "| tiled | torchgeo GridGeoSampler | over 5 s |" in table
    assert "A striped file takes 1.00 times as long" in table


def test_duplicate_split_and_repeated_slumps_are_counted():
    truth = layer(LEFT, RIGHT)
    assert count_faults(layer(LEFT, RIGHT), truth) == Faults(0, 0, 0)
    assert count_faults(layer(LEFT, box(1, 1, 10, 10), RIGHT), truth) == Faults(duplicate=1, split=0, repeated=2)
    assert count_faults(layer(box(0, 0, 4, 10), box(6, 0, 10, 10)), truth) == Faults(duplicate=0, split=1, repeated=0)
    elsewhere = layer(box(50, 0, 60, 10), box(50, 0, 59, 10))
    assert count_faults(elsewhere, truth) == Faults(duplicate=0, split=0, repeated=2)


def test_a_process_is_measured_and_its_failure_told():
    said, cost = run([sys.executable, "-c", "print(sum(range(10**6)))"])
    assert said == f"{sum(range(10**6))}\n"
    assert cost.peak_mib > 1
    assert cost.cpu_s > 0
    with pytest.raises(ChildError, match="no such luck"):
        run([sys.executable, "-c", "raise SystemExit('no such luck')"])
    with pytest.raises(ChildError, match=r"over 0 s"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], limit_s=0.2)


def test_without_the_peers_the_line_that_installs_them_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert interpreter(tmp_path / "python") == sys.executable
    assert "uv pip install" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["merge", "reading", "peers"])
def test_every_command_explains_itself(name: str):
    command = [sys.executable, "-m", f"benchmarks.{name}", "--help"]
    help_text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "--peers" in help_text
