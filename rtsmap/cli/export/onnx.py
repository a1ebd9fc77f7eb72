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
    help="Precision of the stored weights. With fp16 and fp32 the network computes in single precision; with int8 it "
    "computes in 8 bits, which is faster on a CPU and gives slightly different results.",
)
@click.option(
    "--calibrate-on",
    type=options.input_path,
    metavar="SCENE|DATASET",
    help="Scene with slumps, or data set, on which int8 measures the ranges of values.",
)
@click.option(
    "--opset", type=click.IntRange(17, 20), default=17, show_default=True, help="Version of the ONNX operator set."
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
    """Write a model as an ONNX file that takes normalised pixels and returns boxes, scores and masks.

    MODEL is the name of a model or its folder. Without -o the file becomes part of the model: it is named in the
    model's card, and `rtsmap predict` uses it and does not need torch. The export itself needs torch.

    A network without attention accepts chips of any size; one with attention accepts only chips of the size in its
    card. Both accept any number of chips. The metadata of the file contain the card and the SHA-256 of the weights.

    With --precision int8, which is possible for networks with EfficientNet-Lite backbones, the command reports how
    much the detections differ from those in single precision on the chips of --calibrate-on. Evaluate the model on
    labelled images (`rtsmap evaluate chips`) before you use it.

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
    """A sentence that describes the agreement."""
    from rtsmap.network.quantising import COMPARED_FROM, SAME

    return (
        f"on {agreement.chips} chips, scores from {COMPARED_FROM:g} on: {agreement.single} detections in single "
        f"precision, {agreement.quantised} in 8 bits, {agreement.same} of them the same (overlap of at least "
        f"{SAME:g}; median {agreement.iou:.2f}), scores {agreement.score:.3f} apart"
    )
