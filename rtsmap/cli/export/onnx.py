"""`rtsmap export onnx`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options

if TYPE_CHECKING:
    from rtsmap.network.exporting import Precision

FILE = "model.onnx"


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
    type=click.Choice(["fp16", "fp32"]),
    default="fp16",
    show_default=True,
    help="How weights are stored; both are computed with in single precision.",
)
@click.option(
    "--opset", type=click.IntRange(17, 20), default=17, show_default=True, help="Version of ONNX's operators."
)
@options.overwrite
def onnx(model: str, output: Path | None, precision: "Precision", opset: int, overwrite: bool) -> None:
    """Write a model as one ONNX file: normalised pixels in; boxes, scores and masks out.

    MODEL is a model's name, or its folder. Without -o the file becomes part of the model: its card names it, and
    `rtsmap predict` uses it, without torch. The export itself needs torch.

    Networks of convolutions alone take chips of any size; those with attention only chips of the card's size. The
    number of chips is free in both. The file's metadata hold the card and the SHA-256 of the weights.

    \b
    Examples:
      rtsmap export onnx rts-mini --overwrite
      rtsmap export onnx runs/mine -o mine.onnx --precision fp32
    """
    from rtsmap.errors import INSTALL_TORCH, ModelError
    from rtsmap.files import check_writable, replacing, sha256
    from rtsmap.models import CARD, find_model, verify

    try:
        from rtsmap.network.exporting import export_onnx, fixed_size
    except ImportError as error:
        raise ModelError(f"exporting needs torch, detectron2 and onnx ({error}); {INSTALL_TORCH}") from error
    folder, card = find_model(model)
    card = card.model_copy(update={"onnx": None})  # an older file is no longer of interest
    verify(folder, card)
    target = output or folder / FILE
    check_writable(target, overwrite=overwrite)
    content = export_onnx(folder, card, precision=precision, opset=opset)
    with replacing(target) as temporary:
        temporary.write_bytes(content)
    size = fixed_size(card)
    if output is None:
        file = {"file": FILE, "sha256": sha256(target), "chip_size": size}
        card.updated(onnx=file).to_toml(folder / CARD)
    click.echo(f"{len(content) / 1e6:.1f} MB, chips of {f'{size} px' if size else 'any size'} -> {target}")
    if output is None:
        click.echo(f"\nNext: rtsmap predict SCENE -o slumps.gpkg --model {model}", err=True)
