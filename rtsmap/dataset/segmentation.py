"""Outlines in COCO's form, and out of masks."""

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

from rtsmap.records import BoolArray


def outline_of(segmentation: Sequence[Sequence[float]]) -> BaseGeometry:
    """The union of COCO's rings; see `segmentation_of`."""
    rings = [Polygon(np.reshape(ring, (-1, 2))) for ring in segmentation]
    if len(rings) == 1 and rings[0].is_valid:
        return rings[0]
    return shapely.union_all(shapely.make_valid(np.array(rings), method="structure", keep_collapsed=False))


def segmentation_of(outline: BaseGeometry) -> list[list[float]]:
    """A polygon in COCO's form, a list of rings `[x0, y0, x1, y1, ...]` whose union it is.

    COCO's rings have no holes: a polygon with some is cut through each of them, into pieces without.
    """
    polygons = shapely.get_parts(shapely.get_parts(outline))  # twice: a collection may hold a MultiPolygon
    pieces = (piece for polygon in polygons for piece in _without_holes(polygon))
    return [[round(float(value), 3) for value in shapely.get_coordinates(p.exterior)[:-1].ravel()] for p in pieces]


def components(numbers: NDArray[Any], chosen: BoolArray, transform: Affine = IDENTITY) -> list[BaseGeometry]:
    """Regions of equal numbers whose pixels touch by a side or a corner, with their holes.

    A region whose parts meet only at corners is a multipolygon, since a valid polygon cannot be so.

    Args:
        numbers: `(rows, columns)`, of a type that GDAL can trace.
        chosen: pixels that count.
        transform: from pixels to the coordinates of the regions.

    Raises:
        ValueError: GDAL cannot trace numbers of this type.
    """
    drawn = rasterio.features.shapes(numbers, mask=chosen, connectivity=8, transform=transform)
    regions: list[BaseGeometry] = [shapely.geometry.shape(geometry) for geometry, _ in drawn]
    return list(shapely.make_valid(np.array(regions, dtype=object), method="structure", keep_collapsed=False))


def outlines_of(mask: BoolArray) -> list[BaseGeometry]:
    """The components of a mask, in pixel coordinates; see `components`."""
    return components(mask.astype(np.uint8), mask)


def _without_holes(polygon: Polygon) -> list[Polygon]:
    if not isinstance(polygon, Polygon) or polygon.is_empty:
        return []
    if not polygon.interiors:
        return [polygon]
    left, bottom, right, top = polygon.bounds
    cut = polygon.interiors[0].centroid.x
    sides = (shapely.box(left - 1, bottom - 1, cut, top + 1), shapely.box(cut, bottom - 1, right + 1, top + 1))
    parts = (part for side in sides for part in shapely.get_parts(polygon.intersection(side)))
    return [piece for part in parts for piece in _without_holes(part)]
