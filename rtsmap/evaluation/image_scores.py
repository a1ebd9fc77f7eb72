"""Scores of detections in the images of a data set."""

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

#: Images of one scene are not independent, so the bootstrap draws scenes. Of sites with fewer than this the draws would
#: be too coarse for an interval; there it draws images, which makes the interval too narrow.
MIN_SCENES = 10


def covered(dataset: Dataset, found: Mapping[str, object], *, partly: bool = False) -> Dataset:
    """The images that detections cover.

    Args:
        dataset: images.
        found: detections by the name of the image.
        partly: images without are left out; they are an error otherwise.

    Raises:
        DatasetError: there is an image without, or none with detections.
    """
    images = tuple(image for image in dataset.images if image.name in found)
    missing = [image.name for image in dataset.images if image.name not in found]
    if missing and not partly:
        raise DatasetError(
            f"{dataset.folder}: no file covers {len(missing)} of {len(dataset.images)} images, such as {missing[0]}; "
            "give the files of all folds, or choose sites or folds with --only"
        )
    if not images:
        raise DatasetError(f"{dataset.folder}: the files cover none of the images chosen")
    return replace(dataset, images=images)


def best_score(dataset: Dataset, found: Mapping[str, Sequence[Prediction]]) -> float:
    """The score from which on detections have the highest F1, in the images that they cover."""
    comparison = compare_images(covered(dataset, found, partly=True), found)
    return best_threshold(comparison.scores, comparison.match(0.5))[0]


def compare_images(dataset: Dataset, found: Mapping[str, Sequence[Prediction]]) -> Comparison:
    """Compare the detections of every image with its slumps, image by image."""
    units = units_of(dataset)
    parts = []
    for unit, image in zip(units, dataset.images, strict=True):
        detections = found[image.name]
        parts.append(
            compare(
                [one.outline for one in detections],
                [one.score for one in detections],
                [slump.outline for slump in image.slumps],
                image.ignored,
                unit_m2=image.gsd_m**2,
                unit=unit,
            )
        )
    return joined(parts)


def units_of(dataset: Dataset) -> list[int]:
    """What the bootstrap draws together, for each image."""
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
    found: Mapping[str, Sequence[Prediction]],
    *,
    threshold: float | None = None,
    min_area_m2: float = 0.0,
    resamples: int = RESAMPLES,
    groups: bool = True,
    measure_area: bool = False,
) -> Report:
    """Score detections in images, by COCO's rules.

    Args:
        dataset: images and labels.
        found: detections of every image, by its name.
        threshold: score from which on precision, recall and F1 are counted; that of the best F1 without it.
        min_area_m2: smaller detections are left out.
        resamples: draws of the bootstrap; 0: no intervals.
        groups: false leaves out sites, sizes and the means over IoU, as for validation in training.
        ground: also tell how many are false on 100 km2, for which the pixels of the images are read.

    Raises:
        DatasetError: pixels are needed and cannot be read.
    """
    comparison = compare_images(dataset, found)
    large = comparison.prediction_m2 >= min_area_m2
    comparison = comparison.where(large)
    units = units_of(dataset)
    observed = evaluated_area_of(dataset, found, np.array(units, dtype=np.intp)).where(large) if measure_area else None
    sites = list(_sites(dataset, found, large, observed)) if groups else []
    return report_of(
        comparison,
        [*sites, *by_size(comparison)] if groups else [],
        threshold=best_threshold(comparison.scores, comparison.match(0.5))[0] if threshold is None else threshold,
        images=len(dataset.images),
        drawn=f"{len(set(units))} scenes or images",
        resamples=resamples,
        over_ious=groups,
        area=observed,
    )


def _sites(
    dataset: Dataset, found: Mapping[str, Sequence[Prediction]], large: Bools, area: EvaluatedArea | None
) -> Iterator[Group]:
    names = np.array([image.site for image in dataset.images])
    of_label = names.repeat([len(image.slumps) for image in dataset.images])
    of_prediction = names.repeat([len(found[image.name]) for image in dataset.images])[large]
    for site in sorted(set(names.tolist())):
        here = names == site
        seen = area.of(here) if area else None
        yield Group("site", site, of_label == site, of_prediction == site, int(here.sum()), seen)
