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
@click.option("--years", type=Years(), required=True, help="Years to show, in ascending order, such as 2018,2019,2021.")
@scene_options
def series(output: Path, settings: "SceneOptions", years: tuple[int, ...], overwrite: bool) -> None:
    """Simulate the same area in several years.

    The command writes a product for each year, as `simulate scene` does. Hills, lakes and look-alikes stay the same,
    the day and the clouds differ, and slumps grow up the slope, merge, split, stabilise and appear. series_truth.gpkg
    records the lineage of each slump: every slump of every year (slumps), the links between them (links), and what the
    sensor saw (footprints). --slumps sets the number of slumps in the first year, on all ground that a scene may show.

    \b
    Examples:
      rtsmap simulate series -o years --years 2018,2019,2021 --region lena --seed 3
      rtsmap simulate series -o small --years 2019,2020 --pixels 1024 1024 --slumps 8 --no-clouds
    """
    from rtsmap.simulate.series.lineage import all_links
    from rtsmap.simulate.series.making import make_series
    from rtsmap.simulate.series.writing import SERIES_TRUTH, write_series

    simulated = make_series(settings, years)
    with progress_bar("tile") as progress:
        done = list(write_series(simulated, output, overwrite=overwrite, progress=progress))
    for year, written in done:
        click.echo(f"{written.image}: {year}, {written.n_slumps} slumps, {written.clear_fraction:.0%} clear")
    kinds = Counter(link.kind for link in all_links(simulated.epochs))
    counted = ", ".join(f"{kinds[kind]} {kind}" for kind in sorted(kinds)) or "none, because there are no slumps"
    click.echo(f"{output / SERIES_TRUTH}: links: {counted}")
