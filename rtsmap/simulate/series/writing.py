"""Writing a series: a product for each year, and the lineage of the slumps."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas
import pandas as pd
import pyogrio

from rtsmap import __version__
from rtsmap.files.outputs import check_outputs
from rtsmap.files.writing import replacing_together
from rtsmap.geometry import geodesic_areas_m2
from rtsmap.layer import plain_errors
from rtsmap.layer.geopackage import check_rows
from rtsmap.simulate.product.writing import Written, paths, write_files
from rtsmap.simulate.series.lineage import Epoch, Link, all_links
from rtsmap.simulate.series.making import Series

#: The name of the file that records the lineage of the slumps.
SERIES_TRUTH = "series_truth.gpkg"
_LAYERS = {
    "slumps": "Every slump of every year, not clipped, including slumps that no scene shows",
    "links": "Lineage of the slumps from one year to the next",
    "footprints": "Area that the sensor saw in each year",
}
_LINK_TYPES = {"year_from": "int32", "id_from": "Int64", "year_to": "int32", "id_to": "Int64"}


def write_series(
    series: Series,
    folder: Path,
    *,
    overwrite: bool = False,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[int, Written]]:
    """Write the scenes of all years and `series_truth.gpkg`: either all of them completely, or none.

    The files get their final names after the last year was yielded.

    Args:
        series: the series.
        folder: the folder of the files, which is created if it is missing.
        overwrite: whether to replace existing files.
        workers: the number of rendering threads; the files do not depend on it.
        progress: called with the number of finished tiles and the total number of tiles of a scene.

    Yields:
        Each year that is rendered, and its product.

    Raises:
        InputError: a file exists, or the folder cannot be written.
        OutputError: the disk is full.
    """
    products = {
        year: paths(folder, acquisition, series.options.bands) for year, acquisition in series.acquisitions.items()
    }
    files = [*(path for product in products.values() for path in product.values()), folder / SERIES_TRUTH]
    check_outputs(*files, overwrite=overwrite)
    with plain_errors(folder), replacing_together(files, overwrite=overwrite) as temporary:
        temporary_of = dict(zip(files, temporary, strict=True))
        for epoch in series.epochs:
            product = products[epoch.year]
            names = {kind: temporary_of[path] for kind, path in product.items()}
            yield epoch.year, write_files(series.scene(epoch), product, names, workers, progress)
        write_truth(temporary[-1], series)


def write_truth(path: Path, series: Series) -> None:
    """Write the layers slumps and footprints, in the scenes' CRS, and the table links. Empty layers have typed fields.

    The fields of slumps are slump_id, year, area_m2 (geodesic), activity (0..1), stabilising, seen (the share of the
    outline in the footprint of that year, 0..1) and scene_id. The fields of links are those of `lineage.Link`. The
    fields of footprints are year, scene_id, date, options and rtsmap_version.
    """
    slumps = pd.concat([_slumps(series, epoch) for epoch in series.epochs], ignore_index=True)
    _write(path, "slumps", geopandas.GeoDataFrame(slumps), geometry_type="Polygon")
    links = _links(all_links(series.epochs))
    _write(path, "links", links)
    _write(path, "footprints", _footprints(series), geometry_type="Polygon")
    check_rows(path, {"slumps": len(slumps), "links": len(links), "footprints": len(series.acquisitions)})


def _slumps(series: Series, epoch: Epoch) -> geopandas.GeoDataFrame:
    slumps, acquisition = epoch.state.slumps, series.acquisitions[epoch.year]
    outlines = geopandas.GeoSeries([slump.outline for slump in slumps], crs=acquisition.grid.crs)
    numbers = [slump.number for slump in slumps]
    columns = {
        "slump_id": pd.Series(numbers, dtype="int64"),
        "year": pd.Series([epoch.year] * len(slumps), dtype="int32"),
        "area_m2": pd.Series(geodesic_areas_m2(outlines).round(1), dtype="float64"),
        "activity": pd.Series([round(slump.activity, 3) for slump in slumps], dtype="float64"),
        "stabilising": pd.Series([number in epoch.state.stabilising for number in numbers], dtype="bool"),
        "seen": (outlines.intersection(acquisition.footprint).area / outlines.area).round(3).astype("float64"),
        "scene_id": pd.Series([acquisition.item_id] * len(slumps), dtype="str"),
    }
    return geopandas.GeoDataFrame(columns, geometry=outlines, crs=acquisition.grid.crs)


def _links(links: list[Link]) -> pd.DataFrame:
    table = pd.DataFrame([vars(link) for link in links], columns=list(Link.__annotations__))
    measures = dict.fromkeys(("area_ratio", "overlap", "iou"), "float64")
    return table.astype({**_LINK_TYPES, "kind": "str", **measures}).round(dict.fromkeys(measures, 4))


def _footprints(series: Series) -> geopandas.GeoDataFrame:
    acquisitions = list(series.acquisitions.items())
    columns = {
        "year": pd.Series([year for year, _ in acquisitions], dtype="int32"),
        "scene_id": [acquisition.item_id for _, acquisition in acquisitions],
        "date": [f"{acquisition.acquired:%Y-%m-%d}" for _, acquisition in acquisitions],
        "options": json.dumps(vars(series.options), default=str),
        "rtsmap_version": __version__,
    }
    outlines = [acquisition.footprint for _, acquisition in acquisitions]
    return geopandas.GeoDataFrame(columns, geometry=outlines, crs=acquisitions[0][1].grid.crs)


def _write(path: Path, layer: str, table: pd.DataFrame, geometry_type: str | None = None) -> None:
    pyogrio.write_dataframe(
        table,
        path,
        layer=layer,
        driver="GPKG",
        append=path.exists(),
        geometry_type=geometry_type,
        layer_options={"IDENTIFIER": layer, "DESCRIPTION": _LAYERS[layer]},
    )
