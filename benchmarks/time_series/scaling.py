"""The time and memory that tracks need, by the number of outlines."""

import time
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import shapely

from rtsmap.runtime.machine import peak_memory_mb
from rtsmap.tracks import TrackOptions, track_layers

YEARS = tuple(range(2016, 2026))
SPACING_M = 400.0  # grid spacing of the slumps, which gives about the density of mapped regions
_CORNERS = 32


def write(folder: Path, outlines: int) -> list[Path]:
    """Write ten yearly layers of growing slumps on a regular grid, with a tenth of the outlines in each layer."""
    rng, per_year = np.random.default_rng(0), outlines // len(YEARS)
    side = int(np.ceil(np.sqrt(per_year)))
    centre = np.column_stack(np.divmod(np.arange(per_year), side)) * SPACING_M + (-1.5e6, -1.5e6)
    centre += rng.uniform(-100, 100, centre.shape)
    size, growth = np.exp(rng.normal(3.4, 0.5, per_year)), rng.uniform(0, 0.08, per_year)
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    paths = []
    for number, year in enumerate(YEARS):
        radius = size * (1 + growth * number)
        wobble = radius[:, None] * (1 + rng.normal(0, 0.05, (per_year, _CORNERS)))
        points = centre[:, None] + wobble[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        shapes = shapely.polygons(points)
        frame = geopandas.GeoDataFrame({"score": 0.9, "date": f"{year}-07-20"}, index=range(per_year), geometry=shapes)
        paths.append(folder / f"{year}.gpkg")
        pyogrio.write_dataframe(frame.set_crs(6931), paths[-1], layer="rts", driver="GPKG", SPATIAL_INDEX="NO")
    return paths


def measure(folder: Path, outlines: int) -> dict[str, float]:
    """The CPU time, the wall clock time and the peak memory of this process."""
    paths = write(folder, outlines)
    cpu, clock = time.process_time(), time.perf_counter()
    summary = track_layers(paths, folder / "tracks.gpkg", TrackOptions())
    return {
        "outlines": summary.n_outlines,
        "tracks": summary.n_tracks,
        "cpu_s": time.process_time() - cpu,
        "clock_s": time.perf_counter() - clock,
        "peak_mb": peak_memory_mb(),
    }
