"""Training chips: cut at random positions and scales, mirrored, rotated and augmented.

Changes of illumination, haze and sensor act on reflectance, before NDVI is computed, so that the modalities of a chip
stay consistent. Terrain does not depend on them: it is cut, pasted, mirrored and rotated, but not changed otherwise.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.random import Generator
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rtsmap.dataset.images import Dataset
from rtsmap.dataset.visibility import is_visible
from rtsmap.errors import DatasetError
from rtsmap.records import BoolArray, FloatArray
from rtsmap.settings.training import TrainConfig
from rtsmap.training.augmentation import jitter, one_change
from rtsmap.training.cutting import cut, cut_terrain, turn
from rtsmap.training.paste import Piece, paste
from rtsmap.training.resolution_augmentation import draw_gsd, reduce_resolution
from rtsmap.training.store import PixelStore

#: Slumps of which a smaller share lies in their image are not pasted into other chips.
MIN_PASTED_SHARE = 0.95


@dataclass(frozen=True)
class Sample:
    """One training chip.

    Attributes:
        reflectance: `(4, c, c)`, 0..1.
        valid: `(c, c)`, valid pixels.
        masks: `(n, c, c)`, one mask for each slump.
        terrain: `(2, c, c)`, elevation and slope; None if no modality of the settings needs them.
    """

    reflectance: FloatArray
    valid: BoolArray
    masks: BoolArray
    terrain: FloatArray | None = None

    def turned(self, quarter_turns: int, flip: bool) -> "Sample":
        """Return the chip rotated by multiples of 90 degrees, then mirrored."""
        how = quarter_turns, flip
        land = None if self.terrain is None else turn(self.terrain, *how)
        return Sample(turn(self.reflectance, *how), turn(self.valid, *how), turn(self.masks, *how), land)


class Sampler:
    """Draws training chips; chip i depends only on the data set, the settings and i.

    Args:
        dataset: the images to cut chips from.
        config: the settings of the training.
        labelled: false for unlabelled images, from which chips are cut at any position.

    Raises:
        DatasetError: the images should be labelled and have no slump.
    """

    def __init__(self, dataset: Dataset, config: TrainConfig, *, labelled: bool = True) -> None:
        self.dataset, self.config = dataset, config
        self._pixels = PixelStore(dataset)
        self._sees_terrain = "dem" in config.modalities
        images = dataset.images
        slumps = [(which, number) for which, one in enumerate(images) for number in range(len(one.slumps))]
        if labelled and not slumps:
            raise DatasetError(f"{dataset.folder}: no slump is left to train on; leave out fewer images")
        self._slumps, self._slump_share = slumps, config.slump_share if labelled else 0.0
        visible = np.array([images[which].slumps[number].visible_fraction for which, number in slumps])
        self._slump_shares = visible / visible.sum()  # a slump that two images show counts once
        self._pasted = [pair for pair, share in zip(slumps, visible, strict=True) if share >= MIN_PASTED_SHARE]
        self._hard = [(which, point) for which, one in enumerate(images) for point in one.hard_negatives]
        # all sites have the same share; within a site, images are drawn by the square root of their area
        roots = np.array([math.sqrt(one.height * one.width) * one.gsd_m for one in images])
        of_site = {site: roots[[one.site == site for one in images]].sum() for site in {one.site for one in images}}
        shares = np.array([root / of_site[one.site] for one, root in zip(images, roots, strict=True)])
        self._shares = shares / shares.sum()

    def sample(self, index: int) -> Sample:
        """Return the chip with the number `index`, with strong augmentation."""
        _, strong, how = self._draw(index)
        return strong.turned(*how)

    def weak_and_strong(self, index: int) -> tuple[Sample, Sample]:
        """Return the chip with the number `index` with weak (rotated and mirrored) and with strong augmentation."""
        weak, strong, how = self._draw(index)
        return weak.turned(*how), strong.turned(*how)

    def _draw(self, index: int) -> tuple[Sample, Sample, tuple[int, bool]]:
        """Return a chip without and with strong augmentation, and the rotation and mirroring that both still need."""
        rng = np.random.default_rng((self.config.seed, index))
        which, center = self._draw_point(rng)
        gsd_m = self.config.gsd_m * float(np.exp(rng.uniform(*np.log(self.config.scale_range))))
        weak = self._chip(which, center, gsd_m, rng)
        reflectance = weak.reflectance
        if coarse_m := draw_gsd(self.dataset.images[which].gsd_m, self.config.coarsest_m, rng):
            reflectance = reduce_resolution(reflectance, weak.valid, coarse_m / gsd_m, rng)
        strong = replace(weak, reflectance=self._augmented(reflectance, weak.valid, rng))
        return weak, strong, (int(rng.integers(4)), bool(rng.integers(2)))

    def _augmented(self, reflectance: FloatArray, valid: BoolArray, rng: Generator) -> FloatArray:
        """Apply the changes of illumination, haze and sensor that the settings choose; 0 where not valid."""
        if self.config.augmentation == "light":
            return jitter(reflectance, rng, self.config.jitter) * valid
        return one_change(reflectance, valid, rng, self.config.jitter)

    def _chip(self, which: int, center: NDArray[np.float64], gsd_m: float, rng: Generator) -> Sample:
        """Cut a chip that contains a point of an image, and paste slumps from elsewhere into it."""
        step = gsd_m / self.dataset.images[which].gsd_m
        size = self.config.training_chip_size
        origin = self._origin(which, center, size * step, rng)
        reflectance, valid = cut(self._pixels[which], origin, step, size)
        terrain = cut_terrain(self._pixels[which], origin, step, size) if self._sees_terrain else None
        masks, blank = self._masks(which, origin, step)
        valid &= ~blank
        reflectance *= valid
        reflectance, masks = paste(reflectance, valid, masks, self._pieces(gsd_m, rng), rng, terrain)
        return Sample(reflectance * valid, valid, masks, None if terrain is None else terrain * valid)

    def _draw_point(self, rng: Generator) -> tuple[int, NDArray[np.float64]]:
        """Draw an image and a point `(column, row)` in it: on a slump, on a hard negative, or anywhere."""
        if rng.random() < self._slump_share:
            which, number = self._slumps[rng.choice(len(self._slumps), p=self._slump_shares)]
            center = self.dataset.images[which].slumps[number].outline.centroid
            return which, np.array([center.x, center.y])
        if self._hard and rng.random() < 0.5:
            which, point = self._hard[rng.integers(len(self._hard))]
            return which, np.array(point)
        which = int(rng.choice(len(self._shares), p=self._shares))
        image = self.dataset.images[which]
        return which, rng.uniform((0, 0), (image.width, image.height))

    def _origin(self, which: int, center: NDArray[np.float64], extent: float, rng: Generator) -> NDArray[np.float64]:
        """Draw the origin `(column, row)` of a chip that contains a point and lies within the image where possible."""
        image = self.dataset.images[which]
        origin = center - rng.uniform(0.1, 0.9, size=2) * extent
        spare = np.array([image.width, image.height]) - extent
        inside: NDArray[np.float64] = np.clip(origin, np.minimum(spare, 0), np.maximum(spare, 0))
        return inside

    def _masks(self, which: int, origin: NDArray[np.float64], step: float) -> tuple[BoolArray, BoolArray]:
        """Return the masks `(n, c, c)` of the slumps in a chip, and the pixels `(c, c)` that are to be blanked."""
        size, image = self.config.training_chip_size, self.dataset.images[which]
        box = shapely.box(*origin, *(origin + size * step))
        to_chip = (1 / step, 0, 0, 1 / step, *(-origin / step))
        masks: list[BoolArray] = []
        blank = np.zeros((size, size), dtype=bool)
        for slump in image.slumps:
            seen = slump.outline.intersection(box).area * slump.visible_fraction / slump.outline.area
            if not seen:
                continue
            mask = rasterised(slump.outline, to_chip, size)
            if is_visible(seen, int(np.count_nonzero(mask))):
                masks.append(mask)
            else:
                blank |= mask
        for ignored in image.ignored:
            if ignored.intersects(box):
                blank |= rasterised(ignored, to_chip, size)
        if masks:
            blank &= ~np.any(masks, axis=0)
        return np.array(masks, dtype=bool).reshape(-1, size, size), blank

    def _pieces(self, gsd_m: float, rng: Generator) -> list[Piece]:
        """Draw the slumps to paste."""
        number = rng.integers(self.config.pasted_slumps + 1) if self._pasted else 0
        pieces = []
        for _ in range(number):
            which, slump = self._pasted[rng.integers(len(self._pasted))]
            image = self.dataset.images[which]
            pieces.append(Piece(self._pixels[which], image.slumps[slump].outline, gsd_m / image.gsd_m))
        return pieces


def rasterised(outline: BaseGeometry, to_chip: tuple[float, ...], size: int) -> BoolArray:
    """Rasterise an outline: the pixels of a chip whose centres lie in it.

    Args:
        outline: polygon in any coordinates.
        to_chip: transform from these coordinates to pixels of the chip, `[a, b, d, e, x, y]` as in shapely.
        size: side of the chip, px.

    Returns:
        `(size, size)`, boolean.
    """
    placed = shapely.affinity.affine_transform(outline, to_chip)
    left, top = (max(0, math.floor(value)) for value in placed.bounds[:2])
    right, bottom = (min(size, math.ceil(value)) for value in placed.bounds[2:])
    mask = np.zeros((size, size), dtype=bool)
    if left < right and top < bottom:
        shape = bottom - top, right - left
        mask[top:bottom, left:right] = rasterio.features.geometry_mask(
            [placed], shape, Affine.translation(left, top), invert=True
        )
    return mask
