"""Simulated series as a detector would show them, written as layers of rtsmap, and the true lineage of the slumps."""

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
MIN_SHARE = 0.5  # of a slump must be observed for a detection
Node = tuple[int, int]


@dataclass(frozen=True)
class Noise:
    """The errors of a detector.

    Attributes:
        redrawn: whether outlines are redrawn as another person would draw them.
        missed: share of the slumps that are missed.
        false: number of false detections, as a share of the number of slumps.
    """

    redrawn: bool = True
    missed: float = 0.1
    false: float = 0.1


@dataclass(frozen=True)
class Detections:
    """The layers of a simulated series, and the true slumps behind them. A node is a year and the number of a slump.

    Attributes:
        paths: layers, one for each year.
        ancestors: slumps of the year before from which each node descends.
        found: nodes that were detected.
        observed: nodes of which most was observed, whether they were detected or not.
        area: true area of each node, m2.
    """

    paths: Sequence[Path]
    ancestors: dict[Node, set[Node]]
    found: set[Node]
    observed: set[Node]
    area: dict[Node, float]

    def links(self) -> set[tuple[str, str]]:
        """The true links: each detected slump with the latest detected slumps from which it descends."""
        return {(_name(before), _name(node)) for node in self.found for before in self._found_before(node)}

    def _found_before(self, node: Node) -> set[Node]:
        found: set[Node] = set()
        for before in self.ancestors[node]:
            found |= {before} if before in self.found else self._found_before(before)
        return found

    def before(self, node: Node) -> set[Node]:
        """All ancestors of a slump in earlier years."""
        sources = self.ancestors[node]
        return sources.union(*(self.before(source) for source in sources))

    def descendants(self) -> dict[Node, set[Node]]:
        """The descendants of each slump in the next year."""
        descendants: dict[Node, set[Node]] = {node: set() for node in self.ancestors}
        for node, sources in self.ancestors.items():
            for source in sources:
                descendants[source].add(node)
        return descendants


def write_layers(series: Series, folder: Path, noise: Noise, seed: int) -> Detections:
    """Write what a detector would find in each year as layers of rtsmap."""
    rng, library = np.random.default_rng(seed), load_library()
    paths, found, observed, area = [], set(), set(), {}
    ancestors: dict[Node, set[Node]] = {}
    for epoch in series.epochs:
        acquisition, outlines, names = series.acquisitions[epoch.year], [], []
        for slump in epoch.state.slumps:
            node = (epoch.year, slump.number)
            ancestors[node], area[node] = set(), slump.outline.area
            is_observed = slump.outline.intersection(acquisition.footprint).area > MIN_SHARE * slump.outline.area
            if is_observed:
                observed.add(node)
            if is_observed and rng.random() >= noise.missed:
                outline = drawn(rng, slump.outline) if noise.redrawn else slump.outline
                outlines.append(outline)
                names.append(_name(node))
                found.add(node)
        for number in range(rng.poisson(noise.false * len(epoch.state.slumps))):
            outlines.append(
                _random_position(rng, library.draw(rng, float(np.exp(rng.normal(8, 1)))), acquisition.footprint)
            )
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
    return Detections(paths, ancestors, found, observed, area)


def write_layer(  # type: ignore[no-untyped-def]
    path: Path, outlines: Sequence[Polygon], names: Sequence[str], footprint: Polygon, acquired, crs, gsd_m: float
) -> None:
    """Write a layer with those fields of rtsmap's layers that tracks use."""
    common = {"scene_id": path.stem, "acquired": acquired, "gsd_m": gsd_m, "model": "simulated"}
    slumps = geopandas.GeoDataFrame(
        {"slump_id": list(names), "score": 0.9, **common}, index=range(len(names)), geometry=list(outlines), crs=crs
    )
    pyogrio.write_dataframe(slumps, path, layer="thaw_slumps", driver="GPKG", geometry_type="Unknown")
    observed = geopandas.GeoDataFrame(common, index=[0], geometry=[footprint], crs=crs)
    pyogrio.write_dataframe(observed, path, layer="observed_area", driver="GPKG", append=True)


