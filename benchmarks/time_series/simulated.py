"""Simulated series as a detector would see them, written as layers of rtsmap, with what became of whom."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
from shapely import Polygon, affinity

from benchmarks.time_series.scores import LinkScore, links_by_name, score, tracked
from rtsmap.simulate.product.labelling import drawn
from rtsmap.simulate.scene import SceneOptions
from rtsmap.simulate.series.lineage import all_links
from rtsmap.simulate.series.making import Series, make_series
from rtsmap.simulate.slumps.library import load_library
from rtsmap.tracks.tracking import Tracked

YEARS = tuple(range(2016, 2022))
MOST = 0.5  # of a slump must be seen to be found
Node = tuple[int, int]


@dataclass(frozen=True)
class Noise:
    """What a detector does to the truth; shares of the slumps."""

    redrawn: bool = True
    missed: float = 0.1
    false: float = 0.1


@dataclass(frozen=True)
class Seen:
    """A series of layers, and the truth about what they show.

    Attributes:
        paths: a layer for each year.
        ancestors: of each slump and year, those that it was a year before.
        found: slumps and years in the layers.
        observed: slumps and years of which most was seen, found or not.
        area: of each slump and year, m2.
    """

    paths: Sequence[Path]
    ancestors: dict[Node, set[Node]]
    found: set[Node]
    observed: set[Node]
    area: dict[Node, float]

    def links(self) -> set[tuple[str, str]]:
        """Pairs of found slumps, the later one being the next that was found of what the earlier one became."""
        return {(_name(before), _name(node)) for node in self.found for before in self._found_before(node)}

    def _found_before(self, node: Node) -> set[Node]:
        found: set[Node] = set()
        for before in self.ancestors[node]:
            found |= {before} if before in self.found else self._found_before(before)
        return found

    def before(self, node: Node) -> set[Node]:
        """All that a slump was in earlier years."""
        sources = self.ancestors[node]
        return sources.union(*(self.before(source) for source in sources))

    def descendants(self) -> dict[Node, set[Node]]:
        """What became of each slump a year later."""
        descendants: dict[Node, set[Node]] = {node: set() for node in self.ancestors}
        for node, sources in self.ancestors.items():
            for source in sources:
                descendants[source].add(node)
        return descendants


def write_layers(series: Series, folder: Path, noise: Noise, seed: int) -> Seen:
    """What a detector finds in each year, as layers of rtsmap."""
    rng, library = np.random.default_rng(seed), load_library()
    paths, found, observed, area = [], set(), set(), {}
    ancestors: dict[Node, set[Node]] = {}
    for epoch in series.epochs:
        acquisition, outlines, names = series.acquisitions[epoch.year], [], []
        for slump in epoch.state.slumps:
            node = (epoch.year, slump.number)
            ancestors[node], area[node] = set(), slump.outline.area
            seen = slump.outline.intersection(acquisition.footprint).area > MOST * slump.outline.area
            if seen:
                observed.add(node)
            if seen and rng.random() >= noise.missed:
                outline = drawn(rng, slump.outline) if noise.redrawn else slump.outline
                outlines.append(outline)
                names.append(_name(node))
                found.add(node)
        for number in range(rng.poisson(noise.false * len(epoch.state.slumps))):
            outlines.append(_elsewhere(rng, library.draw(rng, float(np.exp(rng.normal(8, 1)))), acquisition.footprint))
            names.append(f"false{epoch.year}/{number}")
        paths.append(folder / f"{epoch.year}.gpkg")
        write_layer(
            paths[-1],
            outlines,
            names,
            acquisition.footprint,
            acquisition.acquired,
            acquisition.grid.crs,
            series.options.gsd_m,
        )
    for link in all_links(series.epochs):
        if link.id_from is not None and link.id_to is not None:
            ancestors[link.year_to, link.id_to].add((link.year_from, link.id_from))
    return Seen(paths, ancestors, found, observed, area)


def write_layer(  # type: ignore[no-untyped-def]
    path: Path, outlines: Sequence[Polygon], names: Sequence[str], footprint: Polygon, acquired, crs, gsd_m: float
) -> None:
    """The fields of rtsmap's layer that tracks are made of."""
    common = {"scene_id": path.stem, "acquired": acquired, "gsd_m": gsd_m, "model": "simulated"}
    slumps = geopandas.GeoDataFrame(
        {"slump_id": list(names), "score": 0.9, **common}, index=range(len(names)), geometry=list(outlines), crs=crs
    )
    pyogrio.write_dataframe(slumps, path, layer="thaw_slumps", driver="GPKG", geometry_type="Unknown")
    observed = geopandas.GeoDataFrame(common, index=[0], geometry=[footprint], crs=crs)
    pyogrio.write_dataframe(observed, path, layer="observed_area", driver="GPKG", append=True)


