"""Measures of outlines and pixels, which compare simulated scenes with real ones in tests and benchmarks."""

from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import rasterio
import rasterio.features
import shapely
from scipy import ndimage

from rtsmap.simulate.acquisition import NODATA_SHARE
from rtsmap.simulate.image.renderer import TILE_PX
from rtsmap.simulate.product.labelling import drawn
from rtsmap.simulate.scene import SceneOptions, SimulatedScene, make_scene
from rtsmap.simulate.terrain.regions import REGIONS

#: Distances from the outline (m) at which profiles are measured, and lags (m) of the autocorrelation.
DISTANCES = (-50, -35, -25, -15, -5, 5, 15, 40, 75)
LAGS = (10, 20, 40, 80, 160, 320, 640)
LEAST_TUNDRA_PX = 3000
#: The reflectance in the infrared below which pixels are water or mostly water.
WATER_NIR = 0.08
#: The share of the ground under slumps. It is 0.35 to 0.8 % in the measured scenes of the four regions.
SLUMP_SHARE = 0.004


def gaps(outlines: Sequence[shapely.Polygon]) -> np.ndarray:
    """Return the distance of every outline to the nearest other outline (m)."""
    if len(outlines) < 2:
        return np.empty(0)
    tree = shapely.STRtree(outlines)
    _, distances = tree.query_nearest(outlines, exclusive=True, return_distance=True, all_matches=False)
    return distances


def shape_measures(outlines: Sequence[shapely.Polygon]) -> dict[str, np.ndarray]:
    """Measure area, aspect of the smallest rectangle, solidity, circularity, and whether there are holes."""
    corners = [shapely.get_coordinates(outline.minimum_rotated_rectangle)[:3] for outline in outlines]
    sides = np.array([np.hypot(*np.diff(corner, axis=0).T) for corner in corners])
    area, length = shapely.area(outlines), shapely.length([outline.exterior for outline in outlines])
    return {
        "area": area,
        "aspect": sides.max(axis=1) / sides.min(axis=1),
        "solidity": area / shapely.area(shapely.convex_hull(outlines)),
        "circularity": 4 * np.pi * area / length**2,
        "holes": np.array([len(outline.interiors) > 0 for outline in outlines]),
    }


def overlap(first: shapely.Polygon, second: shapely.Polygon) -> float:
    """Return the intersection over union of two outlines."""
    both = first.intersection(second).area
    return both / (first.area + second.area - both)


def rendered(simulated: SimulatedScene) -> tuple[np.ndarray, np.ndarray]:
    """Render all digital numbers and the UDM2 of a scene."""
    grid = simulated.acquisition.grid
    numbers = np.zeros((4, grid.height, grid.width), np.uint16)
    udm2 = np.zeros((8, grid.height, grid.width), np.uint8)
    for row in range(0, grid.height, TILE_PX):
        for column in range(0, grid.width, TILE_PX):
            tile = simulated.renderer.tile(row, column)
            window = np.s_[:, row : row + TILE_PX, column : column + TILE_PX]
            height, width = numbers[window].shape[1:]
            numbers[window], udm2[window] = tile.numbers[:, :height, :width], tile.udm2[:, :height, :width]
    return numbers, udm2


