"""Import of data sets in COCO format: a JSON file of images and annotations, and a folder of images."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rtsmap.dataset.coco_shapes import box_of, parts_of, rings_of
from rtsmap.dataset.image_import import IMAGE_SUFFIXES, ImportSettings, files_in, image_names, read_image
from rtsmap.dataset.images import Label, LabelledImage
from rtsmap.errors import DatasetError
from rtsmap.files.json_files import MALFORMED, read_json
from rtsmap.records import Pixels

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CocoTable:
    """A COCO file.

    Attributes:
        path: path of the file.
        images: entries of the images.
        annotations: annotations of the chosen categories, by the id of their image.
        pixel_centres: whether rings run through the centres of border pixels, as OpenCV's `findContours` returns them,
            instead of along the border; each is then one pixel narrower and lower than its `bbox`.
    """

    path: Path
    images: Sequence[Mapping[str, Any]]
    annotations: Mapping[str, Sequence[Mapping[str, Any]]]
    pixel_centres: bool


def read_coco(path: Path, categories: Sequence[str] = ()) -> CocoTable:
    """Read a COCO file.

    Args:
        path: path of the JSON file.
        categories: names of the categories to take; empty for all.

    Raises:
        DatasetError: the file cannot be read, is not COCO, or lacks a category or an image.
    """
    table = read_json(path, DatasetError, "give a COCO JSON file")
    try:
        images = table["images"]
        chosen = _chosen(path, table, categories)
        by_image: dict[str, list[Mapping[str, Any]]] = {_key(image["id"]): [] for image in images}
        if len(by_image) < len(images):
            raise DatasetError(f"{path}: two images have the same id; give each its own")
        for annotation in chosen:
            by_image[_key(annotation["image_id"])].append(annotation)
        centred = _through_centres(chosen)
    except MALFORMED as error:
        raise DatasetError(f"{path}: is not COCO ({error!r}); it needs images and annotations") from error
    if not images:
        raise DatasetError(f"{path}: lists no image")
    if chosen and not any(map(_is_drawn, chosen)):
        raise DatasetError(f"{path}: holds boxes but no outlines; training needs outlines, so draw them")
    return CocoTable(path, images, by_image, centred)


def _chosen(path: Path, table: Mapping[str, Any], categories: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the annotations of the chosen categories."""
    names = {_key(category["id"]): category["name"] for category in table.get("categories") or ()}
    if unknown := sorted(set(categories) - set(names.values())):
        raise DatasetError(f"{path}: has no category {unknown[0]}; it has {', '.join(sorted(names.values()))}")
    listed = {_key(image["id"]) for image in table["images"]}
    for annotation in table["annotations"]:
        if _key(annotation["image_id"]) not in listed:
            what = f"annotation {annotation.get('id')} is of image {annotation['image_id']}, which is not listed"
            raise DatasetError(f"{path}: {what}; remove it or add the image")
    wanted = (
        one for one in table["annotations"] if not categories or names.get(_key(one["category_id"])) in categories
    )
    return list(wanted)


def _key(number: Any) -> str:
    """Return an id as text, because some tools write the same id as a number in one place and as text in another."""
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number).strip()


def _is_drawn(annotation: Mapping[str, Any]) -> bool:
    return annotation.get("segmentation") not in (None, "", [], [[]], {})


