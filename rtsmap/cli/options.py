"""Options that have the same meaning in every command."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

#: No chip is larger, px; `rtsmap.settings.card` has the same bound, and a test compares them.
LARGEST_CHIP = 16_384


class Real(click.FloatRange):
    """A finite number within bounds; `nan` and `inf` are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse, and refuse what is not finite or out of bounds."""
        number = click.FLOAT.convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return float(super().convert(number, param, ctx))


class NamedPath(click.Path):
    """A path with a UTF-8 name; other names cannot be written into a layer or a record."""

    def convert(self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check as click does, and the name."""
        name = os.fspath(value)
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            shown = name.encode("utf-8", "backslashreplace").decode("utf-8")
            self.fail(f"the name {shown} is not UTF-8; rename the file", param, ctx)
        return super().convert(value, param, ctx)


share = Real(0, 1)
not_negative = Real(0)
positive = Real(0, min_open=True)
pixel_m = Real(0.1, 1000)
chip_px = click.IntRange(32, LARGEST_CHIP)
overlap_px = click.IntRange(0, LARGEST_CHIP)

model = click.option(
    "--model",
    default="rts-mini",
    show_default=True,
    metavar="NAME|DIR",
    help="Name of a model that comes with rtsmap, or folder of a model.",
)
device = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Device on which the network runs; auto uses a GPU if there is one.",
)
runtime = click.option(
    "--runtime",
    type=click.Choice(["auto", "onnx", "torch"]),
    default="auto",
    show_default=True,
    help="Library that computes the network; auto uses ONNX Runtime if the model has an ONNX file for this chip size, "
    "else torch.",
)
tta = click.option(
    "--tta",
    "--flips",
    "tta",
    type=click.Choice(["1", "4", "8"]),
    default="1",
    show_default=True,
    callback=lambda _context, _parameter, value: int(value),
    help="Test-time augmentation: detect slumps in each chip (1), also in its mirror images (4), also in these turned "
    "by 90 degrees (8), and average the detections. Time grows with the number. --flips is the former name.",
)
dem = click.option(
    "--dem",
    metavar="FILE",
    help="Elevation model in metres (ArcticDEM, Copernicus DEM), for models that use the terrain.",
)
overwrite = click.option(
    "--overwrite",
    is_flag=True,
    help="Replace existing outputs. A folder is replaced with all its contents, but only if it is a data set and holds "
    "nothing else.",
)


class BandNumbers(click.ParamType[dict[str, int]]):
    """`blue=1,green=2,red=3,nir=4`, numbers counted from 1.

    Args:
        needed: bands that must be there.
        others: bands that may.
    """

    def __init__(self, needed: Sequence[str] = ("blue", "green", "red", "nir"), others: Sequence[str] = ()) -> None:
        self.needed, self.others = needed, others
        self.name = ",".join(f"{band}=N" for band in needed) + (",..." if others else "")

    def convert(
        self, value: str | dict[str, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, int]:
        """Parse, and refuse what is missing, unknown or not a number."""
        if isinstance(value, dict):
            return value
        known = [*self.needed, *self.others]
        try:
            numbers = {name.strip(): int(number) for name, number in (part.split("=") for part in value.split(","))}
        except ValueError:
            example = ",".join(f"{band}={number}" for number, band in enumerate(known, start=1))
            self.fail(f"{value!r} does not look like {example}", param, ctx)
        if not set(self.needed) <= set(numbers) <= set(known) or min(numbers.values()) < 1:
            also = f", and may for {', '.join(self.others)}" if self.others else ""
            self.fail(f"{value!r} must give a number from 1 for each of {', '.join(self.needed)}{also}", param, ctx)
        return numbers


MASK_CLASSES = ("snow", "shadow", "light_haze", "heavy_haze", "cloud")


class MaskClasses(click.ParamType[tuple[str, ...]]):
    """Names of classes of a cloud mask separated by commas, or none."""

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

network = click.option(
    "--network",
    type=click.Choice(NETWORKS),
    help="Architecture of the network; all other settings keep their defaults.",
)
MODALITIES = ("rgb", "ndvi", "nir", "dem")
FUSIONS = (
    "convolution",
    "stacked",
    "cross",
    "residual_convolution",
    "residual_stacked",
    "residual_cross",
)

output_path = NamedPath(dir_okay=False, path_type=Path)
output_folder = NamedPath(file_okay=False, path_type=Path)
input_path = NamedPath(path_type=Path)

aoi = click.option("--aoi", type=input_path, metavar="FILE", help="Map only inside the polygons of this file.")
aoi_layer = click.option("--aoi-layer", metavar="NAME", help="Layer of the file of --aoi, if it has several.")
labels_layer = click.option("--layer", metavar="NAME", help="Layer of the file of labels, if it has several.")


mask = click.option(
    "--mask",
    type=MaskClasses(),
    default=("cloud", "heavy_haze", "shadow"),
    help="Classes of the cloud mask that are excluded from the observed area: snow, shadow, light_haze, heavy_haze, "
    "cloud, or none."
    "  [default: cloud,heavy_haze,shadow]",
)
bands = click.option(
    "--bands", type=BandNumbers(), help="Band numbers, counted from 1, of a scene that does not name its bands."
)
scale = click.option(
    "--scale", type=positive, help="Reflectance per digital number, such as 1e-4.  [default: that of the product]"
)
offset = click.option(
    "--offset",
    type=Real(-10, 10),
    help="Reflectance of the digital number 0, such as -0.1 for Sentinel-2 since baseline 04.00."
    "  [default: that of the product, or 0]",
)
