"""`rtsmap dataset stats`."""

from pathlib import Path

import click

from rtsmap.cli import options
from rtsmap.cli.tables import echo_table


@click.command()
@click.argument("folder", metavar="DATASET", type=options.input_path)
@click.option("--png", type=options.output_path, help="Write histograms of areas and channels, site by site.")
@options.overwrite
def stats(folder: Path, png: Path | None, overwrite: bool) -> None:
    """Describe a data set: its sites, the sizes of its slumps, and the statistics of its channels.

    Prints a row for each site: images, the share without a slump, scenes, labels (a slump in two images counts twice),
    slumps, quantiles of their areas, valid area, labels per km2, ground sampling distance and days. Below stand the
    means and standard deviations that a model card needs to normalise its input, each site counting alike, in TOML.

    \b
    Example:
      rtsmap dataset stats dataset --png dataset.png
    """
    from rtsmap.dataset.figures import write_figure
    from rtsmap.dataset.images import read_dataset
    from rtsmap.dataset.recognising import dataset_files
    from rtsmap.dataset.stats import channel_statistics, site_statistics, statistics_table
    from rtsmap.files.outputs import check_outputs

    dataset = read_dataset(folder)
    check_outputs(png, overwrite=overwrite, inputs=dataset_files(folder))
    sites = site_statistics(dataset)
    echo_table(statistics_table(sites))
    mean, std = channel_statistics(dataset, dataset.modalities)
    for section, values in (("mean", mean), ("std", std)):
        click.echo(f"\n[input.{section}]")
        for name, value in values.items():
            click.echo(f"{name} = {value}")
    if png:
        write_figure(sites, png, overwrite=overwrite)
        click.echo(f"\n{png}: histograms", err=True)
