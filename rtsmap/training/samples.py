"""Training chips: cut at random places and scales, flipped, turned, and lit differently.

Radiometric jitter acts on reflectance, before NDVI is computed, so that the modalities of a chip stay consistent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.random import Generator
from numpy.typing import NDArray

from rtsmap import bands
from rtsmap.config import TrainConfig
from rtsmap.records import BoolArray, FloatArray
from rtsmap.training.cutting import cut, turn
from rtsmap.training.labels import LabelledScene
from rtsmap.training.paste import paste

#: Slumps of fewer pixels, or of which less than this share lies in the chip, are not taught.
MIN_VISIBLE_PX, MIN_VISIBLE_SHARE = 6, 0.3


@dataclass(frozen=True)
class Sample:
    """One training chip: `(4, c, c)` reflectance, `(c, c)` valid, `(n, c, c)` masks of its slumps."""

    reflectance: FloatArray
    valid: BoolArray
    masks: BoolArray


class Sampler:
    """Draws training chips; sample i depends on nothing but the scenes, the settings and i."""

    def __init__(self, scenes: Sequence[LabelledScene], config: TrainConfig) -> None:
        self.scenes, self.config = scenes, config
        self._trees = [shapely.STRtree(scene.slumps) for scene in scenes]
        self._slumps = [(which, number) for which, s in enumerate(scenes) for number in range(len(s.slumps))]
        # sites count alike; within a site, scenes by the square root of their valid area
        areas = np.array([scene.valid.sum() for scene in scenes], dtype=np.float64) ** 0.5
        totals = {site: areas[[scene.site == site for scene in scenes]].sum() for site in {s.site for s in scenes}}
        shares = np.array([area / totals[scene.site] for scene, area in zip(scenes, areas, strict=True)])
        self._shares = shares / shares.sum()

    def sample(self, index: int) -> Sample:
        """The chip of number `index`."""
        rng = np.random.default_rng((self.config.seed, index))
        which, center = self._place(rng)
        scene = self.scenes[which]
        gsd_m = self.config.gsd_m * np.exp(rng.uniform(*np.log(self.config.scale_range)))
        step = gsd_m / scene.gsd_m
        size = self.config.training_chip_size
        origin = center - rng.uniform(0.1, 0.9, size=2) * size * step  # (column, row)
        reflectance, valid = cut(scene, origin, step, size)
        masks = self._masks(which, origin, step)
        others = [self._any_slump(rng) for _ in range(rng.integers(self.config.pasted_slumps + 1))]
        reflectance, masks = paste(reflectance, valid, masks, others, gsd_m, rng)
        quarter_turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        return Sample(
            turn(jitter(reflectance, rng), quarter_turns, flip),
            turn(valid, quarter_turns, flip),
            turn(masks, quarter_turns, flip),
        )

    def _any_slump(self, rng: Generator) -> tuple[LabelledScene, int]:
        which, number = self._draw(rng)
        return self.scenes[which], number

    def _draw(self, rng: Generator) -> tuple[int, int]:
        """A scene and the number of one of its slumps; all slumps count alike."""
        return self._slumps[rng.integers(len(self._slumps))]

    def _place(self, rng: Generator) -> tuple[int, NDArray[np.float64]]:
        """A scene and a point in it, `(column, row)`: on a slump, or anywhere valid."""
        if rng.random() < self.config.slump_share:
            which, number = self._draw(rng)
            center = self.scenes[which].slumps[number].centroid
            return which, np.array([center.x, center.y])
        which = int(rng.choice(len(self.scenes), p=self._shares))
        rows, columns = self.scenes[which].valid.shape
        for _ in range(100):  # scenes are at least a few per cent valid
            row, column = rng.integers(rows), rng.integers(columns)
            if self.scenes[which].valid[row, column]:
                break
        return which, np.array([column + 0.5, row + 0.5])

    def _masks(self, which: int, origin: NDArray[np.float64], step: float) -> BoolArray:
        size = self.config.training_chip_size
        to_scene = Affine(step, 0, origin[0], 0, step, origin[1])
        box = shapely.box(*origin, *(origin + size * step))
        masks = []
        for number in self._trees[which].query(box, predicate="intersects"):
            slump = self.scenes[which].slumps[number]
            if slump.intersection(box).area < MIN_VISIBLE_SHARE * slump.area:
                continue
            mask = rasterio.features.geometry_mask([slump], (size, size), to_scene, invert=True)
            if mask.sum() >= MIN_VISIBLE_PX:
                masks.append(mask)
        return np.array(masks, dtype=bool).reshape(-1, size, size)


def jitter(reflectance: FloatArray, rng: Generator) -> FloatArray:
    """Another sun, haze and sensor: a gain for all bands, one for each, an offset that falls with wavelength, noise."""
    gain = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.08, size=(4, 1, 1)))
    haze = rng.normal(0, 0.008) * np.array([1.0, 0.6, 0.35, 0.15]).reshape(4, 1, 1)
    noise = rng.normal(0, rng.uniform(0, 0.004), size=reflectance.shape)
    return np.clip(reflectance * gain + haze + noise, 0, 1).astype(np.float32)


def channel_statistics(
    scenes: Sequence[LabelledScene], modalities: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation of every channel over the valid pixels, each site counting alike."""
    sums: dict[str, list[tuple[float, float]]] = {name: [] for name in bands.channels(modalities)}
    for site in sorted({scene.site for scene in scenes}):
        values = np.concatenate([s.reflectance[:, s.valid] for s in scenes if s.site == site], axis=1)[:, None]
        for name, moments in sums.items():
            band = bands.ndvi(values) if name == "ndvi" else values[bands.BANDS.index(name)]
            moments.append((float(band.mean(dtype=np.float64)), float(np.square(band, dtype=np.float64).mean())))
    mean = {name: float(np.mean([first for first, _ in of])) for name, of in sums.items()}
    square = {name: float(np.mean([second for _, second in of])) for name, of in sums.items()}
    deviation = {name: float(np.sqrt(square[name] - mean[name] ** 2)) for name in sums}
    return {n: round(v, 4) for n, v in mean.items()}, {n: round(v, 4) for n, v in deviation.items()}
