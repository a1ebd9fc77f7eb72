"""Reading a layer that rtsmap wrote."""

from pathlib import Path
from typing import NamedTuple

import geopandas as gpd
import pyarrow as pa
import pyogrio.errors

from rtsmap.errors import InputError
from rtsmap.layer import output_files
from rtsmap.layer.tables import OBSERVED_FIELDS, SLUMP_FIELDS


class Layer(NamedTuple):
    """The tables of a layer; docs/guide/layer.md describes the fields.

    Attributes:
        slumps: one row per slump, a GeoDataFrame with the fields of `SLUMP_FIELDS`.
        observed: one row per scene, a GeoDataFrame with the fields of `OBSERVED_FIELDS`.
    """

    slumps: gpd.GeoDataFrame
    observed: gpd.GeoDataFrame


def read_layer(path: str | Path) -> Layer:
    """Read the slumps and the observed areas of a layer.

    Args:
        path: the file that was given to `write_layer` or `rtsmap predict -o`: `.gpkg`, or `.parquet` with its
            `<stem>_observed.parquet` beside it.

    Returns:
        Two GeoDataFrames in the CRS of the layer.

    Raises:
        InputError: the file is missing or cannot be read, or is not a layer of rtsmap.

    Example:
        >>> import rtsmap
        >>> detector = rtsmap.load_detector("rts-mini")
        >>> result = rtsmap.predict_scene("scene.tif", detector)
        >>> rtsmap.write_layer("slumps.gpkg", [result], detector.provenance(["scene.tif"]))
        >>> layer = rtsmap.read_layer("slumps.gpkg")
        >>> len(layer.slumps) == len(result.slumps), layer.observed.scene_id.tolist()
        (True, ['scene'])
    """
    path = Path(path)
    slumps_file, observed_file = (output_files(path) * 2)[:2]  # a GeoPackage holds both tables
    layer = Layer(_read(slumps_file, "thaw_slumps"), _read(observed_file, "observed_area"))
    for table, fields in zip(layer, (SLUMP_FIELDS, OBSERVED_FIELDS), strict=True):
        if missing := sorted(set(fields) - set(table.columns)):
            raise InputError(f"{path}: is not a layer of this rtsmap (no {', '.join(missing)}); map the scenes again")
    return layer


def _read(file: Path, layer: str) -> gpd.GeoDataFrame:
    if not file.is_file():
        raise InputError(f"{file}: no such file; check the path")
    try:
        return gpd.read_parquet(file) if file.suffix.lower() == ".parquet" else gpd.read_file(file, layer=layer)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pa.ArrowException, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{file}: cannot be read as a layer of rtsmap ({reason})") from error
