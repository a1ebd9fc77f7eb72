"""The pixels of a data set one tile at a time, so that memory does not grow with its images, and its place on Earth."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from rtsmap.dataset.images import Dataset, LabelledImage
from rtsmap.dataset.pixels import pixels_of
from rtsmap.records import Pixels, Window

#: Longest side of a tile, px.
TILE_PX = 2048

#: NSIDC's EASE-Grid 2.0 of the northern hemisphere, equal-area: a common CRS of all sites. Its distances are wrong by
#: 1.5 % at 70 N and 3.5 % at 60 N, so that 1000 m may be 965 to 1035 m.
NORTH = CRS.from_epsg(6931)


def tiles(folder: Path, image: LabelledImage) -> Iterator[tuple[Window, Pixels]]:
    """All pixels of an image, tile after tile.

    Raises:
        DatasetError: the file cannot be read.
    """
    for row in range(0, image.height, TILE_PX):
        for column in range(0, image.width, TILE_PX):
            window = Window(row, column, min(TILE_PX, image.height - row), min(TILE_PX, image.width - column))
            yield window, pixels_of(folder, image, window)


def label_numbers(image: LabelledImage, window: Window) -> NDArray[np.int32]:
    """Number of the slump in each pixel of a window, from 1; 0 is background, -1 is ignored."""
    left, top, right, bottom = window.bounds
    box = shapely.box(left, top, right, bottom)
    shapes = [(area, -1) for area in image.ignored if area.intersects(box)]
    shapes += [(slump.outline, n) for n, slump in enumerate(image.slumps, start=1) if slump.outline.intersects(box)]
    if not shapes:
        return np.zeros((window.height, window.width), dtype=np.int32)
    moved = [(shapely.transform(shape, lambda points: points - (left, top)), number) for shape, number in shapes]
    burnt: NDArray[np.int32] = rasterio.features.rasterize(moved, (window.height, window.width), dtype=np.int32)
    return burnt


def north_outline(image: LabelledImage, outline: BaseGeometry) -> BaseGeometry:
    """An outline in pixel coordinates of an image that has a place, in `NORTH`."""
    assert image.transform is not None
    transformer = _to_north(image)
    a, b, c, d, e, f = tuple(image.transform)[:6]

    def moved(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = points.T
        return np.column_stack(transformer.transform(a * x + b * y + c, d * x + e * y + f))

    placed: BaseGeometry = shapely.transform(outline, moved)
    return placed


def footprints(dataset: Dataset) -> list[BaseGeometry | None]:
    """The rectangle of each image in `NORTH`; None where it has no place on the Earth."""
    return [
        north_outline(image, shapely.segmentize(shapely.box(0, 0, image.width, image.height), image.width / 4))
        if has_place(image)
        else None
        for image in dataset.images
    ]


def has_place(image: LabelledImage) -> bool:
    """Whether it is known where an image lies."""
    return image.crs is not None and image.transform is not None


def near_pairs(shapes: list[BaseGeometry | None], distance_m: float) -> list[tuple[int, int]]:
    """Pairs `(i, j)`, i < j, of shapes that are nearer than this to one another, in order."""
    known = [number for number, shape in enumerate(shapes) if shape is not None]
    placed = np.array([shape for shape in shapes if shape is not None], dtype=object)  # typed where there is none
    first, second = shapely.STRtree(placed).query(placed, predicate="dwithin", distance=distance_m)
    return sorted((known[i], known[j]) for i, j in zip(first, second, strict=True) if i < j)


_TRANSFORMERS: dict[str, Transformer] = {}


def _to_north(image: LabelledImage) -> Transformer:
    crs = str(image.crs)
    if crs not in _TRANSFORMERS:  # making one takes longer than most of its uses
        _TRANSFORMERS[crs] = Transformer.from_crs(crs, NORTH, always_xy=True)
    return _TRANSFORMERS[crs]
