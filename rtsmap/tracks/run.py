"""The complete workflow, from layers to a file of tracks, tile by tile."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely

from rtsmap import __version__
from rtsmap.files.scratch import scratch_folder
from rtsmap.tracks.collect import Series
from rtsmap.tracks.epochs import combine
from rtsmap.tracks.errors import ErrorModel, joined, measured, perimeters
from rtsmap.tracks.observation import Observation
from rtsmap.tracks.options import TrackOptions
from rtsmap.tracks.outlines import Floats, Ints, Outlines
from rtsmap.tracks.reading import PLANE, reproject
from rtsmap.tracks.rows import rows_of
from rtsmap.tracks.tiles import Tile, tiles
from rtsmap.tracks.tracking import Tracked, track_tile
from rtsmap.tracks.writing import writing

if TYPE_CHECKING:
    from rtsmap.tracks.alignment import Shift

#: Standard error of outlines if neither the user nor the layers state a pixel size: one pixel of PlanetScope, m.
_BOUNDARY_ERROR_M = 3.0
_SAMPLE = 20_000  # outlines from which errors are estimated
_MARGIN = 2.0  # placement errors between outlines of different tiles, since `PLANE` distorts lengths far from the pole
_log = logging.getLogger(__name__)


@dataclass
class Summary:
    """A summary of the tracks.

    Attributes:
        epochs: years, in order.
        n_outlines: number of outlines, one for each slump and year.
        n_tracks: number of slumps.
        events: number of events of each kind.
        trends: number of tracks of each trend: growing, stable, shrinking, or None for tracks without a rate.
        model: error model of the outlines.
        undated: number of outlines that were left out because they have no date.
        models: names of the models.
        known: epochs whose observed area is known.
        shifts: displacements of the scenes from the first one.
        between_models: median ratio of the areas of consecutive outlines, where the model changes and where it does
            not; NaN if there are no such outlines.
    """

    epochs: list[int]
    model: ErrorModel
    undated: int
    models: list[str]
    known: frozenset[int]
    shifts: "list[Shift]" = field(default_factory=list)
    n_outlines: int = 0
    n_tracks: int = 0
    events: Counter[str] = field(default_factory=Counter)
    trends: Counter[str | None] = field(default_factory=Counter)
    between_models: tuple[float, float] = (float("nan"), float("nan"))


def track_layers(
    paths: Sequence[Path],
    output: Path,
    options: TrackOptions | None = None,
    *,
    command: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Follow slumps through layers of several years, and write their tracks.

    Args:
        paths: layers of rtsmap, or other outlines with dates, in any order.
        output: path of the GeoPackage, which is replaced if it exists.
        options: options of the tracks.
        command: command line that is recorded in the provenance.
        progress: called with the number of outlines that are done and the number of all outlines.

    Raises:
        InputError: a layer cannot be read or has no dates, or all outlines belong to one epoch.
        OutputError: the file cannot be written.
    """
    options = options or TrackOptions()
    with scratch_folder(output.absolute().parent) as folder, Series(folder) as series:
        series.read(paths, options)
        summary = Summary(series.epochs, error_model(series, options), series.undated, series.model_names, series.known)
        summary.shifts = series.shifts
        _warn(summary)
        ratios = _Ratios()
        assert series.crs is not None
        with writing(output) as writer:
            for tile in tracked_tiles(series, options, summary.model, progress=progress):
                rows = rows_of(tile, series.model_names, series.crs)
                writer.add(rows)
                summary.events.update(event.kind for event in tile.events)
                summary.trends.update(tile.trends)
                ratios.add(tile)
            summary.between_models = ratios.medians()
            summary.n_tracks, summary.n_outlines = writer.counts["tracks"], writer.counts["outlines"]
            writer.finish(_provenance(paths, options, summary, command))
        return summary


def tracked_tiles(
    series: Series,
    options: TrackOptions,
    model: ErrorModel,
    *,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Tracked]:
    """Follow the slumps of one tile after another, with one tile in memory at a time.

    Args:
        series: outlines and observed areas, which have been read.
        options: options of the tracks.
        model: error model of the outlines.
        most: approximate number of outlines in a random sample of the tiles; by default, all tiles are used.
        progress: called with the number of outlines that are done and the number of all outlines.

    Yields:
        The tracks of each tile.
    """
    done, total = 0, len(series.days)
    dem = None
    if options.dem is not None:
        from rtsmap.tracks.uphill import ElevationModel  # noqa: PLC0415  (needs rasterio, and only here)

        dem = ElevationModel(options.dem)
    for tile in _some(tiles(series.bounds, _MARGIN * options.placement_error_m), most):
        observation = _observation(series, tile)
        outlines = combine(_outlines(series, tile), observation, options.min_part)
        uphill = dem.around(tile.crs, shapely.total_bounds(outlines.shapes)) if dem else None
        yield track_tile(outlines, tile.crs, series.epochs, observation, options, model, uphill)
        done += len(tile.rows)
        if progress is not None:
            progress(done, total)


