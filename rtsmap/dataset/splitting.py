"""Splitting a data set into folds that share no ground, by site, scene or block, or by a published split."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rtsmap.dataset.footprints import footprints, near_pairs
from rtsmap.dataset.images import Dataset, LabelledImage, read_folds
from rtsmap.errors import DatasetError, InputError
from rtsmap.files.writing import replacing

Unit = Literal["site", "scene", "block", "image-within-site"]

#: Images whose footprints are closer than this, in m, show the same ground or its continuation.
GAP_M = 1000.0


@dataclass(frozen=True)
class _Group:
    """Images that must stay in one fold: their indices in the data set, and the number of their slumps."""

    site: str
    images: tuple[int, ...]
    slumps: int


def equal_folds(number: int) -> dict[str, float]:
    """Return equal shares of `fold-0`, `fold-1`, ... for cross-validation."""
    return {f"fold-{index}": 1 / number for index in range(number)}


def split_folds(
    dataset: Dataset, shares: Mapping[str, float], *, by: Unit = "site", gap_m: float = GAP_M, seed: int = 0
) -> dict[str, str]:
    """Assign each image to a fold.

    The groups that are never divided are sites, scenes or blocks. A block is the set of all images that are connected
    by a chain of footprints closer than `gap_m`; images that are not georeferenced form one block per scene. Scenes and
    blocks are distributed within each site. So are single images, as in Li et al. (2025); then one fold may show the
    ground of another.

    The largest groups are assigned first, each to the fold that lacks the most slumps for its share of the site and of
    all sites so far. Groups without slumps follow, and even out the number of images.

    Args:
        dataset: the data set; an earlier split of it does not matter.
        shares: share of each fold by its name; the shares sum to 1.
        by: the unit that is never divided.
        gap_m: least distance between blocks, m.
        seed: seed of the order of equally large groups.

    Returns:
        The fold of each image by its name.

    Raises:
        DatasetError: there are fewer groups than folds.
        InputError: the shares do not sum to 1, or one is not above 0.
    """
    if not shares or min(shares.values()) <= 0 or not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise InputError("the fractions of the folds must be above 0 and sum to 1")
    groups = _groups(dataset, by, gap_m)
    if len(groups) < len(shares):
        unit = by.partition("-")[0] + "s" * (len(groups) != 1)
        raise DatasetError(
            f"{dataset.folder}: has only {len(groups)} {unit} for {len(shares)} folds; "
            "ask for fewer folds, or divide it otherwise with --by"
        )
    strata = [groups] if by == "site" else [list(of) for _, of in groupby(groups, key=lambda group: group.site)]
    assigned = _assign(strata, np.array(list(shares.values())), np.random.default_rng(seed))
    names = list(shares)
    folds = {number: names[fold] for group, fold in assigned for number in group.images}
    return {image.name: folds[number] for number, image in enumerate(dataset.images)}


def given_folds(dataset: Dataset, path: Path) -> dict[str, str]:
    """Read the folds of a published split.

    Args:
        dataset: the data set that is split.
        path: CSV file with the columns image and fold. Images are given by name, with or without folder and suffix;
            images that the data set lacks are skipped.

    Returns:
        The fold of each image by its name.

    Raises:
        DatasetError: the file cannot be read, gives an image two folds, or gives none to an image of the data set.
    """
    folds: dict[str, str] = {}
    for image, fold in read_folds(path).items():
        if folds.setdefault(Path(image).stem, fold) != fold:
            raise DatasetError(f"{path}: gives {Path(image).stem} two folds; keep one")
    if lacking := [image.name for image in dataset.images if not folds.get(image.name)]:
        raise DatasetError(f"{path}: has no fold for {lacking[0]} ({len(lacking)} images in all); add them")
    return {image.name: folds[image.name] for image in dataset.images}


def write_split(dataset: Dataset, folds: Mapping[str, str], path: Path, *, overwrite: bool = True) -> None:
    """Write a CSV file with the columns image, site and fold.

    Args:
        dataset: the data set.
        folds: fold of each image by its name.
        path: path of the file.
        overwrite: replace an existing file.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path, overwrite=overwrite) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "site", "fold"))
        writer.writerows((image.name, image.site, folds[image.name]) for image in dataset.images)


def split_table(dataset: Dataset, folds: Mapping[str, str], names: Sequence[str]) -> list[list[str]]:
    """Return a table of `images / slumps`: a row for each fold of `names`, a column for each site, and totals."""
    rows = [["", *dataset.sites, "total"]]
    for fold in [*names, None]:
        images = [image for image in dataset.images if fold is None or folds[image.name] == fold]
        cells = [_count([image for image in images if image.site == site]) for site in dataset.sites]
        rows.append([fold or "total", *cells, _count(images)])
    return rows


def _count(images: Sequence[LabelledImage]) -> str:
    return f"{len(images)} / {sum(len(image.slumps) for image in images)}"


def _groups(dataset: Dataset, by: Unit, gap_m: float) -> list[_Group]:
    """Return the groups, sorted by site; a scene or block of two sites belongs to the site of its first image."""
    keys = _keys(dataset, by, gap_m)
    members: dict[object, list[int]] = {}
    for number, key in enumerate(keys):
        members.setdefault(key, []).append(number)
    groups = [
        _Group(dataset.images[of[0]].site, tuple(of), sum(len(dataset.images[number].slumps) for number in of))
        for of in members.values()
    ]
    return sorted(groups, key=lambda group: group.site)


def _keys(dataset: Dataset, by: Unit, gap_m: float) -> Sequence[object]:
    """Return a key for each image; images with the same key must stay in one fold."""
    if by == "block":
        return _blocks(dataset, gap_m)
    if by == "image-within-site":
        return [image.name for image in dataset.images]
    return [getattr(image, by) for image in dataset.images]


def _blocks(dataset: Dataset, gap_m: float) -> list[object]:
    areas = footprints(dataset)
    size = len(areas)
    first, second = np.array(near_pairs(areas, gap_m), dtype=np.int64).reshape(-1, 2).T
    links = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(size, size))
    _, blocks = connected_components(links, directed=False)
    return [
        image.scene if area is None else int(block)
        for image, area, block in zip(dataset.images, areas, blocks, strict=True)
    ]


def _assign(
    strata: Sequence[Sequence[_Group]], shares: NDArray[np.float64], rng: np.random.Generator
) -> list[tuple[_Group, int]]:
    """Return every group with the index of its fold."""
    assigned: list[tuple[_Group, int]] = []
    left = sum(map(len, strata))
    lacking = np.zeros((2, len(shares)))  # slumps and images that each fold still lacks, of all sites so far
    for stratum in strata:
        here = shares * np.array([[sum(g.slumps for g in stratum)], [sum(len(g.images) for g in stratum)]])
        lacking += here
        for index in sorted(rng.permutation(len(stratum)), key=lambda n: (-stratum[n].slumps, -len(stratum[n].images))):
            group = stratum[index]
            kind, weight = (0, group.slumps) if group.slumps else (1, len(group.images))
            # what each fold would still lack with this group, relative to its share, so that the largest fold does not
            # get all large groups
            need = ((lacking + here)[kind] - 2 * weight) / shares
            empty = [fold for fold in range(len(shares)) if fold not in {fold for _, fold in assigned}]
            allowed = empty if left == len(empty) else range(len(shares))
            fold = max(allowed, key=lambda fold: need[fold])
            for lack in (lacking, here):
                lack[:, fold] -= group.slumps, len(group.images)
            assigned.append((group, fold))
            left -= 1
    return assigned
