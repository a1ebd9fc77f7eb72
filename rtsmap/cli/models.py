"""`rtsmap models`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options
from rtsmap.cli.commands import Summaries

if TYPE_CHECKING:
    from rtsmap.settings.training import TrainConfig


@click.group(cls=Summaries)
def models() -> None:
    """List the models that come with rtsmap, show one, or import published weights to train from.

    \b
    Example:
      rtsmap models list
      rtsmap models show rts-mini
      rtsmap models import MViTv2_T_in1k.pyth -o starts/mvitv2-t --network mvitv2-t
    """


@models.command("list")
def list_() -> None:
    """List all models, and what to type next.

    \b
    Example:
      rtsmap models list
    """
    from rtsmap.models import list_models, search_folders

    found = list(list_models())
    if not found:
        folders = ", ".join(str(folder) for folder in search_folders())
        click.echo(f"No models in {folders}; train one with: rtsmap train", err=True)
        return
    width = max(len(card.name) for _, card in found)
    for _, card in found:
        modalities = "+".join(card.input.modalities)
        click.echo(f"{card.name:<{width}}  {card.version}  {modalities}  {card.input.gsd_m:g} m  {card.summary}")
    click.echo(f"\nNext: rtsmap models show {found[0][1].name}", err=True)
    click.echo(f"      rtsmap predict SCENE -o slumps.gpkg --model {found[0][1].name}", err=True)


@models.command()
@click.argument("name", default="rts-mini")
@click.option("--params", is_flag=True, help="Count weights, operations and training memory instead (needs torch).")
@click.option("--chip-size", type=options.chip_px, help="With --params: side of a chip, px.  [default: NAME's own]")
def show(name: str, params: bool, chip_size: int | None) -> None:
    """Show a model's card, and check its weights; or count what it costs.

    With --params NAME may also be an architecture (mini, mvitv2-t, mvitv2-s, mvitv2-b, resnet50, efficientnet-lite0,
    efficientnet-lite2; all three modalities) or the settings of a training (FILE.toml).

    \b
    Example:
      rtsmap models show rts-mini
      rtsmap models show mvitv2-b --params --chip-size 256
    """
    if params:
        _count(name, chip_size)
        return
    if chip_size:
        raise click.UsageError("--chip-size needs --params")
    from rtsmap.errors import InputError, ModelError
    from rtsmap.models import CARD, find_model, verify
    from rtsmap.settings.network import PRESETS

    try:
        folder, card = find_model(name)
    except ModelError as error:
        if name in PRESETS or name.endswith(".toml"):
            raise InputError(f"{name}: is not a model; add --params to count what it would cost") from error
        raise
    verify(folder, card)
    click.echo((folder / CARD).read_text(encoding="utf-8"))
    text = folder / "card.md"
    if text.is_file():
        click.echo(text.read_text(encoding="utf-8"))
    click.echo(f"Folder: {folder} (weights verified)", err=True)


def _settings(name: str) -> "TrainConfig":
    """What --params counts: an architecture with the defaults of training, settings from a file, or a model's card."""
    from rtsmap.models import find_model
    from rtsmap.settings.network import PRESETS
    from rtsmap.settings.training import TrainConfig

    if name in PRESETS:
        return TrainConfig(network=PRESETS[name])
    if name.endswith(".toml"):
        return TrainConfig.from_toml(Path(name))
    _, card = find_model(name)
    inputs = card.input
    return TrainConfig(
        network=card.network,
        modalities=inputs.modalities,
        chip_size=inputs.chip_size,
        training_chip_size=inputs.chip_size,
        overlap=inputs.overlap,
    )


def _count(name: str, chip_size: int | None) -> None:
    from rtsmap.errors import INSTALL_TORCH, ModelError

    try:
        import rtsmap.network.cost  # noqa: F401 - here, for a clear message
    except ImportError as error:
        raise ModelError(f"counting needs torch and detectron2 ({error}); {INSTALL_TORCH}") from error
    if chip_size and chip_size % 32:
        raise click.UsageError(f"--chip-size {chip_size} is not a multiple of 32")
    settings = _settings(name)
    click.echo(f"{name}: {'+'.join(settings.modalities)}\n")
    _print_parts(settings, chip_size or settings.chip_size)
    _print_memory(settings, chip_size or settings.training_chip_size)


