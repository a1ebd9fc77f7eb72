"""The rows of the output layers, made from the tracks of a tile."""

from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from pyproj import CRS

from rtsmap import __version__
from rtsmap.tracks.dates import moments_of
from rtsmap.tracks.lineage import NOT_OBSERVED, OBSERVED
from rtsmap.tracks.outlines import Floats, Ints, Objects, shapes_of
from rtsmap.tracks.rates import DAYS_PER_YEAR
from rtsmap.tracks.retreat import Growth
from rtsmap.tracks.tables import table
from rtsmap.tracks.tracking import Tracked


def rows_of(tile: Tracked, models: Sequence[str], crs: CRS) -> dict[str, gpd.GeoDataFrame]:
    """Make the rows of all output layers.

    Args:
        tile: tracks of a tile.
        models: names of the models, by their numbers.
        crs: CRS of the output.

    Returns:
        The rows by the name of the layer.
    """
    return {
        "tracks": _tracks(tile, crs),
        "outlines": _outlines(tile, models, crs),
        "events": _events(tile, crs),
        "growth": _growth(tile, crs),
    }


def _tracks(tile: Tracked, crs: CRS) -> gpd.GeoDataFrame:
    outlines, series, rates, n = tile.outlines, tile.series, tile.rates, tile.lineage.n_tracks
    track, last, counts = tile.lineage.track, series.last, tile.counts()
    seen = np.bincount(track, minlength=n)
    largest = np.zeros(n)
    np.maximum.at(largest, track, tile.areas)
    missed = _missed(tile)
    is_known = len(tile.observation.known) == len(tile.epochs)
    observed = _nullable(seen + counts[OBSERVED]) if is_known else [None] * n
    centroids = tile.centroids[last]
    columns: dict[str, Any] = {
        "track_id": tile.track_ids,
        "status": tile.status,
        "trend": tile.trends,
        "first_seen": moments_of(outlines.days[series.first]),
        "last_seen": moments_of(outlines.days[last]),
        "n_seen": seen,
        "n_observed": observed,
        "n_missed": missed,
        "n_not_observed": _nullable(counts[NOT_OBSERVED]) if is_known else [None] * n,
        "score_mean": (np.bincount(track, outlines.scores, n) / seen).round(4),
        "area_first_m2": tile.areas[series.first].round(1),
        "area_last_m2": tile.areas[last].round(1),
        "area_max_m2": largest.round(1),
        "rate_m2_per_year": rates.rate.round(1),
        "rate_low_m2_per_year": rates.low.round(1),
        "rate_high_m2_per_year": rates.high.round(1),
        "rate_from": moments_of(rates.first_day),
        "rate_to": moments_of(rates.last_day),
        "rate_n": rates.n,
        "rate_chi2": rates.chi2.round(2),
        **_track_retreat(tile),
        "split_from": _ids(tile, tile.lineage.split_from),
        "merged_into": _ids(tile, tile.lineage.merged_into),
        "n_models": _models_per_track(tile),
        "smoothed": [tile.options.monotone] * n,
        "centroid_lon": centroids[:, 0].round(6),
        "centroid_lat": centroids[:, 1].round(6),
        "rtsmap_version": [__version__] * n,
    }
    return table("tracks", columns, outlines.shapes[last], tile.plane, crs)


def _outlines(tile: Tracked, models: Sequence[str], crs: CRS) -> gpd.GeoDataFrame:
    outlines, ids = tile.outlines, tile.outline_ids
    start, end = tile.epoch_spans(outlines.years)
    kinds, merged, split, new, stable = _by_outline(tile)
    known = outlines.n_views > 0
    columns: dict[str, Any] = {
        "outline_id": ids,
        "track_id": [tile.track_ids[track] for track in tile.lineage.track.tolist()],
        "epoch": outlines.years,
        "acquired": moments_of(outlines.days),
        "valid_from": start,
        "valid_to": end,
        "event": kinds,
        "area_m2": tile.areas.round(1),
        "area_error_m2": tile.errors.round(1),
        "area_smoothed_m2": tile.smoothed.round(1),
        "score": outlines.scores.round(4),
        "n_views": [int(views) if one else None for views, one in zip(outlines.n_views, known, strict=True)],
        "n_hits": outlines.n_hits,
        "model": [models[model] if model >= 0 else None for model in outlines.models.tolist()],
        "source_id": outlines.names,
        "centroid_lon": tile.centroids[:, 0].round(6),
        "centroid_lat": tile.centroids[:, 1].round(6),
        "MergedRTS": merged,
        "SplitRTS": split,
        "NewRTS": new,
        "StabilizedRTS": stable,
    }
    return table("outlines", columns, outlines.shapes, tile.plane, crs)


