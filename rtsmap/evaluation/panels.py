"""Figures of sample images with labels and the predictions of several models side by side."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rtsmap.dataset.images import Dataset, LabelledImage
from rtsmap.dataset.pixels import pixels_of
from rtsmap.errors import DatasetError
from rtsmap.evaluation.predictions import Prediction
from rtsmap.figures import drawing
from rtsmap.geometry import polygon_rings
from rtsmap.preview import natural_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABEL, _PREDICTION = "#ff2020", "#2090ff"
_SIDE_INCHES = 2.6


def choose_images(dataset: Dataset, count: int, seed: int = 0) -> list[LabelledImage]:
    """Choose images with slumps, from all sites in turn and at random within a site.

    Args:
        dataset: the data set.
        count: greatest number of images.
        seed: seed of the random choice.

    Raises:
        DatasetError: no image holds a slump.
    """
    by_site: dict[str, list[LabelledImage]] = defaultdict(list)
    for image in dataset.images:
        if image.slumps:
            by_site[image.site].append(image)
    if not by_site:
        raise DatasetError(f"{dataset.folder}: no image holds a slump")
    rng = np.random.default_rng(seed)
    piles = [[images[k] for k in rng.permutation(len(images))] for _, images in sorted(by_site.items())]
    turns = max(len(pile) for pile in piles)
    chosen = [pile[turn] for turn in range(turns) for pile in piles if turn < len(pile)][:count]
    return sorted(chosen, key=lambda image: (image.site, image.name))


def write_panels(
    path: Path,
    dataset: Dataset,
    images: Sequence[LabelledImage],
    models: Mapping[str, Mapping[str, Sequence[Prediction]]],
    scores: Mapping[str, float],
    *,
    overwrite: bool = True,
) -> None:
    """Draw a row for each image and a column for each model, outlines over natural colours.

    Args:
        path: path of the PNG.
        dataset: the data set of the images.
        images: the images, at least one.
        models: predictions by the name of the image, by the name of the model.
        scores: least score of the predictions that are drawn, by the name of the model.
        overwrite: replace an existing file.

    Raises:
        DatasetError: an image cannot be read, or the predictions of a model do not cover it.
        OutputError: the figure cannot be written.
    """
    size = len(models) * _SIDE_INCHES + 0.5, len(images) * _SIDE_INCHES + 0.7
    with drawing(path, size, overwrite=overwrite) as figure:
        from matplotlib.lines import Line2D  # noqa: PLC0415  (slow to import, and only needed here)

        axes = figure.subplots(len(images), len(models), squeeze=False)
        for row, image in zip(axes, images, strict=True):
            picture = natural_colours(pixels_of(dataset.folder, image))
            for panel, (name, predictions) in zip(row, models.items(), strict=True):
                outlines = [one.outline for one in _of_image(name, predictions, image) if one.score >= scores[name]]
                _draw_panel(panel, picture, [slump.outline for slump in image.slumps], outlines)
                if image is images[0]:
                    panel.set_title(f"{name}\n(score from {scores[name]:g})", fontsize=9)
            row[0].set_ylabel(f"{_shortened(image.name)}\n{image.site}", fontsize=8)
        handles = [Line2D([], [], color=colour) for colour in (_LABEL, _PREDICTION)]
        figure.legend(
            handles, ["ground truth", "prediction"], loc="outside lower center", ncols=2, fontsize=8, frameon=False
        )


def covered_by_all(dataset: Dataset, models: Mapping[str, Mapping[str, object]]) -> Dataset:
    """Return the data set with only the images that the predictions of all models cover.

    Raises:
        DatasetError: there is no such image.
    """
    images = tuple(one for one in dataset.images if all(one.name in predictions for predictions in models.values()))
    if not images:
        raise DatasetError(f"{dataset.folder}: no image is covered by the predictions of all of {', '.join(models)}")
    return replace(dataset, images=images)


def _of_image(
    model: str, predictions: Mapping[str, Sequence[Prediction]], image: LabelledImage
) -> Sequence[Prediction]:
    if image.name not in predictions:
        raise DatasetError(f"the predictions of {model} do not cover the image {image.name}")
    return predictions[image.name]


def _draw_panel(
    axes: "Axes", picture: NDArray[np.uint8], labels: Iterable[BaseGeometry], predictions: Iterable[BaseGeometry]
) -> None:
    height, width = picture.shape[:2]
    axes.imshow(picture, extent=(0, width, height, 0), interpolation="nearest")
    for outlines, colour in ((labels, _LABEL), (predictions, _PREDICTION)):
        for ring in (ring for outline in outlines for ring in polygon_rings(outline)):
            axes.plot(*shapely.get_coordinates(ring).T, color=colour, linewidth=1.1)
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])


def _shortened(name: str, length: int = 32) -> str:
    return name if len(name) <= length else f"{name[: length // 2 - 1]}...{name[-length // 2 + 2 :]}"
