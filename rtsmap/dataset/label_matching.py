"""Matching of labels and scenes: by the id of the scene, or by date and place."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import PurePosixPath
from typing import Any

import geopandas
import numpy as np
import rasterio.features
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from rtsmap.dataset.dates import local_day
from rtsmap.errors import DatasetError
from rtsmap.polygons import project_frame
from rtsmap.records import BoolArray
from rtsmap.scene import Scene

#: Least length of an id that another id may continue; a shorter beginning (a site, a day) is common to several scenes.
_SHORTEST_ID = len("YYYYMMDD_HHMMSS")

_OVERVIEW = 1024  # longest side, px, of the image from which the valid area of a scene is outlined
_SAME_SLUMP = 0.2  # overlap, relative to the smaller area, from which outlines of two dates are the same slump


@dataclass(frozen=True)
class SceneExtent:
    """The identifiers, the dates and the valid area of a scene, as matching needs them.

    Attributes:
        scene_id: id of the product, or the stem of the file name.
        stem: stem of the file name.
        acquired: day of acquisition in UTC; None where it is not known.
        crs: CRS of `outline`.
        outline: area of valid pixels, accurate to about a thousandth of the scene's side.
        local_day: day of acquisition in local solar time; None where it is not known.
    """

    scene_id: str
    stem: str
    acquired: date | None
    crs: CRS
    outline: BaseGeometry
    local_day: date | None = None


@dataclass(frozen=True)
class Rule:
    """How close in time a label and a scene must be to belong together.

    Attributes:
        days: greatest number of days between label and scene; None to disregard dates.
        undated: match labels and scenes without a date by place alone.
    """

    days: int | None = 30
    undated: bool = False


def extent_of(scene: Scene, acquired: date | datetime | None = None) -> SceneExtent:
    """Return the extent of a scene.

    Args:
        scene: the open scene.
        acquired: day or moment of acquisition; None for that of the scene itself.

    Raises:
        SceneError: the image is damaged.
    """
    valid = scene.read_decimated(_OVERVIEW).valid
    grid = scene.grid
    step = grid.transform @ Affine.scale(grid.width / valid.shape[1], grid.height / valid.shape[0])
    drawn = rasterio.features.shapes(valid.astype(np.uint8), mask=valid, transform=step)
    # one cell more, because a decimated pixel stands for its neighbours
    outline = shapely.union_all([shapely.geometry.shape(part) for part, _ in drawn]).buffer(
        max(abs(step.a), abs(step.e))
    )
    stem = PurePosixPath(scene.info.path).stem
    day, local = _days_of(acquired or scene.info.acquired, grid.crs, outline)
    return SceneExtent(scene.info.scene_id, stem, day, grid.crs, outline, local)


def _days_of(moment: date | datetime | None, crs: CRS, outline: BaseGeometry) -> tuple[date | None, date | None]:
    """Return the day in UTC and in local solar time; a day without a time is taken for both."""
    if not isinstance(moment, datetime) or outline.is_empty:
        day = moment.date() if isinstance(moment, datetime) else moment
        return day, day
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    longitude = to_degrees.transform(outline.centroid.x, outline.centroid.y)[0]
    return moment.date(), local_day(moment, longitude if np.isfinite(longitude) else 0.0)


def same_scene(label: str, scene: SceneExtent) -> bool:
    """Whether one of the ids of a label is that of the scene; either may continue the other after an underscore."""
    return any(_same(part.strip(), own) for part in re.split("[,;]", label) for own in (scene.scene_id, scene.stem))


def _same(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return short == long or (len(short) >= _SHORTEST_ID and long.startswith(f"{short}_"))


def ids_that_match(labels: geopandas.GeoDataFrame, scenes: Iterable[SceneExtent]) -> bool:
    """Whether any label names one of the scenes; if so, ids decide for all labels that have one."""
    ids = labels["scene_id"].dropna().unique()
    return any(same_scene(label, scene) for scene in scenes for label in ids)


def on_scene(frame: geopandas.GeoDataFrame, scene: SceneExtent) -> geopandas.GeoDataFrame:
    """Return the rows that touch the valid area of a scene, in the scene's CRS and with their index."""
    if scene.outline.is_empty or frame.empty:
        return frame.iloc[:0].to_crs(scene.crs)
    projected = project_frame(frame, scene.crs, scene.outline.bounds)
    return projected[projected.intersects(scene.outline)]