def _events(tile: Tracked, crs: CRS) -> gpd.GeoDataFrame:
    events = tile.events
    years = np.array([event.year for event in events], dtype=np.int64)
    start, end = tile.epoch_spans(years)
    shapes = tile.outlines.shapes[np.array([event.outline for event in events], dtype=np.int64)]
    columns: dict[str, Any] = {
        "track_id": [tile.track_ids[event.track] for event in events],
        "epoch": years,
        "valid_from": start,
        "valid_to": end,
        "kind": [event.kind for event in events],
        "related": [",".join(tile.track_ids[track] for track in event.related) or None for event in events],
        "change_m2": np.array([event.change_m2 for event in events]).round(1),
        "change_error_m2": np.array([event.change_error_m2 for event in events]).round(1),
    }
    points = np.asarray(shapely.point_on_surface(shapes), dtype=np.object_)
    return table("events", columns, points, tile.plane, crs)


def _growth(tile: Tracked, crs: CRS) -> gpd.GeoDataFrame:
    outlines, growth, (earlier, later) = tile.outlines, tile.growth, tile.steps
    rows = np.flatnonzero(growth.gained_m2 > 0)
    earlier, later = earlier[rows], later[rows]
    years = (outlines.days[later] - outlines.days[earlier]) / DAYS_PER_YEAR
    gained = growth.gained_m2[rows]
    columns: dict[str, Any] = {
        "track_id": [tile.track_ids[track] for track in tile.lineage.track[later].tolist()],
        "epoch_from": outlines.years[earlier],
        "epoch_to": outlines.years[later],
        "valid_from": moments_of(outlines.days[earlier]),
        "valid_to": moments_of(outlines.days[later]),
        "years": years.round(3),
        "gained_m2": gained.round(1),
        "lost_m2": growth.lost_m2[rows].round(1),
        "gained_m2_per_year": (gained / years).round(1),
        **_retreat_fields(tile, growth, rows, later, years),
    }
    return table("growth", columns, growth.shapes[rows], tile.plane, crs)


def _retreat_fields(tile: Tracked, growth: Growth, rows: Ints, outlines: Ints, years: Floats) -> dict[str, Any]:
    methods = ["dem" if by_dem else "growth" for by_dem in growth.by_dem[rows]]
    median = growth.median_m[rows]
    return {
        "retreat_median_m": median.round(2),
        "retreat_p95_m": growth.p95_m[rows].round(2),
        "retreat_max_m": growth.max_m[rows].round(2),
        "retreat_m_per_year": (median / years).round(2),
        "retreat_azimuth_deg": tile.true_azimuth(growth.azimuth_deg[rows], outlines).round(1),
        "retreat_by": [method if np.isfinite(value) else None for method, value in zip(methods, median, strict=True)],
    }


def _track_retreat(tile: Tracked) -> dict[str, Objects]:
    tracks, growth, years = tile.retreat
    last = tile.series.last[tracks]
    found = _retreat_fields(tile, growth, np.arange(len(tracks)), last, years)
    result = {}
    for field, values in found.items():
        column = shapes_of([None] * tile.lineage.n_tracks)
        column[tracks] = values
        result[field] = column
    return result


def _missed(tile: Tracked) -> Ints:
    missed = np.zeros(tile.lineage.n_tracks, dtype=np.int64)
    for event in tile.events:
        missed[event.track] += event.kind == "missed"
    return missed


def _by_outline(tile: Tracked) -> tuple[Objects, Objects, Objects, Objects, Objects]:
    """The most informative event of each outline, and the values of the four ARTS fields."""
    count = len(tile.outlines)
    kinds, merged, split, new, stabilised = (shapes_of([None] * count) for _ in range(5))
    ids = tile.outline_ids
    for event in tile.events:
        if event.is_found:
            kinds[event.outline] = event.kind  # merges and splits are the last events of an epoch
        if event.kind == "new":
            new[event.outline] = ids[event.outline]
        elif event.kind == "stabilised":
            stabilised[event.outline] = ids[event.outline]
    sources = _sources(tile)
    for outline, before in sources.items():
        if len(before) > 1:
            merged[outline] = ",".join(ids[one] for one in before)
    for outline in np.flatnonzero(tile.lineage.split_from[tile.lineage.track] >= 0).tolist():
        if tile.series.previous[outline] < 0 and outline in sources:
            split[outline] = ids[sources[outline][0]]
    return kinds, merged, split, new, stabilised


def _sources(tile: Tracked) -> dict[int, list[int]]:
    """The earlier outlines from which each outline of a merge or a split results."""
    links, jumps = tile.lineage.links, tile.jumps
    sources: dict[int, list[int]] = {}
    for earlier, later in zip(links.earlier.tolist(), links.later.tolist(), strict=True):
        if jumps[later]:
            sources.setdefault(later, []).append(earlier)
    return sources


def _models_per_track(tile: Tracked) -> Ints:
    known = tile.outlines.models >= 0
    pairs = np.unique(np.column_stack([tile.lineage.track[known], tile.outlines.models[known]]), axis=0)
    return np.bincount(pairs[:, 0], minlength=tile.lineage.n_tracks)


def _ids(tile: Tracked, tracks: Ints) -> list[str | None]:
    return [tile.track_ids[track] if track >= 0 else None for track in tracks.tolist()]


def _nullable(counts: Ints) -> list[object]:
    return list(counts.tolist())
