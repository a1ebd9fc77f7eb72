"""Plots of area against time for single slumps, and a sheet with many of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from rtsmap.figures import drawing
from rtsmap.tracks.chips import chips
from rtsmap.tracks.errors import ErrorModel
from rtsmap.tracks.results import TrackFile, read_tracks

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes

_CHIP_PX = 240
_COLUMNS = 5  # plots in each row of the sheet
_95 = float(ErrorModel(1.0, 1.0, worth=100.0).quantile())
_COLOURS = {"growing": "#d73027", "stable": "#787878", "shrinking": "#4575b4"}


def write_plots(tracks: Path, folder: Path, *, most: int = 20, scenes: Sequence[Path] = ()) -> int:
    """Write `<track_id>.png` for each of the fastest-growing tracks, and `sheet.png` with all of them.

    Args:
        tracks: a file that `track_layers` wrote.
        folder: output folder, which is created if it is missing; existing files of these names are replaced.
        most: largest number of tracks.
        scenes: scenes for the pictures above the plots.

    Returns:
        The number of tracks that were plotted.

    Raises:
        DatasetError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    known = read_tracks(tracks)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = known.largest(most)
    for track_id in chosen:
        _plot(known, track_id, folder / f"{track_id}.png", scenes)
    if chosen:
        _sheet(known, chosen, folder / "sheet.png")
    return len(chosen)


def _plot(known: TrackFile, track_id: str, path: Path, scenes: Sequence[Path]) -> None:
    row, outlines = _row(known, track_id), known.of(track_id)
    pictures = _chips(row, outlines, scenes) if scenes else []
    with drawing(path, (max(6.0, 1.8 * len(pictures)), 6.0 if pictures else 4.0)) as figure:
        grid = figure.add_gridspec(
            2 if pictures else 1, max(len(pictures), 1), height_ratios=[2, 3] if pictures else None
        )
        for number, picture in enumerate(pictures):
            image = figure.add_subplot(grid[0, number])
            image.imshow(np.asarray(picture))
            image.set_axis_off()
        axes = figure.add_subplot(grid[-1, :])
        _curve(axes, row, outlines, ticks=8)
        axes.set_ylabel("area, m²")
        axes.legend(loc="best", fontsize=8)
        axes.set_title(_title(row), fontsize=9)


def _sheet(known: TrackFile, chosen: Sequence[str], path: Path) -> None:
    rows = -(-len(chosen) // _COLUMNS)
    with drawing(path, (2.6 * _COLUMNS, 2.2 * rows)) as figure:
        axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for one in axes[len(chosen) :]:
            one.set_axis_off()
        for one, track_id in zip(axes, chosen, strict=False):
            row = _row(known, track_id)
            _curve(one, row, known.of(track_id))
            one.set_title(f"{row['rate_m2_per_year']:.0f} m²/a  ({row['centroid_lon']:.3f}, {row['centroid_lat']:.3f})")
            one.title.set_fontsize(7)
            one.tick_params(labelsize=6)


def _curve(axes: "Axes", row: "pd.Series[Any]", outlines: "gpd.GeoDataFrame", ticks: int = 3) -> None:
    """Plot the areas with their 95 % intervals, and the fitted line of the rate with its interval."""
    from matplotlib import dates  # noqa: PLC0415  (comes with the extra [train])

    calendar: Any = dates  # because its functions have no type annotations

    when = calendar.date2num(outlines["acquired"].dt.tz_localize(None).to_numpy())
    areas, errors = outlines["area_m2"].to_numpy(), outlines["area_error_m2"].to_numpy()
    inside = ((outlines["acquired"] >= row["rate_from"]) & (outlines["acquired"] <= row["rate_to"])).to_numpy()
    for chosen, fill, label in (
        (inside, "black", "used for the rate"),
        (~inside, "white", "before or after a merge or split"),
    ):
        if chosen.any():
            axes.errorbar(
                when[chosen],
                areas[chosen],
                yerr=_95 * errors[chosen],
                fmt="o",
                color="black",
                markerfacecolor=fill,
                ecolor="#999999",
                capsize=2,
                markersize=4,
                label=f"outline, {label}",
            )
    colour = _COLOURS.get(str(row["trend"]), "#787878")
    if inside.sum() > 1:
        years = (when - when[inside].mean()) / 365.25
        weight = 1 / errors[inside] ** 2
        middle = np.average(years[inside], weights=weight)
        mean = np.average(areas[inside], weights=weight)
        span = when[inside][[0, -1]]
        at = years[inside][[0, -1]] - middle
        axes.plot(span, mean + at * row["rate_m2_per_year"], color=colour, label=str(row["trend"]))
        low, high = (mean + at * row[f"rate_{end}_m2_per_year"] for end in ("low", "high"))
        axes.fill_between(span, np.minimum(low, high), np.maximum(low, high), color=colour, alpha=0.15, linewidth=0)
    axes.xaxis.set_major_formatter(calendar.DateFormatter("%Y"))
    axes.xaxis.set_major_locator(calendar.YearLocator(max(1, int(np.ptp(outlines["epoch"].to_numpy())) // ticks)))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)


def _chips(row: "pd.Series[Any]", outlines: "gpd.GeoDataFrame", scenes: Sequence[Path]) -> list[Any]:
    site = float(row["centroid_lon"]), float(row["centroid_lat"])
    width_m = 3 * float(np.sqrt(row["area_max_m2"])) + 100
    pictures = []
    for chip in chips(scenes, site, width_m):
        own = outlines[outlines["epoch"] == chip.acquired.year].geometry
        pictures.append(chip.picture(_CHIP_PX, own, f"{chip.acquired:%Y-%m-%d}"))
    return pictures


def _row(known: TrackFile, track_id: str) -> "pd.Series[Any]":
    row = known.tracks[known.tracks["track_id"] == track_id].iloc[0].copy()
    for field in ("rate_from", "rate_to"):
        row[field] = pd.to_datetime(row[field], utc=True)
    return cast("pd.Series[Any]", row)


def _title(row: "pd.Series[Any]") -> str:
    heading = f"{row['track_id']}\n{row['centroid_lon']:.4f}, {row['centroid_lat']:.4f}"
    rate = (
        f"{row['rate_m2_per_year']:.0f} m²/a ({row['rate_low_m2_per_year']:.0f} to {row['rate_high_m2_per_year']:.0f})"
    )
    retreat = row["retreat_m_per_year"]
    headwall = f"\nheadwall {retreat:.1f} m/a towards {row['retreat_azimuth_deg']:.0f}°" if pd.notna(retreat) else ""
    return f"{heading}: {rate}{headwall}"
