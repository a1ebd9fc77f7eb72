"""GeoPackage: feature layers through GDAL, then QGIS styles, provenance and column descriptions through SQLite."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import pyogrio

from rtsmap.layer.columns import add_columns
from rtsmap.layer.styles import style_of

SQLiteError = sqlite3.Error

_GEOMETRY = "geom"
_DESCRIPTIONS = {
    "thaw_slumps": (
        "Thaw slumps",
        "Retrogressive thaw slumps found by rtsmap; areas in m2 and lengths in m are geodesic (WGS 84)",
    ),
    "observed_area": (
        "Observed area",
        "Where valid, clear pixels were searched, one row per scene; outside it nothing is known",
    ),
}

# The table as QGIS itself makes it through GDAL; it looks the columns up by these names.
_STYLES = """
CREATE TABLE layer_styles (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  "f_table_catalog" TEXT(256), "f_table_schema" TEXT(256), "f_table_name" TEXT(256), "f_geometry_column" TEXT(256),
  "styleName" TEXT(30), "styleQML" TEXT, "styleSLD" TEXT, "useAsDefault" BOOLEAN, "description" TEXT,
  "owner" TEXT(30), "ui" TEXT(30), "update_time" DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))
"""

# OGC 12-128r19 (GeoPackage 1.3.1), annex F.8 and tables 15 and 16.
_METADATA = """
CREATE TABLE gpkg_metadata (
  id INTEGER CONSTRAINT m_pk PRIMARY KEY ASC NOT NULL,
  md_scope TEXT NOT NULL DEFAULT 'dataset',
  md_standard_uri TEXT NOT NULL,
  mime_type TEXT NOT NULL DEFAULT 'text/xml',
  metadata TEXT NOT NULL DEFAULT '')
"""
_METADATA_REFERENCE = """
CREATE TABLE gpkg_metadata_reference (
  reference_scope TEXT NOT NULL,
  table_name TEXT,
  column_name TEXT,
  row_id_value INTEGER,
  timestamp DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
  md_file_id INTEGER NOT NULL,
  md_parent_id INTEGER,
  CONSTRAINT crmr_mfi_fk FOREIGN KEY (md_file_id) REFERENCES gpkg_metadata(id),
  CONSTRAINT crmr_mpi_fk FOREIGN KEY (md_parent_id) REFERENCES gpkg_metadata(id))
"""
_METADATA_EXTENSION = "http://www.geopackage.org/spec130/#extension_metadata"

# The column asks for a URI of the metadata's standard. rtsmap's JSON follows none, so it names itself.
_PROVENANCE_URI = "urn:rtsmap:provenance:1"


def write(path: Path, slumps: gpd.GeoDataFrame, observed: gpd.GeoDataFrame, provenance: str) -> None:
    """Write a new GeoPackage 1.3.

    Args:
        path: must not exist.
        slumps: layer `thaw_slumps`.
        observed: layer `observed_area`.
        provenance: JSON text.
    """
    # QGIS stacks layers in the file's order, the first on top.
    for name, table in (("thaw_slumps", slumps), ("observed_area", observed)):
        identifier, description = _DESCRIPTIONS[name]
        pyogrio.write_dataframe(
            table,
            path,
            layer=name,
            driver="GPKG",
            geometry_type="MultiPolygon",
            append=False,
            dataset_options={"VERSION": "1.3"},
            layer_options={"IDENTIFIER": identifier, "DESCRIPTION": description, "GEOMETRY_NAME": _GEOMETRY},
        )
    check_rows(path, {"thaw_slumps": len(slumps), "observed_area": len(observed)})
    with closing(sqlite3.connect(path)) as database, database:  # one transaction
        now = _now()
        _add_styles(database, now, {name: identifier for name, (identifier, _) in _DESCRIPTIONS.items()})
        _add_provenance(database, provenance, now)
        add_columns(database)


def check_rows(path: Path, expected: Mapping[str, int]) -> None:
    """Check what was written: GDAL may swallow an error of its last flush, and half a layer must not pass for a whole.

    Args:
        path: of the GeoPackage.
        expected: number of rows of each of its tables.

    Raises:
        sqlite3.Error: rows are missing.
    """
    with closing(sqlite3.connect(path)) as database:
        for table, rows in expected.items():
            (found,) = database.execute(f'SELECT count(*) FROM "{table}"').fetchone()
            if found != rows:
                raise sqlite3.OperationalError(f"{table} holds {found} of {rows} rows; is the disk full?")


def add_style(path: Path, layer: str, identifier: str) -> None:
    """Give a GeoPackage of one layer, with the geometry column `geom`, its style of `rtsmap/styles`.

    Args:
        path: of a file that has no styles yet.
        layer: its layer, which is called like the style.
        identifier: name of the style for users.
    """
    add_styles(path, {layer: identifier})


def add_styles(path: Path, layers: Mapping[str, str]) -> None:
    """The same for several layers.

    Args:
        path: of a file that has no styles yet.
        layers: names of the styles for users, by layer.
    """
    with closing(sqlite3.connect(path)) as database, database:
        _add_styles(database, _now(), layers)


def add_provenance(path: Path, provenance: str) -> None:
    """Give a GeoPackage the JSON text that says how it was made."""
    with closing(sqlite3.connect(path)) as database, database:
        _add_provenance(database, provenance, _now())


def _add_styles(database: sqlite3.Connection, now: str, layers: Mapping[str, str]) -> None:
    database.execute(_STYLES)
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, last_change, srs_id)"
        " VALUES ('layer_styles', 'attributes', 'layer_styles', 'QGIS styles of the layers', ?, 0)",
        (now,),
    )
    for table, identifier in layers.items():
        database.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName,"
            " styleQML, styleSLD, useAsDefault, description, owner, ui, update_time)"
            " VALUES ('', '', ?, ?, ?, ?, '', 1, ?, '', NULL, ?)",
            (table, _GEOMETRY, identifier, style_of(table), _DESCRIPTIONS.get(table, ("", identifier))[1], now),
        )


def _add_provenance(database: sqlite3.Connection, provenance: str, now: str) -> None:
    database.execute(_METADATA)
    database.execute(_METADATA_REFERENCE)
    database.execute(
        "INSERT INTO gpkg_metadata VALUES (1, 'dataset', ?, 'application/json', ?)", (_PROVENANCE_URI, provenance)
    )
    database.execute("INSERT INTO gpkg_metadata_reference VALUES ('geopackage', NULL, NULL, NULL, ?, 1, NULL)", (now,))
    database.executemany(
        "INSERT INTO gpkg_extensions VALUES (?, NULL, 'gpkg_metadata', ?, 'read-write')",
        [(table, _METADATA_EXTENSION) for table in ("gpkg_metadata", "gpkg_metadata_reference")],
    )


def _now() -> str:
    """The moment that GDAL writes too: its option `OGR_CURRENT_DATE`, or the clock."""
    fixed = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    return str(fixed) if fixed else datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