def _outlines(series: Series, tile: Tile) -> Outlines:
    """The outlines of a tile in the projection of the tile."""
    rows = tile.rows
    shapes, names = series.outlines(rows)
    ones = np.ones(len(rows), dtype=np.int64)
    return Outlines(
        reproject(shapes, PLANE, tile.crs),
        series.years[rows],
        series.days[rows],
        series.scores[rows],
        names,
        series.scenes[rows],
        series.models[rows],
        0 * ones,
        ones,
    )


def _observation(series: Series, tile: Tile) -> Observation:
    """The observed areas within the bounds of a tile."""
    box = series.bounds[tile.rows]
    west, south = box[:, :2].min(axis=0).tolist()
    east, north = box[:, 2:].max(axis=0).tolist()
    others = series.observed_bounds
    near = (others[:, 0] <= east) & (others[:, 2] >= west) & (others[:, 1] <= north) & (others[:, 3] >= south)
    rows: Ints = np.flatnonzero(near)
    margin = 100.0
    cut = shapely.clip_by_rect(series.observed(rows), west - margin, south - margin, east + margin, north + margin)
    parts = reproject(np.asarray(shapely.make_valid(cut), dtype=np.object_).reshape(-1), PLANE, tile.crs)
    areas: dict[int, list[shapely.Geometry]] = {}
    for scene, part in zip(series.observed_scenes[rows].tolist(), parts, strict=True):
        areas.setdefault(scene, []).append(part)
    years = dict(zip(series.observed_scenes[rows].tolist(), series.observed_years[rows].tolist(), strict=True))
    return Observation({scene: shapely.union_all(all_of) for scene, all_of in areas.items()}, years, series.known)


def error_model(series: Series, options: TrackOptions) -> ErrorModel:
    """The stated error model, or one that is estimated from the series: one pixel, scaled by the residuals."""
    if options.boundary_error_m is not None:
        return ErrorModel(options.boundary_error_m, options.correlation_m)
    pixel = series.gsd_m if np.isfinite(series.gsd_m) else _BOUNDARY_ERROR_M
    stated = ErrorModel(pixel, options.correlation_m)
    chi2: list[Floats] = []
    freedom: list[Floats] = []
    perimeter: list[Floats] = []
    for tile in tracked_tiles(series, replace(options, dem=None), stated, most=_SAMPLE):
        chi2.append(tile.rates.chi2)
        freedom.append(tile.rates.n.astype(np.float64) - 2)
        perimeter.append(perimeters(tile.outlines.shapes, tile.spells, tile.lineage.n_tracks))
    return measured(stated, joined(chi2), joined(freedom), joined(perimeter))


def _some(all_tiles: Iterator[Tile], most: int | None) -> Iterator[Tile]:
    """Tiles in a fixed random order until they hold `most` outlines; all tiles if `most` is None."""
    if most is None:
        yield from all_tiles
        return
    known = list(all_tiles)
    order = np.random.default_rng(0).permutation(len(known))
    count = 0
    for number in order.tolist():
        if count < most:
            yield known[number]
            count += len(known[number].rows)


def _warn(summary: Summary) -> None:
    if summary.undated:
        _log.warning("%d outlines have no date and are left out", summary.undated)
    if unknown := [str(year) for year in summary.epochs if year not in summary.known]:
        _log.warning(
            "no observed area is known of %s, so that slumps that were not found there may be gone or not observed; "
            "give observed areas with --observed",
            ", ".join(unknown),
        )
    if len(summary.models) > 1:
        _log.warning(
            "the layers come from %d models: part of the growth may be the difference between the models",
            len(summary.models),
        )


class _Ratios:
    """Ratios of the areas of consecutive outlines, with and without a change of the model."""

    def __init__(self) -> None:
        self._changed: list[np.ndarray] = []
        self._same: list[np.ndarray] = []

    def add(self, tile: Tracked) -> None:
        """Add the consecutive outlines of a tile."""
        earlier, later = tile.steps
        ratio, models = tile.areas[later] / tile.areas[earlier], tile.outlines.models
        changed = models[earlier] != models[later]
        self._changed.append(ratio[changed])
        self._same.append(ratio[~changed])

    def medians(self) -> tuple[float, float]:
        """The median with a change of the model, and the median without; NaN if there are no ratios."""
        changed, same = (joined(all_of) for all_of in (self._changed, self._same))
        return tuple(float(np.median(one)) if len(one) else float("nan") for one in (changed, same))  # type: ignore[return-value]


def _provenance(paths: Sequence[Path], options: TrackOptions, summary: Summary, command: str) -> dict[str, object]:
    return {
        "command": command,
        "layers": [str(path) for path in paths],
        "options": asdict(options),
        "errors": asdict(summary.model),
        "epochs": summary.epochs,
        "observed_epochs": sorted(summary.known),
        "models": summary.models,
        "shifts": [asdict(shift) for shift in summary.shifts],
        "rtsmap_version": __version__,
    }
