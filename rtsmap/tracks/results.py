"""Reading of files of tracks, from which plots and animations are made."""

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import pandas as pd

from rtsmap.polygons import read_polygons


@dataclass(frozen=True)
class TrackFile:
    """The polygon layers of a file that `track_layers` wrote.

    Attributes:
        tracks: a row for each slump.
        outlines: a row for each slump in each epoch.
        growth: ground gained between consecutive outlines.
    """

    tracks: gpd.GeoDataFrame
    outlines: gpd.GeoDataFrame
    growth: gpd.GeoDataFrame

    def of(self, track_id: str) -> gpd.GeoDataFrame:
        """The outlines of a track in chronological order."""
        return self.outlines[self.outlines["track_id"] == track_id].sort_values("acquired")

    def largest(self, most: int) -> list[str]:
        """The ids of at most `most` tracks with a growth rate, with the largest rate first."""
        rated = self.tracks[self.tracks["rate_m2_per_year"].notna()]
        chosen = rated.sort_values(["rate_m2_per_year", "track_id"], ascending=[False, True]).head(most)
        return [str(one) for one in chosen["track_id"]]


def read_tracks(path: Path) -> TrackFile:
    """Read the polygon layers of a file of tracks.

    Raises:
        InputError: the file cannot be read.
    """
    tables = [read_polygons(path, name) for name in ("tracks", "outlines", "growth")]
    for table in tables:
        for field in ("acquired", "first_seen", "valid_from"):
            if field in table:
                table[field] = pd.to_datetime(table[field], utc=True)
    return TrackFile(*tables)
