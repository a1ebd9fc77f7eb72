"""The area that the images of a data set observe, in which each part of a scene counts once."""

from collections.abc import Mapping, Sequence

import numpy as np
import rasterio.features
import shapely
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from rtsmap.dataset.images import Dataset, LabelledImage
from rtsmap.dataset.pixels import pixels_of
from rtsmap.evaluation.matching import Indices
from rtsmap.evaluation.predictions import Prediction
from rtsmap.evaluation.rates import EvaluatedArea


def evaluated_area_of(
    dataset: Dataset, predictions: Mapping[str, Sequence[Prediction]], units: Indices
) -> EvaluatedArea:
    """Measure the area that images observe: their valid pixels outside ignored areas.

    Where images of one scene overlap, only the first of them counts. Ground that two scenes show counts twice, as do
    its slumps and the false predictions on it. The overlap of images that are not georeferenced is unknown, so each of
    them counts completely.

    Args:
        dataset: the k images, whose pixels are read.
        predictions: predictions of every image by the name of the image, in the order of the comparison.
        units: `(k,)`, the unit that the bootstrap draws for each image; see `Comparison`.

    Raises:
        DatasetError: an image cannot be read.
    """
    earlier: dict[tuple[str, str | None], list[LabelledImage]] = {}
    km2, once = [], []
    for image in dataset.images:
        before = earlier.setdefault((image.scene, image.crs), [])
        own = _own_part(image, before)
        km2.append(_observed_km2(dataset, image, own))
        points = shapely.point_on_surface([one.outline for one in predictions[image.name]])
        once.append(shapely.intersects(points, own))
        before.append(image)
    return EvaluatedArea(np.array(km2), units, np.concatenate([np.empty(0, dtype=np.bool_), *once]))


def _own_part(image: LabelledImage, before: Sequence[LabelledImage]) -> BaseGeometry:
    """Return the part of an image, in its pixel coordinates, that no earlier image shows."""
    whole = shapely.box(0, 0, image.width, image.height)
    if image.transform is None:
        return whole
    back = ~image.transform
    others = [
        affine_transform(shapely.box(0, 0, one.width, one.height), (back @ one.transform).to_shapely())
        for one in before
        if one.transform is not None
    ]
    own: BaseGeometry = whole.difference(shapely.union_all([one for one in others if one.intersects(whole)]))
    return own


def _observed_km2(dataset: Dataset, image: LabelledImage, own: BaseGeometry) -> float:
    """Return the area in km2 of the valid pixels in a part of an image, outside ignored areas."""
    part = own.difference(shapely.union_all(list(image.ignored)))
    if part.is_empty:
        return 0.0
    inside = rasterio.features.rasterize([part], out_shape=(image.height, image.width), dtype="uint8")
    seen = pixels_of(dataset.folder, image).valid & inside.astype(np.bool_)
    return float(np.count_nonzero(seen)) * image.gsd_m**2 / 1e6
