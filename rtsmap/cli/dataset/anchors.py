"""`rtsmap dataset anchors`."""

from pathlib import Path

import click

from rtsmap.cli import options


@click.command()
@click.argument("dataset", type=options.input_path)
@click.option("--config", type=options.input_path, help="Training settings in TOML, whose anchors are compared.")
@click.option("--without", multiple=True, metavar="SITE|FOLD", help="Leave out this site or fold; may be repeated.")
@click.option(
    "--per-level",
    type=click.IntRange(1, 16),
    default=2,
    show_default=True,
    help="Number of anchor sizes on each level of the pyramid.",
)
def anchors(dataset: Path, config: Path | None, without: tuple[str, ...], per_level: int) -> None:
    """Derive the network's anchors from the slumps of DATASET.

    The command prints lines for the section [network] of the training settings, and how well the present and the
    derived anchors fit: the mean overlap (IoU) of the box of each slump with the most similar anchor, and the share of
    boxes for which the overlap reaches 0.7, from which an anchor is positive in training.

    \b
    Examples:
      rtsmap dataset anchors dataset --without taimyr
    """
    from rtsmap.dataset import read_dataset
    from rtsmap.settings.training import TrainConfig
    from rtsmap.training.anchors import box_sizes, fit_anchors, judge_anchors

    settings = TrainConfig.from_toml(config) if config else TrainConfig()
    boxes = box_sizes(read_dataset(dataset).without(without), settings.gsd_m, settings.scale_range)
    present = judge_anchors(boxes, settings.network.anchor_sizes, settings.network.anchor_ratios)
    derived = fit_anchors(boxes, per_level=per_level, ratios=len(settings.network.anchor_ratios))
    click.echo(f"anchor_sizes = {[list(level) for level in derived.sizes]}")
    click.echo(f"anchor_ratios = {list(derived.ratios)}")
    click.echo(f"{derived.boxes} slumps at {settings.gsd_m:g} m", err=True)
    for name, fit in (("present", present), ("derived", derived)):
        click.echo(f"{name}: mean overlap {fit.mean_iou:.3f}, {fit.well_fitted:.0%} at least 0.7", err=True)
