"""What a model finds in the images of a data set, and its file: COCO's results, so that scoring can follow later."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from rtsmap.dataset.images import ANNOTATIONS, Dataset, LabelledImage
from rtsmap.dataset.outlines import outline_of, segmentation_of
from rtsmap.dataset.pixels import ImagePixels
from rtsmap.detector import Detector
from rtsmap.errors import DatasetError, InputError
from rtsmap.files.json_files import MALFORMED, read_json
from rtsmap.files.writing import replacing
from rtsmap.predict.scene import find
from rtsmap.records import PixelSource
from rtsmap.scene.ground_distance import pixel_size_m
from rtsmap.scene.resample import ResampledSource
from rtsmap.settings.card import ModelCard

#: Low enough that the precision-recall curve is whole where precision is more than chance.
LOWEST_SCORE = 0.05

_SIZE_UNIT = 64  # px; the stride of the network's coarsest level


@dataclass(frozen=True)
class Detection:
    """What a model takes for a slump: its outline in pixel coordinates of the image, and a score of 0..1."""

    outline: BaseGeometry
    score: float


Found = dict[str, list[Detection]]


def detect_images(
    dataset: Dataset,
    card: ModelCard,
    detector: Detector,
    *,
    score: float = LOWEST_SCORE,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Found:
    """Run a model on the images of a data set, by the same chain as `rtsmap predict` runs it on a scene.

    Args:
        dataset: the images; those out of the model's range of ground sampling distance are resampled.
        card: the model's card.
        detector: the model itself.
        score: the lowest that is kept, 0..1.
        progress: called with the images done and their number.

    Returns:
        The detections of every image by its name, empty where there are none.

    Raises:
        DatasetError: images lack bands that the model needs, or cannot be read.
    """
    if missing := [name for name in card.input.modalities if name not in dataset.modalities]:
        raise DatasetError(f"{dataset.folder}: has no bands for {', '.join(missing)}, which {card.name} needs")
    found: Found = {}
    for image in dataset.images:
        found[image.name] = detect_pixels(ImagePixels(dataset.folder, image), card, detector, score)
        progress(len(found), len(dataset.images))
    return found


def detect_pixels(pixels: PixelSource, card: ModelCard, detector: Detector, score: float) -> list[Detection]:
    """What `detect_images` does with an image: detections in pixel coordinates of whatever gives pixels."""
    source = pixels
    lowest, highest = card.input.gsd_range_m
    if not all(lowest <= size <= highest for size in pixel_size_m(pixels.grid)):
        source = ResampledSource(pixels, card.input.gsd_m)
    # no larger than it must be: a chip of 1024 px round an image of 256 px would cost sixteen times as much
    unit = math.lcm(_SIZE_UNIT, card.network.alignment)
    longest = max(source.grid.height, source.grid.width)
    chip_size = min(card.input.chip_size, math.ceil(longest / unit) * unit)
    overlap = card.input.overlap if chip_size == card.input.chip_size else 0  # one chip holds all of the image
    merged = find(source, card, detector, score=score, chip_size=chip_size, overlap=overlap)
    back = (~pixels.grid.transform @ source.grid.transform).to_shapely()
    return [Detection(affine_transform(one.geometry, back), one.score) for one in merged]


def write_detections(
    path: Path, dataset: Dataset, found: Mapping[str, Sequence[Detection]], *, overwrite: bool = True
) -> None:
    """Write detections as COCO's results, a list of image_id, category_id, score, bbox and segmentation (px).

    An image without detections has one entry without area and with the score 0, which changes no average precision: so
    the file says which images it covers. A file that is there is replaced if `overwrite`.

    Raises:
        DatasetError: an image is none of the data set's.
        OutputError: the file cannot be written.
    """
    numbers = _image_ids(dataset)
    if unknown := sorted(set(found) - set(numbers)):
        raise DatasetError(f"{dataset.folder}: has no image {unknown[0]}")
    nothing = [{"score": 0.0, "bbox": [0.0] * 4, "segmentation": [[0.0] * 6]}]
    entries = [
        {"image_id": numbers[name], "category_id": 1, "image": name, **entry}
        for name, detections in found.items()
        for entry in (list(map(_entry, detections)) or nothing)
    ]
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_text("[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n", encoding="utf-8")


def _entry(detection: Detection) -> dict[str, Any]:
    left, top, right, bottom = detection.outline.bounds
    return {
        "score": round(float(detection.score), 6),
        "bbox": [round(value, 3) for value in (left, top, right - left, bottom - top)],
        "segmentation": segmentation_of(detection.outline),
    }


def read_detections(path: Path, dataset: Dataset) -> Found:
    """Read detections of a data set; those of images that it has not (of other sites or folds) are left out.

    Raises:
        InputError: the file cannot be read, or is no list of detections.
        DatasetError: it belongs to another data set.
    """
    return _read(path, dataset, _image_ids(dataset))


def _read(path: Path, dataset: Dataset, numbers: Mapping[str, int]) -> Found:
    names = {number: name for name, number in numbers.items()}
    wanted = {image.name for image in dataset.images}
    found: Found = {}
    try:
        for entry in read_json(path, InputError, "give what rtsmap evaluate chips wrote with -o"):
            name = names.get(entry["image_id"])
            if name is None or entry.get("image", name) != name:
                raise DatasetError(
                    f"{path}: is not of {dataset.folder}, which has no image {entry['image_id']}"
                    f"{' ' + entry['image'] if 'image' in entry else ''}; give the data set that it was made with"
                )
            if name in wanted:
                detections = found.setdefault(name, [])
                outline = outline_of(entry["segmentation"])
                detections += [Detection(outline, float(entry["score"]))] if outline.area > 0 else []
    except MALFORMED as error:
        raise InputError(f"{path}: holds no detections in COCO's form ({error!r})") from error
    return found


def read_all(paths: Iterable[Path], dataset: Dataset) -> Found:
    """Detections of several files, such as one for each fold of a cross-validation.

    Raises:
        InputError: see `read_detections`; or two files hold the same image.
    """
    paths, numbers = list(paths), _image_ids(dataset)
    parts = [_read(path, dataset, numbers) for path in paths]
    times = Counter(name for part in parts for name in part)
    if twice := [name for name, number in times.items() if number > 1]:
        both = [str(path) for path, part in zip(paths, parts, strict=True) if twice[0] in part]
        raise InputError(f"{' and '.join(both)}: both hold the image {twice[0]}; each image may be there once")
    return {name: detections for part in parts for name, detections in part.items()}


def _image_ids(dataset: Dataset) -> dict[str, int]:
    """COCO's number of every image on the disk, also of those that a subset has not."""
    path = dataset.folder / ANNOTATIONS
    table = read_json(path, DatasetError, "make the data set again with rtsmap dataset")
    try:
        return {Path(entry["file_name"]).stem: int(entry["id"]) for entry in table["images"]}
    except MALFORMED as error:
        raise DatasetError(f"{path}: is not a data set of rtsmap ({error!r}); make it with rtsmap dataset") from error


def image_named(dataset: Dataset, name: str) -> LabelledImage:
    """An image by its name.

    Raises:
        DatasetError: there is none.
    """
    for image in dataset.images:
        if image.name == name:
            return image
    raise DatasetError(f"{dataset.folder}: has no image {name}")
