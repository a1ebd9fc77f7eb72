"""`rtsmap dataset stats`."""

from pathlib import Path

import click

from rtsmap.cli import options
from rtsmap.cli.tables import echo_table


@click.command()
@click.argument("folder", metavar="DATASET", type=options.input_path)
@click.option("--png", type=options.output_path, help="Also write histograms of areas and channels for each site.")
@options.overwrite
def stats(folder: Path, png: Path | None, overwrite: bool) -> None:
    """Describe a data set: its sites, the areas of its slumps, and statistics of its channels.

    The command prints a row for each site: number of images, share of images without a slump, numbers of scenes, labels
    (a slump in two images counts twice) and slumps, quantiles of the areas of slumps, valid area, labels per km2,
    ground sampling distance, and days. It then prints the means and standard deviations of the channels in TOML, with
    which a model card normalises its input; all sites have the same weight.

    \b
    Examples:
      rtsmap dataset stats dataset --png dataset.png
    """
    from rtsmap.dataset.folder_contents import dataset_files
    from rtsmap.dataset.histograms import write_histograms
    from rtsmap.dataset.images import read_dataset
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
        write_histograms(sites, png, overwrite=overwrite)
        click.echo(f"\n{png}: histograms", err=True)
