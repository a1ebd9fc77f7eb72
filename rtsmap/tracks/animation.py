"""A site through the years as a moving picture."""

from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd

from rtsmap.errors import InputError
from rtsmap.files.writing import replacing
from rtsmap.tracks.chips import Chip, chips
from rtsmap.tracks.results import TrackFile, read_tracks

_SIDE, _SHOWN_MS, _LAST_MS = 600, 1000, 2500
_FORMATS = {".gif": "GIF", ".webp": "WEBP"}


def check_animation(path: Path) -> None:
    """Check the name.

    Raises:
        InputError: it ends neither in .gif nor in .webp.
    """
    if path.suffix.lower() not in _FORMATS:
        raise InputError(f"{path}: cannot tell the format; end the name in .gif or .webp")


def write_animation(
    tracks: Path,
    path: Path,
    scenes: Sequence[Path],
    *,
    site: tuple[float, float] | None = None,
    width_m: float = 1000.0,
) -> int:
    """Write a frame for each scene that shows a site, with the outlines of its epoch.

    Args:
        tracks: file that `track_layers` wrote.
        path: `.gif` or `.webp`.
        scenes: images, in any order.
        site: longitude and latitude of the middle; the slump that grows fastest without it.
        width_m: of the site.

    Returns:
        Number of frames.

    Raises:
        InputError: another suffix, a scene that cannot be read, or none that shows the site.
        OutputError: the file cannot be written.
    """
    check_animation(path)
    known = read_tracks(tracks)
    site = site or fastest(tracks, known)
    shown = chips(scenes, site, width_m)
    frames = [chip.picture(_SIDE, _outlines(known, chip), f"{chip.acquired:%Y-%m-%d}") for chip in shown]
    lengths = [_SHOWN_MS] * (len(frames) - 1) + [_LAST_MS]
    with replacing(path) as temporary:
        frames[0].save(
            temporary,
            format=_FORMATS[path.suffix.lower()],
            save_all=True,
            append_images=frames[1:],
            duration=lengths,
            loop=0,
        )
    return len(frames)


def fastest(path: Path, known: TrackFile) -> tuple[float, float]:
    """Longitude and latitude of the slump that gains most a year; of the largest one without rates.

    Raises:
        InputError: there is no slump.
    """
    if known.tracks.empty:
        raise InputError(f"{path}: holds no track; nothing can be shown")
    by = known.largest(1)
    row = known.tracks[known.tracks["track_id"] == by[0]] if by else known.tracks.nlargest(1, "area_last_m2")
    return float(row["centroid_lon"].iloc[0]), float(row["centroid_lat"].iloc[0])


def _outlines(known: TrackFile, chip: Chip) -> gpd.GeoSeries:
    return known.outlines[known.outlines["epoch"] == chip.acquired.year].geometry
