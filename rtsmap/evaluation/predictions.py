"""Predictions of a model in the images of a data set, and their file in the format of COCO results."""

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
from rtsmap.dataset.pixels import ImagePixels
from rtsmap.dataset.segmentation import outline_of, segmentation_of
from rtsmap.detector import Detector
from rtsmap.errors import DatasetError, InputError
from rtsmap.files.json_files import MALFORMED, read_json
from rtsmap.files.writing import replacing
from rtsmap.predict.scene import find
from rtsmap.records import PixelSource
from rtsmap.scene.ground_distance import pixel_size_m
from rtsmap.scene.resample import ResampledSource
from rtsmap.settings.card import ModelCard

#: Least score of predictions; low enough for a complete precision-recall curve wherever precision exceeds chance.
LOWEST_SCORE = 0.05

_SIZE_UNIT = 64  # stride of the network's coarsest level, px


@dataclass(frozen=True)
class Prediction:
    """A predicted slump: its outline in pixel coordinates of the image, and its score, 0..1."""

    outline: BaseGeometry
    score: float


Predictions = dict[str, list[Prediction]]


def predict_images(
    dataset: Dataset,
    card: ModelCard,
    detector: Detector,
    *,
    score: float = LOWEST_SCORE,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Predictions:
    """Run a model on the images of a data set, with the same steps as `rtsmap predict` on a scene.

    Args:
        dataset: the images; those outside the model's range of ground sampling distances are resampled.
        card: the card of the model.
        detector: the detector of the model.
        score: least score of the predictions that are kept, 0..1.
        progress: called with the number of finished images and of all images.

    Returns:
        The predictions of every image by the name of the image, empty where there are none.

    Raises:
        DatasetError: images lack bands that the model needs, or cannot be read.
    """
    if missing := [name for name in card.input.modalities if name not in dataset.modalities]:
        raise DatasetError(f"{dataset.folder}: has no bands for {', '.join(missing)}, which {card.name} needs")
    predictions: Predictions = {}
    for image in dataset.images:
        predictions[image.name] = predict_pixels(ImagePixels(dataset.folder, image), card, detector, score)
        progress(len(predictions), len(dataset.images))
    return predictions


def predict_pixels(pixels: PixelSource, card: ModelCard, detector: Detector, score: float) -> list[Prediction]:
    """Run a model on a source of pixels, as `predict_images` does with each image.

    Args:
        pixels: the source of pixels.
        card: the card of the model.
        detector: the detector of the model.
        score: least score of the predictions that are kept, 0..1.

    Returns:
        The predictions, in pixel coordinates of the source.
    """
    source = pixels
    lowest, highest = card.input.gsd_range_m
    if not all(lowest <= size <= highest for size in pixel_size_m(pixels.grid)):
        source = ResampledSource(pixels, card.input.gsd_m)
    # no larger than needed, because a chip of 1024 px around an image of 256 px costs sixteen times as much
    unit = math.lcm(_SIZE_UNIT, card.network.alignment)
    longest = max(source.grid.height, source.grid.width)
    chip_size = min(card.input.chip_size, math.ceil(longest / unit) * unit)
    overlap = card.input.overlap if chip_size == card.input.chip_size else 0  # one chip holds the whole image
    merged = find(source, card, detector, score=score, chip_size=chip_size, overlap=overlap)
    back = (~pixels.grid.transform @ source.grid.transform).to_shapely()
    return [Prediction(affine_transform(one.geometry, back), one.score) for one in merged]


def write_predictions(
    path: Path, dataset: Dataset, predictions: Mapping[str, Sequence[Prediction]], *, overwrite: bool = True
) -> None:
    """Write predictions as COCO results, a list of image_id, category_id, score, bbox and segmentation (px).

    An image without predictions gets one entry without area and with the score 0, which changes no average precision,
    so that the file states which images it covers.

    Args:
        path: path of the JSON file.
        dataset: the data set of the images.
        predictions: predictions by the name of the image.
        overwrite: replace an existing file.

    Raises:
        DatasetError: the data set lacks one of the images.
        OutputError: the file cannot be written.
    """
    numbers = _image_ids(dataset)
    if unknown := sorted(set(predictions) - set(numbers)):
        raise DatasetError(f"{dataset.folder}: has no image {unknown[0]}")
    nothing = [{"score": 0.0, "bbox": [0.0] * 4, "segmentation": [[0.0] * 6]}]
    entries = [
        {"image_id": numbers[name], "category_id": 1, "image": name, **entry}
        for name, in_image in predictions.items()
        for entry in (list(map(_entry, in_image)) or nothing)
    ]
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_text("[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n", encoding="utf-8")


def _entry(prediction: Prediction) -> dict[str, Any]:
    left, top, right, bottom = prediction.outline.bounds
    return {
        "score": round(float(prediction.score), 6),
        "bbox": [round(value, 3) for value in (left, top, right - left, bottom - top)],
        "segmentation": segmentation_of(prediction.outline),
    }


def read_predictions(path: Path, dataset: Dataset) -> Predictions:
    """Read the predictions of a file for the images of a data set; those of other images are skipped.

    Raises:
        InputError: the file cannot be read, or is not a list of predictions.
        DatasetError: the file belongs to another data set.
    """
    return _read(path, dataset, _image_ids(dataset))


def _read(path: Path, dataset: Dataset, numbers: Mapping[str, int]) -> Predictions:
    names = {number: name for name, number in numbers.items()}
    wanted = {image.name for image in dataset.images}
    predictions: Predictions = {}
    try:
        for entry in read_json(path, InputError, "give what rtsmap evaluate chips wrote with -o"):
            name = names.get(entry["image_id"])
            if name is None or entry.get("image", name) != name:
                raise DatasetError(
                    f"{path}: does not belong to {dataset.folder}, which has no image {entry['image_id']}"
                    f"{' ' + entry['image'] if 'image' in entry else ''}; give the data set that it was made with"
                )
            if name in wanted:
                in_image = predictions.setdefault(name, [])
                outline = outline_of(entry["segmentation"])
                in_image += [Prediction(outline, float(entry["score"]))] if outline.area > 0 else []
    except MALFORMED as error:
        raise InputError(f"{path}: holds no predictions in COCO's form ({error!r})") from error
    return predictions


def read_all(paths: Iterable[Path], dataset: Dataset) -> Predictions:
    """Read the predictions of several files, such as one for each fold of a cross-validation.

    Raises:
        InputError: a file cannot be read, or two files hold the same image; see `read_predictions`.
    """
    paths, numbers = list(paths), _image_ids(dataset)
    parts = [_read(path, dataset, numbers) for path in paths]
    times = Counter(name for part in parts for name in part)
    if twice := [name for name, number in times.items() if number > 1]:
        both = [str(path) for path, part in zip(paths, parts, strict=True) if twice[0] in part]
        raise InputError(f"{' and '.join(both)}: both hold the image {twice[0]}; give each image only once")
    return {name: in_image for part in parts for name, in_image in part.items()}


def _image_ids(dataset: Dataset) -> dict[str, int]:
    """Return the COCO id of every image of the data set on disk, including images that a subset leaves out."""
    path = dataset.folder / ANNOTATIONS
    table = read_json(path, DatasetError, "make the data set again with rtsmap dataset")
    try:
        return {Path(entry["file_name"]).stem: int(entry["id"]) for entry in table["images"]}
    except MALFORMED as error:
        raise DatasetError(f"{path}: is not a data set of rtsmap ({error!r}); make it with rtsmap dataset") from error


def image_named(dataset: Dataset, name: str) -> LabelledImage:
    """Return an image by its name.

    Raises:
        DatasetError: the data set has no such image.
    """
    for image in dataset.images:
        if image.name == name:
            return image
    raise DatasetError(f"{dataset.folder}: has no image {name}")
