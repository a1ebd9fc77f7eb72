"""Options that mean the same in every command."""

from pathlib import Path

import click

model = click.option(
    "--model", default="rts-mini", show_default=True, metavar="NAME|DIR", help="A model's name, or its folder."
)
device = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the network runs; auto takes a GPU when there is one.",
)
overwrite = click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")


class BandNumbers(click.ParamType[dict[str, int]]):
    """`blue=1,green=2,red=3,nir=4`, numbers counted from 1."""

    name = "blue=N,green=N,red=N,nir=N"

    def convert(
        self, value: str | dict[str, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, int]:
        """Parse, and refuse what is missing, unknown or not a number."""
        if isinstance(value, dict):
            return value
        try:
            numbers = {name.strip(): int(number) for name, number in (part.split("=") for part in value.split(","))}
        except ValueError:
            self.fail(f"{value!r} does not look like blue=1,green=2,red=3,nir=4", param, ctx)
        if set(numbers) != {"blue", "green", "red", "nir"} or min(numbers.values()) < 1:
            self.fail(f"{value!r} must give a number from 1 for each of blue, green, red, nir", param, ctx)
        return numbers


MASK_CLASSES = ("snow", "shadow", "light_haze", "heavy_haze", "cloud")


class MaskClasses(click.ParamType[tuple[str, ...]]):
    """Names of UDM2 classes separated by commas, or none."""

    name = "CLASS[,CLASS...]|none"

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Parse, and refuse unknown classes."""
        if isinstance(value, tuple):
            return value
        names = () if value == "none" else tuple(part.strip().replace("-", "_") for part in value.split(","))
        if unknown := set(names) - set(MASK_CLASSES):
            self.fail(
                f"unknown {', '.join(sorted(unknown))}; choose from {', '.join(MASK_CLASSES)} or none", param, ctx
            )
        return names


NETWORKS = ("mini", "mvitv2-t", "mvitv2-s", "mvitv2-b", "resnet50", "efficientnet-lite0", "efficientnet-lite2")

network = click.option("--network", type=click.Choice(NETWORKS), help="Architecture; other settings as by default.")
MODALITIES = ("rgb", "ndvi", "nir")
FUSIONS = (
    "convolution",
    "stacked",
    "cross",
    "residual_convolution",
    "residual_stacked",
    "residual_cross",
)

output_path = click.Path(dir_okay=False, path_type=Path)
input_path = click.Path(path_type=Path)
