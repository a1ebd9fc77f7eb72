"""`rtsmap simulate series`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli.progress import progress_bar
from rtsmap.cli.simulate.options import Years, scene_options

if TYPE_CHECKING:
    from rtsmap.simulate.scene import SceneOptions


@click.command()
@click.option("--years", type=Years(), required=True, help="To be shown, the earliest first, such as 2018,2019,2021.")
@scene_options
def series(output: Path, settings: "SceneOptions", years: tuple[int, ...], overwrite: bool) -> None:
    """Simulate the same place in several years.

    Writes a product for each year, as `simulate scene` does: the same hills, lakes and look-alikes on another day under
    another sky, while slumps grow up the slope, merge, part, heal and appear. series_truth.gpkg tells who became whom:
    every slump of every year (slumps), what it was and became (links), and what was seen (footprints). --slumps is
    their number in the first year on all ground that a scene may show.

    \b
    Examples:
      rtsmap simulate series -o years --years 2018,2019,2021 --region lena --seed 3
      rtsmap simulate series -o small --years 2019,2020 --pixels 1024 1024 --slumps 8 --no-clouds
    """
    from rtsmap.simulate.series.lineage import all_links
    from rtsmap.simulate.series.making import make_series
    from rtsmap.simulate.series.writing import SERIES_TRUTH, write_series

    place = make_series(settings, years)
    with progress_bar("tile") as progress:
        done = list(write_series(place, output, overwrite=overwrite, progress=progress))
    for year, written in done:
        click.echo(f"{written.image}: {year}, {written.n_slumps} slumps, {written.clear_fraction:.0%} clear")
    kinds = Counter(link.kind for link in all_links(place.epochs))
    counted = ", ".join(f"{kinds[kind]} {kind}" for kind in sorted(kinds)) or "none, as there is no slump"
    click.echo(f"{output / SERIES_TRUTH}: links: {counted}")
