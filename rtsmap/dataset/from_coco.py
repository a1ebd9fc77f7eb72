"""Import of COCO: a JSON file of images and annotations, and a folder of images."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rtsmap.dataset.images import Label, LabelledImage
from rtsmap.dataset.importing import IMAGE_SUFFIXES, ImportSettings, files_in, image_names, read_image
from rtsmap.dataset.outlines import outlines_of
from rtsmap.errors import DatasetError
from rtsmap.records import Pixels

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CocoTable:
    """A COCO file.

    Attributes:
        path: of the file.
        images: its entries.
        annotations: of the categories asked for, by the id of their image.
        pixel_centres: rings run through the centres of border pixels, as OpenCV's `findContours` gives them, instead
            of along the border: each is a pixel narrower and lower than its own `bbox`.
    """

    path: Path
    images: Sequence[Mapping[str, Any]]
    annotations: Mapping[int, Sequence[Mapping[str, Any]]]
    pixel_centres: bool


def read_coco(path: Path, categories: Sequence[str] = ()) -> CocoTable:
    """Read a COCO file.

    Args:
        path: of the JSON.
        categories: names to take; all without.

    Raises:
        DatasetError: it cannot be read, is not COCO, or has not such a category or image.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        images, annotations = table["images"], table["annotations"]
        names = {category["id"]: category["name"] for category in table.get("categories", ())}
        by_image: dict[int, list[Mapping[str, Any]]] = {image["id"]: [] for image in images}
        if unknown := sorted(set(categories) - set(names.values())):
            raise DatasetError(f"{path}: has no category {unknown[0]}; it has {', '.join(sorted(names.values()))}")
        for annotation in annotations:
            if annotation["image_id"] not in by_image:
                what = f"annotation {annotation['id']} is of image {annotation['image_id']}, which is not listed"
                raise DatasetError(f"{path}: {what}; remove it or add the image")
            if not categories or names.get(annotation["category_id"]) in categories:
                by_image[annotation["image_id"]].append(annotation)
        centred = _through_centres(annotations)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); give a COCO JSON file") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: is not COCO ({error!r}); it needs images and annotations") from error
    if not images:
        raise DatasetError(f"{path}: lists no image")
    return CocoTable(path, images, by_image, centred)


def coco_images(table: CocoTable, folder: Path, settings: ImportSettings) -> Iterator[tuple[LabelledImage, Pixels]]:
    """The images of a COCO file with their slumps, one at a time.

    One annotation is one slump, of however many rings or parts; `iscrowd` is what is ignored; images without
    annotations are negatives and stay.

    Args:
        table: of `read_coco`.
        folder: of the images; where a file is not at its place there, one of that name anywhere below is taken.
        settings: what the files do not say.

    Raises:
        DatasetError: an image is missing, wrong, or not of the size that the table says.
    """
    files = _files(table, folder)
    if table.pixel_centres:
        _log.warning("%s: its rings run through pixel centres; they are widened by half a pixel", table.path)
    for entry, path, name in zip(table.images, files, image_names(files, folder), strict=True):
        source = read_image(path, name, folder, settings)
        size = source.image.width, source.image.height
        said = entry.get("width", size[0]), entry.get("height", size[1])
        if said != size:
            raise DatasetError(
                f"{path}: is {size[0]} x {size[1]} px, but {said[0]} x {said[1]} in {table.path.name}; "
                "its outlines would be misplaced, so use the image that was labelled"
            )
        slumps, ignored = [], []
        for annotation in table.annotations[entry["id"]]:
            outline = _outline(annotation, table)
            if outline.is_empty:
                _log.warning("%s: annotation %s has no area; left out", table.path, annotation.get("id"))
            elif annotation.get("iscrowd"):
                ignored.append(outline)
            else:
                slumps.append(Label(outline))
        yield replace(source.image, slumps=tuple(slumps), ignored=tuple(ignored)), source.pixels


