"""`rtsmap train template`."""

from pathlib import Path

import click

from rtsmap.cli import options
from rtsmap.cli.train.running import set_, settings_of


@click.command()
@options.network
@click.option("--config", type=options.input_path, help="TOML file with settings that replace the defaults.")
@set_
def template(network: str | None, config: Path | None, changes: tuple[str, ...]) -> None:
    """Print all settings of a training with their default values, as a TOML file with comments.

    \b
    Example:
      rtsmap train template --network mvitv2-t > train.toml
      rtsmap train end-to-end dataset -o runs/mine --config train.toml
    """
    from rtsmap.settings.template import commented

    click.echo(commented(settings_of(config, network, changes)), nl=False)
