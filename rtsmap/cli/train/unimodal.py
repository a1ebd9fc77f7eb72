"""`rtsmap train unimodal`."""

from pathlib import Path
from typing import Any

import click

from rtsmap.cli import options
from rtsmap.cli.train.running import run, settings_of, training_options


@click.command()
@training_options
@click.option(
    "--modality", type=click.Choice(options.MODALITIES), required=True, help="Modality that the network takes."
)
@options.network
def unimodal(
    config: Path | None,
    changes: tuple[str, ...],
    modality: str,
    network: str | None,
    **chosen: Any,
) -> None:
    """Train a network with one modality on DATASET: the first stage of Li et al. 2025.

    The result is a complete model, and `rtsmap train fusion` uses its backbone. If a run was stopped, the same command
    continues it from its last checkpoint, and it ends with the same weights. To use several GPUs, start the command
    with `torchrun --nproc-per-node N -m rtsmap`.

    \b
    Example:
      rtsmap train unimodal dataset --modality rgb -o runs/rgb --without fold-0 --validate fold-1
      rtsmap train unimodal dataset --modality ndvi -o runs/ndvi --network mvitv2-t --set precision=bf16
    """
    settings = settings_of(config, network, changes, modalities=(modality,), freeze=(), backbones=())
    run(settings, **chosen)
