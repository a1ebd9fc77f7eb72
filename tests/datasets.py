"""Small data sets on disk for tests: bare, bright slumps on tundra."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine

from rtsmap.bands import BANDS
from rtsmap.dataset import Dataset, Label, LabelledImage, read_dataset
from rtsmap.dataset.writer import writing_dataset
from rtsmap.records import Pixels

#: Outlines of the slumps of every image, px.
SLUMPS = (shapely.box(20, 20, 36, 32), shapely.box(48, 40, 58, 60))

#: Reflectance of blue, green, red, NIR.
TUNDRA, BARE = (0.04, 0.06, 0.06, 0.26), (0.09, 0.1, 0.12, 0.13)


def labelled_image(name: str = "here-0", *, size: int = 64, x: float = 500_000, **changes: Any) -> LabelledImage:
    """An image of 10 m near 67.6 N with two slumps, whose left edge has this coordinate, m."""
    site = name.split("-", maxsplit=1)[0]
    image = LabelledImage(
        name,
        "",
        site,
        f"scene-{name}",
        size,
        size,
        10.0,
        slumps=tuple(Label(outline) for outline in SLUMPS),
        acquired=date(2021, 7, 14),
        crs="EPSG:32651",
        transform=Affine(10, 0, x, 0, -10, 7_500_000),
    )
    return replace(image, **changes)


def pixels_with(image: LabelledImage, seed: int = 0, gain: float = 1.0) -> Pixels:
    """Return pixels of tundra with bare ground inside the slumps of an image, all of them valid."""
    rng = np.random.default_rng(seed)
    shape = (image.height, image.width)
    reflectance = rng.normal(np.reshape(TUNDRA, (4, 1, 1)), 0.002, (4, *shape)).astype(np.float32)
    for slump in image.slumps:
        left, top, right, bottom = (max(0, int(value)) for value in slump.outline.bounds)
        reflectance[:, top:bottom, left:right] = np.reshape(BARE, (4, 1, 1))
    missing = [band not in image.bands for band in BANDS]
    reflectance[missing] = 0
    valid = np.ones(shape, dtype=bool)
    return Pixels(reflectance * np.float32(gain), valid, valid)


def write_images(folder: Path, images: Sequence[LabelledImage], *, gain: float = 1.0, **options: Any) -> Dataset:
    """Write images with `pixels_with` their slumps; options are those of `writing_dataset`."""
    with writing_dataset(folder, "a test", **options) as writer:
        for number, image in enumerate(images):
            writer.add(image, pixels_with(image, number, gain))
    return read_dataset(folder)


def write_dataset(
    folder: Path,
    sites: Sequence[str] = ("taimyr", "yamal"),
    *,
    per_site: int = 2,
    empty: int = 0,
    size: int = 64,
    apart_m: float = 5_000,
    shard_size: int = 0,
    **changes: Any,
) -> Dataset:
    """Write a data set of several sites, 100 km apart.

    Args:
        folder: of the data set.
        sites: their names, without a dash.
        per_site: images `<site>-0`, `<site>-1`, ..., each from a separate scene.
        empty: that many of them, the last ones, have no slump.
        size: px of 10 m.
        apart_m: from the left edge of an image to that of the next.
        shard_size: as in `writing_dataset`.
        **changes: of all images, such as `bands` or `slumps`, or `crs=None, transform=None`.
    """
    images = []
    for place, site in enumerate(sites):
        for number in range(per_site):
            image = labelled_image(f"{site}-{number}", size=size, x=300_000 + 100_000 * place + apart_m * number)
            none = {"slumps": ()} if number >= per_site - empty else {}
            images.append(replace(image, **{**changes, **none}))
    return write_images(folder, images, shard_size=shard_size)
