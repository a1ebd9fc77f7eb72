"""A library of real outlines of thaw slumps, shipped with the package as `library/outlines.npz`.

The file holds shapes only, without location or date. Each outline is rotated so that its longest side points east,
moved to the origin and simplified to 1.5 m. `library/ATTRIBUTION.md` names the inventories. The command
`python -m rtsmap.simulate.slumps.library LABELS_FOLDER` rebuilds the file from a folder with the label sets.
"""

import argparse
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon, affinity

from rtsmap.geometry import largest_polygon
from rtsmap.simulate.statistics import HOLES_SHARE

LIBRARY = Path(__file__).parent / "library" / "outlines.npz"
#: Coordinates are stored as whole multiples of this length, m.
UNIT_M = 0.2
_TOLERANCE_M = 1.5
_AREAS_M2 = (150.0, 1_000_000.0)
_COUNT = 1600
_MORE_HOLES = HOLES_SHARE - 0.016  # in addition to the outlines with holes that are drawn by chance
_WITH_HOLES_M2 = 1500.0  # a hole in a smaller slump would be one or two pixels


@dataclass(frozen=True)
class Library:
    """The outlines of the library.

    Attributes:
        outlines: outlines in metres, centred on the origin, with the longer side along x, sorted by area.
        log_area: ln(area in m2) of each outline.
        with_holes: the indices of the outlines that have holes.
    """

    outlines: tuple[Polygon, ...]
    log_area: NDArray[np.float64]
    with_holes: NDArray[np.int64]

    def draw(self, rng: np.random.Generator, area_m2: float) -> Polygon:
        """Draw a real outline of about this area, mirror it at random and scale it to exactly this area."""
        index = int(np.searchsorted(self.log_area, np.log(area_m2)))
        near = int(np.clip(index + rng.integers(-60, 61), 0, len(self.outlines) - 1))
        if rng.random() < _MORE_HOLES and area_m2 > _WITH_HOLES_M2:
            near = int(rng.choice(self.with_holes))
        outline = _rounded(self.outlines[near])
        factor = np.sqrt(area_m2 / outline.area)
        mirror = rng.choice([-1, 1], size=2) * factor
        return affinity.scale(outline, mirror[0], mirror[1], origin=(0, 0))


@cache
def _rounded(outline: Polygon) -> Polygon:
    """Round the corners, because an outline drawn with few clicks would show straight sides when scaled up."""
    radius = 0.03 * np.sqrt(outline.area)
    rounded = outline.buffer(-radius / 2).buffer(radius).buffer(-radius / 2)
    return rounded if isinstance(rounded, Polygon) and not rounded.is_empty else outline


@cache
def load_library() -> Library:
    """Load the outlines that the package ships."""
    with np.load(LIBRARY) as stored:
        points = np.cumsum(stored["steps"].astype(np.int64), axis=0) * UNIT_M
        ring_ends, outline_ends = np.cumsum(stored["ring_sizes"]), np.cumsum(stored["outline_rings"])
    rings = [shapely.linearrings(part) for part in np.split(points, ring_ends[:-1])]
    outlines = []
    for first, last in zip((0, *outline_ends[:-1]), outline_ends, strict=True):
        outline = Polygon(rings[first], rings[first + 1 : last])
        outlines.append(affinity.translate(outline, -outline.centroid.x, -outline.centroid.y))
    outlines.sort(key=lambda outline: outline.area)
    with_holes = [index for index, outline in enumerate(outlines) if outline.interiors]
    return Library(tuple(outlines), np.log([outline.area for outline in outlines]), np.array(with_holes))


def build(folder: Path, seed: int = 0) -> None:
    """Rebuild the library from the label sets that ARTS publishes as CC0.

    Args:
        folder: the folder of the label sets.
        seed: the seed of the selection.
    """
    import geopandas  # noqa: PLC0415  (only the maintainer's command needs it)

    frames = [
        geopandas.read_file(folder / "barth2023_rts_timeseries.gpkg"),
        geopandas.read_file(folder / "runge2022_rapideye_rts.gpkg"),
    ]
    nitze = geopandas.read_file(folder / "nitze2024_planetscope_rts.gpkg", layer="rts")
    # Only the first iteration is identical to what ARTS publishes.
    frames.append(nitze[nitze["iteration"].astype(str).isin(["1"])])
    rng = np.random.default_rng(seed)
    chosen: list[Polygon] = []
    for frame in frames:
        metric = frame[frame["area_m2"].between(*_AREAS_M2)]
        metric = metric.to_crs(
            6931
        )  # an equal-area projection, which changes shapes near the pole by a few percent only
        outlines = metric.geometry.to_numpy()
        share = min(len(outlines), _COUNT // len(frames))
        chosen += [normalised(outlines[i]) for i in rng.choice(len(outlines), share, replace=False)]
    _write([outline for outline in chosen if outline.is_valid and outline.area > _AREAS_M2[0]])


def normalised(outline: Polygon) -> Polygon:
    """Simplify an outline, centre it on the origin and turn the longer side of its smallest rectangle along x."""
    outline = largest_polygon(outline.simplify(_TOLERANCE_M))
    corners = shapely.get_coordinates(outline.minimum_rotated_rectangle)[:3]
    sides = np.diff(corners, axis=0)
    longest = sides[np.argmax(np.hypot(*sides.T))]
    turned = affinity.rotate(outline, -np.degrees(np.arctan2(longest[1], longest[0])), origin="centroid")
    turned = affinity.translate(turned, -outline.centroid.x, -outline.centroid.y)
    return largest_polygon(shapely.set_precision(turned, UNIT_M))


def _write(outlines: list[Polygon]) -> None:
    rings = [ring for outline in outlines for ring in (outline.exterior, *outline.interiors)]
    points = np.concatenate([np.round(np.array(ring.coords) / UNIT_M) for ring in rings]).astype(np.int64)
    np.savez_compressed(
        LIBRARY,
        steps=np.diff(points, axis=0, prepend=0).astype(np.int16),  # small numbers compress well
        ring_sizes=np.array([len(ring.coords) for ring in rings], dtype=np.int32),
        outline_rings=np.array([1 + len(outline.interiors) for outline in outlines], dtype=np.int32),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    build(parser.parse_args().folder)