def links(seen: Seen, tiles: Sequence[Tracked]) -> LinkScore:
    """Links that were found, those of false detections too, against the true ones."""
    return score(set().union(*(links_by_name(tile) for tile in tiles)), seen.links())


def events(seen: Seen, tiles: Sequence[Tracked]) -> Counter[tuple[str, str]]:
    """True and told beginnings of every outline after the first year: pairs of kinds."""
    descendants, table = seen.descendants(), Counter()
    for tile in tiles:
        told: dict[int, str] = {}
        for event in tile.events:
            if event.is_found and event.kind in {"first_seen", "new", "merged", "split"}:
                told[event.outline] = event.kind
        for outline, name in enumerate(tile.outlines.names):
            if tile.outlines.years[outline] > YEARS[0]:
                table[_truth(seen, descendants, name), told.get(outline, "goes on")] += 1
    return table


def ends(seen: Seen, tiles: Sequence[Tracked]) -> Counter[tuple[str, str]]:
    """True and told ends of tracks: what became of the slump of a track's last outline."""
    descendants, table = seen.descendants(), Counter()
    for tile in tiles:
        status = tile.status
        for track, last in enumerate(tile.series.last.tolist()):
            name = tile.outlines.names[last]
            truth = "false detection" if name.startswith("false") else _end(seen, descendants, _node(name))
            table[truth, status[track]] += 1
    return table


def _truth(seen: Seen, descendants: dict[Node, set[Node]], name: str) -> str:
    if name.startswith("false"):
        return "false detection"
    node = _node(name)
    if not seen.ancestors[node]:
        return "new"
    if not seen.before(node) & seen.observed:
        return "outside all scenes before"
    if not seen.before(node) & seen.found:
        return "missed in all scenes before"
    if len(seen.ancestors[node]) > 1:
        return "merged"
    return "split" if len(descendants[next(iter(seen.ancestors[node]))]) > 1 else "goes on"


def _end(seen: Seen, descendants: dict[Node, set[Node]], node: Node) -> str:
    """Follow a slump to the end of the series, or until it is gone or merges."""
    while node[0] < YEARS[-1]:
        if not descendants[node]:
            return "stabilised"
        following = max(descendants[node], key=lambda one: seen.area[one])
        if len(seen.ancestors[following]) > 1:
            return "merged"
        node = following
    return "there, seen" if node in seen.observed else "there, outside the last scene"


def _elsewhere(rng: np.random.Generator, outline: Polygon, footprint: Polygon) -> Polygon:
    """An outline at random in a footprint."""
    west, south, east, north = footprint.bounds
    while True:
        x, y = rng.uniform((west, south), (east, north))
        moved = affinity.translate(outline, x - outline.centroid.x, y - outline.centroid.y)
        if footprint.contains(moved):
            return moved


def _name(node: Node) -> str:
    return f"{node[0]}/{node[1]}"


def _node(name: str) -> Node:
    year, number = name.split(",", maxsplit=1)[0].split("/")
    return int(year), int(number)


@cache
def place(region: str, seed: int, slumps: int = 120) -> Series:
    """A simulated place of 20 x 10 km through six years."""
    return make_series(SceneOptions(region, seed, size_km=(20, 10), slumps=slumps, density=1.0), YEARS)


def run(region: str, seed: int, noise: Noise, folder: Path) -> tuple[Seen, list[Tracked]]:
    """Simulate, see, track."""
    seen = write_layers(place(region, seed), folder, noise, seed)
    return seen, list(tracked(seen.paths))


def table_of(counts: Counter[tuple[str, str]]) -> Iterator[str]:
    """A confusion table in Markdown: a row for each truth, a column for what was told."""
    rows, columns = (sorted({pair[axis] for pair in counts}) for axis in (0, 1))
    yield "| truth | " + " | ".join(columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for row in rows:
        yield f"| {row} | " + " | ".join(str(counts[row, column]) for column in columns) + " |"


def overlaps(tiles: Sequence[Tracked]) -> np.ndarray:
    """IoU of one-to-one links."""
    return np.concatenate([tile.lineage.links.iou[tile.lineage.links.is_main] for tile in tiles])
