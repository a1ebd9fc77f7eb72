"""Look-alikes, which share spectra, sizes and shapes with slumps: bars, blow-outs, bluffs, stabilised scars and snow.

Their numbers have not been measured. `Region.bare` and the rates below are set by eye so that bare ground outside
slumps covers several times the area of slumps, as in the Sentinel-2 scenes of the sites.
"""

import contourpy
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Point, Polygon, STRtree, affinity, make_valid
from shapely.geometry.base import BaseGeometry

from rtsmap.geometry import largest_polygon
from rtsmap.simulate.slumps.features import Feature, Kind
from rtsmap.simulate.slumps.library import Library
from rtsmap.simulate.slumps.placement import Terrain, draw_area
from rtsmap.simulate.terrain.landscape import Landscape, sample_point
from rtsmap.simulate.terrain.regions import Region

#: The kinds of features that look like slumps but are not slumps.
LOOKALIKES: tuple[Kind, ...] = ("bar", "bare", "bluff", "stabilised", "snow")

_STABILISED_PER_SLUMP, _STABILISED_PER_KM2 = 0.5, 0.05
_BARE_TO_SLUMPS = 5.0  # bare ground covers at least this many times the area of slumps
_BARE_BY_SLUMPS = 0.25  # share of the bare patches that lie beside slumps
_APRONS_PER_SLUMP = 0.6
_BARS_PER_KM = 0.5
_BLUFFS_PER_KM = 0.8
_CLEAR_OF_SLUMPS_M = 12.0


def place_lookalikes(
    rng: np.random.Generator,
    terrain: Terrain,
    region: Region,
    library: Library,
    footprint: Polygon,
    slumps: list[Feature],
    streams: list[NDArray[np.float64]],
    late_snow: float,
) -> list[Feature]:
    """Place all look-alikes of a scene. Only bars, bluffs and aprons may lie close to a slump.

    Args:
        rng: draws locations, sizes and shapes.
        terrain: the result of `analyse_terrain`.
        region: sets the numbers of look-alikes.
        library: the outlines, which are the same as those of slumps.
        footprint: the area that the sensor sees.
        slumps: the slumps of the scene.
        streams: the centre lines `(n, 2)` of streams in map coordinates.
        late_snow: the relative number of snow patches: 1 in mid-July, above 1 in June, and falling towards 0 in August.
    """
    km2 = footprint.area / 1e6
    found: list[Feature] = []
    bare_m2 = max(region.bare * footprint.area, _BARE_TO_SLUMPS * sum(s.outline.area for s in slumps))
    bare_m2 *= rng.lognormal(0, 0.3)
    while bare_m2 > 0:
        area = draw_area(rng, region, footprint)
        found.append(_patch(rng, "bare", terrain, library, _bare_point(rng, slumps, footprint), area))
        bare_m2 -= area
    for _ in range(rng.poisson(_STABILISED_PER_SLUMP * len(slumps) + _STABILISED_PER_KM2 * km2)):
        point = sample_point(rng, footprint)
        found.append(_patch(rng, "stabilised", terrain, library, point, draw_area(rng, region, footprint)))
    for _ in range(rng.poisson(region.snow * km2 * late_snow)):
        point, area = sample_point(rng, footprint), float(np.exp(rng.normal(6.6, 1.0)))
        found.append(_patch(rng, "snow", terrain, library, point, area, stretch=2.2))
    found += _bars(rng, terrain, library, streams)
    found += bluffs(rng, terrain.land, footprint)
    return [*_clear(found, slumps), *_aprons(rng, library, slumps, footprint)]


def _bare_point(rng: np.random.Generator, slumps: list[Feature], footprint: Polygon) -> Point:
    """Draw a location, often on the eroding slopes on which slumps lie, otherwise anywhere."""
    if not slumps or rng.random() > _BARE_BY_SLUMPS:
        return sample_point(rng, footprint)
    slump = slumps[int(rng.integers(len(slumps)))].outline
    away = np.sqrt(slump.area) + 60 + rng.exponential(150)
    angle = rng.uniform(0, 2 * np.pi)
    return Point(slump.centroid.x + away * np.cos(angle), slump.centroid.y + away * np.sin(angle))


def _aprons(rng: np.random.Generator, library: Library, slumps: list[Feature], footprint: Polygon) -> list[Feature]:
    """Make bare slopes that adjoin the flanks of slumps and that are not mapped as part of them."""
    taken = STRtree([slump.outline for slump in slumps])
    aprons = []
    for slump in slumps:
        if rng.random() > _APRONS_PER_SLUMP:
            continue
        outline = library.draw(rng, max(slump.outline.area * rng.uniform(0.3, 1.4), 200.0))
        outline = affinity.rotate(outline, rng.uniform(0, 360), origin=(0, 0))
        edge = slump.outline.exterior.interpolate(rng.random(), normalized=True)
        outline = affinity.translate(outline, edge.x, edge.y)
        near = [slumps[int(index)].outline for index in taken.query(outline)]
        part = largest_polygon(outline.difference(shapely.union_all(near)))
        if part.area > 100 and footprint.contains(part):
            aprons.append(Feature("bare", part, slump.down, slump.activity, slump.brightness))
    return aprons