def match(
    labels: geopandas.GeoDataFrame,
    scene: SceneExtent,
    rule: Rule,
    *,
    by_id: bool,
    source: object,
    overlapping: bool = False,
) -> geopandas.GeoDataFrame:
    """Return the labels that belong to a scene, in the scene's CRS and with their index.

    Args:
        labels: rows with the columns of `labels.COLUMNS`.
        scene: the extent of the scene.
        rule: how close in time labels must be.
        by_id: labels with an id belong to the scene that the id names, and to no other; see `ids_that_match`.
        source: file of the labels, named in errors.
        overlapping: keep all outlines that overlap, as for footprints, instead of the one that is closest in time.

    Raises:
        DatasetError: labels on the scene cannot be matched by date, because a date is missing.
    """
    here = on_scene(labels, scene)
    named = here["scene_id"].notna().to_numpy(dtype=bool) & by_id
    mine = np.array([bool(row) and same_scene(text, scene) for row, text in zip(named, here["scene_id"], strict=True)])
    away = _days_away(here, scene)
    if rule.days is not None:
        _check_dates(np.isnan(away) & ~named, scene, rule, source)
        in_time = np.isnan(away) | (away <= rule.days)
    else:
        in_time = np.ones(len(here), dtype=np.bool_)
    chosen = mine.astype(bool) | (in_time & ~named)
    return here[chosen] if overlapping else _one_outline_each(here[chosen], away[chosen])


def _check_dates(undated: BoolArray, scene: SceneExtent, rule: Rule, source: object) -> None:
    if rule.undated or not undated.any():
        return
    if scene.acquired is None:
        raise DatasetError(
            f"{scene.stem}: its date is not known, so that labels cannot be matched by date; "
            "give it in the column date of a --table, or match by place alone with --any-date"
        )
    raise DatasetError(
        f"{source}: {np.count_nonzero(undated)} polygons on {scene.stem} have no date that can be read; "
        "name their field with --date-field, or match by place alone with --any-date"
    )


def _days_away(labels: geopandas.GeoDataFrame, scene: SceneExtent) -> Any:
    """Return the days between the scene and each label: 0 from its first to its last day, NaN without a date.

    A date without a time is taken as the local day, and a date with a time as UTC.
    """
    spans = zip(labels["date_from"], labels["date_to"], labels["date_utc"], strict=True)
    local = scene.acquired if scene.local_day is None else scene.local_day
    return np.array([_gap(first, last, scene.acquired if utc else local) for first, last, utc in spans], dtype=float)


def _gap(first: date | None, last: date | None, day: date | None) -> float:
    if day is None or first is None or last is None:
        return float("nan")
    return float(max((first - day).days, (day - last).days, 0))


def _one_outline_each(labels: geopandas.GeoDataFrame, away: Any) -> geopandas.GeoDataFrame:
    """Keep the outline that is closest in time of each slump that was drawn on several images."""
    sources = list(zip(labels["date_from"], labels["scene_id"], strict=True))
    if len(set(sources)) < 2:
        return labels
    outlines = labels.geometry.to_numpy()
    tree = shapely.STRtree(outlines)
    dropped: set[int] = set()
    for row in np.argsort(away, kind="stable"):  # NaN comes last
        if int(row) in dropped:
            continue
        for other in tree.query(outlines[row], predicate="intersects"):
            if sources[other] != sources[row] and _overlap(outlines[row], outlines[other]) > _SAME_SLUMP:
                dropped.add(int(other))
    return labels[[row not in dropped for row in range(len(labels))]]


def _overlap(one: BaseGeometry, other: BaseGeometry) -> float:
    shared: float = shapely.area(shapely.intersection(one, other))
    return shared / min(one.area, other.area)


def commonest(values: Iterable[str]) -> str | None:
    """Return the most frequent value, the first in alphabetical order of equally frequent ones; None without values."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value), default=None)
