"""`rtsmap train fusion`."""

from pathlib import Path
from typing import Any

import click

from rtsmap.cli import options
from rtsmap.cli.train.running import run, settings_of, training_options


class _SeveralBackbones(click.Command):
    """Accepts `--backbones DIR DIR DIR` as `--backbones DIR --backbones DIR --backbones DIR`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the option before each of the folders that follow it."""
        repeated: list[str] = []
        within = False
        for word in args:
            if word.startswith("-"):
                within = word == "--backbones"
                repeated += [] if within else [word]
            else:
                repeated += ["--backbones", word] if within else [word]
        return super().parse_args(ctx, repeated)


@click.command(cls=_SeveralBackbones)
@training_options
@click.option(
    "--backbones",
    type=options.input_path,
    multiple=True,
    required=True,
    metavar="DIR...",
    help="Models made by `rtsmap train unimodal`, the query of the fusion first; DATASET comes before this option.",
)
@click.option(
    "--fusion", type=click.Choice(options.FUSIONS), help="How the modalities are fused.  [default: residual_cross]"
)
@click.option(
    "--decoder",
    type=click.Choice(["warm", "cold"]),
    default="warm",
    show_default=True,
    help="Start the pyramid, proposals and heads from the first model (warm) or as the first stage started (cold).",
)
@click.option("--thaw", is_flag=True, help="Train the backbones too, by default at a tenth of the learning rate.")
def fusion(
    config: Path | None,
    changes: tuple[str, ...],
    backbones: tuple[Path, ...],
    fusion: str | None,
    decoder: str,
    thaw: bool,
    **chosen: Any,
) -> None:
    """Train the fusion of models with one modality each: the second stage of Li et al. 2025.

    The backbones of the models are kept unless --thaw is given. The fusion and everything after it are trained. They
    start from the weights of the first model (with --decoder cold, from the weights that the first model started from,
    as in the paper). The network and the settings are those of the first model; --config gives other settings, but only
    the fusion of its network is used.

    \b
    Example:
      rtsmap train fusion dataset --backbones runs/rgb runs/ndvi runs/nir -o runs/fused --without fold-0
      rtsmap train fusion dataset --backbones runs/rgb runs/ndvi -o runs/pair --thaw --set backbone_rate=0.05
    """
    from rtsmap.training.stages import fusion_settings

    settings = settings_of(config, None, ()) if config else None
    fixed = fusion_settings(settings, backbones, fusion=fusion, thaw=thaw, cold=decoder == "cold")
    run(fixed.changed(changes), **chosen)
