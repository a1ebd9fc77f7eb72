"""Selection of the chips of a scene that go into a data set: those with slumps, and a share of those without."""

import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from shapely.affinity import affine_transform

from rtsmap.bands import BANDS, TERRAIN
from rtsmap.chips.grid import ChipGrid
from rtsmap.chips.reading import read_chips
from rtsmap.dataset.chip_labels import ChipLabels, SceneLabels, chip_labels
from rtsmap.dataset.images import LabelledImage
from rtsmap.dataset.labelled_scenes import LabelledScene
from rtsmap.dataset.visibility import MIN_VISIBLE_SHARE
from rtsmap.records import Chip, Grid, PixelSource
from rtsmap.scene import Scene
from rtsmap.scene.ground_distance import gsd_m, is_square

_SAME_GSD = 0.01  # relative difference of pixel sizes below which a scene is not resampled


@dataclass(frozen=True)
class ChipOptions:
    """How scenes are cut into chips.

    Attributes:
        chip_size: side of a chip, px.
        overlap: number of pixels that neighbouring chips share; even.
        gsd_m: ground sampling distance to which scenes are resampled, m; None keeps that of each scene, and only makes
            its pixels square on the ground.
        min_visible: least share of a slump's area that a chip must show, 0..1; a slump that shows less is ignored.
        min_valid: least share of a chip that must be observed, 0..1, unless the chip holds a slump.
        negatives: number of chips without a slump for each chip with one, counted scene by scene; None keeps them all.
            A scene without slumps gives as many as a scene with a single positive chip. Chips with hard negatives are
            always kept.
        seed: seed of the random choice of negatives.
    """

    chip_size: int = 256
    overlap: int = 0
    gsd_m: float | None = None
    min_visible: float = MIN_VISIBLE_SHARE
    min_valid: float = 0.05
    negatives: float | None = None
    seed: int = 0


class SceneChips:
    """The chips of one scene, which is read once to select chips and again to write them.

    Reading a scene twice costs seconds, whereas keeping its pixels would cost the memory of the whole scene.

    Args:
        scene: the open scene.
        labelled: the labels of the scene.
        options: how to cut the scene into chips.

    Attributes:
        notes: messages for the user, one line each.
    """

    def __init__(self, scene: Scene, labelled: LabelledScene, options: ChipOptions) -> None:
        self._labelled, self._options = labelled, options
        wanted = options.gsd_m or (None if is_square(scene.grid) else gsd_m(scene.grid))
        near = (wanted or 0) * (1 - _SAME_GSD), (wanted or 0) * (1 + _SAME_GSD)
        self._scene = scene
        self._source: PixelSource = scene if wanted is None else scene.at_gsd(wanted, near)
        self._chip_grid = ChipGrid(self._source.grid, options.chip_size, options.overlap)
        self._labels = _in_pixels(labelled, self._source.grid)
        self.notes: list[str] = []

    def chips(self, wanted: Collection[tuple[int, int]] | None = None) -> Iterator[Chip]:
        """Yield all chips that have clear pixels, or only the wanted ones, given by row and column of the chip grid."""
        with self._scene.read_cache(self._options.chip_size, self._chip_grid.strip_px, self._source.grid):
            for block in read_chips(
                self._source,
                self._chip_grid,
                wanted=None if wanted is None else lambda chip: (chip.row, chip.column) in wanted,
            ):
                yield from block.chips

    def choose(self) -> dict[tuple[int, int], LabelledImage]:
        """Select the chips to write, by row and column of the chip grid."""
        kept: dict[tuple[int, int], LabelledImage] = {}
        empty: list[tuple[int, int]] = []
        for chip in self.chips():
            labels = chip_labels(self._labels, chip.window.extent, chip.pixels.clear, self._options.min_visible)
            if not labels.slumps and (not labels.observed or labels.observed < self._options.min_valid):
                continue
            index = chip.window.row, chip.window.column
            kept[index] = image = self._image(chip, labels)
            self.notes += [
                f"{image.name}: label {uid} covers the whole chip; check that it outlines a slump"
                for uid in labels.whole
            ]
            if not labels.slumps and not labels.hard_negatives:
                empty.append(index)
        for index in self._surplus(empty, positive=sum(bool(image.slumps) for image in kept.values())):
            del kept[index]
        return kept

    def _surplus(self, empty: list[tuple[int, int]], positive: int) -> list[tuple[int, int]]:
        """Draw the chips without slumps that exceed the wanted number; the seed and the scene alone decide which."""
        if self._options.negatives is None:
            return []
        wanted = round(self._options.negatives * max(positive, 1))
        order = np.random.default_rng([self._options.seed, zlib.crc32(self._labelled.extent.scene_id.encode())])
        return [empty[number] for number in order.permutation(len(empty))[wanted:]]

    def _image(self, chip: Chip, labels: ChipLabels) -> LabelledImage:
        extent, grid = self._labelled.extent, self._source.grid
        window = chip.window.extent
        return LabelledImage(
            name=f"{extent.scene_id}_r{chip.window.row:03d}_c{chip.window.column:03d}",
            file="",  # chosen by the writer
            site=self._labelled.site,
            scene=extent.scene_id,
            height=window.height,
            width=window.width,
            gsd_m=round(gsd_m(grid), 6),
            bands=BANDS if self._scene.dem_path is None else (*BANDS, *TERRAIN),
            slumps=labels.slumps,
            ignored=labels.ignored,
            hard_negatives=labels.hard_negatives,
            acquired=extent.acquired,
            crs=grid.crs.to_string(),
            transform=grid.transform @ Affine.translation(window.column, window.row),
        )


def _in_pixels(labelled: LabelledScene, grid: Grid) -> SceneLabels:
    to_pixel = (~grid.transform).to_shapely()
    slumps, area = labelled.slumps, labelled.annotated_area
    points = shapely.get_coordinates(list(labelled.hard_negatives))
    columns, rows = ~grid.transform @ (points[:, 0], points[:, 1])
    return SceneLabels(
        outlines=slumps.geometry.affine_transform(to_pixel).to_numpy(),
        uids=list(slumps["uid"]),
        annotated_area=None if area is None else affine_transform(area, to_pixel),
        hard_negatives=np.column_stack([columns, rows]),
    )
