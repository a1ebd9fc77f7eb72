"""`rtsmap train fusion`."""

from pathlib import Path
from typing import Any

import click

from rtsmap.cli import options
from rtsmap.cli.train.running import run, settings_of, training_options


class _SeveralBackbones(click.Command):
    """Takes `--backbones DIR DIR DIR` for `--backbones DIR --backbones DIR --backbones DIR`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before every folder that follows it."""
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
    help="Models of `rtsmap train unimodal`, that of the query first; give DATASET before.",
)
@click.option("--fusion", type=click.Choice(options.FUSIONS), help="How modalities meet.  [default: residual_cross]")
@click.option(
    "--decoder",
    type=click.Choice(["warm", "cold"]),
    default="warm",
    show_default=True,
    help="Begin pyramid, proposals and heads with those of the first model, or as the first stage began.",
)
@click.option("--thaw", is_flag=True, help="Let the backbones learn too, by default at a tenth of the learning rate.")
def fusion(
    config: Path | None,
    changes: tuple[str, ...],
    backbones: tuple[Path, ...],
    fusion: str | None,
    decoder: str,
    thaw: bool,
    **chosen: Any,
) -> None:
    """Train the fusion of models that see one modality each: the second stage of Li et al. 2025.

    Their backbones stay as they are; the fusion and all that follows it learn, from where the first of them ended
    (--decoder cold: from where it began, as in the paper). Network and settings are those of the first of them;
    --config gives other settings, and of the network the fusion.

    \b
    Example:
      rtsmap train fusion dataset --backbones runs/rgb runs/ndvi runs/nir -o runs/fused --without fold-0
      rtsmap train fusion dataset --backbones runs/rgb runs/ndvi -o runs/pair --thaw --set backbone_rate=0.05
    """
    from rtsmap.training.stages import fusion_settings

    settings = settings_of(config, None, ()) if config else None
    fixed = fusion_settings(settings, backbones, fusion=fusion, thaw=thaw, cold=decoder == "cold")
    run(fixed.changed(changes), **chosen)