def coco_images(table: CocoTable, folder: Path, settings: ImportSettings) -> Iterator[tuple[LabelledImage, Pixels]]:
    """Yield the images of a COCO file with their slumps, one at a time.

    Each annotation is one slump, of any number of rings or parts. Annotations with `iscrowd`, and boxes without an
    outline, become ignored areas. Images without annotations are kept as negatives.

    Args:
        table: the result of `read_coco`.
        folder: folder of the images; where it has no file at the path of the entry, the only file of that name in
            its subfolders is taken.
        settings: properties that the files do not state.

    Raises:
        DatasetError: an image is missing or wrong, or has another size than its entry states.
    """
    files = _files(table, folder)
    if table.pixel_centres:
        _log.warning("%s: its rings run through pixel centres; they are widened by half a pixel", table.path)
    boxes = 0
    for entry, path, name in zip(table.images, files, image_names(files, folder), strict=True):
        source = read_image(path, name, folder, settings)
        size = source.image.width, source.image.height
        _check_size(table, path, entry, size)
        slumps: list[Label] = []
        ignored: list[BaseGeometry] = []
        for annotation in table.annotations[_key(entry["id"])]:
            outline, box = _outline(annotation, table, size)
            if not outline.is_empty and _is_crowd(annotation):
                ignored.append(outline)
            elif not outline.is_empty:
                slumps.append(Label(outline))
            elif box is not None:
                ignored.append(box)
                boxes += 1
            else:
                _log.warning("%s: annotation %s has no area and is left out", table.path, annotation.get("id"))
        yield replace(source.image, slumps=tuple(slumps), ignored=tuple(ignored)), source.pixels
    if boxes:
        _log.warning("%s: %d annotations are boxes without an outline; they become ignored areas", table.path, boxes)


def _check_size(table: CocoTable, path: Path, entry: Mapping[str, Any], size: tuple[int, int]) -> None:
    """Refuse an image that has another size than its entry states."""
    try:
        said = tuple(
            int(float(entry.get(name) or 0)) or own for name, own in zip(("width", "height"), size, strict=True)
        )
    except MALFORMED as error:
        raise DatasetError(f"{table.path}: the size of {path.name} is not a number; correct or remove it") from error
    if said != size:
        raise DatasetError(
            f"{path}: is {size[0]} x {size[1]} px, but {said[0]} x {said[1]} px in {table.path.name}; "
            "its outlines would be misplaced, so use the image that was labelled"
        )


def _is_crowd(annotation: Mapping[str, Any]) -> bool:
    return str(annotation.get("iscrowd", 0)).strip().lower() in {"1", "1.0", "true"}


def _files(table: CocoTable, folder: Path) -> list[Path]:
    below: dict[str, list[Path]] = {}
    for path in files_in(folder, IMAGE_SUFFIXES):
        below.setdefault(path.name, []).append(path)
    files = []
    for entry in table.images:
        name = Path(os.path.normpath(str(entry.get("file_name")).replace("\\", "/")))  # paths written on Windows
        there = [folder / name] if _is_inside(name, folder) else below.get(name.name, [])
        if len(there) != 1:
            what = "exists more than once" if there else "is missing"
            shown = f"{folder / name}"[:200]
            raise DatasetError(f"{shown}: {what}, but {table.path.name} lists it; give its folder with --images")
        files += there
    return files


def _is_inside(name: Path, folder: Path) -> bool:
    """Whether a path names a file in the folder or in one of its subfolders."""
    with suppress(OSError, ValueError):  # the name is too long, or holds a null character
        return not name.is_absolute() and ".." not in name.parts and (folder / name).is_file()
    return False


def _through_centres(annotations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the rings are one pixel smaller than their boxes in more than 90 % of the annotations."""
    excess = []
    for annotation in annotations:
        shape, box = annotation.get("segmentation"), annotation.get("bbox")
        with suppress(*MALFORMED):  # reported when the image of the annotation is read
            if box and isinstance(shape, list) and (rings := rings_of(shape)):
                extent = np.ptp(np.concatenate(rings), axis=0)
                excess.append(np.asarray(box[2:], dtype=np.float64) - extent)
    return bool(excess) and bool(np.mean(np.all(np.abs(np.array(excess) - 1) < 1e-6, axis=1)) > 0.9)


def _outline(
    annotation: Mapping[str, Any], table: CocoTable, size: tuple[int, int]
) -> tuple[BaseGeometry, BaseGeometry | None]:
    """Return the outline and the box of an annotation, in pixel coordinates."""
    number = annotation.get("id")
    try:
        parts = parts_of(annotation.get("segmentation"), pixel_centres=table.pixel_centres, size=size)
        box = box_of(annotation)
    except MALFORMED as error:
        raise DatasetError(f"{table.path}: annotation {number} has no readable segmentation ({error})") from error
    if not _is_drawn(annotation) and box is None:
        raise DatasetError(f"{table.path}: annotation {number} has neither an outline nor a box; remove it")
    return shapely.union_all(parts), box
