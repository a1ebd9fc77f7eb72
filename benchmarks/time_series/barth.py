"""Links of the outlines of Barth et al. 2023, compared with overlaps of at least 0.2 of the smaller outline."""

from collections.abc import Iterator
from pathlib import Path

import geopandas
import pandas as pd

from benchmarks.time_series.scores import LinkScore, links_by_name, score, tracked


def compare(folder: Path) -> Iterator[tuple[str, LinkScore]]:
    """The score of each site and of all sites; only links between consecutive years of a site are known and count."""
    outlines = folder / "barth2023_rts_timeseries.gpkg"
    known = pd.read_csv(folder / "barth2023_links.csv")
    years = geopandas.read_file(outlines, ignore_geometry=True).set_index("uid")[["site", "year"]]
    steps = set(zip(known.site, known.year_from, known.year_to, strict=True))
    found = {
        (first, second)
        for tile in tracked([outlines])
        for first, second in links_by_name(tile)
        if (years.site[first], years.year[first], years.year[second]) in steps
    }
    right = set(zip(known.uid_from, known.uid_to, strict=True))
    for site in sorted(known.site.unique()):
        found_here, right_here = ({pair for pair in pairs if years.site[pair[0]] == site} for pairs in (found, right))
        yield site, score(found_here, right_here)
    yield "all", score(found, right)