def _patch(
    rng: np.random.Generator,
    kind: Kind,
    terrain: Terrain,
    library: Library,
    location: BaseGeometry,
    area: float,
    stretch: float = 1.0,
) -> Feature:
    """Make a feature at a location from an outline; where it is stretched, its longer side lies across the slope."""
    centre = location.centroid
    down = terrain.down(centre.x, centre.y)
    outline = affinity.scale(library.draw(rng, max(area, 60.0)), stretch, 1 / stretch, origin=(0, 0))
    angle = float(np.degrees(np.arctan2(down[1], down[0]))) + (90 if stretch > 1 else rng.uniform(0, 360))
    turned = affinity.translate(affinity.rotate(outline, angle, origin=(0, 0)), centre.x, centre.y)
    brightness = float(np.exp(rng.normal(0, 0.16)))
    return Feature(kind, turned, (float(down[0]), float(down[1])), float(rng.beta(3, 1.6)), brightness)


def _bars(
    rng: np.random.Generator, terrain: Terrain, library: Library, streams: list[NDArray[np.float64]]
) -> list[Feature]:
    """Make gravel bars along the streams, stretched along the bed."""
    bars = []
    for line in streams:
        length_km = float(np.hypot(*np.diff(line, axis=0).T).sum()) / 1000
        for _ in range(rng.poisson(_BARS_PER_KM * length_km)):
            index = int(rng.integers(1, len(line)))
            (x0, y0), (x1, y1) = line[index - 1], line[index]
            outline = affinity.scale(library.draw(rng, float(np.exp(rng.normal(7.0, 0.9)))), 1.7, 0.6, origin=(0, 0))
            turned = affinity.rotate(outline, float(np.degrees(np.arctan2(y1 - y0, x1 - x0))), origin=(0, 0))
            moved = affinity.translate(turned, x1 + rng.normal(0, 8), y1 + rng.normal(0, 8))
            down = terrain.down(x1, y1)
            brightness = float(np.exp(rng.normal(0.1, 0.16)))
            bars.append(Feature("bar", moved, (float(down[0]), float(down[1])), float(rng.beta(3, 1.6)), brightness))
    return bars


def bluffs(rng: np.random.Generator, land: Landscape, footprint: Polygon) -> list[Feature]:
    """Make bluffs: narrow banks along the shores that waves and ice keep bare."""
    rows, columns = land.shore.shape
    lines = contourpy.contour_generator(
        land.coordinates(np.zeros(columns), np.arange(columns))[:, 0],
        land.coordinates(np.arange(rows), np.zeros(rows))[:, 1],
        land.shore,
    ).lines(7.0)
    found = []
    for points in lines:
        shore = LineString(np.asarray(points))
        if shore.length < 200 or not shore.intersects(footprint):
            continue
        for _ in range(rng.poisson(_BLUFFS_PER_KM * shore.length / 1000)):
            found += _bluff(rng, shore)
    return found


def _bluff(rng: np.random.Generator, shore: LineString) -> list[Feature]:
    start, length = rng.uniform(0, shore.length), float(np.exp(rng.normal(5.2, 0.7)))
    steps = np.linspace(start, min(start + length, shore.length), 14)
    line = LineString([shore.interpolate(step) for step in steps])
    strip = make_valid(line.buffer(float(rng.uniform(4, 11)), cap_style="round"))
    if not isinstance(strip, Polygon) or strip.area < 100:
        return []
    direction = np.array(line.coords[-1]) - np.array(line.coords[0])
    direction /= max(float(np.hypot(*direction)), 1e-6)
    down = (float(direction[1]), float(-direction[0]))  # contourpy keeps higher ground on the left
    return [Feature("bluff", strip, down, float(rng.beta(4, 1.6)), float(np.exp(rng.normal(0, 0.16))))]


def _clear(found: list[Feature], slumps: list[Feature]) -> list[Feature]:
    """Leave out the features that lie on a slump or so close to it that they would appear as part of it."""
    if not slumps:
        return found
    tree = STRtree([slump.outline for slump in slumps])
    kept = []
    for feature in found:
        margin = 0.0 if feature.kind in ("bar", "bluff") else _CLEAR_OF_SLUMPS_M
        if len(tree.query(feature.outline, predicate="dwithin", distance=margin)) == 0:
            kept.append(feature)
    return kept
