"""Writing of the layers of tracks to one GeoPackage, tile by tile."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio
import pyogrio.errors

from rtsmap.errors import OutputError
from rtsmap.files.writing import replacing
from rtsmap.layer.geopackage import add_provenance, add_styles
from rtsmap.tracks.tables import LAYERS, LayerKind

_GEOMETRY = "geom"
_ROWS = 40_000  # rows of a layer that are collected before they are written together

# OGC 18-000 (GeoPackage Related Tables Extension), tables 1 and 2.
_RELATIONS = """
CREATE TABLE gpkgext_relations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  base_table_name TEXT NOT NULL,
  base_primary_column TEXT NOT NULL DEFAULT 'id',
  related_table_name TEXT NOT NULL,
  related_primary_column TEXT NOT NULL DEFAULT 'id',
  relation_name TEXT NOT NULL,
  mapping_table_name TEXT NOT NULL UNIQUE)
"""
_EXTENSION = "gpkg_related_tables", "http://www.opengis.net/doc/IS/gpkg-rte/1.0", "read-write"


class Writer:
    """Collects the rows of tiles and appends them to a GeoPackage.

    Args:
        path: the GeoPackage, which does not exist yet.

    Attributes:
        counts: number of rows of each layer.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[str, list[gpd.GeoDataFrame]] = {kind.name: [] for kind in LAYERS}
        self._written: set[str] = set()
        self.counts = dict.fromkeys(self._held, 0)

    def add(self, rows: Mapping[str, gpd.GeoDataFrame]) -> None:
        """Add the rows of a tile, by the name of the layer."""
        for kind in LAYERS:
            held = self._held[kind.name]
            held.append(rows[kind.name])
            self.counts[kind.name] += len(rows[kind.name])
            # All layers are created in their order before one grows, since QGIS draws them in the order of the file.
            if sum(map(len, held)) >= _ROWS and len(self._written) == len(LAYERS):
                self._write(kind)
        if len(self._written) < len(LAYERS) and any(sum(map(len, held)) >= _ROWS for held in self._held.values()):
            self._flush()

    def finish(self, provenance: Mapping[str, object]) -> None:
        """Write the remaining rows, and what GDAL does not write: relations, styles and provenance."""
        self._flush()
        _relate(self._path)
        add_styles(self._path, {kind.name: kind.title for kind in LAYERS})
        add_provenance(self._path, json.dumps(provenance, ensure_ascii=False, allow_nan=False, default=str))

    def _flush(self) -> None:
        for kind in LAYERS:
            if kind.name not in self._written or any(map(len, self._held[kind.name])):
                self._write(kind)

    def _write(self, kind: LayerKind) -> None:
        held = self._held[kind.name]
        filled = [rows for rows in held if len(rows)] or held[:1]
        frame = filled[0] if len(filled) == 1 else gpd.GeoDataFrame(pd.concat(filled, ignore_index=True))
        self._held[kind.name] = []
        pyogrio.write_dataframe(
            frame,
            self._path,
            layer=kind.name,
            driver="GPKG",
            geometry_type=kind.geometry,
            append=kind.name in self._written,
            dataset_options={"VERSION": "1.3"},
            layer_options={"IDENTIFIER": kind.title, "DESCRIPTION": kind.description, "GEOMETRY_NAME": _GEOMETRY},
        )
        self._written.add(kind.name)


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """A writer whose file replaces `path` when the block succeeds.

    Raises:
        OutputError: the disk is full or the folder is not writable.
    """
    try:
        with replacing(path) as temporary:
            yield Writer(temporary)
    except (
        pyogrio.errors.DataSourceError,
        pyogrio.errors.DataLayerError,
        pyogrio.errors.FeatureError,
        sqlite3.Error,
    ) as error:
        raise OutputError(f"{path}: cannot be written ({error})") from error


def _relate(path: Path) -> None:
    """Relate the rows of the other layers to their tracks, for GIS programs."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(_RELATIONS)
        database.execute("INSERT INTO gpkg_extensions VALUES ('gpkgext_relations', NULL, ?, ?, ?)", _EXTENSION)
        database.execute("CREATE UNIQUE INDEX tracks_track_id ON tracks (track_id)")
        for name in (kind.name for kind in LAYERS if kind.name != "tracks"):
            mapping = f"tracks_{name}"
            database.execute(f"CREATE INDEX {name}_track_id ON {name} (track_id)")
            database.execute(f"CREATE TABLE {mapping} (base_id INTEGER NOT NULL, related_id INTEGER NOT NULL)")
            database.execute(
                f"INSERT INTO {mapping} SELECT tracks.fid, {name}.fid FROM {name} JOIN tracks USING (track_id)"
            )
            database.execute(
                "INSERT INTO gpkgext_relations (base_table_name, base_primary_column, related_table_name,"
                " related_primary_column, relation_name, mapping_table_name) VALUES ('tracks', 'fid', ?, 'fid',"
                " 'features', ?)",
                (name, mapping),
            )
            database.execute("INSERT INTO gpkg_extensions VALUES (?, NULL, ?, ?, ?)", (mapping, *_EXTENSION))
