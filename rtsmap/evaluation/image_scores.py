"""Scoring predictions in the images of a data set."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rtsmap.dataset.images import Dataset
from rtsmap.errors import DatasetError
from rtsmap.evaluation.evaluated_area import evaluated_area_of
from rtsmap.evaluation.matching import Bools, Comparison, compare, joined
from rtsmap.evaluation.precision import RESAMPLES, best_threshold
from rtsmap.evaluation.predictions import Prediction
from rtsmap.evaluation.rates import EvaluatedArea
from rtsmap.evaluation.report import Group, Report, by_size, report_of

#: Images of one scene are not independent, so the bootstrap draws scenes. At sites with fewer scenes than this, such
#: draws would be too coarse for an interval; there it draws images, which makes the interval too narrow.
MIN_SCENES = 10


def covered(dataset: Dataset, predictions: Mapping[str, object], *, partly: bool = False) -> Dataset:
    """Return the data set with only the images that predictions cover.

    Args:
        dataset: the data set.
        predictions: predictions by the name of the image.
        partly: leave out images that are not covered; otherwise they are an error.

    Raises:
        DatasetError: an image is not covered, or none is.
    """
    images = tuple(image for image in dataset.images if image.name in predictions)
    missing = [image.name for image in dataset.images if image.name not in predictions]
    if missing and not partly:
        raise DatasetError(
            f"{dataset.folder}: no file covers {len(missing)} of {len(dataset.images)} images, such as {missing[0]}; "
            "give the files of all folds, or choose sites or folds with --only"
        )
    if not images:
        raise DatasetError(f"{dataset.folder}: the files cover none of the chosen images")
    return replace(dataset, images=images)


def best_score(dataset: Dataset, predictions: Mapping[str, Sequence[Prediction]]) -> float:
    """Return the score threshold of the highest F1, in the images that the predictions cover."""
    comparison = compare_images(covered(dataset, predictions, partly=True), predictions)
    return best_threshold(comparison.scores, comparison.match(0.5))[0]


def compare_images(dataset: Dataset, predictions: Mapping[str, Sequence[Prediction]]) -> Comparison:
    """Compare the predictions of every image with its labels, and join the comparisons of all images."""
    units = units_of(dataset)
    parts = []
    for unit, image in zip(units, dataset.images, strict=True):
        in_image = predictions[image.name]
        parts.append(
            compare(
                [one.outline for one in in_image],
                [one.score for one in in_image],
                [slump.outline for slump in image.slumps],
                image.ignored,
                unit_m2=image.gsd_m**2,
                unit=unit,
            )
        )
    return joined(parts)


def units_of(dataset: Dataset) -> list[int]:
    """Return for each image the number of the unit that the bootstrap draws: its scene, or the image itself."""
    scenes_of: dict[str, set[str]] = {}
    for image in dataset.images:
        scenes_of.setdefault(image.site, set()).add(image.scene)
    names = [
        image.scene if len(scenes_of[image.site]) >= MIN_SCENES else f"{image.scene} {image.name}"
        for image in dataset.images
    ]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return [numbers[name] for name in names]


def score_images(
    dataset: Dataset,
    predictions: Mapping[str, Sequence[Prediction]],
    *,
    threshold: float | None = None,
    min_area_m2: float = 0.0,
    resamples: int = RESAMPLES,
    groups: bool = True,
    measure_area: bool = False,
) -> Report:
    """Score predictions in images, by COCO's rules.

    Args:
        dataset: images and labels.
        predictions: predictions of every image by the name of the image.
        threshold: least score of the predictions that count for precision, recall and F1; None for the threshold of the
            highest F1.
        min_area_m2: least area of a prediction, m2.
        resamples: number of bootstrap draws; 0 for no intervals.
        groups: whether to score sites, sizes and the means over IoU too; validation during training does without.
        measure_area: whether to report false predictions per 100 km2, for which the pixels of the images are read.

    Returns:
        The scores of all predictions and of each group.

    Raises:
        DatasetError: pixels are needed and cannot be read.
    """
    comparison = compare_images(dataset, predictions)
    large = comparison.prediction_m2 >= min_area_m2
    comparison = comparison.where(large)
    units = units_of(dataset)
    area = None
    if measure_area:
        area = evaluated_area_of(dataset, predictions, np.array(units, dtype=np.intp)).where(large)
    sites = list(_sites(dataset, predictions, large, area)) if groups else []
    return report_of(
        comparison,
        [*sites, *by_size(comparison)] if groups else [],
        threshold=best_threshold(comparison.scores, comparison.match(0.5))[0] if threshold is None else threshold,
        images=len(dataset.images),
        drawn=f"{len(set(units))} scenes or images",
        resamples=resamples,
        over_ious=groups,
        area=area,
    )


def _sites(
    dataset: Dataset, predictions: Mapping[str, Sequence[Prediction]], large: Bools, area: EvaluatedArea | None
) -> Iterator[Group]:
    names = np.array([image.site for image in dataset.images])
    of_label = names.repeat([len(image.slumps) for image in dataset.images])
    of_prediction = names.repeat([len(predictions[image.name]) for image in dataset.images])[large]
    for site in sorted(set(names.tolist())):
        here = names == site
        seen = area.of(here) if area else None
        yield Group("site", site, of_label == site, of_prediction == site, int(here.sum()), seen)
