"""Labelled scenes: a table of images and outlines, read into memory at the scenes' own resolution."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import rasterio.features
import shapely
from shapely.geometry.base import BaseGeometry

from rtsmap.errors import DatasetError
from rtsmap.polygons import read_polygons
from rtsmap.records import BoolArray, FloatArray
from rtsmap.scene import open_scene

COLUMNS = ("image", "labels", "site")


@dataclass(frozen=True)
class LabelledScene:
    """A scene with its slumps.

    Attributes:
        name: stem of the image's file name.
        site: scenes of one site never lie on both sides of a split.
        gsd_m: ground sampling distance of `reflectance`.
        reflectance: `(4, rows, columns)`.
        valid: `(rows, columns)`.
        slumps: outlines in pixel coordinates.
    """

    name: str
    site: str
    gsd_m: float
    reflectance: FloatArray
    valid: BoolArray
    slumps: tuple[BaseGeometry, ...]


def read_table(table: Path, without: Sequence[str] = ()) -> list[LabelledScene]:
    """Read every scene of a CSV table with the columns image, labels and site; paths are relative to the table.

    Args:
        table: labels are polygons in any format that GDAL reads, or a mask GeoTIFF where 1 is slump.
        without: sites to leave out.

    Raises:
        InputError: the table or one of its files is missing or wrong, or nothing is left to train on.
    """
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise DatasetError(f"{table}: cannot be read ({error.strerror})") from error
    if not rows or set(COLUMNS) - set(rows[0]):
        raise DatasetError(f"{table}: needs a header and the columns {', '.join(COLUMNS)}")
    sites = {row["site"] for row in rows}
    if unknown := set(without) - sites:
        raise DatasetError(f"{table}: has no site {', '.join(sorted(unknown))}; it has {', '.join(sorted(sites))}")
    kept = [row for row in rows if row["site"] not in without]
    scenes = [read_scene(table.parent / row["image"], table.parent / row["labels"], row["site"]) for row in kept]
    if not any(scene.slumps for scene in scenes):
        raise DatasetError(f"{table}: no slump is left to train on")
    return scenes


def read_scene(image: Path, labels: Path, site: str) -> LabelledScene:
    """Read one scene and its labels."""
    with open_scene(str(image)) as scene:
        pixels = scene.read(scene.grid.window)
        to_pixel = ~scene.grid.transform
        outlines = (
            _polygons_of_mask(labels)
            if labels.suffix in {".tif", ".tiff"}
            else list(read_polygons(labels, scene.grid.crs).explode().geometry)
        )
        slumps = shapely.transform(outlines, lambda points: np.column_stack(to_pixel @ points.T))
        return LabelledScene(
            image.stem, site, scene.info.gsd_m, pixels.reflectance, pixels.clear, tuple(np.atleast_1d(slumps))
        )


def _polygons_of_mask(path: Path) -> list[BaseGeometry]:
    try:
        with rasterio.open(path) as dataset:
            mask = dataset.read(1)
            shapes = rasterio.features.shapes(mask, mask=mask == 1, connectivity=8, transform=dataset.transform)
            return [shapely.geometry.shape(geometry) for geometry, _ in shapes]
    except rasterio.errors.RasterioIOError as error:
        raise DatasetError(f"{path}: cannot be read as a mask ({error})") from error