def _print_parts(settings: "TrainConfig", chip_size: int) -> None:
    from rtsmap.network.cost import DETECTIONS, flop_by_part, meta_network, parameters_by_part

    # as many for a unit of area whatever the chips, as the detector does it
    proposals = round(settings.network.proposals * (chip_size / settings.chip_size) ** 2)
    network = meta_network(settings.network, settings.modalities, frozen=settings.freeze)
    flop = flop_by_part(network, chip_size, proposals=proposals)
    counts = parameters_by_part(network)
    rows: dict[str, tuple[int, ...]] = {part: (one.total, one.trainable, flop[part]) for part, one in counts.items()}
    rows["total"] = tuple(map(sum, zip(*rows.values(), strict=True)))
    click.echo(f"{'':<24}{'weights, M':>12}{'trainable, M':>14}{f'GFLOP at {chip_size} px':>19}")
    for part, (total, trainable, operations) in rows.items():
        click.echo(f"{part:<24}{total / 1e6:>12.2f}{trainable / 1e6:>14.2f}{operations / 1e9:>19.2f}")
    click.echo(f"GFLOP: with {proposals} proposals, and masks of {DETECTIONS} detections.", err=True)


def _print_memory(settings: "TrainConfig", chip_size: int) -> None:
    from functools import partial

    from rtsmap.network.cost import meta_network, training_memory

    build = partial(meta_network, settings.network, settings.modalities)
    trained = build()
    ways = {
        "backbones trained": trained,
        "backbones frozen": build(frozen=tuple(trained.backbone.bottom_up.backbones)),
        "trained, recompute": build(recompute=True),
    }
    if settings.freeze or settings.recompute:
        ways["as in the settings"] = build(frozen=settings.freeze, recompute=settings.recompute)
    columns = ("weights", "gradients", "moments", "activations", "total")
    click.echo(f"\n{f'MB to train at {chip_size} px':<24}" + "".join(f"{column:>13}" for column in columns))
    for way, network in ways.items():
        memory = training_memory(network, chip_size)
        click.echo(f"{way:<24}" + "".join(f"{getattr(memory, column) / 1e6:>13.0f}" for column in columns))
    click.echo(
        "MB: for one chip, in single precision, without losses, working memory and the averaged copy of the weights.",
        err=True,
    )


@models.command("import")
@click.argument("file", type=options.input_path)
@click.option("-o", "--output", required=True, type=options.output_folder, help="Folder to train from.")
@options.network
@click.option("--config", type=options.input_path, help="Training settings in TOML, instead of --network.")
@click.option("--modalities", metavar="NAME[,NAME...]", help="Of rgb, ndvi, nir, dem; if not given, the settings' own.")
@options.overwrite
def import_(
    file: Path, output: Path, network: str | None, config: Path | None, modalities: str | None, overwrite: bool
) -> None:
    """Import a published checkpoint, so that training starts from its weights.

    FILE is one of detectron2's MViTv2 or ResNet50, trained on ImageNet or as a detector on COCO, or EfficientNet-Lite's
    (docs/network.md): .pyth, .pth, .pt, .pkl or .safetensors, for RGB images. No code in it is run. The output folder
    receives the weights and training.toml, settings that start from them.

    \b
    Example:
      rtsmap models import MViTv2_T_in1k.pyth -o starts/mvitv2-t --network mvitv2-t
      rtsmap train end-to-end dataset -o runs/mine --config starts/mvitv2-t/training.toml
    """
    from rtsmap.errors import INSTALL_TORCH, ModelError
    from rtsmap.files.outputs import check_outputs
    from rtsmap.models import SETTINGS

    settings = _import_settings(network, config, modalities)
    try:
        from rtsmap.network.checkpoint import save_weights
        from rtsmap.network.pretrained import WEIGHTS, import_checkpoint
    except ImportError as error:
        raise ModelError(f"importing needs torch and detectron2 ({error}); {INSTALL_TORCH}") from error
    check_outputs(output / WEIGHTS, output / SETTINGS, overwrite=overwrite, inputs=[file, config])
    weights, report = import_checkpoint(file, settings)
    save_weights(weights, output / WEIGHTS)
    settings.model_copy(update={"start_from": str(output.resolve())}).to_toml(output / SETTINGS)
    click.echo(report.describe())
    click.echo(f"\nNext: rtsmap train end-to-end DATASET -o OUT --config {output / SETTINGS}", err=True)


def _import_settings(network: str | None, config: Path | None, modalities: str | None) -> "TrainConfig":
    """Training settings of an architecture or a file, for the modalities asked for."""
    if (network is None) == (config is None):
        raise click.UsageError("needs either --network or --config")
    from rtsmap.bands import MODALITY_CHANNELS
    from rtsmap.settings.network import PRESETS
    from rtsmap.settings.training import TrainConfig

    settings = TrainConfig.from_toml(config) if config else TrainConfig(network=PRESETS[network or "mini"])
    if modalities is None:
        return settings
    names = [name.strip() for name in modalities.split(",")]
    if set(names) - set(MODALITY_CHANNELS) or len(set(names)) < len(names):
        known = ", ".join(MODALITY_CHANNELS)
        raise click.BadParameter(f"{modalities!r} must name some of {known}, each once", param_hint="--modalities")
    freeze = [name for name in settings.freeze if name in names]
    return TrainConfig.model_validate({**settings.model_dump(), "modalities": names, "freeze": freeze})
