"""Checks of a data set before training: its annotations, its files and its labels."""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from rtsmap.bands import BANDS, TERRAIN
from rtsmap.dataset.cross_checks import SAME_IOU, check_neighbours, overlap
from rtsmap.dataset.findings import Finding
from rtsmap.dataset.images import ANNOTATIONS, Dataset, LabelledImage, read_dataset
from rtsmap.dataset.pixels import gdal_name
from rtsmap.dataset.splitting import GAP_M
from rtsmap.dataset.tiles import label_numbers, tiles
from rtsmap.errors import DatasetError
from rtsmap.files.json_files import MALFORMED, read_json
from rtsmap.records import FloatArray, Pixels

#: Share of a slump on nodata from which it is reported; share of an image under one label from which its mask is
#: probably inverted.
NODATA_SHARE, WHOLE_SHARE = 0.2, 0.95

#: Distance by which a label may reach beyond its image, px, because outlines are rounded.
BEYOND_PX = 0.5


def check_dataset(folder: Path, gap_m: float = GAP_M) -> Iterator[Finding]:
    """Yield everything that is wrong with a data set, or worth knowing, image by image.

    Args:
        folder: folder of the data set.
        gap_m: least distance between images of different folds, m.

    Raises:
        DatasetError: there is no data set, or its annotations cannot be read at all.
    """
    broken = False
    for finding in _check_rings(folder / ANNOTATIONS):
        broken = broken or finding.what.endswith("cannot be read")
        yield finding
    if broken:  # the other checks need all annotations
        return
    dataset = read_dataset(folder)
    for image in dataset.images:
        yield from _check_labels(image)
        problem = _problem_of_file(folder, image)
        if problem is None:
            yield from _check_pixels(folder, image)
        else:
            yield problem
    yield from check_neighbours(dataset, gap_m)
    yield from _check_split(dataset)


def _check_rings(path: Path) -> Iterator[Finding]:
    """Check the outlines as they are written, before reading repairs them."""
    table = read_json(path, DatasetError, f"is {path.parent} a data set?")
    try:
        names = {image["id"]: Path(image["file_name"]).stem for image in table["images"]}
        for annotation in table["annotations"]:
            name = names.get(annotation["image_id"], path.name)
            if problem := _problem_of_rings(annotation):
                severity, what, action = problem
                yield Finding(severity, name, f"label {annotation['id']} {what}", action)
            if annotation["image_id"] not in names:
                what = f"label {annotation['id']} is of an image that is not listed, so that the table cannot be read"
                yield Finding("error", name, what, "remove it")
    except MALFORMED as error:
        raise DatasetError(f"{path}: is not a data set of rtsmap ({error!r}); make it with rtsmap dataset") from error


def _problem_of_rings(annotation: Mapping[str, Any]) -> Any:
    rings = annotation["segmentation"]
    if not rings:
        return "error", "is empty", "remove it"
    if not isinstance(rings, list) or any(len(ring) < 6 or len(ring) % 2 for ring in rings):
        return "error", "is not a list of rings of at least three points, and cannot be read", "correct or remove it"
    polygons = [shapely.Polygon(np.reshape(ring, (-1, 2))) for ring in rings]
    if all(shapely.make_valid(polygon).area == 0 for polygon in polygons):  # repaired, as a figure of eight has area
        return "error", "has no area", "remove it"
    for polygon in polygons:
        if not polygon.is_valid:
            return "warning", f"is not valid ({shapely.is_valid_reason(polygon)}) and was repaired", "check it in a GIS"
    return None


