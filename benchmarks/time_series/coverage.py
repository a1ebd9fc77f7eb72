"""The coverage of the 95 % intervals of rates: how often they contain the true rate."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import shapely
from shapely import Polygon, affinity

from benchmarks.time_series.scores import tracked
from benchmarks.time_series.simulated import YEARS, Detections, write_layer
from rtsmap.geometry import largest_polygon
from rtsmap.simulate.product.labelling import drawn
from rtsmap.simulate.series.growth import resized
from rtsmap.simulate.slumps.library import load_library
from rtsmap.tracks.options import TrackOptions
from rtsmap.tracks.rates import DAYS_PER_YEAR
from rtsmap.tracks.tracking import Tracked

Draw = Callable[[np.random.Generator, Polygon], Polygon]
_SPACING_M = 3000.0
_CRS = "EPSG:32608"


@dataclass(frozen=True)
class Coverage:
    """The coverage of confidence intervals.

    Attributes:
        held: number of intervals that contain the true rate.
        count: number of intervals.
        half_width: median half width of the intervals, m2 per year.
        growing: number of tracks that are reported as growing.
        growing_rightly: number of these tracks whose true rate is positive.
    """

    held: int
    count: int
    half_width: float
    growing: int
    growing_rightly: int

    @property
    def share(self) -> float:
        """The share of the intervals that contain the true rate."""
        return self.held / max(self.count, 1)


def redrawn(rng: np.random.Generator, outline: Polygon) -> Polygon:
    """The outline as another person would draw it; the median IoU with the true outline is 0.74."""
    return drawn(rng, outline)


def jittered(rng: np.random.Generator, outline: Polygon) -> Polygon:
    """The outline with a boundary error of 3 m, which is constant over pieces of 30 m."""
    ring = shapely.get_coordinates(outline.exterior.segmentize(3.0))[:-1]
    steps = np.hypot(*(np.roll(ring, -1, axis=0) - ring).T)
    pieces = max(int(steps.sum() / 30.0), 3)
    at = np.concatenate([[0], np.cumsum(steps)[:-1]]) / steps.sum() * pieces
    offset = rng.normal(0, 3.0, pieces)[np.minimum(at.astype(int), pieces - 1)]
    along = np.roll(ring, -1, axis=0) - np.roll(ring, 1, axis=0)
    area = np.sum(ring[:, 0] * np.roll(ring[:, 1], -1) - ring[:, 1] * np.roll(ring[:, 0], -1))
    outward = np.column_stack([along[:, 1], -along[:, 0]]) * np.sign(area)
    moved = ring + offset[:, None] * outward / np.maximum(np.hypot(*outward.T), 1e-9)[:, None]
    return largest_polygon(shapely.make_valid(Polygon(moved)))


def even_growth(folder: Path, draw: Draw, slumps: int, seed: int, years: Sequence[int] = YEARS) -> list[Path]:
    """Write layers of distant slumps, each of which grows or shrinks by the same area every year."""
    rng, library = np.random.default_rng(seed), load_library()
    outlines: dict[int, list[Polygon]] = {year: [] for year in years}
    names: dict[int, list[str]] = {year: [] for year in years}
    for number in range(slumps):
        area = float(np.clip(np.exp(rng.normal(8.8, 1.0)), 800, 60_000))
        rate = area * rng.normal(0.06, 0.05)
        outline, angle = library.draw(rng, area), rng.uniform(0, 2 * np.pi)
        x, y = number % 20 * _SPACING_M + 450_000, number // 20 * _SPACING_M + 7_700_000
        outline = affinity.translate(outline, x - outline.centroid.x, y - outline.centroid.y)
        down = np.cos(angle), np.sin(angle)
        for step, year in enumerate(years):
            if step:
                outline = resized(rng, outline, down, area + rate * step, Polygon())
            outlines[year].append(draw(rng, outline))
            names[year].append(f"{year}/{number}/{outline.area:.3f}")
    paths = [folder / f"{year}.gpkg" for year in years]
    box = shapely.box(440_000, 7_690_000, 520_000, 7_690_000 + (slumps // 20 + 8) * _SPACING_M)
    for path, year in zip(paths, years, strict=True):
        write_layer(path, outlines[year], names[year], box, datetime(year, 7, 20, tzinfo=UTC), _CRS, 3.0)
    return paths


def coverage_of_even_growth(paths: Sequence[Path], options: TrackOptions | None = None) -> Coverage:
    """The coverage for tracks whose outlines all show the same slump."""
    return _coverage(pair for tile in tracked(paths, options) for pair in _rates(tile, _area_in_name))


def coverage_of_series(detections: Detections, tiles: Sequence[Tracked]) -> Coverage:
    """The coverage for a simulated series with uneven growth; the true rate is fitted to the true areas."""

    def area(name: str) -> tuple[str, float]:
        if name.startswith("false"):
            return name, float("nan")
        year, number = name.split(",", maxsplit=1)[0].split("/")
        return number, detections.area[int(year), int(number)]

    return _coverage(pair for tile in tiles for pair in _rates(tile, area))


def _area_in_name(name: str) -> tuple[str, float]:
    _, number, area = name.split("/")
    return number, float(area)


def _rates(tile: Tracked, truth: Callable[[str], tuple[str, float]]) -> Iterator[tuple[float, float, float]]:
    """The true rate and the limits of the interval of each track whose outlines all show the same slump."""
    for track in np.flatnonzero(np.isfinite(tile.rates.rate)).tolist():
        rows = np.flatnonzero(tile.spells == track)
        slumps, areas = zip(*(truth(name) for name in tile.outlines.names[rows]), strict=True)
        if len(set(slumps)) == 1 and np.isfinite(areas).all():
            years = tile.outlines.days[rows] / DAYS_PER_YEAR
            true = np.polyfit(years - years.mean(), areas, 1, w=1 / tile.errors[rows])[0]
            yield true, tile.rates.low[track], tile.rates.high[track]


def _coverage(rates: Iterator[tuple[float, float, float]]) -> Coverage:
    true, low, high = np.array(list(rates)).T
    growing = low > 0
    return Coverage(
        int(((low <= true) & (true <= high)).sum()),
        len(true),
        float(np.median(high - low) / 2),
        int(growing.sum()),
        int((growing & (true > 0)).sum()),
    )
