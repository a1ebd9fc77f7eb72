"""Animations of a site, with one frame for each scene."""

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
    """Check that the name of an animation has a suffix that can be written.

    Raises:
        InputError: the name ends neither in .gif nor in .webp.
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
    """Write an animation with a frame for each scene that shows a site, and the outlines of its epoch.

    Args:
        tracks: a file that `track_layers` wrote.
        path: the animation, a `.gif` or `.webp` file.
        scenes: images, in any order.
        site: longitude and latitude of the centre of the site; by default, the slump that grows fastest.
        width_m: width of the site, m.

    Returns:
        The number of frames.

    Raises:
        InputError: the suffix is another one, a scene cannot be read, or no scene shows the site.
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
    """The longitude and latitude of the slump with the largest growth rate, or of the largest slump without rates.

    Raises:
        InputError: the file holds no track.
    """
    if known.tracks.empty:
        raise InputError(f"{path}: holds no tracks, so that there is nothing to show; give layers with slumps")
    by = known.largest(1)
    row = known.tracks[known.tracks["track_id"] == by[0]] if by else known.tracks.nlargest(1, "area_last_m2")
    return float(row["centroid_lon"].iloc[0]), float(row["centroid_lat"].iloc[0])


def _outlines(known: TrackFile, chip: Chip) -> gpd.GeoSeries:
    return known.outlines[known.outlines["epoch"] == chip.acquired.year].geometry