def coarse(numbers: np.ndarray, factor: int = 3) -> np.ndarray:
    """Average the reflectance over blocks, to about the 10 m of Sentinel-2; it is 0 where any pixel is missing."""
    rows, columns = (side // factor for side in numbers.shape[1:])
    blocks = numbers[:, : rows * factor, : columns * factor].reshape(4, rows, factor, columns, factor)
    whole = (blocks > 0).all(axis=(0, 2, 4))
    return np.asarray(blocks.mean(axis=(2, 4)) * 1e-4 * whole)


def ndvi(values: np.ndarray) -> np.ndarray:
    return (values[3] - values[2]) / np.maximum(values[3] + values[2], 1e-6)


class Sample:
    """Pixels of scenes of one region at about 10 m, grouped by what they show."""

    def __init__(self) -> None:
        self.slump: list[np.ndarray] = []
        self.tundra: list[np.ndarray] = []
        self.water: list[np.ndarray] = []
        self.snow: list[np.ndarray] = []
        self.profile: dict[int, list[np.ndarray]] = {distance: [] for distance in DISTANCES}
        self.correlation: list[list[float]] = []
        self.deviation: list[tuple[float, float]] = []

    def add(self, values: np.ndarray, mask: np.ndarray, pixel_m: float) -> None:
        """Add the pixels of one scene; `values` is the reflectance `(bands, rows, columns)`."""
        seen, index = (values > 0).all(axis=0), ndvi(values)
        depth = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
        depth = (depth - 0.5 * np.sign(depth)) * pixel_m
        snow = seen & (values[0] > 0.3)
        water = seen & (index < 0) & (values[3] < WATER_NIR)
        # Lakes near the shore can have the NDVI of land, but they are as dark in the infrared as other water.
        land = seen & ~snow & (index > 0.1) & (values[3] >= WATER_NIR)
        far = land & (depth < -200)
        self.slump.append(values[:, mask & seen])
        self.tundra.append(values[:, far][:, ::10])
        self.water.append(values[:, water][:, ::10])
        self.snow.append(values[:, snow])
        for distance in DISTANCES:
            near = seen & ~snow & (np.abs(-depth - distance) <= 5) & ((index > 0.0) | mask)
            self.profile[distance].append(np.vstack([values[:, near], index[None, near]]))
        self._texture(index, values[3], far, pixel_m)

    def _texture(self, index: np.ndarray, nir: np.ndarray, land: np.ndarray, pixel_m: float) -> None:
        if land.sum() < 5000:
            return
        self.deviation.append((float(index[land].std()), float(nir[land].std())))
        centred = np.where(land, index - index[land].mean(), 0)
        row = []
        for lag in LAGS:
            step = round(lag / pixel_m)
            a, b, both = centred[:, step:], centred[:, :-step], land[:, step:] & land[:, :-step]
            row.append(float((a * b)[both].mean() / centred[land].var()) if both.sum() > 1000 else np.nan)
        self.correlation.append(row)

    def percentiles(self, kind: str, share: float = 50) -> np.ndarray:
        """Return percentiles of the four bands and the NDVI."""
        values = np.concatenate(getattr(self, kind), axis=1)
        if not values.size:
            return np.full(5, np.nan)
        return np.percentile(np.vstack([values, ndvi(values)[None]]), share, axis=1)

    def along(self, band: int) -> list[float]:
        """Return the median of a band (4: NDVI) by the distance to the outline."""
        profile = [np.concatenate(self.profile[distance], axis=1)[band] for distance in DISTANCES]
        return [float(np.median(values)) if values.size else np.nan for values in profile]


def simulated_sample(
    region: str,
    seeds: Sequence[int] = (1, 2, 3),
    pixels: int = 2200,
    *,
    share: float = SLUMP_SHARE,
    day: date | None = None,
    redraw: Callable[[np.random.Generator, shapely.Polygon], shapely.Polygon] = drawn,
) -> Sample:
    """Simulate scenes without clouds, averaged to 9 m.

    Args:
        region: the name of the region.
        seeds: one seed for each scene.
        pixels: the side of a scene, px.
        share: the share of the ground under slumps.
        day: the day of the acquisition.
        redraw: makes the label of an outline; by default, the label that a person would draw.
    """
    mean, deviation = REGIONS[region].log_area
    seen_m2 = (1 - NODATA_SHARE) * (pixels * 3) ** 2
    slumps = round(share * seen_m2 / np.exp(mean + deviation**2 / 2))
    sample = Sample()
    for seed in seeds:
        simulated = make_scene(SceneOptions(region, seed, day=day, pixels=(pixels, pixels), clouds=0, slumps=slumps))
        values = coarse(rendered(simulated)[0])
        rng = np.random.default_rng(seed)
        outlines = [redraw(rng, feature.outline) for feature in simulated.scenery.slumps]
        transform = simulated.acquisition.grid.transform @ rasterio.Affine.scale(3)
        mask = rasterio.features.rasterize(outlines, values.shape[1:], transform=transform) > 0 if outlines else None
        if mask is not None:
            sample.add(values, mask & (values[0] > 0), 9)
    return sample


def band_pairs(sample: Sample) -> np.ndarray:
    """Return the mean over scenes of the correlations between bands, as their colours differ by date and haze."""
    whole = [np.corrcoef(values) for values in sample.tundra if values.shape[1] >= LEAST_TUNDRA_PX]
    return np.mean(whole, axis=0)[[0, 0, 1, 0, 1, 2], [1, 2, 2, 3, 3, 3]]