def _check_labels(image: LabelledImage) -> Iterator[Finding]:
    frame = shapely.box(0, 0, image.width, image.height)
    near = frame.buffer(BEYOND_PX, join_style="mitre")
    for number, slump in enumerate(image.slumps, start=1):
        outline = slump.outline
        if outline.is_empty:
            continue  # already reported by _check_rings
        if outline.intersection(frame).area == 0:
            yield Finding("error", image.name, f"slump {number} lies outside the image", "remove or move it")
        elif not near.covers(outline):
            yield Finding("warning", image.name, f"slump {number} reaches beyond the image", "clip it to the image")
        if outline.intersection(frame).area > WHOLE_SHARE * frame.area:
            what = f"slump {number} covers the whole image"
            yield Finding("warning", image.name, what, "check whether the mask is inverted")
    outlines = np.array([slump.outline for slump in image.slumps], dtype=object)
    for i, j in zip(*shapely.STRtree(outlines).query(outlines, predicate="intersects"), strict=True):
        if i < j and overlap(outlines[i], outlines[j]) > SAME_IOU:
            yield Finding("warning", image.name, f"slumps {i + 1} and {j + 1} are the same outline", "remove one")


def _problem_of_file(folder: Path, image: LabelledImage) -> Finding | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(gdal_name(folder / image.file)) as file:
                size, bands = (file.width, file.height), file.count
    except RasterioError as error:
        return Finding("error", image.name, f"{image.file} is missing or broken ({error})", "copy or build it again")
    if size != (image.width, image.height) or bands != len(image.bands):
        stated = f"{image.width} x {image.height} px and {len(image.bands)} bands"
        what = f"has {size[0]} x {size[1]} px and {bands} bands, but {ANNOTATIONS} states {stated}"
        return Finding("error", image.name, what, "build the data set again")
    return None


def _check_pixels(folder: Path, image: LabelledImage) -> Iterator[Finding]:
    known = np.zeros(len(image.slumps) + 1, dtype=np.int64)
    covered, valid_px = known.copy(), 0
    low, high = (np.full(len(BANDS) + len(TERRAIN), value) for value in (np.inf, -np.inf))
    try:
        for window, pixels in tiles(folder, image):
            numbers = np.maximum(label_numbers(image, window), 0)
            covered += np.bincount(numbers.ravel(), minlength=len(covered))
            known += np.bincount(numbers[pixels.valid], minlength=len(known))
            valid_px += int(pixels.valid.sum())
            if pixels.valid.any():
                planes = [plane[pixels.valid] for plane in (*pixels.reflectance, *_terrain(pixels))]
                low = np.minimum(low, [plane.min() for plane in planes])
                high = np.maximum(high, [plane.max() for plane in planes])
    except DatasetError as error:
        yield Finding("error", image.name, str(error))
        return
    if not valid_px:
        yield Finding("error", image.name, "holds only nodata", "leave it out")
        return
    yield from _check_bands(image, low == high)
    for number in range(1, len(known)):
        missing = 1 - known[number] / max(covered[number], 1)
        if covered[number] and missing > NODATA_SHARE:
            level, what = ("error", "lies on nodata") if not known[number] else ("warning", f"is {missing:.0%} nodata")
            yield Finding(level, image.name, f"slump {number} {what}", "remove or move it")  # type: ignore[arg-type]


def _terrain(pixels: Pixels) -> FloatArray:
    """Return the terrain, or zeros where there is none."""
    return np.zeros((len(TERRAIN), *pixels.valid.shape), np.float32) if pixels.terrain is None else pixels.terrain


def _check_bands(image: LabelledImage, constant: Any) -> Iterator[Finding]:
    for band in image.bands:
        if constant[(*BANDS, *TERRAIN).index(band)]:
            yield Finding("warning", image.name, f"its band {band} has the same value in all pixels", "check the image")


def _check_split(dataset: Dataset) -> Iterator[Finding]:
    """Check that split.csv belongs to this data set."""
    if not dataset.folds:
        return
    names = {image.name for image in dataset.images}
    again = "run rtsmap dataset split again"
    if missing := sorted(names - set(dataset.folds)):
        yield Finding("error", "split.csv", f"has no fold for {len(missing)} images, such as {missing[0]}", again)
    if unknown := sorted(set(dataset.folds) - names):
        yield Finding("warning", "split.csv", f"names {len(unknown)} unknown images, such as {unknown[0]}", again)