def links(detections: Detections, tiles: Sequence[Tracked]) -> LinkScore:
    """The score of all found links, including those of false detections, against the true links."""
    return score(set().union(*(links_by_name(tile) for tile in tiles)), detections.links())


def events(detections: Detections, tiles: Sequence[Tracked]) -> Counter[tuple[str, str]]:
    """The true and the reported origin of each outline after the first year, as counts of pairs."""
    descendants, table = detections.descendants(), Counter()
    for tile in tiles:
        reported: dict[int, str] = {}
        for event in tile.events:
            if event.is_found and event.kind in {"first_seen", "new", "merged", "split"}:
                reported[event.outline] = event.kind
        for outline, name in enumerate(tile.outlines.names):
            if tile.outlines.years[outline] > YEARS[0]:
                table[_truth(detections, descendants, name), reported.get(outline, "continues")] += 1
    return table


def ends(detections: Detections, tiles: Sequence[Tracked]) -> Counter[tuple[str, str]]:
    """The true fate of the slump of the last outline of each track, and the status of the track, as counts of pairs."""
    descendants, table = detections.descendants(), Counter()
    for tile in tiles:
        status = tile.status
        for track, last in enumerate(tile.series.last.tolist()):
            name = tile.outlines.names[last]
            truth = "false detection" if name.startswith("false") else _end(detections, descendants, _node(name))
            table[truth, status[track]] += 1
    return table


def _truth(detections: Detections, descendants: dict[Node, set[Node]], name: str) -> str:
    if name.startswith("false"):
        return "false detection"
    node = _node(name)
    if not detections.ancestors[node]:
        return "new"
    if not detections.before(node) & detections.observed:
        return "outside all scenes before"
    if not detections.before(node) & detections.found:
        return "missed in all scenes before"
    if len(detections.ancestors[node]) > 1:
        return "merged"
    return "split" if len(descendants[next(iter(detections.ancestors[node]))]) > 1 else "continues"


def _end(detections: Detections, descendants: dict[Node, set[Node]], node: Node) -> str:
    """The fate of a slump until the end of the series, or until it stabilises or merges."""
    while node[0] < YEARS[-1]:
        if not descendants[node]:
            return "stabilised"
        following = max(descendants[node], key=lambda one: detections.area[one])
        if len(detections.ancestors[following]) > 1:
            return "merged"
        node = following
    return "present, seen" if node in detections.observed else "present, outside the last scene"


def _random_position(rng: np.random.Generator, outline: Polygon, footprint: Polygon) -> Polygon:
    """The outline at a random position within a footprint."""
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
def simulated_series(region: str, seed: int, slumps: int = 120) -> Series:
    """A simulated series of six years in an area of 20 x 10 km."""
    return make_series(SceneOptions(region, seed, size_km=(20, 10), slumps=slumps, density=1.0), YEARS)


def run(region: str, seed: int, noise: Noise, folder: Path) -> tuple[Detections, list[Tracked]]:
    """Simulate a series, degrade it as a detector would, and track it."""
    detections = write_layers(simulated_series(region, seed), folder, noise, seed)
    return detections, list(tracked(detections.paths))


def table_of(counts: Counter[tuple[str, str]]) -> Iterator[str]:
    """A confusion table in Markdown: a row for each true kind, and a column for each reported kind."""
    rows, columns = (sorted({pair[axis] for pair in counts}) for axis in (0, 1))
    yield "| truth | " + " | ".join(columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for row in rows:
        yield f"| {row} | " + " | ".join(str(counts[row, column]) for column in columns) + " |"


def overlaps(tiles: Sequence[Tracked]) -> np.ndarray:
    """The IoU of each one-to-one link."""
    return np.concatenate([tile.lineage.links.iou[tile.lineage.links.is_main] for tile in tiles])
