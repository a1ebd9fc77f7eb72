"""GeoParquet with the provenance in the file's key-value metadata."""

import io
from pathlib import Path

import geopandas as gpd
import pyarrow.parquet as pq

#: Key of the provenance, JSON text, in the metadata of the Parquet file.
PROVENANCE_KEY = b"rtsmap"


def write(path: Path, table: gpd.GeoDataFrame, provenance: str) -> None:
    """Write one table.

    Args:
        path: must not exist.
        table: slumps or observed areas.
        provenance: JSON text.
    """
    # geopandas writes the "geo" key but takes no other, so that its file is read back and given one more.
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    arrow = pq.read_table(buffer)
    pq.write_table(arrow.replace_schema_metadata({**arrow.schema.metadata, PROVENANCE_KEY: provenance.encode()}), path)
