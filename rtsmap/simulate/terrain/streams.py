"""Streams along the drainage, and vehicle tracks."""

import numpy as np
from numpy.typing import NDArray
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from rtsmap.simulate.terrain.landscape import STREAM_CATCHMENT_M2, Landscape, sample_point
from rtsmap.simulate.terrain.regions import Region


def stream_lines(rng: np.random.Generator, land: Landscape) -> tuple[list[NDArray[np.float64]], list[float]]:
    """Trace the streams from their heads to where they join another stream.

    Args:
        rng: draws the meanders.
        land: the landscape with its drainage.

    Returns:
        The centre lines `(n, 2)` in map coordinates, and the catchment at the end of each of them (m2).
    """
    catchment = land.catchment.ravel()
    shore = land.shore.ravel()
    channel = (catchment > STREAM_CATCHMENT_M2) & (shore > -40)
    fed = np.zeros(channel.shape, dtype=bool)
    below = land.receiver[channel]
    fed[below[below >= 0]] = True
    heads = np.nonzero(channel & ~fed)[0]
    heads = heads[np.argsort(-catchment[heads], kind="stable")]
    seen = np.zeros(channel.shape, dtype=bool)
    lines, sizes = [], []
    for head in heads:
        path = [int(head)]
        while channel[path[-1]] and not seen[path[-1]] and land.receiver[path[-1]] >= 0:
            seen[path[-1]] = True
            path.append(int(land.receiver[path[-1]]))
        if len(path) > 3:
            rows, columns = np.divmod(np.array(path), land.height.shape[1])
            lines.append(_meander(rng, land.coordinates(rows, columns), land.spacing_m))
            sizes.append(float(catchment[path[-2]]))
    return lines, sizes


def _meander(rng: np.random.Generator, line: NDArray[np.float64], spacing: float) -> NDArray[np.float64]:
    """Smooth the corners of a path over the grid, and add meanders."""
    ends = line[[0, -1]].copy()
    swing = rng.normal(0, spacing * 4.5, line.shape)
    for _ in range(12):
        line[1:-1] = 0.25 * line[:-2] + 0.5 * line[1:-1] + 0.25 * line[2:]
        swing[1:-1] = 0.25 * swing[:-2] + 0.5 * swing[1:-1] + 0.25 * swing[2:]
    line = line + swing
    line[[0, -1]] = ends
    for _ in range(2):  # corner cutting (Chaikin 1974)
        cut = np.stack([0.75 * line[:-1] + 0.25 * line[1:], 0.25 * line[:-1] + 0.75 * line[1:]], axis=1).reshape(-1, 2)
        line = np.concatenate([ends[:1], cut, ends[1:]])
    return line


def stream_beds(lines: list[NDArray[np.float64]], sizes: list[float]) -> list[BaseGeometry]:
    """Return the water surfaces: about 2 m wide at a catchment of 1 km2, growing with its square root.

    The square root follows from hydraulic geometry.
    """
    beds: list[BaseGeometry] = []
    for line, size in zip(lines, sizes, strict=True):
        half = 0.5 * 2.0 * np.sqrt(size / 1e6)
        parts = np.array_split(line, max(1, len(line) // 16))  # short pieces, so that a tile intersects few of them
        for index, part in enumerate(parts):
            whole = part if index == 0 else np.concatenate([parts[index - 1][-1:], part])
            # A stream is narrow at its head, and its width varies along the way.
            share = 0.4 + 0.6 * (index + 1) / len(parts)
            ripple = 1 + 0.2 * np.sin(2.4 * index + size)
            if len(whole) > 1:
                beds.append(LineString(whole).buffer(float(np.clip(half * share * ripple, 1.0, 25)), quad_segs=3))
    return beds


def roads(rng: np.random.Generator, region: Region, footprint: Polygon) -> list[BaseGeometry]:
    """Return vehicle tracks across the footprint, 4 to 9 m wide."""
    left, bottom, right, top = footprint.bounds
    side = max(right - left, top - bottom)
    tracks: list[BaseGeometry] = []
    for _ in range(rng.poisson(region.roads * side / 10_000)):
        start, end = (np.array(sample_point(rng, footprint).coords[0]) for _ in range(2))
        steps = np.linspace(-1, 2, 61)[:, None]
        bend = np.cumsum(np.cumsum(rng.normal(0, side / 6000, (61, 2)), axis=0), axis=0)
        line = start + steps * (end - start) + bend
        half = float(rng.uniform(2, 4.5))
        tracks += [LineString(line[i : i + 2]).buffer(half, quad_segs=2) for i in range(60)]
    return tracks
