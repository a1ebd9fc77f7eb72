"""Labels of any source in one form: AWI's training labels, ARTS, published inventories, plain polygons, masks."""

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

#: The columns of labels in their normal form, beside the geometry.
COLUMNS = ("scene_id", "date_from", "date_to", "date_utc", "site", "uid", "positive")
_FLAGS = ("date_utc", "positive")

# Names of fields, lower case, the more telling ones first: AWI (Nitze), Barth, Runge, ARTS, rtsmap's own layers.
_SCENE = ("image_id", "image_ids", "scene_id", "scene", "basemapid")
_DATE = ("image_date", "date", "basemapdate", "label_image_date", "acquired")
_SITE = ("site", "region", "regionname")
_UID = ("uid", "slump_id")
_CLASS = "trainclass"

_NO_TEXT = {"", "False", "None", "nan"}  # AWI's later iterations have the site False

_MASKS = {".tif", ".tiff"}
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "rtsmap/dataset/labels")


@dataclass(frozen=True)
class Fields:
    """Names of the fields that hold what rtsmap asks for; None: known by the usual names.

    Attributes:
        scene: id of the scene on which a slump was drawn; several may stand there, with commas between them.
        date: `YYYY-MM-DD`, a moment, or first and last day with a comma between them; see `dates.days_of`.
        site: place that shares no ground with other sites.
        uid: of the outline.
    """

    scene: str | None = None
    date: str | None = None
    site: str | None = None
    uid: str | None = None


def read_labels(
    path: Path, *, layer: str | None = None, fields: Fields | None = None, allow_empty: bool = False
) -> geopandas.GeoDataFrame:
    """Read labels into their normal form.

    Args:
        path: polygons in any format that GDAL reads, GeoParquet, or a mask GeoTIFF where 1 is slump.
        layer: of the file; needed where it has several of polygons.
        fields: names where the usual ones do not say what is meant.
        allow_empty: a file without polygons is no error, because it is known otherwise what was looked at.

    Returns:
        One row per outline, in the CRS of the file: geometry (valid; one polygon, or the parts of a mask's region that
        meet in corners), scene_id (text or None), date_from and date_to (date or None), date_utc (whether these are
        days of UTC rather than of the place), site (text or None), uid (text) and positive (false where ARTS says
        Negative: no slump, though it looks like one).

    Raises:
        InputError: the file cannot be read, has no CRS, several layers, or not the one asked for.
        DatasetError: it holds no polygon, or not a field that `fields` names.
    """
    if path.suffix.lower() in _MASKS:
        frame = _polygons_of_mask(path)
    else:
        frame = read_polygons(path, layer, usual=MAP_LAYER).reset_index(drop=True)
        frame = frame.explode(index_parts=False)
        frame = frame[frame.geom_type.isin(POLYGONS) & ~frame.is_empty]
    if frame.empty and not allow_empty:
        raise DatasetError(
            f"{path}: holds no polygon; say with --footprints what was looked at, "
            "or in a table leave the labels of a scene without slumps empty"
        )
    return _normal(path, frame, fields or Fields())


def read_footprints(path: Path, *, layer: str | None = None, fields: Fields | None = None) -> geopandas.GeoDataFrame:
    """Read what the labeller looked at, AWI's ImageFootprints: the columns of labels, one row per image.

    Raises:
        InputError: see `read_labels`.
    """
    frame = read_polygons(path, layer, option="--footprints-layer").reset_index(drop=True)
    if frame.empty:
        raise DatasetError(f"{path}: holds no footprint; give the polygons of what was looked at")
    return _normal(path, frame, fields or Fields())


def _normal(path: Path, frame: geopandas.GeoDataFrame, fields: Fields) -> geopandas.GeoDataFrame:
    geometry = shapely.force_2d(frame.geometry.to_numpy())
    dates = [days_of(value) for value in _values(path, frame, fields.date, _DATE)]
    classes = _values(path, frame, None, (_CLASS,))
    # where a file has both, many of AWI's labels have a region and no site
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
    """The values of a field by its name, else by the usual ones; None where there is no such field."""
    names = [str(name) for name in frame.columns if name != frame.geometry.name]
    if chosen is not None:
        if chosen not in names:
            raise DatasetError(f"{path}: has no field {chosen}; it has {', '.join(names) or 'none'}")
        return list(frame[chosen])
    lower = {name.lower(): name for name in names}
    for name in known:
        for spelling in (name, name[:10]):  # shapefiles cut names to ten characters
            if spelling in lower and any(text is not None for text in _texts(list(frame[lower[spelling]]))):
                return list(frame[lower[spelling]])
    return [None] * len(frame)


def _texts(values: Sequence[Any]) -> list[str | None]:
    return [None if pd.isna(value) or str(value).strip() in _NO_TEXT else str(value).strip() for value in values]


def _uids(given: Sequence[str | None], rows: Sequence[int], outlines: NDArray[Any], crs: Any) -> list[str]:
    """Those of the file, numbered where an outline had several parts; else made of the outlines."""
    digits = 7 if crs.is_geographic else 2  # of about a centimetre, so that copies in other formats agree
    rounded = shapely.to_wkb(shapely.transform(outlines, lambda points: np.round(points, digits)))
    seen: dict[int, int] = {}
    result = []
    for uid, row, content in zip(given, rows, rounded, strict=True):
        seen[row] = seen.get(row, 0) + 1
        own = str(uuid.uuid5(_NAMESPACE, content.hex())) if uid is None else uid
        result.append(own if uid is None or seen[row] == 1 else f"{own}/{seen[row]}")
    return result


def _polygons_of_mask(path: Path) -> geopandas.GeoDataFrame:
    """Regions of pixels that touch by a side or a corner, with their holes."""
    try:
        with rasterio.open(path) as dataset:
            crs, mask = dataset.crs, dataset.read(1)
            regions = components(mask, mask == 1, dataset.transform)
    except (rasterio.errors.RasterioError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read as a mask ({error}); 1 is slump in its only band") from error
    if crs is None:
        raise DatasetError(f"{path}: has no coordinate reference system; assign one with gdal_translate -a_srs")
    return geopandas.GeoDataFrame(geometry=geopandas.GeoSeries(regions, crs=crs.to_wkt()))
