"""Write what was found in scenes as a GIS layer: one GeoPackage, or GeoParquet files. The only stage that writes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyogrio.errors

from rtsmap.errors import InputError, OutputError
from rtsmap.files.writing import replacing_together
from rtsmap.layer import geopackage, geoparquet
from rtsmap.layer.tables import OBSERVED_FIELDS, SLUMP_FIELDS, SceneResult, observed_table, slump_table

__all__ = ["OBSERVED_FIELDS", "SLUMP_FIELDS", "SceneResult", "output_files", "plain_errors", "write_layer"]


def output_files(path: Path) -> tuple[Path, ...]:
    """The files that `write_layer` makes for this name, to be checked before any long work.

    Raises:
        InputError: the suffix is none of .gpkg and .parquet.
    """
    suffix = path.suffix.lower()
    if suffix == ".gpkg":
        return (path,)
    if suffix == ".parquet":
        return path, path.with_name(f"{path.stem}_observed{path.suffix}")
    raise InputError(f"{path}: cannot tell the format; end the name in .gpkg (GeoPackage) or .parquet (GeoParquet)")


def write_layer(
    path: str | Path, results: Sequence[SceneResult], provenance: Mapping[str, object], *, overwrite: bool = True
) -> None:
    """Write the slumps and the observed areas of one or more scenes, whole or not at all.

    Everything is in the CRS of the first scene; scenes in another one are reprojected to it. With GDAL's option
    `OGR_CURRENT_DATE` in the environment (such as `2026-01-01T00:00:00.000Z`) the same input gives the same bytes.

    Args:
        path: `.gpkg` for one GeoPackage with layers `thaw_slumps` and `observed_area`, their styles and the
            provenance; `.parquet` for the slumps as GeoParquet, and beside them `<stem>_observed.parquet`.
        results: at least one, in the order in which they are to be written.
        provenance: how the layer was made (command, configuration, model card, versions), in JSON's types.
        overwrite: whether files may be there at the end; see `files.replacing`.

    Raises:
        InputError: another suffix.
        OutputError: the disk is full, the folder cannot be written, or another run was faster.

    Example:
        >>> import rtsmap
        >>> detector = rtsmap.load_detector("rts-mini")
        >>> result = rtsmap.predict_scene("scene.tif", detector)
        >>> rtsmap.write_layer("slumps.gpkg", [result], detector.provenance(["scene.tif"]))
    """
    path = Path(path)
    files = output_files(path)
    slumps, observed = slump_table(results), observed_table(results)
    text = json.dumps(provenance, ensure_ascii=False, allow_nan=False, default=str)
    # the slumps take their place last: where they are, the observed area is too
    with plain_errors(path), replacing_together(files[::-1], overwrite=overwrite) as (*beside, temporary):
        if not beside:
            geopackage.write(temporary, slumps, observed, text)
            return
        geoparquet.write(temporary, slumps, text)
        geoparquet.write(beside[0], observed, text)


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """One kind of error for all that GDAL, SQLite and Arrow say of a file that cannot be written.

    Raises:
        OutputError: names `path`, whatever file it was.
    """
    try:
        yield
    except (*_GDAL_ERRORS, geopackage.SQLiteError, pa.ArrowException) as error:
        reason = str(error).rpartition("failed: ")[2].partition("\n")[0]  # GDAL quotes the whole statement first
        raise OutputError(f"{path}: cannot be written ({reason})") from error


_GDAL_ERRORS = (
    pyogrio.errors.DataSourceError,
    pyogrio.errors.DataLayerError,
    pyogrio.errors.FeatureError,
    pyogrio.errors.FieldError,
    pyogrio.errors.GeometryError,
    pyogrio.errors.CRSError,
)
