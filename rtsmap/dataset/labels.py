"""Reading labels of any source into one form: AWI's labels, ARTS, published inventories, polygons, masks."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import rasterio
import rasterio.features
import shapely
from numpy.typing import NDArray

from rtsmap.dataset.dates import days_of
from rtsmap.dataset.segmentation import components
from rtsmap.errors import DatasetError
from rtsmap.polygons import MAP_LAYER, POLYGONS, read_polygons

#: The columns of labels in their common form, beside the geometry; see `read_labels`.
COLUMNS = ("scene_id", "date_from", "date_to", "date_utc", "site", "uid", "positive")
_FLAGS = ("date_utc", "positive")

# Names of fields in lower case, the most specific first: AWI (Nitze), Barth, Runge, ARTS, layers of rtsmap.
_SCENE = ("image_id", "image_ids", "scene_id", "scene", "basemapid")
_DATE = ("image_date", "date", "basemapdate", "label_image_date", "acquired")
_SITE = ("site", "region", "regionname")
_UID = ("uid", "slump_id")
_CLASS = "trainclass"

_NO_TEXT = {"", "False", "None", "nan"}  # later iterations of AWI's labels have the text False as site

_MASKS = {".tif", ".tiff"}
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "rtsmap/dataset/labels")


@dataclass(frozen=True)
class Fields:
    """Names of the fields of a label file; None to recognise a field by the usual names.

    Attributes:
        scene: id of the scene on which a slump was drawn, or several ids separated by commas.
        date: `YYYY-MM-DD`, a moment, or the first and the last day separated by a comma; see `dates.days_of`.
        site: name of the site; different sites share no ground.
        uid: identifier of the outline.
    """

    scene: str | None = None
    date: str | None = None
    site: str | None = None
    uid: str | None = None


def read_labels(
    path: Path, *, layer: str | None = None, fields: Fields | None = None, allow_empty: bool = False
) -> geopandas.GeoDataFrame:
    """Read labels into their common form.

    Args:
        path: polygons in any format that GDAL reads, GeoParquet, or a mask GeoTIFF in which 1 is slump.
        layer: layer of the file; needed where several of its layers hold polygons.
        fields: names of the fields that do not have the usual names.
        allow_empty: accept a file without polygons, because the area that was searched is known otherwise.

    Returns:
        One row per outline, in the CRS of the file: geometry (valid; one polygon, or the parts of a mask's region that
        meet in corners), scene_id (text or None), date_from and date_to (date or None), date_utc (whether these are
        days in UTC rather than local days), site (text or None), uid (text) and positive (false where ARTS says
        Negative: ground that resembles a slump but is none).

    Raises:
        InputError: the file cannot be read, has no CRS, has several layers, or lacks the layer asked for.
        DatasetError: the file holds no polygon, or lacks a field that `fields` names.
    """
    if path.suffix.lower() in _MASKS:
        frame = _polygons_of_mask(path)
    else:
        frame = read_polygons(path, layer, usual=MAP_LAYER).reset_index(drop=True)
        frame = frame.explode(index_parts=False)
        frame = frame[frame.geom_type.isin(POLYGONS) & ~frame.is_empty]
    if frame.empty and not allow_empty:
        raise DatasetError(
            f"{path}: holds no polygon; give the area that was searched with --footprints, "
            "or leave the labels of a scene without slumps empty in a --table"
        )
    return _normal(path, frame, fields or Fields())


def read_footprints(path: Path, *, layer: str | None = None, fields: Fields | None = None) -> geopandas.GeoDataFrame:
    """Read the areas that the labeller searched, such as AWI's ImageFootprints.

    Returns:
        One row per image, with the columns of `read_labels`.

    Raises:
        InputError: the file cannot be read; see `read_labels`.
        DatasetError: the file holds no footprint.
    """
    frame = read_polygons(path, layer, option="--footprints-layer").reset_index(drop=True)
    if frame.empty:
        raise DatasetError(f"{path}: holds no footprint; give polygons of the area that was searched")
    return _normal(path, frame, fields or Fields())


def _normal(path: Path, frame: geopandas.GeoDataFrame, fields: Fields) -> geopandas.GeoDataFrame:
    geometry = shapely.force_2d(frame.geometry.to_numpy())
    dates = [days_of(value) for value in _values(path, frame, fields.date, _DATE)]
    classes = _values(path, frame, None, (_CLASS,))
    # in files with both fields, many of AWI's labels have a region but no site
    known = [fields.site] if fields.site else list(_SITE)
    by_field = [_texts(_values(path, frame, fields.site, (name,))) for name in known]
    sites = [next((text for text in row if text is not None), None) for row in zip(*by_field, strict=True)]
    columns = {
        "scene_id": _texts(_values(path, frame, fields.scene, _SCENE)),
        "date_from": [days and days.first for days in dates],
        "date_to": [days and days.last for days in dates],
        "date_utc": [days is not None and days.utc for days in dates],
        "site": sites,
        "uid": _uids(_texts(_values(path, frame, fields.uid, _UID)), frame.index, geometry, frame.crs),
        "positive": [str(value).strip().lower() != "negative" for value in classes],
    }
    kinds = {name: pd.Series(values, dtype=bool if name in _FLAGS else object) for name, values in columns.items()}
    return geopandas.GeoDataFrame(kinds, geometry=geopandas.GeoSeries(geometry, crs=frame.crs))


def _values(path: Path, frame: geopandas.GeoDataFrame, chosen: str | None, known: Sequence[str]) -> list[Any]:
    """Return the values of the chosen field, or of the first usual one that is there; None for each row without one."""
    names = [str(name) for name in frame.columns if name != frame.geometry.name]
    if chosen is not None:
        if chosen not in names:
            raise DatasetError(f"{path}: has no field {chosen}; it has {', '.join(names) or 'none'}")
        return list(frame[chosen])
    lower = {name.lower(): name for name in names}
    for name in known:
        for spelling in (name, name[:10]):  # shapefiles truncate names to ten characters
            if spelling in lower and any(text is not None for text in _texts(list(frame[lower[spelling]]))):
                return list(frame[lower[spelling]])
    return [None] * len(frame)


def _texts(values: Sequence[Any]) -> list[str | None]:
    return [None if pd.isna(value) or str(value).strip() in _NO_TEXT else str(value).strip() for value in values]


def _uids(given: Sequence[str | None], rows: Sequence[int], outlines: NDArray[Any], crs: Any) -> list[str]:
    """Return the uids of the file, numbered where an outline has several parts, or uids derived from the outlines."""
    digits = 7 if crs.is_geographic else 2  # about a centimetre, so that copies in other formats get the same uid
    rounded = shapely.to_wkb(shapely.transform(outlines, lambda points: np.round(points, digits)))
    seen: dict[int, int] = {}
    result = []
    for uid, row, content in zip(given, rows, rounded, strict=True):
        seen[row] = seen.get(row, 0) + 1
        own = str(uuid.uuid5(_NAMESPACE, content.hex())) if uid is None else uid
        result.append(own if uid is None or seen[row] == 1 else f"{own}/{seen[row]}")
    return result


def _polygons_of_mask(path: Path) -> geopandas.GeoDataFrame:
    """Return the 8-connected regions of a mask as polygons with holes."""
    try:
        with rasterio.open(path) as dataset:
            crs, mask = dataset.crs, dataset.read(1)
            regions = components(mask, mask == 1, dataset.transform)
    except (rasterio.errors.RasterioError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read as a mask ({error}); it needs a band where 1 is slump") from error
    if crs is None:
        raise DatasetError(f"{path}: has no coordinate reference system; assign one with gdal_translate -a_srs")
    return geopandas.GeoDataFrame(geometry=geopandas.GeoSeries(regions, crs=crs.to_wkt()))
