"""`rtsmap train`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtsmap.config import TrainConfig


@click.command()
@click.argument("table", type=options.input_path, required=False)
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder for the model.")
@click.option("--config", type=options.input_path, help="Settings in TOML; see --template.")
@options.network
@click.option("--without", multiple=True, metavar="SITE", help="Leave a site out, to test on it; repeatable.")
@options.device
@click.option("--template", is_flag=True, help="Print all settings with their defaults, and stop.")
def train(
    table: Path | None,
    output: Path | None,
    config: Path | None,
    network: str | None,
    without: tuple[str, ...],
    device: str,
    template: bool,
) -> None:
    """Train a model on the scenes of TABLE, a CSV file with the columns image, labels and site.

    Labels are polygons (GeoPackage, GeoJSON, ...) or a mask GeoTIFF with 1 for slump; paths are relative to TABLE.
    A run that was stopped goes on from its last checkpoint when the same command is given again.

    \b
    Example:
      rtsmap train --template --network mvitv2-t > train.toml
      rtsmap train scenes.csv -o runs/mine --config train.toml --without taimyr
      rtsmap predict scene.tif -o slumps.gpkg --model runs/mine
    """
    if config and network:
        raise click.UsageError("--network and --config exclude each other; set the network in the file")
    from rtsmap.config import PRESETS, TrainConfig

    settings = TrainConfig.from_toml(config) if config else TrainConfig(network=PRESETS[network or "mini"])
    if template:
        import tomli_w

        click.echo(tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True)), nl=False)
        return
    if table is None or output is None:
        raise click.UsageError("needs TABLE and --output; see rtsmap train --help")
    _train(table, output, settings, without, device)


def _train(table: Path, output: Path, settings: "TrainConfig", without: tuple[str, ...], device: str) -> None:
    from tqdm import tqdm

    from rtsmap.errors import INSTALL_TORCH, ModelError

    try:
        from rtsmap.network.device import resolve_device
        from rtsmap.training.labels import read_table
        from rtsmap.training.loop import train as run
    except ImportError as error:
        raise ModelError(f"training needs torch and detectron2 ({error}); {INSTALL_TORCH}") from error
    scenes = read_table(table, without)
    slumps = sum(len(scene.slumps) for scene in scenes)
    click.echo(f"{len(scenes)} scenes, {slumps} slumps, sites: {', '.join(sorted({s.site for s in scenes}))}", err=True)
    with tqdm(total=settings.iterations, unit="it", disable=None) as bar:

        def progress(iteration: int, losses: "Mapping[str, float]") -> None:
            bar.n = iteration
            bar.set_postfix(loss=f"{sum(losses.values()):.3f}")

        card = run(scenes, settings, output, device=str(resolve_device(device)), progress=progress)
    click.echo(f"{output}  SHA-256 {card.sha256}")
    click.echo(f"Next: rtsmap predict SCENE -o slumps.gpkg --model {output}", err=True)
