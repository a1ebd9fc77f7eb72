"""`rtsmap export onnx`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options

if TYPE_CHECKING:
    from rtsmap.network.quantising import Agreement
    from rtsmap.settings.card import ModelCard

FILE = "model.onnx"

CHIPS = 32  # to calibrate on; of those of an open data set half hold something that looks like a slump


@click.command()
@click.argument("model", metavar="MODEL")
@click.option(
    "-o",
    "--output",
    type=options.output_path,
    help="File to write.  [default: model.onnx in the model's folder, and into its card]",
)
@click.option(
    "--precision",
    type=click.Choice(["fp16", "fp32", "int8"]),
    default="fp16",
    show_default=True,
    help="How weights are stored. The first two are computed with in single precision; int8 in 8 bits, which is faster "
    "on a CPU and not quite the same.",
)
@click.option(
    "--calibrate-on",
    type=options.input_path,
    metavar="SCENE|DATASET",
    help="What int8 measures the range of numbers on: any scene with slumps, or a data set.",
)
@click.option(
    "--opset", type=click.IntRange(17, 20), default=17, show_default=True, help="Version of ONNX's operators."
)
@options.overwrite
def onnx(
    model: str,
    output: Path | None,
    precision: str,
    calibrate_on: Path | None,
    opset: int,
    overwrite: bool,
) -> None:
    """Write a model as one ONNX file: normalised pixels in; boxes, scores and masks out.

    MODEL is a model's name, or its folder. Without -o the file becomes part of the model: its card names it, and
    `rtsmap predict` uses it, without torch. The export itself needs torch.

    Networks of convolutions alone take chips of any size; those with attention only chips of the card's size. The
    number of chips is free in both. The file's metadata hold the card and the SHA-256 of the weights.

    With --precision int8, for networks on EfficientNet-Lite, the command says how far detections are from those in
    single precision, on the chips that it calibrates on. Score the model on labelled images
    (`rtsmap evaluate chips`) before you trust it.

    \b
    Examples:
      rtsmap export onnx rts-mini --overwrite
      rtsmap export onnx runs/mine -o mine.onnx --precision fp32
      rtsmap export onnx runs/mine --overwrite --precision int8 --calibrate-on dataset
    """
    from rtsmap.dataset.folder_contents import dataset_files
    from rtsmap.errors import INSTALL_TORCH, ModelError
    from rtsmap.files.outputs import check_outputs
    from rtsmap.files.writing import replacing, sha256
    from rtsmap.models import CARD, find_model, model_files, verify

    if (precision == "int8") != (calibrate_on is not None):
        raise click.UsageError("--precision int8 and --calibrate-on SCENE|DATASET go together.")
    try:
        from rtsmap.network.exporting import export_onnx, fixed_size
    except ImportError as error:
        raise ModelError(f"exporting needs torch, detectron2 and onnx ({error}); {INSTALL_TORCH}") from error
    folder, card = find_model(model)
    card = card.model_copy(update={"onnx": None})  # an older file is no longer of interest
    verify(folder, card)
    target = output or folder / FILE
    read = [*model_files(folder, card), *([*dataset_files(calibrate_on), calibrate_on] if calibrate_on else [])]
    check_outputs(target, overwrite=overwrite, inputs=read)
    if calibrate_on:
        content, agreement = _in_8_bits(folder, card, calibrate_on, opset)
        click.echo(_in_words(agreement))
    else:
        content = export_onnx(folder, card, precision="fp32" if precision == "fp32" else "fp16", opset=opset)
    with replacing(target, overwrite=overwrite) as temporary:
        temporary.write_bytes(content)
    size = fixed_size(card)
    if output is None:
        file = {"file": FILE, "sha256": sha256(target), "chip_size": size}
        card.updated(onnx=file).to_toml(folder / CARD)
    click.echo(f"{len(content) / 1e6:.1f} MB, chips of {f'{size} px' if size else 'any size'} -> {target}")
    if output is None:
        click.echo(f"\nNext: rtsmap predict SCENE -o slumps.gpkg --model {model}", err=True)


def _in_8_bits(folder: Path, card: "ModelCard", calibrate_on: Path, opset: int) -> "tuple[bytes, Agreement]":
    from rtsmap.evaluation.chip_sampling import sample_chips
    from rtsmap.network.quantising import export_int8

    return export_int8(folder, card, sample_chips(calibrate_on, card, CHIPS), opset=opset)


def _in_words(agreement: "Agreement") -> str:
    """What it is in words."""
    from rtsmap.network.quantising import COMPARED_FROM, SAME

    return (
        f"on {agreement.chips} chips, scores from {COMPARED_FROM:g} on: {agreement.single} detections in single "
        f"precision, {agreement.quantised} in 8 bits, {agreement.same} of them the same (overlap of at least "
        f"{SAME:g}; median {agreement.iou:.2f}), scores {agreement.score:.3f} apart"
    )
