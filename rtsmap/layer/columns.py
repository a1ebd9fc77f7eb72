"""Titles and descriptions of the columns of a GeoPackage, by its schema extension (OGC 12-128r19, annex F.9)."""

import sqlite3

from rtsmap.layer.tables import LAYERS

# The tables as GDAL makes them.
_COLUMNS = """
CREATE TABLE gpkg_data_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL,
  name TEXT, title TEXT, description TEXT, mime_type TEXT, constraint_name TEXT,
  CONSTRAINT pk_gdc PRIMARY KEY (table_name, column_name),
  CONSTRAINT gdc_tn UNIQUE (table_name, name))
"""
_CONSTRAINTS = """
CREATE TABLE gpkg_data_column_constraints (
  constraint_name TEXT NOT NULL, constraint_type TEXT NOT NULL, value TEXT,
  min NUMERIC, min_is_inclusive BOOLEAN, max NUMERIC, max_is_inclusive BOOLEAN, description TEXT,
  CONSTRAINT gdcc_ntv UNIQUE (constraint_name, constraint_type, value))
"""
_EXTENSION = "http://www.geopackage.org/spec121/#extension_schema"


def add_columns(database: sqlite3.Connection) -> None:
    """Describe the fields of both layers; GDAL reads `name` as the alternative name of a field."""
    database.execute(_COLUMNS)
    database.execute(_CONSTRAINTS)
    database.executemany(
        "INSERT INTO gpkg_extensions VALUES (?, NULL, 'gpkg_schema', ?, 'read-write')",
        [(table, _EXTENSION) for table in ("gpkg_data_columns", "gpkg_data_column_constraints")],
    )
    database.executemany(
        "INSERT INTO gpkg_data_columns (table_name, column_name, name, title, description) VALUES (?, ?, ?, ?, ?)",
        [
            (layer, field.name, field.alias, field.alias, field.sentence)
            for layer, fields in LAYERS.items()
            for field in fields
        ],
    )
