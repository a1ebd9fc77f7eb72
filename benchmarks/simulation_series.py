"""Changes of slumps from year to year, in the simulation and in the outlines of Barth et al.

    python -m benchmarks.simulation_series [--labels FOLDER] [--seeds N] [--region NAME]

The command prints one table. `--labels` names a folder with `barth2023_rts_timeseries.gpkg` and `barth2023_links.csv`
(the overlaps of consecutive years; two outlines are linked where they share 0.2 of the smaller one). Without it, the
measured column is empty. Only consecutive years are counted. The simulated outlines are those rendered, not those drawn
by a person; the default region is the one whose slumps are about as large as the labelled ones.
"""

import argparse
from collections import defaultdict
from collections.abc import Container, Mapping
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rtsmap.simulate.scene import SceneOptions
from rtsmap.simulate.series.lineage import all_links
from rtsmap.simulate.series.making import make_series

Floats = NDArray[np.float64]
#: Gone and new slumps are counted within this distance (m) of a slump of the other year, so that a wider image does not
#: create any.
NEAR_M = 500.0
CLASSES = ((0, 2000), (2000, 8000), (8000, np.inf))
YEARS = tuple(range(2016, 2022))


class Tally:
    """Counts and values of the changes from one year to the next, over all areas."""

    def __init__(self) -> None:
        self.slumps = 0
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.values: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, before: Mapping[int, BaseGeometry], after: Mapping[int, BaseGeometry], table: pd.DataFrame) -> None:
        """Add one step: the outlines of both years by their ids, and a table with the columns `id_from` and `id_to`."""
        self.slumps += len(before)
        self.values["all: area m2"] += [outline.area for outline in before.values()]
        descendants, sources = _grouped(table.id_from, table.id_to), _grouped(table.id_to, table.id_from)
        for name, ones, others, linked in (("gone", before, after, descendants), ("new", after, before, sources)):
            for one, gap in _unlinked(ones, others, linked):
                self.counts[name] += 1
                self.values[f"{name}: area m2"].append(ones[one].area)
                self.values[f"{name}: distance m"].append(gap)
        for one, became in descendants.items():
            if len(became) == 1 and len(sources[became[0]]) == 1:
                self._pair(before[one], after[became[0]])
            elif len(became) > 1 and all(len(sources[other]) == 1 for other in became):
                self._group("split", [after[other] for other in became], before[one])
        for one, came_of in sources.items():
            if len(came_of) > 1 and all(len(descendants[other]) == 1 for other in came_of):
                self._group("merged", [before[other] for other in came_of], after[one], inverse=True)

    def _pair(self, first: BaseGeometry, second: BaseGeometry) -> None:
        ratio = second.area / first.area
        self.values["ratio"].append(ratio)
        for low, high in CLASSES:
            if low <= first.area < high:
                self.values[f"ratio from {low} m2"].append(ratio)
        common = first.intersection(second).area
        self.values["iou"].append(common / (first.area + second.area - common))
        self.values["centroid m"].append(first.centroid.distance(second.centroid))
        if ratio > 1:
            points = shapely.points(shapely.get_coordinates(shapely.segmentize(second.boundary, 5)))
            self.values["retreat m"].append(float(np.quantile(shapely.distance(first, points), 0.95)))

    def _group(self, name: str, parts: list[BaseGeometry], whole: BaseGeometry, *, inverse: bool = False) -> None:
        self.counts[name] += 1
        ratio = sum(part.area for part in parts) / whole.area
        self.values[f"{name}: ratio"].append(1 / ratio if inverse else ratio)
        gaps = [one.distance(other) for index, one in enumerate(parts) for other in parts[:index]]
        self.values[f"{name}: gap m"].append(min(gaps))


def _grouped(ones: pd.Series, others: pd.Series) -> dict[int, list[int]]:
    """Group the ids of the other year by each id that is linked to them."""
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for one, other in zip(ones, others, strict=True):
        groups[one].append(other)
    return dict(groups)


def _unlinked(
    ones: Mapping[int, BaseGeometry], others: Mapping[int, BaseGeometry], linked: Container[int]
) -> list[tuple[int, float]]:
    """Return ids without a link and the distance to the nearest outline of the other year, if that is near."""
    if not others:
        return []
    union = shapely.union_all(list(others.values()))
    gaps = [(one, shape.distance(union)) for one, shape in ones.items() if one not in linked]
    return [(one, gap) for one, gap in gaps if gap < NEAR_M]


def simulated(seeds: int, region: str) -> Tally:
    """Simulate several areas."""
    tally = Tally()
    for seed in range(seeds):
        series = make_series(SceneOptions(region, seed, size_km=(20, 10), slumps=120, density=1.0), YEARS)
        links = pd.DataFrame([vars(link) for link in all_links(series.epochs)])
        for earlier, later in zip(series.epochs[:-1], series.epochs[1:], strict=True):
            before, after = ({s.number: s.outline for s in epoch.state.slumps} for epoch in (earlier, later))
            step = links[(links.year_from == earlier.year) & links.id_from.notna() & links.id_to.notna()]
            tally.add(before, after, step.astype({"id_from": int, "id_to": int}))
    return tally


def measured(folder: Path) -> Tally:
    """Measure the changes between consecutive years at the six sites of Barth et al."""
    outlines = geopandas.read_file(folder / "barth2023_rts_timeseries.gpkg").to_crs(6931)  # equal area
    links = pd.read_csv(folder / "barth2023_links.csv").rename(columns={"uid_from": "id_from", "uid_to": "id_to"})
    tally = Tally()
    for _, step in links.groupby(["site", "year_from", "year_to"]):
        first = step.iloc[0]
        if first.year_to - first.year_from == 1:
            of_site = outlines[outlines.site == first.site].set_index("uid")
            years = (first.year_from, first.year_to)
            before, after = (of_site[of_site.year == year].geometry.to_dict() for year in years)
            tally.add(before, after, step)
    return tally


def quantiles(values: list[float]) -> str:
    """Return the quantiles 5, 25, 50, 75 and 95 % as text."""
    return " / ".join(f"{value:.3g}" for value in np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95)))


def rows(tally: Tally) -> dict[str, str]:
    """Return the text of each statistic."""
    texts = {f"{name}, of all slumps a year": f"{count / tally.slumps:.3f}" for name, count in tally.counts.items()}
    texts["share that shrinks"] = f"{np.mean(np.array(tally.values['ratio']) < 1):.3f}"
    return texts | {name: quantiles(values) for name, values in sorted(tally.values.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--region", default="chukotka")
    arguments = parser.parse_args()
    known = rows(measured(arguments.labels)) if arguments.labels else {}
    print("| statistic | measured | simulated |\n|---|---|---|")
    for name, text in rows(simulated(arguments.seeds, arguments.region)).items():
        print(f"| {name} | {known.get(name, '')} | {text} |")


if __name__ == "__main__":
    main()
