"""`rtsmap train end-to-end`."""

from pathlib import Path
from typing import Any

import click

from rtsmap.cli import options
from rtsmap.cli.train.running import run, settings_of, training_options


@click.command("end-to-end")
@training_options
@options.network
def end_to_end(
    config: Path | None,
    changes: tuple[str, ...],
    network: str | None,
    **chosen: Any,
) -> None:
    """Train a network that sees several modalities of DATASET all at once, without a first stage.

    Which modalities and which fusion the settings say. A run that was stopped goes on from its last checkpoint when
    the same command is given again, to the same weights. Several GPUs: start it with
    `torchrun --nproc-per-node N -m rtsmap`.

    \b
    Example:
      rtsmap train end-to-end dataset -o runs/mine --without fold-0 --set network.fusion=channels
      rtsmap train end-to-end dataset -o runs/t --config starts/mvitv2-t/training.toml --set epochs=12
    """
    run(settings_of(config, network, changes), **chosen)
