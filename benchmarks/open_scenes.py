"""The table of the open Sentinel-2 scenes with known slumps, with the regions for leave-one-region-out validation.

    python -m benchmarks.open_scenes FOLDER -o scenes.csv [--ground-points N]
    rtsmap dataset build --table scenes.csv --any-date --chip-size 512 -o dataset
    python -m benchmarks.open_scenes FOLDER --split dataset

FOLDER holds `s2_scenes` (a scene `NAME.tif` beside its outlines `NAME_rts.gpkg`), `s2_chips_wsiberia` and
`s2_scenes_masks_only` (images `NAME.tif` beside their masks `NAME_mask.tif`, labels of lower trust),
`labelling_experiment_sites` (top-of-atmosphere reflectance; the labels are what at least half of the experts agree on)
and `labels` (published inventories). In addition to the table, a folder of the same name is written with the labels and
the annotated areas. Ground is excluded from the annotated area, and is neither slump nor background, where another
inventory, another year, too few experts or a point without an outline indicate a slump that is not a label.

`--split` writes the region of every image as its fold, so that `--without north_america` leaves out all sites there.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from benchmarks.ground_kinds import points_of_kinds
from benchmarks.open_labels import Inventories, annotated_area, labels_of, write_layer
from benchmarks.open_labels import four_bands as write_four_bands
from rtsmap.dataset.images import SPLIT, read_dataset
from rtsmap.dataset.splitting import write_split

#: The region of each site. Regions share no ground and differ in appearance.
REGIONS = {
    "taimyr": "taimyr",
    "lower_lena": "lena",
    "bykovsky": "lena",
    "iultinsky": "chukotka",
    "kolyuchinskaya": "chukotka",
    "west_siberia": "west_siberia",
    "alatna": "north_america",
    "noatak": "north_america",
    "peel": "north_america",
}
#: The band numbers of blue, green, red and near infrared (B2, B3, B4, B8) in the clips of the labelling experiment.
CLIP_BANDS = (1, 2, 3, 7)


@dataclass(frozen=True)
class OpenScene:
    """A scene, its site, and the file of its labels: outlines, a mask, or None where experts drew the labels."""

    image: Path
    site: str
    labels: Path | None


def open_scenes(folder: Path) -> Iterator[OpenScene]:
    """Yield all scenes of the open data in the order of the table."""
    for labels in sorted((folder / "s2_scenes").glob("*_rts.gpkg")):
        yield OpenScene(labels.with_name(labels.name.replace("_rts.gpkg", ".tif")), _site(labels), labels)
    for part in ("s2_chips_wsiberia", "s2_scenes_masks_only/chips_wsiberia", "s2_scenes_masks_only"):
        for mask in sorted((folder / part).glob("*_mask.tif")):
            site = "west_siberia" if "wsiberia" in part else _site(mask)
            yield OpenScene(mask.with_name(mask.name.replace("_mask", "")), site, mask)
    for image in sorted((folder / "labelling_experiment_sites").glob("*_S2_*.tif")):
        yield OpenScene(image, _site(image), None)


def _site(path: Path) -> str:
    return next(site for site in REGIONS if path.name.startswith(site))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, help="the table")
    parser.add_argument("--split", type=Path, metavar="DATASET", help="write the regions into a data set")
    parser.add_argument("--ground-points", type=int, default=0, metavar="N", help="per site and kind of ground")
    arguments = parser.parse_args()
    if arguments.output is not None:
        rows = prepare(arguments.folder.resolve(), arguments.output, arguments.ground_points)
        print(f"{rows} scenes -> {arguments.output}")
    if arguments.split is not None:
        dataset = read_dataset(arguments.split)
        folds = {image.name: REGIONS.get(image.site, "simulated") for image in dataset.images}
        write_split(dataset, folds, dataset.folder / SPLIT)


def prepare(folder: Path, table: Path, ground_points: int = 0) -> int:
    """Write the table, the labels and the annotated areas, and return the number of scenes.

    Args:
        folder: the folder of the open data.
        table: the file to write.
        ground_points: the approximate number of points of every kind of ground without a slump that become hard
            negatives at each site; there are fewer where a site has less of a kind.
    """
    beside = table.with_suffix("")
    beside.mkdir(parents=True, exist_ok=True)
    inventories = Inventories(folder / "labels")
    scenes = list(open_scenes(folder))
    scenes_of = Counter(scene.site for scene in scenes)
    rows = []
    for scene in scenes:
        stem = scene.image.stem
        image = scene.image
        if scene.labels is None:
            image = write_four_bands(scene.image, CLIP_BANDS, beside / f"{stem}_4b.tif")
        slumps = labels_of(scene.labels, scene.site, image, inventories)
        searched = annotated_area(scene.labels, image, slumps, inventories)
        others = points_of_kinds(image, slumps, searched, ceil(ground_points / scenes_of[scene.site]))
        labels, footprints = beside / f"{stem}_labels.gpkg", beside / f"{stem}_searched.gpkg"
        classes = ["Positive"] * len(slumps) + ["Negative"] * len(others)
        write_layer(labels, [*slumps.geometry, *others], slumps.crs, {"trainclass": classes})
        write_layer(footprints, [searched], slumps.crs, {})
        rows.append((image, labels.resolve(), footprints.resolve(), scene.site, REGIONS[scene.site]))
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("image", "labels", "footprints", "site", "region"), *rows])
    return len(rows)


if __name__ == "__main__":
    main()
