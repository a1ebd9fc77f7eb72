"""Which chips of a scene a data set takes: what each shows, and which of those without slumps are kept."""

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
from rtsmap.dataset.cutting import ChipLabels, SceneLabels, chip_labels
from rtsmap.dataset.images import LabelledImage
from rtsmap.dataset.planning import ScenePlan
from rtsmap.records import Chip, Grid, PixelSource
from rtsmap.scene import Scene
from rtsmap.scene.ground_distance import gsd_m, is_square

_SAME_GSD = 0.01  # relative; nearer than that nothing is resampled


@dataclass(frozen=True)
class Cutting:
    """How scenes are cut into chips.

    Attributes:
        chip_size: side, px.
        overlap: px that neighbouring chips share; even.
        gsd_m: ground sampling distance to resample to, m; None: that of each scene, with pixels that are square on the
            ground.
        min_visible: part of a slump's area that a chip shows, 0..1; of less it is ignored.
        min_valid: part of a chip that is observed at least, 0..1, unless it holds a slump.
        negatives: chips without a slump for each one with, scene by scene; None: all. A scene without slumps gives
            as many as one with a single chip. Chips with hard negatives are always kept.
        seed: of the choice of negatives.
    """

    chip_size: int = 256
    overlap: int = 0
    gsd_m: float | None = None
    min_visible: float = 0.3
    min_valid: float = 0.05
    negatives: float | None = None
    seed: int = 0


class SceneChips:
    """The chips of one scene: looked at once to choose, and read again to be written.

    Reading twice costs seconds; keeping the pixels would cost the memory of the scene.

    Args:
        scene: open.
        scene_plan: its labels.
        cutting: how to cut.

    Attributes:
        notes: what the user should know, one line each.
    """

    def __init__(self, scene: Scene, scene_plan: ScenePlan, cutting: Cutting) -> None:
        self._plan, self._cutting = scene_plan, cutting
        wanted = cutting.gsd_m or (None if is_square(scene.grid) else gsd_m(scene.grid))
        near = (wanted or 0) * (1 - _SAME_GSD), (wanted or 0) * (1 + _SAME_GSD)
        self._scene = scene
        self._source: PixelSource = scene if wanted is None else scene.at_gsd(wanted, near)
        self._chip_grid = ChipGrid(self._source.grid, cutting.chip_size, cutting.overlap)
        self._labels = _in_pixels(scene_plan, self._source.grid)
        self.notes: list[str] = []

    def chips(self, wanted: Collection[tuple[int, int]] | None = None) -> Iterator[Chip]:
        """All chips with clear pixels, or those wanted."""
        with self._scene.read_cache(self._cutting.chip_size, self._chip_grid.strip_px, self._source.grid):
            for block in read_chips(
                self._source,
                self._chip_grid,
                wanted=None if wanted is None else lambda place: (place.row, place.column) in wanted,
            ):
                yield from block.chips

    def choose(self) -> dict[tuple[int, int], LabelledImage]:
        """The chips to write by row and column."""
        kept: dict[tuple[int, int], LabelledImage] = {}
        empty: list[tuple[int, int]] = []
        for chip in self.chips():
            labels = chip_labels(self._labels, chip.window.extent, chip.pixels.clear, self._cutting.min_visible)
            if not labels.slumps and (not labels.observed or labels.observed < self._cutting.min_valid):
                continue
            place = chip.window.row, chip.window.column
            kept[place] = image = self._image(chip, labels)
            self.notes += [f"{image.name}: label {uid} covers the whole chip; is it a slump?" for uid in labels.whole]
            if not labels.slumps and not labels.hard_negatives:
                empty.append(place)
        for place in self._surplus(empty, positive=sum(bool(image.slumps) for image in kept.values())):
            del kept[place]
        return kept

    def _surplus(self, empty: list[tuple[int, int]], positive: int) -> list[tuple[int, int]]:
        """Chips without slumps that are more than asked for; the choice depends on nothing but seed and scene."""
        if self._cutting.negatives is None:
            return []
        wanted = round(self._cutting.negatives * max(positive, 1))
        order = np.random.default_rng([self._cutting.seed, zlib.crc32(self._plan.place.scene_id.encode())])
        return [empty[number] for number in order.permutation(len(empty))[wanted:]]

    def _image(self, chip: Chip, labels: ChipLabels) -> LabelledImage:
        place, grid = self._plan.place, self._source.grid
        window = chip.window.extent
        return LabelledImage(
            name=f"{place.scene_id}_r{chip.window.row:03d}_c{chip.window.column:03d}",
            file="",  # the writer's choice
            site=self._plan.site,
            scene=place.scene_id,
            height=window.height,
            width=window.width,
            gsd_m=round(gsd_m(grid), 6),
            bands=BANDS if self._scene.dem_path is None else (*BANDS, *TERRAIN),
            slumps=labels.slumps,
            ignored=labels.ignored,
            hard_negatives=labels.hard_negatives,
            acquired=place.acquired,
            crs=grid.crs.to_string(),
            transform=grid.transform @ Affine.translation(window.column, window.row),
        )


def _in_pixels(scene_plan: ScenePlan, grid: Grid) -> SceneLabels:
    to_pixel = (~grid.transform).to_shapely()
    slumps = scene_plan.slumps
    points = shapely.get_coordinates(list(scene_plan.hard_negatives))
    columns, rows = ~grid.transform @ (points[:, 0], points[:, 1])
    return SceneLabels(
        outlines=slumps.geometry.affine_transform(to_pixel).to_numpy(),
        uids=list(slumps["uid"]),
        looked_at=None if scene_plan.looked_at is None else affine_transform(scene_plan.looked_at, to_pixel),
        hard_negatives=np.column_stack([columns, rows]),
    )
