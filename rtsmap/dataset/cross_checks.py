"""Checks that compare the images of a data set: the same ground in two folds, the same slump in two scenes."""

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rtsmap.dataset.findings import Finding
from rtsmap.dataset.footprints import footprints, is_georeferenced, near_pairs, north_outline
from rtsmap.dataset.images import Dataset, LabelledImage

#: Outlines with a higher intersection over union are the same outline drawn twice.
SAME_IOU = 0.9

#: Two scenes that lie further apart in time may show the same outline twice: a slump that did not grow.
NEAR_DAYS = 366


def check_neighbours(dataset: Dataset, gap_m: float) -> Iterator[Finding]:
    """Yield the findings that concern several images.

    Args:
        dataset: the data set, with its folds where it is split.
        gap_m: least distance between images of different folds, m.
    """
    yield from _mixtures(dataset)
    areas = footprints(dataset)
    if dataset.folds:
        yield from _leaks(dataset, areas, gap_m)
        yield from _divided_scenes(dataset)
    yield from _repeated_slumps(dataset, areas)


def _mixtures(dataset: Dataset) -> Iterator[Finding]:
    systems = Counter(image.crs for image in dataset.images if is_georeferenced(image))
    if len(systems) > 1:
        said = ", ".join(f"{crs} ({count})" for crs, count in systems.most_common())
        yield Finding("info", "all images", f"have {len(systems)} CRS: {said}")
    if not_georeferenced := len(dataset.images) - systems.total():
        what = f"{not_georeferenced} of {len(dataset.images)} are not georeferenced"
        yield Finding("info", "all images", what, "folds are judged by their scenes alone")
    bands = Counter(image.bands for image in dataset.images)
    if len(bands) > 1:
        said = ", ".join(f"{'+'.join(names)} ({count})" for names, count in bands.most_common())
        action = "training can use only the modalities that all images have"
        yield Finding("info", "all images", f"have different bands: {said}", action)


def _leaks(dataset: Dataset, areas: list[BaseGeometry | None], gap_m: float) -> Iterator[Finding]:
    """Report images of different folds that are too close to one another, for each image only the nearest one."""
    nearest: dict[int, tuple[float, int]] = {}
    for pair in near_pairs(areas, gap_m):
        folds = [dataset.folds.get(dataset.images[number].name) for number in pair]
        if folds[0] == folds[1] or None in folds:
            continue
        distance = float(shapely.distance(*(areas[number] for number in pair)))
        for i, j in (pair, pair[::-1]):
            nearest[i] = min(nearest.get(i, (distance, j)), (distance, j))
    for one, other, distance in sorted({(min(i, j), max(i, j), d) for i, (d, j) in nearest.items()}):
        names = [dataset.images[number].name for number in (one, other)]
        where = "overlaps or touches" if distance == 0 else f"is {distance:.0f} m from"
        what = f"({dataset.folds[names[0]]}) {where} {names[1]} ({dataset.folds[names[1]]})"
        yield Finding("error", names[0], what, "split again with --by site or --by block")


def _divided_scenes(dataset: Dataset) -> Iterator[Finding]:
    """Report scenes that lie in several folds; an error where the distance between their images is not known."""
    scenes: dict[str, list[LabelledImage]] = defaultdict(list)
    for image in dataset.images:
        scenes[image.scene].append(image)
    for scene, images in scenes.items():
        folds = sorted({dataset.folds[image.name] for image in images if image.name in dataset.folds})
        if len(folds) > 1:
            what = f"its scene {scene} is in the folds {', '.join(folds)}"
            located = all(map(is_georeferenced, images))
            yield Finding("warning" if located else "error", images[0].name, what, "split with --by scene or --by site")


def _repeated_slumps(dataset: Dataset, areas: list[BaseGeometry | None]) -> Iterator[Finding]:
    """Report outlines that two scenes of similar dates share, because they count twice."""
    outlines = {
        number: [north_outline(image, slump.outline) for slump in image.slumps]
        for number, image in enumerate(dataset.images)
        if areas[number] is not None
    }
    for pair in near_pairs(areas, 0):
        first, second = (dataset.images[number] for number in pair)
        if first.scene == second.scene or not _near_dates(first, second):
            continue
        shared = _shared(first, second, outlines[pair[0]], outlines[pair[1]])
        if shared:
            what = f"{shared} of its slumps {'is' if shared == 1 else 'are'} also in {second.name}, of another scene"
            yield Finding("info", first.name, what, "keep both in one fold")


def _near_dates(first: LabelledImage, second: LabelledImage) -> bool:
    if first.acquired is None or second.acquired is None:
        return True
    return abs((first.acquired - second.acquired).days) <= NEAR_DAYS


def _shared(
    first: LabelledImage, second: LabelledImage, outlines: list[BaseGeometry], others: list[BaseGeometry]
) -> int:
    """Count the slumps of the first image that have the same uid or outline in the second image."""
    drawn, again = np.array(outlines, dtype=object), np.array(others, dtype=object)  # typed, as they may be empty
    uids = {slump.uid for slump in second.slumps} - {""}
    same = {number for number, slump in enumerate(first.slumps) if slump.uid in uids}
    for one, other in zip(*shapely.STRtree(again).query(drawn, predicate="intersects"), strict=True):
        if overlap(outlines[one], others[other]) > SAME_IOU:
            same.add(int(one))
    return len(same)


def overlap(first: BaseGeometry, second: BaseGeometry) -> float:
    """Return the intersection over union of two polygons, 0..1; 0 where both are empty."""
    common = first.intersection(second).area
    whole = first.area + second.area - common
    return float(common / whole) if whole else 0.0
