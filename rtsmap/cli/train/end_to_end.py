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
    """Train a network with several modalities on DATASET in a single stage.

    The settings choose the modalities and the fusion. If a run was stopped, the same command continues it from its last
    checkpoint, and it ends with the same weights. To use several GPUs, start the command with
    `torchrun --nproc-per-node N -m rtsmap`.

    \b
    Example:
      rtsmap train end-to-end dataset -o runs/mine --without fold-0 --set network.fusion=channels
      rtsmap train end-to-end dataset -o runs/t --config starts/mvitv2-t/training.toml --set epochs=12
    """
    run(settings_of(config, network, changes), **chosen)
