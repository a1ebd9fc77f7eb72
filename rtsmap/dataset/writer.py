"""Writing a data set; its folder appears only when the data set is complete."""

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from shapely.geometry.base import BaseGeometry

from rtsmap.bands import BANDS, TERRAIN, channel
from rtsmap.dataset.folder_contents import foreign_files
from rtsmap.dataset.images import ANNOTATIONS, SCALE, Label, LabelledImage
from rtsmap.dataset.segmentation import segmentation_of
from rtsmap.dataset.terrain_encoding import TERRAIN_ENCODING, UNITS, encode_terrain
from rtsmap.errors import DatasetError
from rtsmap.files.folders import replacing_folder
from rtsmap.records import Pixels

#: COCO's only category here.
CATEGORY = {"id": 1, "name": "rts", "supercategory": "thaw slump"}


class DatasetWriter:
    """Adds images to a data set that is being written; see `writing_dataset`.

    Args:
        folder: an existing folder.
        shard_size: number of images in each tar file, which also holds a JSON file of labels for each image, as
            WebDataset has it; 0 to write plain files.

    Attributes:
        folder: the folder, in which further files of the data set may be written.
    """

    def __init__(self, folder: Path, shard_size: int = 0) -> None:
        self.folder, self._shard_size = folder, shard_size
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._shard: tarfile.TarFile | None = None
        self._names: set[str] = set()

    def add(self, image: LabelledImage, pixels: Pixels) -> None:
        """Write an image, and keep its labels for `annotations.json`.

        Args:
            image: the image and its labels; the writer chooses its `file`.
            pixels: the pixels of the image; those that are not clear are written as nodata. They hold a terrain if
                `image.bands` names its bands.

        Raises:
            DatasetError: an image of the same name was already added.
        """
        if image.name in self._names:
            raise DatasetError(f"two images are called {image.name}; give their files different names")
        self._names.add(image.name)
        content = _geotiff(image, pixels)
        number = len(self._images) + 1
        entry, annotations = self._described(image, number)
        if self._shard_size:
            shard = f"images-{(number - 1) // self._shard_size:04d}.tar"
            entry["file_name"] = f"{shard}/{image.name}.tif"
            if (number - 1) % self._shard_size == 0:
                self._close_shard()
                self._shard = tarfile.open(self.folder / shard, "w")  # noqa: SIM115  (closed with the last image)
            assert self._shard is not None
            _add_member(self._shard, f"{image.name}.tif", content)
            _add_member(self._shard, f"{image.name}.json", json.dumps([entry, annotations]).encode())
        else:
            entry["file_name"] = f"images/{image.name}.tif"
            path = self.folder / entry["file_name"]
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        self._images.append(entry)
        self._annotations += annotations

    def finish(self, source: str) -> None:
        """Write `annotations.json`, with a description of the source.

        Raises:
            DatasetError: no image was added.
        """
        self._close_shard()
        if not self._images:
            raise DatasetError("the data set would have no image")
        table = {
            "info": {"description": source},
            "licenses": [],
            "categories": [CATEGORY],
            "images": self._images,
            "annotations": self._annotations,
        }
        (self.folder / ANNOTATIONS).write_text(json.dumps(table, indent=1), encoding="utf-8")

    def _close_shard(self) -> None:
        if self._shard is not None:
            self._shard.close()

    def _described(self, image: LabelledImage, number: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        entry = {
            "id": number,
            "file_name": image.file,
            "width": image.width,
            "height": image.height,
            "site": image.site,
            "scene": image.scene,
            "gsd_m": image.gsd_m,
            "bands": list(image.bands),
            "acquired": image.acquired.isoformat() if image.acquired else None,
            "crs": image.crs,
            "transform": list(image.transform)[:6] if image.transform else None,
            "hard_negatives": [list(point) for point in image.hard_negatives],
        }
        labels: list[Label | BaseGeometry] = [*image.slumps, *image.ignored]
        first = len(self._annotations) + 1
        return entry, [_annotation(label, first + index, number) for index, label in enumerate(labels)]


@contextmanager
def writing_dataset(
    folder: Path, source: str, *, shard_size: int = 0, overwrite: bool = False
) -> Iterator[DatasetWriter]:
    """Open a writer of a data set; `folder` appears when the block succeeds.

    Args:
        folder: folder of the data set.
        source: where images and labels come from; a description for `annotations.json`.
        shard_size: number of images in each tar file; see `DatasetWriter`.
        overwrite: replace an existing data set; a folder that holds other files is never replaced.

    Yields:
        The writer.

    Raises:
        InputError: the folder exists and may not be replaced; see `folders.check_folder`.
        OutputError: the data set cannot be written.
    """
    with replacing_folder(folder, foreign_files, overwrite=overwrite) as temporary:
        writer = DatasetWriter(temporary, shard_size)
        yield writer
        writer.finish(source)


def _annotation(label: Label | BaseGeometry, number: int, image: int) -> dict[str, Any]:
    """Return the COCO entry of a label, or of an ignored geometry, which COCO calls a crowd."""
    outline = label.outline if isinstance(label, Label) else label
    left, top, right, bottom = outline.bounds
    extra = {"visible_fraction": round(label.visible_fraction, 4), "uid": label.uid} if isinstance(label, Label) else {}
    return {
        "id": number,
        "image_id": image,
        "category_id": CATEGORY["id"],
        "bbox": [round(float(value), 3) for value in (left, top, right - left, bottom - top)],
        "area": round(float(shapely.area(outline)), 3),
        "segmentation": segmentation_of(outline),
        "iscrowd": 0 if isinstance(label, Label) else 1,
        **extra,
    }


def _geotiff(image: LabelledImage, pixels: Pixels) -> bytes:
    order = [BANDS.index(name) for name in image.bands if name in BANDS]
    numbers = np.round(pixels.reflectance[order] / SCALE).astype(np.uint16)
    numbers[:, ~pixels.clear] = 0
    numbers[0][pixels.clear & ~numbers.any(axis=0)] = 1  # black is not nodata
    terrain = [
        encode_terrain(name, channel(name, pixels.reflectance, pixels.terrain)) * pixels.clear
        for name in image.bands
        if name in TERRAIN
    ]
    return _encode(image, np.stack([*numbers, *terrain]) if terrain else numbers)


def _encode(image: LabelledImage, numbers: NDArray[np.uint16]) -> bytes:
    grid = image.grid
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "count": len(numbers),
        "height": image.height,
        "width": image.width,
        "dtype": "uint16",
        "nodata": 0,
        "compress": "deflate",
        "predictor": 2,
        "interleave": "band",
        "transform": grid.transform,
    }
    if image.crs is not None:
        profile["crs"] = rasterio.CRS.from_user_input(image.crs)
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(numbers)
            dataset.descriptions = image.bands
            if set(image.bands) & set(TERRAIN):  # reflectance alone needs no scales, because its scale is the usual one
                codes = [TERRAIN_ENCODING.get(name, (SCALE, 0.0)) for name in image.bands]
                dataset.scales, dataset.offsets = zip(*codes, strict=True)
                dataset.units = [UNITS.get(name, "") for name in image.bands]
        return bytes(memory.getbuffer())


def _add_member(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))
