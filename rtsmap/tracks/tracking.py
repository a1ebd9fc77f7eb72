"""The tracks of one tile, with their events, rates and growth."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from pyproj import CRS

from rtsmap.tracks.dates import Moments, calendar_days, day_text, moments_of
from rtsmap.tracks.errors import ErrorModel
from rtsmap.tracks.events import Event, Series, events_of, jumps_of, series_of
from rtsmap.tracks.lineage import NOT_OBSERVED, OBSERVED, UNKNOWN, Lineage, follow
from rtsmap.tracks.observation import Observation
from rtsmap.tracks.options import TrackOptions
from rtsmap.tracks.outlines import Bools, Floats, Ints, Outlines, areas_of, run_starts
from rtsmap.tracks.rates import DAYS_PER_YEAR, Rates, fit_rates, longest_spells
from rtsmap.tracks.reading import reproject
from rtsmap.tracks.retreat import Growth, Uphill, measure
from rtsmap.tracks.smoothing import never_shrinking

_NAMESPACE = uuid.UUID(
    "2d6a3a2e-4f0b-5c1d-8a57-9c7f3b1e6d42"
)  # of tracks and outlines; another namespace would change all ids
_ENDS = ("lost", "stabilised")
_WGS84 = CRS.from_epsg(4326)


@dataclass(frozen=True)
class Tracked:
    """The tracks of one tile, and what follows from them.

    Attributes:
        outlines: one outline for each slump and year, with shapes in `plane`.
        lineage: tracks of the outlines.
        plane: equal-area CRS of the tile, m.
        epochs: years of the whole series, in order.
        observation: observed areas.
        options: options of the tracks.
        model: error model of the outlines.
        uphill: uphill directions from an elevation model; None if none was given.
    """

    outlines: Outlines
    lineage: Lineage
    plane: CRS
    epochs: Sequence[int]
    observation: Observation
    options: TrackOptions
    model: ErrorModel
    uphill: Uphill | None = None

    @cached_property
    def areas(self) -> Floats:
        """The areas on the WGS 84 ellipsoid, m2.

        The areas are computed in the equal-area plane of the tile, in which the short edges of slumps are straight.
        Geodesic areas differ by less than 1e-5, and would take minutes for a million outlines.
        """
        return areas_of(self.outlines.shapes)

    @cached_property
    def errors(self) -> Floats:
        """The standard errors of the areas, m2."""
        return self.model.errors(self.outlines.shapes)

    @cached_property
    def series(self) -> Series:
        """The chronological order of the outlines of each track."""
        return series_of(self.outlines, self.lineage)

    @cached_property
    def jumps(self) -> Bools:
        """Whether each outline results from a merge or a split."""
        return jumps_of(self.lineage, len(self.outlines))

    @cached_property
    def centroids(self) -> Floats:
        """The longitude and latitude of the centroid of each outline, `(n, 2)`, degrees."""
        return shapely.get_coordinates(reproject(shapely.centroid(self.outlines.shapes), self.plane, _WGS84))

    @cached_property
    def outline_ids(self) -> list[str]:
        """The UUID (version 5) of the location and date of each outline."""
        points = reproject(shapely.point_on_surface(self.outlines.shapes), self.plane, _WGS84)
        locations = shapely.get_coordinates(points).tolist()
        texts = [
            f"{x:.6f},{y:.6f}\n{day_text(day)}"
            for (x, y), day in zip(locations, self.outlines.days.tolist(), strict=True)
        ]
        return [str(uuid.uuid5(_NAMESPACE, f"outline\n{text}")) for text in texts]

    @cached_property
    def track_ids(self) -> list[str]:
        """The UUID of each track, made from its first outline, so that later epochs do not change it."""
        first = self.series.first.tolist()
        return [str(uuid.uuid5(_NAMESPACE, f"track\n{self.outline_ids[outline]}")) for outline in first]

    @cached_property
    def events(self) -> list[Event]:
        """The events, sorted by track and epoch."""
        observed_before = self._observed_before()
        significant = float(self.model.quantile())
        return events_of(
            self.outlines, self.lineage, self.series, self.areas, self.errors, observed_before, significant
        )

    @cached_property
    def spells(self) -> Ints:
        """The number of the track for each outline that is used for its rate, otherwise -1."""
        breaks = self.jumps.astype(np.int64)
        return longest_spells(self.lineage.track, self.series.order, breaks, self.lineage.n_tracks)

    @cached_property
    def rates(self) -> Rates:
        """The growth rate of each track."""
        outlines = self.outlines
        return fit_rates(self.spells, self.lineage.n_tracks, outlines.days, self.areas, self.errors, self.model)

    @cached_property
    def steps(self) -> tuple[Ints, Ints]:
        """The numbers of the earlier and the later outlines of consecutive pairs, except across merges and splits."""
        later = np.flatnonzero((self.series.previous >= 0) & ~self.jumps)
        return self.series.previous[later], later

    @cached_property
    def growth(self) -> Growth:
        """The growth of each pair of `steps`."""
        shapes, (earlier, later) = self.outlines.shapes, self.steps
        return measure(shapes[earlier], shapes[later], self.options.placement_error_m, self.uphill)

    @cached_property
    def retreat(self) -> tuple[Ints, Growth, Floats]:
        """The tracks with a rate, their growth between the first and the last fitted outline, and the years between."""
        rows = self.series.order[self.spells[self.series.order] >= 0]
        owner = self.spells[rows]
        begins = run_starts(owner)
        first, last = rows[begins], rows[np.concatenate([begins[1:], [True]])[: len(owner)]]
        apart = first != last
        first, last, tracks = first[apart], last[apart], owner[begins][apart]
        shapes, days = self.outlines.shapes, self.outlines.days
        growth = measure(shapes[first], shapes[last], self.options.placement_error_m, self.uphill)
        return tracks, growth, (days[last] - days[first]) / DAYS_PER_YEAR

    @cached_property
    def smoothed(self) -> Floats:
        """The areas that never shrink between merges and splits, m2; NaN if they were not requested."""
        if not self.options.monotone:
            return np.full(len(self.outlines), np.nan)
        return never_shrinking(self.lineage.track, self.series.order, self.jumps, self.areas, self.errors)

    @cached_property
    def status(self) -> list[str]:
        """The status of each track at the end of the series."""
        last_year, merged_into = self.outlines.years[self.series.last], self.lineage.merged_into
        status = np.where(last_year == self.epochs[-1], "active", "unknown").astype(object)
        for absence in self.lineage.absences:
            after = (last_year[absence.tracks] < absence.year) & (absence.seen == NOT_OBSERVED)
            status[absence.tracks[after]] = "not_observed"
        for event in self.events:
            if event.kind in _ENDS:
                status[event.track] = event.kind
        status[merged_into >= 0] = "merged"
        return [str(one) for one in status]

    @cached_property
    def trends(self) -> list[str | None]:
        """The trend of each track, which is growing only if the whole interval is above zero; None without a rate."""
        return [
            None if not np.isfinite(low) else "growing" if low > 0 else "shrinking" if high < 0 else "stable"
            for low, high in zip(self.rates.low, self.rates.high, strict=True)
        ]

    def true_azimuth(self, azimuth_deg: Floats, outlines: Ints) -> Floats:
        """The azimuths in the plane, converted to azimuths from true north at the outlines, degrees."""
        shapes = shapely.centroid(self.outlines.shapes[outlines])
        here = shapely.get_coordinates(shapes)
        angle = np.radians(azimuth_deg)
        ahead = here + 100 * np.column_stack([np.sin(angle), np.cos(angle)])
        both = reproject(np.asarray(shapely.points(np.vstack([here, ahead])), dtype=np.object_), self.plane, _WGS84)
        start, end = np.split(shapely.get_coordinates(both), 2)
        east = ((end[:, 0] - start[:, 0] + 180) % 360 - 180) * np.cos(np.radians(start[:, 1]))
        result: Floats = np.degrees(np.arctan2(east, end[:, 1] - start[:, 1])) % 360
        return result

    def counts(self) -> Mapping[int, Ints]:
        """The number of epochs without an outline of each track, by what is known about them."""
        counts = {seen: np.zeros(self.lineage.n_tracks, dtype=np.int64) for seen in (OBSERVED, NOT_OBSERVED, UNKNOWN)}
        for absence in self.lineage.absences:
            for seen, count in counts.items():
                count[absence.tracks[absence.seen == seen]] += 1
        return counts

    def _observed_before(self) -> Ints:
        """Whether the location of each track was observed in an epoch before its first outline."""
        first, observed_before = self.series.first, np.zeros(self.lineage.n_tracks, dtype=np.int64)
        begun = self.outlines.years[first]
        for year in self.epochs:
            later = np.flatnonzero((begun > year) & (observed_before < 1))
            if not self.observation.is_known(year):
                observed_before[later] = UNKNOWN
            elif len(later):
                seen = self.observation.observed(self.outlines.shapes[first[later]], year)
                observed_before[later[seen]] = OBSERVED
        return observed_before

    def epoch_spans(self, years: Ints) -> tuple[Moments, Moments]:
        """The first days of each epoch and of the next epoch of the series; the last epoch lasts one year."""
        following = dict(zip(self.epochs, [*self.epochs[1:], self.epochs[-1] + 1], strict=True))
        ends = [following[year] for year in years.tolist()]
        return moments_of(calendar_days(years.tolist())), moments_of(calendar_days(ends))


def track_tile(
    outlines: Outlines,
    plane: CRS,
    epochs: Sequence[int],
    observation: Observation,
    options: TrackOptions,
    model: ErrorModel,
    uphill: Uphill | None = None,
) -> Tracked:
    """Follow the slumps of a tile; the arguments are those of `Tracked`."""
    lineage = follow(outlines, epochs, observation, options)
    return Tracked(outlines, lineage, plane, epochs, observation, options, model, uphill)
