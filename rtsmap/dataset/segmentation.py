"""Conversion of outlines to and from COCO's segmentations, and from masks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.transform import IDENTITY
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from rtsmap.geometry import polygon_parts
from rtsmap.records import BoolArray


def outline_of(segmentation: Sequence[Sequence[float]]) -> BaseGeometry:
    """Return the union of the rings of a COCO segmentation; see `segmentation_of`."""
    rings = [Polygon(np.reshape(ring, (-1, 2))) for ring in segmentation]
    if len(rings) == 1 and rings[0].is_valid:
        return rings[0]
    return shapely.union_all(shapely.make_valid(np.array(rings), method="structure", keep_collapsed=False))


def segmentation_of(outline: BaseGeometry) -> list[list[float]]:
    """Return a polygon as a COCO segmentation, a list of rings `[x0, y0, x1, y1, ...]` whose union is the polygon.

    COCO's rings have no holes, so a polygon with holes is cut through each hole into pieces without any.
    """
    pieces = (piece for polygon in polygon_parts(outline) for piece in _without_holes(polygon))
    return [[round(float(value), 3) for value in shapely.get_coordinates(p.exterior)[:-1].ravel()] for p in pieces]


def components(numbers: NDArray[Any], chosen: BoolArray, transform: Affine = IDENTITY) -> list[BaseGeometry]:
    """Return the 8-connected regions of equal numbers as polygons with holes.

    A region whose parts meet only at corners is a multipolygon, because no valid polygon has that shape.

    Args:
        numbers: `(rows, columns)`, of a type that GDAL can trace.
        chosen: `(rows, columns)`, true for the pixels that count.
        transform: from pixel coordinates to the coordinates of the regions.

    Raises:
        ValueError: GDAL cannot trace numbers of this type.
    """
    drawn = rasterio.features.shapes(numbers, mask=chosen, connectivity=8, transform=transform)
    regions: list[BaseGeometry] = [shapely.geometry.shape(geometry) for geometry, _ in drawn]
    return list(shapely.make_valid(np.array(regions, dtype=object), method="structure", keep_collapsed=False))


def outlines_of(mask: BoolArray) -> list[BaseGeometry]:
    """Return the 8-connected regions of a mask `(rows, columns)` in pixel coordinates; see `components`."""
    return components(mask.astype(np.uint8), mask)


def _without_holes(polygon: Polygon) -> list[Polygon]:
    if not polygon.interiors:
        return [polygon]
    left, bottom, right, top = polygon.bounds
    cut = polygon.interiors[0].centroid.x
    sides = (shapely.box(left - 1, bottom - 1, cut, top + 1), shapely.box(cut, bottom - 1, right + 1, top + 1))
    parts = (part for side in sides for part in polygon_parts(polygon.intersection(side)))
    return [piece for part in parts for piece in _without_holes(part)]
