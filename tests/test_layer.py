"""The written layer, as a user meets it: reopened with geopandas, pyogrio and SQLite."""

import json
import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib import resources
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from rtsmap.attributes import AttributeComputer
from rtsmap.errors import InputError, OutputError
from rtsmap.fields import layer_row
from rtsmap.layer import OBSERVED_FIELDS, SLUMP_FIELDS, SceneResult, output_files, write_layer
from rtsmap.records import Grid, MergedInstance, Pixels, SceneInfo

PROVENANCE = {"command": "rtsmap predict scene.tif -o slumps.gpkg", "model": {"name": "arctic"}, "rtsmap": "0.1.0"}
ACQUIRED = datetime(2020, 7, 1, 20, 1, 2, 345_000, tzinfo=UTC)


def scene(n_slumps: int = 2, *, epsg: int = 32608, scene_id: str = "20200701_200102_1001") -> SceneResult:
    """A scene of 1.2 x 1.2 km with small rectangles for slumps."""
    grid = Grid(CRS.from_epsg(epsg), Affine(3.0, 0.0, 500_000.0, 0.0, -3.0, 8_000_000.0), height=400, width=400)
    info = SceneInfo(scene_id, "scene.tif", "planetscope", 3.0, acquired=ACQUIRED, satellite_id="1001")
    attributes = AttributeComputer(grid, info, model="arctic", model_sha256="ab12")
    slumps = []
    for number in range(n_slumps):
        left, top = 30 + 35 * (number % 10), 30 + 8 * (number // 10 % 40)
        merged = MergedInstance(shapely.box(left, top, left + 20, top + 6), 0.9 - number / 10_000, 2)
        window = attributes.buffer_window(merged)
        valid = np.ones((window.height, window.width), bool)
        reflectance = np.full((4, *valid.shape), 0.1, dtype=np.float32)
        slumps.append(attributes.compute(merged, window, Pixels(reflectance, valid, valid)))
    observed = shapely.box(500_000, 7_998_800, 501_200, 8_000_000)
    return SceneResult(info, grid.crs, slumps, observed, observed_km2=1.44115, cloud_fraction=0.125, model="arctic")


@pytest.fixture
def written(tmp_path) -> Path:
    path = tmp_path / "slumps.gpkg"
    write_layer(path, [scene()], PROVENANCE)
    return path


def query(path: Path, statement: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(statement).fetchall()


def test_slumps_read_back_with_their_attributes(written):
    slumps = gpd.read_file(written, layer="thaw_slumps")
    expected = scene().slumps
    assert list(slumps.columns) == [*SLUMP_FIELDS, "geometry"]
    assert list(slumps.columns[:-1]) == list(layer_row(expected[0]))
    assert slumps.crs == CRS.from_epsg(32608)
    assert list(slumps.geom_type) == ["MultiPolygon"] * 2
    assert list(slumps.geometry) == [one.geometry for one in expected]
    assert slumps.loc[1, "slump_id"] == expected[1].slump_id
    assert slumps.loc[0, "area_m2"] == expected[0].area_m2
    assert slumps.loc[0, "acquired"] == pd.Timestamp(ACQUIRED)
    assert slumps.loc[0, "instrument"] is None or pd.isna(slumps.loc[0, "instrument"])
    assert slumps["view_angle_deg"].isna().all()


def test_the_observed_area_has_one_row_per_scene(written):
    observed = gpd.read_file(written, layer="observed_area")
    assert list(observed.columns) == [*OBSERVED_FIELDS, "geometry"]
    (row,) = observed.to_dict("records")
    assert row["scene_id"] == "20200701_200102_1001"
    assert (row["observed_km2"], row["cloud_fraction"], row["n_slumps"]) == (1.4411, 0.125, 2)
    assert row["geometry"].geom_type == "MultiPolygon"
    assert row["geometry"].area == 1_440_000


@pytest.mark.parametrize("n_slumps", [0, 2])
def test_fields_are_typed_even_without_slumps(tmp_path, n_slumps):
    path = tmp_path / "slumps.gpkg"
    write_layer(path, [scene(n_slumps)], PROVENANCE)
    kinds = {"string": "TEXT", "float64": "REAL", "bool": "BOOLEAN", "int32": "MEDIUMINT"}
    kinds["datetime64[ms, UTC]"] = "DATETIME"
    for layer, fields in (("thaw_slumps", SLUMP_FIELDS), ("observed_area", OBSERVED_FIELDS)):
        columns = {row[1]: row[2] for row in query(path, f"PRAGMA table_info({layer})")}
        assert columns == {"fid": "INTEGER", "geom": "MULTIPOLYGON"} | {name: kinds[fields[name]] for name in fields}
        assert pyogrio.read_info(path, layer=layer)["crs"] == "EPSG:32608"
    assert pyogrio.read_info(path, layer="thaw_slumps")["features"] == n_slumps
    assert query(path, "SELECT n_slumps FROM observed_area") == [(n_slumps,)]


def test_times_are_utc_with_milliseconds(written):
    assert query(written, "SELECT DISTINCT acquired FROM thaw_slumps") == [("2020-07-01T20:01:02.345Z",)]


def test_layers_carry_title_and_description(written):
    for layer, identifier in (("thaw_slumps", "Thaw slumps"), ("observed_area", "Observed area")):
        metadata = pyogrio.read_info(written, layer=layer)["layer_metadata"]
        assert metadata["IDENTIFIER"] == identifier
        assert len(metadata["DESCRIPTION"]) > 20


def test_it_is_a_whole_geopackage(written):
    assert query(written, "PRAGMA integrity_check") == [("ok",)]
    assert query(written, "PRAGMA foreign_key_check") == []
    assert query(written, "PRAGMA application_id") == [(int.from_bytes(b"GPKG", "big"),)]
    assert query(written, "PRAGMA user_version") == [(10300,)]
    assert query(written, "PRAGMA journal_mode") == [("delete",)]
    assert [entry.name for entry in written.parent.iterdir()] == ["slumps.gpkg"]  # no journal, no temporary file
    tables = {name for (name,) in query(written, "SELECT table_name FROM gpkg_contents")}
    assert tables == {"thaw_slumps", "observed_area", "layer_styles"}
    assert len(query(written, "SELECT * FROM gpkg_extensions WHERE extension_name = 'gpkg_rtree_index'")) == 2


def test_qgis_finds_a_default_style_for_each_layer(written):
    rows = query(
        written,
        "SELECT f_table_catalog, f_table_schema, f_table_name, f_geometry_column, useAsDefault, styleQML"
        " FROM layer_styles ORDER BY id",
    )
    assert [row[:5] for row in rows] == [
        ("", "", "thaw_slumps", "geom", 1),
        ("", "", "observed_area", "geom", 1),
    ]
    for row in rows:
        assert ET.fromstring(row[5]).tag == "qgis"
    assert query(written, "SELECT data_type, srs_id FROM gpkg_contents WHERE table_name = 'layer_styles'") == [
        ("attributes", 0)
    ]


@pytest.mark.parametrize(("layer", "fields"), [("thaw_slumps", SLUMP_FIELDS), ("observed_area", OBSERVED_FIELDS)])
def test_styles_explain_every_field(written, layer, fields):
    ((text,),) = query(written, f"SELECT styleQML FROM layer_styles WHERE f_table_name = '{layer}'")
    style = ET.fromstring(text)
    aliases = {alias.get("field"): alias.get("name") for alias in style.find("aliases")}
    assert list(aliases) == ["fid", *fields]
    assert all(aliases[field] for field in fields)


@pytest.mark.parametrize(
    ("layer", "column", "title", "description"),
    [
        ("thaw_slumps", "area_m2", "Area (geodesic, m2)", "geodesic area without the holes [m2]"),
        ("thaw_slumps", "touches_edge", "Touches the edge of valid pixels", None),
        ("observed_area", "scene_id", "Scene", "identifier of the scene"),
    ],
)
def test_columns_have_titles_and_descriptions_outside_qgis_too(written, layer, column, title, description):
    where = f"WHERE table_name = '{layer}' AND column_name = '{column}'"
    (found,) = query(written, f"SELECT name, title, description FROM gpkg_data_columns {where}")
    assert found[:2] == (title, title)
    assert description is None or found[2] == description


def test_every_column_is_described_by_the_schema_extension(written):
    for layer, fields in (("thaw_slumps", SLUMP_FIELDS), ("observed_area", OBSERVED_FIELDS)):
        rows = query(
            written,
            f"SELECT column_name, description FROM gpkg_data_columns WHERE table_name = '{layer}' ORDER BY rowid",
        )
        assert [name for name, text in rows if text and "`" not in text] == list(fields)
    tables = query(written, "SELECT table_name FROM gpkg_extensions WHERE extension_name = 'gpkg_schema' ORDER BY 1")
    assert tables == [("gpkg_data_column_constraints",), ("gpkg_data_columns",)]


def test_the_style_has_a_class_for_every_score():
    style = ET.fromstring(resources.files("rtsmap").joinpath("styles", "thaw_slumps.qml").read_text(encoding="utf-8"))
    ranges = [(float(one.get("lower")), float(one.get("upper"))) for one in style.iter("range")]
    assert (ranges[0][0], ranges[-1][1]) == (0, 1)
    assert all(before[1] == after[0] for before, after in pairwise(ranges))
    symbols = {symbol.get("name") for symbol in style.iter("symbol")}
    assert {one.get("symbol") for one in style.iter("range")} == symbols


def test_provenance_is_registered_metadata(written):
    ((scope, mime, text),) = query(written, "SELECT md_scope, mime_type, metadata FROM gpkg_metadata")
    assert (scope, mime) == ("dataset", "application/json")
    assert json.loads(text) == PROVENANCE
    assert query(written, "SELECT reference_scope, table_name, md_file_id FROM gpkg_metadata_reference") == [
        ("geopackage", None, 1)
    ]
    rows = query(written, "SELECT table_name, scope FROM gpkg_extensions WHERE extension_name = 'gpkg_metadata'")
    assert rows == [("gpkg_metadata", "read-write"), ("gpkg_metadata_reference", "read-write")]
    # GDAL, and so QGIS, shows it among the file's metadata.
    assert json.loads(pyogrio.read_info(written, layer="thaw_slumps")["dataset_metadata"]["GPKG_METADATA_ITEM_1"])


def test_scenes_of_two_utm_zones_share_the_first_ones_crs(tmp_path):
    path = tmp_path / "slumps.gpkg"
    write_layer(path, [scene(), scene(epsg=32609, scene_id="east")], PROVENANCE)
    slumps, observed = (gpd.read_file(path, layer=layer) for layer in ("thaw_slumps", "observed_area"))
    assert slumps.crs == observed.crs == CRS.from_epsg(32608)
    assert list(slumps["scene_id"]) == ["20200701_200102_1001"] * 2 + ["east"] * 2
    centres = slumps.geometry.centroid.to_crs(4326)
    assert np.allclose(centres.x, slumps["centroid_lon"], atol=2e-6)
    assert np.allclose(centres.y, slumps["centroid_lat"], atol=2e-6)
    assert slumps.loc[0, "centroid_lon"] < slumps.loc[2, "centroid_lon"] - 5  # six degrees further east
    assert observed.loc[1, "geometry"].covers(slumps.loc[2, "geometry"])


def test_bytes_are_the_same_at_a_fixed_date(tmp_path, monkeypatch):
    monkeypatch.setenv("OGR_CURRENT_DATE", "2026-01-01T00:00:00.000Z")
    first, second = tmp_path / "first.gpkg", tmp_path / "second.gpkg"
    write_layer(first, [scene(60)], PROVENANCE)
    time.sleep(0.01)  # so that a clock would show
    write_layer(second, [scene(60)], PROVENANCE)
    assert first.read_bytes() == second.read_bytes()
    dates = query(first, "SELECT last_change FROM gpkg_contents UNION ALL SELECT update_time FROM layer_styles")
    assert set(dates) == {("2026-01-01T00:00:00.000Z",)}
    assert query(first, "SELECT timestamp FROM gpkg_metadata_reference") == [("2026-01-01T00:00:00.000Z",)]


def test_an_older_file_is_replaced_as_a_whole(written):
    write_layer(written, [scene(0)], PROVENANCE)
    assert pyogrio.read_info(written, layer="thaw_slumps")["features"] == 0


def test_geoparquet_and_the_observed_area_beside_it(tmp_path):
    path = tmp_path / "slumps.parquet"
    write_layer(path, [scene()], PROVENANCE)
    slumps, observed = gpd.read_parquet(path), gpd.read_parquet(tmp_path / "slumps_observed.parquet")
    assert list(slumps.geometry) == [one.geometry for one in scene().slumps]
    assert slumps.crs == CRS.from_epsg(32608)
    assert observed.loc[0, "n_slumps"] == 2
    for file in output_files(path):
        assert json.loads(pq.read_schema(file).metadata[b"rtsmap"]) == PROVENANCE


def test_geoparquet_without_slumps_is_typed(tmp_path):
    path = tmp_path / "slumps.parquet"
    write_layer(path, [scene(0)], PROVENANCE)
    schema = pq.read_schema(path)
    kinds = {str(schema.field(name).type).removeprefix("large_") for name in SLUMP_FIELDS}
    assert kinds == {"string", "double", "bool", "int32", "timestamp[ms, tz=UTC]"}
    assert len(gpd.read_parquet(path)) == 0


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"slumps\.shp: cannot tell the format; end the name in \.gpkg"):
        write_layer(tmp_path / "slumps.shp", [scene()], PROVENANCE)


@pytest.mark.parametrize("name", ["slumps.gpkg", "slumps.parquet"])
def test_a_missing_folder_is_one_clear_error(tmp_path, name):
    with pytest.raises(OutputError, match=rf"{name}: cannot be written"):
        write_layer(tmp_path / "missing" / name, [scene()], PROVENANCE)
    assert list(tmp_path.iterdir()) == []


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Writing beyond `size` bytes fails, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("slumps.gpkg", 4_096),  # GDAL cannot begin
        ("slumps.gpkg", 80_000),  # nor end the first layer
        ("slumps.gpkg", 175_000),  # SQLite cannot add the styles
        ("slumps.parquet", 4_096),
    ],
)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, name, limit):
    path = tmp_path / name
    path.write_text("the old file")
    result = scene(150)
    with files_limited_to(limit), pytest.raises(OutputError, match=rf"{name}: cannot be written") as failure:
        write_layer(path, [result], PROVENANCE)
    assert "\n" not in str(failure.value)
    assert len(str(failure.value)) < len(str(path)) + 100
    assert path.read_text() == "the old file"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
