"""`rtsmap demo`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtsmap.cli import options

if TYPE_CHECKING:
    from rtsmap.detector import Runtime


@click.command()
@click.option(
    "-o",
    "--output",
    type=options.output_folder,
    default=Path("demo"),
    show_default=True,
    help="Folder to write slumps.gpkg and preview.png into.",
)
@options.model
@options.device
@options.runtime
@options.overwrite
def demo(output: Path, model: str, device: str, runtime: "Runtime", overwrite: bool) -> None:
    """Map the slumps of an example scene that comes with rtsmap.

    The scene is a part of a Sentinel-2 image, 39 km2 in western Taimyr. The slumps that are found are compared with
    published outlines.

    \b
    Example:
      rtsmap demo
    """
    from rtsmap.cli import predict
    from rtsmap.demo import SITE, example_folder
    from rtsmap.evaluation.map_scores import evaluate_files
    from rtsmap.files.outputs import check_outputs
    from rtsmap.models import find_model, model_files, verify
    from rtsmap.predict.detector import assemble
    from rtsmap.predict.options import Options
    from rtsmap.runtime.batching import fitting

    folder, card = find_model(model)
    verify(folder, card)
    layer, preview = output / "slumps.gpkg", output / "preview.png"
    check_outputs(layer, preview, overwrite=overwrite, inputs=[example_folder(), *model_files(folder, card)])
    resolved = Options(mask=()).for_model(card)  # the scene is a cloudless part of a product, without a cloud mask
    execution = fitting(device, resolved.chip_size)
    detector = assemble(folder, card, resolved, execution, device=device, runtime=runtime)
    scene = str(example_folder() / "taimyr.tif")
    predict.map_to_layer((scene,), detector, output=layer, preview=preview, overwrite=overwrite, command="rtsmap demo")
    result = evaluate_files(layer, example_folder() / "published_slumps.gpkg")
    trained = "was trained on this site" if SITE in card.sites_trained_on else "was not trained on this site"
    click.echo(
        f"{result.matched} of {result.labels} published slumps found (IoU 0.5), "
        f"{result.predictions - result.matched} outlines match none; {card.name} {card.version} {trained}"
    )
    click.echo(
        "\nNext:\n"
        f"  look at {preview}\n"
        f"  open {layer} in QGIS (layer thaw_slumps, which has its own style)\n"
        "  map your own scene: rtsmap predict SCENE -o slumps.gpkg\n"
        "  read about the fields: docs/guide/layer.md",
        err=True,
    )
