"""Where the images of a data set lie on the Earth, and which of them are close to one another."""

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from rtsmap.dataset.images import Dataset, LabelledImage

#: NSIDC's EASE-Grid 2.0 of the northern hemisphere, equal-area: the common CRS of all sites. Its distances are
#: wrong by 1.5 % at 70 N and 3.5 % at 60 N, so that 1000 m may be 965 to 1035 m.
NORTH = CRS.from_epsg(6931)


def north_outline(image: LabelledImage, outline: BaseGeometry) -> BaseGeometry:
    """Project an outline from the pixel coordinates of a georeferenced image to `NORTH`."""
    assert image.transform is not None
    transformer = _to_north(image)
    a, b, c, d, e, f = tuple(image.transform)[:6]

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = points.T
        return np.column_stack(transformer.transform(a * x + b * y + c, d * x + e * y + f))

    projected: BaseGeometry = shapely.transform(outline, project)
    return projected


def footprints(dataset: Dataset) -> list[BaseGeometry | None]:
    """Return the rectangle of each image in `NORTH`, or None where the image is not georeferenced."""
    return [
        north_outline(image, shapely.segmentize(shapely.box(0, 0, image.width, image.height), image.width / 4))
        if is_georeferenced(image)
        else None
        for image in dataset.images
    ]


def is_georeferenced(image: LabelledImage) -> bool:
    """Whether an image has a CRS and a transform."""
    return image.crs is not None and image.transform is not None


def near_pairs(shapes: list[BaseGeometry | None], distance_m: float) -> list[tuple[int, int]]:
    """Return the sorted pairs `(i, j)`, i < j, of shapes that lie within a distance (m) of one another."""
    known = [number for number, shape in enumerate(shapes) if shape is not None]
    placed = np.array([shape for shape in shapes if shape is not None], dtype=object)  # typed, as it may be empty
    first, second = shapely.STRtree(placed).query(placed, predicate="dwithin", distance=distance_m)
    return sorted((known[i], known[j]) for i, j in zip(first, second, strict=True) if i < j)


_TRANSFORMERS: dict[str, Transformer] = {}


def _to_north(image: LabelledImage) -> Transformer:
    crs = str(image.crs)
    if crs not in _TRANSFORMERS:  # creating a transformer takes longer than most uses of it
        _TRANSFORMERS[crs] = Transformer.from_crs(crs, NORTH, always_xy=True)
    return _TRANSFORMERS[crs]