def _files(table: CocoTable, folder: Path) -> list[Path]:
    below: dict[str, list[Path]] = {}
    for path in files_in(folder, IMAGE_SUFFIXES):
        below.setdefault(path.name, []).append(path)
    files = []
    for entry in table.images:
        name = str(entry.get("file_name"))
        there = [folder / name] if (folder / name).is_file() else below.get(Path(name).name, [])
        if len(there) != 1:
            what = "is there more than once" if there else "is missing"
            raise DatasetError(
                f"{folder / name}: {what}, but {table.path.name} lists it; give its folder with --images"
            )
        files += there
    return files


def _through_centres(annotations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether rings of whole numbers are one pixel smaller than their boxes, all alike."""
    excess = []
    for annotation in annotations:
        rings, box = annotation.get("segmentation"), annotation.get("bbox")
        if isinstance(rings, list) and rings and box and all(isinstance(r, list) and len(r) % 2 == 0 for r in rings):
            extent = np.ptp(np.concatenate([np.reshape(ring, (-1, 2)) for ring in rings]), axis=0)
            excess.append(np.asarray(box[2:], dtype=np.float64) - extent)
    return bool(excess) and bool(np.mean(np.all(np.abs(np.array(excess) - 1) < 1e-6, axis=1)) > 0.9)


def _outline(annotation: Mapping[str, Any], table: CocoTable) -> BaseGeometry:
    """The union of an annotation's rings, or the components of its RLE mask, in pixel coordinates."""
    shape = annotation.get("segmentation")
    try:
        if isinstance(shape, Mapping):
            parts = outlines_of(_mask(shape))
        else:
            rings = [np.reshape(np.asarray(ring, dtype=np.float64), (-1, 2)) for ring in shape or ()]
            parts = [_widened(ring) if table.pixel_centres else _polygon(ring) for ring in rings]
    except (ValueError, KeyError, TypeError) as error:
        number = annotation.get("id")
        raise DatasetError(f"{table.path}: annotation {number} has no readable segmentation ({error})") from error
    return shapely.union_all(parts)


def _polygon(ring: NDArray[np.float64]) -> BaseGeometry:
    if len(ring) < 3:  # a point or a line has no area
        return shapely.Polygon()
    mended: BaseGeometry = shapely.make_valid(shapely.Polygon(ring), method="structure", keep_collapsed=False)
    return mended


def _widened(ring: NDArray[np.float64]) -> BaseGeometry:
    """From pixel centres to the border of these pixels; one or two points are a pixel or a row of them."""
    centres = ring + 0.5
    filled = _polygon(centres)
    if filled.is_empty:  # a line there and back
        ends = [shapely.box(x - 0.5, y - 0.5, x + 0.5, y + 0.5) for x, y in centres]
        line = shapely.LineString([*centres, centres[0]])
        return shapely.union_all([*ends, line.buffer(0.5, cap_style="flat", join_style="mitre")])
    border = shapely.LinearRing(centres).buffer(0.5, join_style="mitre", mitre_limit=2)
    return shapely.union_all([border, filled])


def _mask(rle: Mapping[str, Any]) -> NDArray[np.bool_]:
    """A run-length encoded mask: lengths of runs of 0 and 1 in turn, down the columns."""
    height, width = rle["size"]
    counts = rle["counts"] if isinstance(rle["counts"], list) else _decompressed(str(rle["counts"]))
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape(width, height).T


def _decompressed(text: str) -> list[int]:
    """The run lengths of COCO's compressed form.

    Each number is written in groups of 5 bits, lowest first, one to a character from "0" on; 32 says that another group
    follows, and 16 in the last one that the number is negative. From the fourth on they are differences from the
    number two before.
    """
    counts: list[int] = []
    number = shift = 0
    for character in text:
        group = ord(character) - ord("0")
        number |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            number -= 1 << shift
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = shift = 0
    return counts
