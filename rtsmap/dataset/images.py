"""A data set on disk: images with their slumps, in COCO's form.

    FOLDER/annotations.json     COCO, with further keys of rtsmap (site, scene, CRS, ...) beside COCO's own
    FOLDER/images/*.tif         reflectance x 10000, uint16, nodata 0, bands described; or in images-0000.tar, ...
    FOLDER/split.csv            written by `rtsmap dataset split`: image, site, fold

Images built with an elevation model have two more bands, elevation and slope (`bands.TERRAIN`), in m and degrees after
the scale and offset of `terrain_encoding.TERRAIN_ENCODING`, which the files declare.

Images keep the resolution of their scene. Modalities are computed from reflectance when chips are made, in the same way
for training and for inference, so that they cannot differ.
"""

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from affine import Affine
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from rtsmap.bands import BANDS, MODALITY_CHANNELS, TERRAIN
from rtsmap.dataset.segmentation import outline_of
from rtsmap.errors import DatasetError
from rtsmap.files.json_files import MALFORMED, read_json
from rtsmap.records import Grid

ANNOTATIONS, SPLIT = "annotations.json", "split.csv"

#: Reflectance of one digital number in the images of a data set.
SCALE = 1e-4


@dataclass(frozen=True)
class Label:
    """A slump, or the part of it that lies in an image.

    Attributes:
        outline: polygon or multipolygon in pixel coordinates of the image.
        visible_fraction: share of the slump's area that lies in the image, 0..1.
        uid: identifier of the slump, the same in all images that show the same outline; empty where the source has
            none.
    """

    outline: BaseGeometry
    visible_fraction: float = 1.0
    uid: str = ""


@dataclass(frozen=True)
class LabelledImage:
    """An image of a data set: a chip of a scene, or a whole scene.

    Attributes:
        name: name of the image, unique in the data set.
        file: path of the image file; inside a tar file where the data set is written in shards.
        site: name of the site; images of one site lie close to one another.
        scene: id of the scene from which the image was cut.
        height, width: size, px.
        gsd_m: ground sampling distance, m.
        bands: the bands of the file, in its order, out of `bands.BANDS` and `bands.TERRAIN`.
        slumps: slumps that a network should find.
        ignored: areas in pixel coordinates that are neither slump nor background: those that the labeller did not
            search, and slumps of which too little is visible.
        hard_negatives: points, px, on ground that a model took for a slump although it is none.
        acquired: day of acquisition; None where it is not known.
        crs: CRS of `transform`; None where the image is not georeferenced.
        transform: transform from pixel coordinates to the CRS.
    """

    name: str
    file: str
    site: str
    scene: str
    height: int
    width: int
    gsd_m: float
    bands: tuple[str, ...] = BANDS
    slumps: tuple[Label, ...] = ()
    ignored: tuple[BaseGeometry, ...] = ()
    hard_negatives: tuple[tuple[float, float], ...] = ()
    acquired: date | None = None
    crs: str | None = None
    transform: Affine | None = None

    @property
    def grid(self) -> Grid:
        """The pixel grid; in a local plane in metres where the image is not georeferenced."""
        if self.crs is None or self.transform is None:
            return Grid(_PLANE, Affine.scale(self.gsd_m, -self.gsd_m), self.height, self.width)
        return Grid(CRS.from_user_input(self.crs), self.transform, self.height, self.width)


_PLANE = CRS.from_wkt('LOCAL_CS["image",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]')


@dataclass(frozen=True)
class Dataset:
    """Labelled images, and their folds.

    Attributes:
        folder: folder of the data set.
        images: the images, in the order of `annotations.json`.
        folds: fold of each image by its name, as `rtsmap dataset split` wrote it; empty where there is no split.
    """

    folder: Path
    images: tuple[LabelledImage, ...]
    folds: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def modalities(self) -> tuple[str, ...]:
        """The modalities for which every image has the bands."""
        shared = {*BANDS, *TERRAIN}.intersection(*(image.bands for image in self.images))
        needed = {name: {"red", "nir"} if name == "ndvi" else set(of) for name, of in MODALITY_CHANNELS.items()}
        return tuple(name for name, of in needed.items() if of <= shared)

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of the sites, sorted."""
        return tuple(sorted({image.site for image in self.images}))

    @property
    def slumps(self) -> int:
        """The number of labels; a slump in two images counts twice."""
        return sum(len(image.slumps) for image in self.images)

    def subset(self, names: Collection[str]) -> "Dataset":
        """Return the data set with only the images of some sites or folds.

        Raises:
            DatasetError: the data set has no such site or fold.
        """
        self._check(names)
        return replace(self, images=tuple(image for image in self.images if self._groups(image) & set(names)))

    def without(self, names: Collection[str]) -> "Dataset":
        """Return the data set without the images of some sites or folds.

        Raises:
            DatasetError: the data set has no such site or fold.
        """
        self._check(names)
        return replace(self, images=tuple(image for image in self.images if not self._groups(image) & set(names)))

    def _groups(self, image: LabelledImage) -> set[str]:
        return {image.site, *([self.folds[image.name]] if image.name in self.folds else [])}

    def _check(self, names: Collection[str]) -> None:
        known = set().union(*(self._groups(image) for image in self.images))
        if unknown := sorted(set(names) - known):
            raise DatasetError(
                f"{self.folder}: has no site or fold {', '.join(unknown)}; it has {', '.join(sorted(known))}"
            )


def read_dataset(folder: Path) -> Dataset:
    """Read the images and labels of a data set; pixels are read only when they are needed.

    Raises:
        DatasetError: a file is missing or wrong.
    """
    path = folder / ANNOTATIONS
    table = read_json(path, DatasetError, f"is {folder} a data set?")
    try:
        labels: dict[int, list[Any]] = {image["id"]: [] for image in table["images"]}
        for annotation in table["annotations"]:
            labels[annotation["image_id"]].append(annotation)
        images = tuple(_image(entry, labels[entry["id"]]) for entry in table["images"])
    except MALFORMED as error:
        raise DatasetError(f"{path}: is not a data set of rtsmap ({error!r}); make it with rtsmap dataset") from error
    if not images:
        raise DatasetError(f"{path}: has no image")
    split = folder / SPLIT
    return Dataset(folder, images, read_folds(split) if split.exists() else {})


def _image(entry: Mapping[str, Any], labels: Sequence[Mapping[str, Any]]) -> LabelledImage:
    outlines = [(label, outline_of(label["segmentation"])) for label in labels]
    return LabelledImage(
        name=Path(entry["file_name"]).stem,
        file=entry["file_name"],
        site=entry["site"],
        scene=entry["scene"],
        height=entry["height"],
        width=entry["width"],
        gsd_m=entry["gsd_m"],
        bands=tuple(entry["bands"]),
        slumps=tuple(
            Label(outline, label.get("visible_fraction", 1.0), label.get("uid", ""))
            for label, outline in outlines
            if not label["iscrowd"]
        ),
        ignored=tuple(outline for label, outline in outlines if label["iscrowd"]),
        hard_negatives=tuple((x, y) for x, y in entry.get("hard_negatives", ())),
        acquired=date.fromisoformat(entry["acquired"]) if entry.get("acquired") else None,
        crs=entry.get("crs"),
        transform=Affine(*entry["transform"]) if entry.get("transform") else None,
    )


def read_folds(path: Path) -> dict[str, str]:
    """Read the fold of each image from a CSV file with the columns image and fold.

    Raises:
        DatasetError: the file cannot be read, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["image"]: row["fold"] for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DatasetError(f"{path}: needs the columns image and fold; make it with rtsmap dataset split") from error
