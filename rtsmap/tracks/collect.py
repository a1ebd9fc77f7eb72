"""All outlines and observed areas of a series: geometries in a temporary file, attributes in memory."""

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import shapely
from pyproj import CRS

from rtsmap.errors import InputError
from rtsmap.tracks.dates import years_of
from rtsmap.tracks.options import TrackOptions
from rtsmap.tracks.outlines import Floats, Ints, Objects
from rtsmap.tracks.reading import Batch, Layer, moved_by, observed_layer, open_layer

if TYPE_CHECKING:
    from rtsmap.tracks.alignment import Shift

_SEGMENTS = 64  # segments of the side of a footprint, so that it follows its curve in another projection
_ROWS = 500  # read from the temporary file by one query
_log = logging.getLogger(__name__)


@dataclass
class Columns:
    """The attributes of outlines or observed areas that stay in memory: about 80 bytes for each."""

    bounds: list[Floats] = field(default_factory=list)
    days: list[Floats] = field(default_factory=list)
    scores: list[Floats] = field(default_factory=list)
    scenes: list[Ints] = field(default_factory=list)
    models: list[Ints] = field(default_factory=list)


class Series:
    """The outlines of all layers, in a temporary file; to be used in a `with` statement.

    Args:
        folder: folder for the temporary file.

    Attributes:
        crs: CRS of the first layer.
        bounds: `(n, 4)` bounds of the outlines in `reading.PLANE`, m.
        years: calendar years of the outlines.
        days: dates of the outlines, days since 1970-01-01.
        scores: scores of the outlines, 0..1 or NaN.
        scenes: number of the scene of each outline.
        models: number of the model of each outline, -1 if it is not known.
        gsd_m: the coarsest pixel size that the layers state, m; NaN if no layer states one.
        model_names: names of the models, in the order of their numbers.
        known: epochs whose observed area is known.
        shifts: displacements of the scenes from the first one, by which outlines and observed areas are moved back.
        undated: number of outlines that were left out because they have no date.
    """

    def __init__(self, folder: Path) -> None:
        self._file = sqlite3.connect(folder / "series.sqlite")
        self._file.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE outlines (id INTEGER PRIMARY KEY, name TEXT, shape BLOB);"
            "CREATE TABLE observed (id INTEGER PRIMARY KEY, name TEXT, shape BLOB);"
        )
        self._scene_numbers: dict[tuple[int, str], int] = {}
        self._model_numbers: dict[str, int] = {}
        self._outlines, self._observed = Columns(), Columns()
        self._without_observed: set[int] = set()
        self.crs: CRS | None = None
        self.gsd_m, self.undated = float("nan"), 0
        self.shifts: list[Shift] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, paths: Sequence[Path], options: TrackOptions) -> None:
        """Read all layers.

        Raises:
            InputError: a file cannot be read or has no dates, or all outlines belong to one epoch.
        """
        if options.align:
            from rtsmap.tracks.alignment import scene_shifts  # noqa: PLC0415  (reads scenes, and only here)

            self.shifts = scene_shifts(options.align)
        for number, path in enumerate(paths):
            layer = open_layer(path, options.layer, options.date_field)
            self.crs = self.crs or layer.crs
            observed = observed_layer(path)
            self._read_outlines(number, layer, options.min_score, has_observed=observed is not None)
            if observed is not None:
                self._read_observed(number, observed)
        for number, path in enumerate(options.observed, start=len(paths)):
            self._read_observed(number, open_layer(path, None, options.date_field, wanted="observed_area"))
        self._finish(paths, bool(options.observed))

    def _read_outlines(self, number: int, layer: Layer, min_score: float, *, has_observed: bool) -> None:
        dated = 0
        for batch in layer.batches():
            kept = np.isfinite(batch.days) & np.isfinite(shapely.bounds(batch.shapes)).all(axis=1)
            self.undated += int((~kept).sum())
            dated += int(kept.sum())
            scores = _numbers(batch, "score")
            self._add("outlines", self._outlines, number, batch.take(kept & ~(scores < min_score)))
            if not has_observed and kept.any():
                self._without_observed.update(years_of(batch.days[kept]).tolist())
        if not dated and self.undated:
            raise InputError(
                f"{layer.path}: no value of its field {layer.roles['date']} is a date such as 2019-07-30; "
                "choose another field with --date-field"
            )

    def _read_observed(self, number: int, layer: Layer) -> None:
        for batch in layer.batches():
            kept = batch.take(np.isfinite(batch.days))
            west, south, east, north = shapely.bounds(kept.shapes).T
            longest = np.maximum(east - west, north - south) / _SEGMENTS
            self._add(
                "observed",
                self._observed,
                number,
                Batch(
                    np.asarray(shapely.segmentize(kept.shapes, np.maximum(longest, 1.0)), dtype=np.object_),
                    kept.days,
                    kept.columns,
                ),
            )

    def _add(self, table: str, columns: Columns, number: int, batch: Batch) -> None:
        if not len(batch.shapes):
            return
        batch = replace(batch, shapes=self._moved_back(batch))
        start = sum(len(days) for days in columns.days)
        names = _texts(batch, "name") or [f"{number + 1}/{start + row}" for row in range(len(batch.shapes))]
        scenes = _texts(batch, "scene") or [f"{day:.0f}" for day in batch.days]
        models = _models(batch) if table == "outlines" else [""] * len(batch.shapes)
        columns.bounds.append(shapely.bounds(batch.shapes))
        columns.days.append(batch.days)
        columns.scores.append(_numbers(batch, "score"))
        columns.scenes.append(self._numbered([(number, text) for text in scenes]))
        columns.models.append(np.array([self._model(text) for text in models], dtype=np.int64))
        if "gsd" in batch.columns:
            self.gsd_m = float(np.nanmax([self.gsd_m, np.nanmax(_numbers(batch, "gsd"), initial=-np.inf)]))
        rows = zip(range(start, start + len(names)), names, shapely.to_wkb(batch.shapes), strict=True)
        self._file.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)

    def _moved_back(self, batch: Batch) -> Objects:
        """The shapes, moved into the position of the first scene; where scenes overlap, the last one counts."""
        if not self.shifts:
            return batch.shapes
        years, moved = years_of(batch.days), batch.shapes.copy()
        points = shapely.get_coordinates(shapely.centroid(batch.shapes))
        for shift in self.shifts:
            west, south, east, north = shift.bounds
            inside = (points >= (west, south)).all(axis=1) & (points <= (east, north)).all(axis=1)
            rows = inside & (years == shift.year)
            moved[rows] = moved_by(batch.shapes[rows], -shift.in_plane[0], -shift.in_plane[1])
        return moved

    def _numbered(self, keys: Iterable[tuple[int, str]]) -> Ints:
        numbers = self._scene_numbers
        return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)

    def _model(self, text: str) -> int:
        return self._model_numbers.setdefault(text, len(self._model_numbers)) if text else -1

    def _finish(self, paths: Sequence[Path], has_more: bool) -> None:
        """Join the columns and determine the epochs."""
        found, areas = self._outlines, self._observed
        if not found.days:
            raise InputError(
                f"{paths[0]}: none of the layers holds an outline with a date and a score of at least --min-score; "
                "give other layers"
            )
        self.bounds, self.days = np.concatenate(found.bounds), np.concatenate(found.days)
        self.scores, self.scenes = np.concatenate(found.scores), np.concatenate(found.scenes)
        self.models, self.years = np.concatenate(found.models), years_of(self.days).astype(np.int64)
        self.model_names = list(self._model_numbers)
        none: Floats = np.zeros((0, 4))
        self.observed_bounds = np.concatenate([none, *areas.bounds])
        self.observed_years = years_of(np.concatenate([none[:, 0], *areas.days])).astype(np.int64)
        self.observed_scenes = np.concatenate([none[:, 0].astype(np.int64), *areas.scenes])
        years = set(self.observed_years.tolist())
        self.known = frozenset(years if has_more else years - self._without_observed)
        if len(self.epochs) < 2:
            raise InputError(
                f"{paths[0]}: all outlines and observed areas are of {self.epochs[0]}; give layers of two or more years"
            )

    @property
    def epochs(self) -> list[int]:
        """The years with outlines or observed areas, in order."""
        return sorted({*np.unique(self.years).tolist(), *np.unique(self.observed_years).tolist()})

    def outlines(self, rows: Ints) -> tuple[Objects, Objects]:
        """The shapes and names of some outlines, in the order of their numbers."""
        return self._load("outlines", rows)

    def observed(self, rows: Ints) -> Objects:
        """The shapes of some observed areas, in the order of their numbers."""
        return self._load("observed", rows)[0]

    def _load(self, table: str, rows: Ints) -> tuple[Objects, Objects]:
        wanted = np.sort(rows).tolist()
        blobs: list[bytes] = []
        names: list[str] = []
        with closing(self._file.cursor()) as cursor:
            for start in range(0, len(wanted), _ROWS):
                part = wanted[start : start + _ROWS]
                marks = ",".join("?" * len(part))
                cursor.execute(f"SELECT name, shape FROM {table} WHERE id IN ({marks}) ORDER BY id", part)
                for name, blob in cursor:
                    names.append(name)
                    blobs.append(blob)
        texts = np.array(names, dtype=np.object_)
        return np.asarray(shapely.from_wkb(blobs), dtype=np.object_).reshape(-1), texts


def _texts(batch: Batch, role: str) -> list[str] | None:
    if role not in batch.columns:
        return None
    values = batch.columns[role]
    return ["" if missing else str(value) for value, missing in zip(values, values.isna(), strict=True)]


def _models(batch: Batch) -> list[str]:
    """The model of each outline: its name and the beginning of the checksum of its weights, as names may be shared."""
    count = len(batch.shapes)
    names, weights = _texts(batch, "model") or [""] * count, _texts(batch, "weights") or [""] * count
    return [f"{name} {checksum[:8]}".strip() for name, checksum in zip(names, weights, strict=True)]


def _numbers(batch: Batch, role: str) -> Floats:
    if role not in batch.columns:
        return np.full(len(batch.shapes), np.nan)
    values = batch.columns[role]
    return np.asarray(
        [float("nan") if missing else _number(value) for value, missing in zip(values, values.isna(), strict=True)]
    )


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return float("nan")
