"""Simulated scenes beside measured ones: statistics side by side, rules that should fail, pictures.

    python -m benchmarks.simulation_realism [DATA] [--tricks] [--pictures FOLDER]

DATA is the folder of real data with generator_stats.json, s2_scenes and s2_chips_wsiberia. Prints Markdown.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
import rasterio.features
import shapely
from PIL import Image
from scipy import ndimage, optimize

from benchmarks.accuracy import ndvi_patches
from rtsmap.evaluation.maps import score_map
from rtsmap.predict.options import MIN_AREA_M2, Options
from rtsmap.simulate.acquisition import NODATA_SHARE
from rtsmap.simulate.image.renderer import TILE_PX
from rtsmap.simulate.product.labelling import drawn
from rtsmap.simulate.product.writing import write_product
from rtsmap.simulate.scene import SceneOptions, World, make_world
from rtsmap.simulate.terrain.regions import REGIONS

DATA = Path(__file__).parents[2] / "shared" / "data" / "open"
#: Regions whose Sentinel-2 scenes were measured, and the scenes.
SCENES = {
    "taimyr": "s2_scenes/taimyr_*.tif",
    "chukotka": "s2_scenes/iultinsky_*.tif",
    "lena": "s2_scenes/lower_lena_*.tif",
    "west-siberia": "s2_chips_wsiberia/*.tif",
}
DISTANCES = (-50, -35, -25, -15, -5, 5, 15, 40, 75)
LAGS = (10, 20, 40, 80, 160, 320, 640)
BANDS = ("blue", "green", "red", "nir")
LEAST_TUNDRA_PX = 3000
#: Below it (reflectance in the infrared) lie water and what is mostly water.
WATER_NIR = 0.08
#: Share of the ground under slumps: 0.35 to 0.8 % in the measured scenes of the four regions. Slumps are measured where
#: there are more of them, with more bare ground, and tundra where they are as rare as that.
SLUMP_SHARE, DENSE_SHARE = 0.004, 0.012


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=DATA)
    parser.add_argument("--tricks", action="store_true", help="score the rules that should fail")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    if arguments.pictures:
        pictures(arguments.data, arguments.pictures)
        return
    if arguments.tricks:
        print_tricks()
        return
    measured = json.loads((arguments.data / "generator_stats.json").read_text())
    print("| statistic | measured | simulated |\n|---|---|---|")
    for name, real, simulated in [*outline_rows(measured), *appearance_rows(measured, arguments.data)]:
        print(f"| {name} | {text(real)} | {text(simulated)} |")


def text(values: Any) -> str:
    """Numbers for a cell of the table."""
    if isinstance(values, str):
        return values
    return " / ".join(f"{value:.3g}" for value in np.atleast_1d(np.asarray(values, dtype=float)))


def worlds(scenes: int = 4, size_km: tuple[float, float] = (14, 8)) -> list[World]:
    """Scenes of every region, laid out and not painted."""
    return [
        make_world(SceneOptions(region=region, seed=seed, size_km=size_km, clouds=0))
        for region in REGIONS
        for seed in range(100, 100 + scenes)
    ]


def gaps(outlines: Sequence[shapely.Polygon]) -> np.ndarray:
    """Distance of every outline to the nearest other (m)."""
    if len(outlines) < 2:
        return np.empty(0)
    tree = shapely.STRtree(outlines)
    _, distances = tree.query_nearest(outlines, exclusive=True, return_distance=True, all_matches=False)
    return distances


def shape_measures(outlines: Sequence[shapely.Polygon]) -> dict[str, np.ndarray]:
    """Area, aspect of the smallest rectangle, solidity, circularity, and whether there are holes."""
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
    both = first.intersection(second).area
    return both / (first.area + second.area - both)


def outline_rows(measured: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Size, shape, gaps, numbers and label noise."""
    laid_out = worlds()
    scenes = [[feature.outline for feature in world.scenery.slumps] for world in laid_out]
    every = [outline for scene in scenes for outline in scene]
    shape = shape_measures(every)
    gap = np.concatenate([gaps(scene) for scene in scenes])
    rng = np.random.default_rng(0)
    noise = [overlap(outline, drawn(rng, outline)) for outline in every]
    share = [
        sum(o.area for o in scene) / world.frame.footprint.area * 100
        for scene, world in zip(scenes, laid_out, strict=True)
        if scene
    ]
    real_area, real_shape, real_density = measured["area_m2"], measured["shape"], measured["density"]
    real_gap = real_density["nearest_gap_m_p5_25_50_75_95"][1:]
    real_noise = measured["label_noise"]["same_year_redraw_iou_p5_25_50_75"]
    rows: list[tuple[str, Any, Any]] = [
        (
            "area m2, all regions: 5, 25, 50, 75, 95 %",
            real_area["nitze_all_lognormal"]["pct_5_25_50_75_95_99"][:5],
            np.percentile(shape["area"], (5, 25, 50, 75, 95)),
        ),
    ]
    for region, name in (("banks-island", "Banks_Island"), ("taimyr", "Taimyr"), ("west-siberia", "Gydan")):
        outlines = [
            np.log(o.area)
            for scene, world in zip(scenes, laid_out, strict=True)
            if world.options.region == region
            for o in scene
        ]
        values = (np.mean(outlines), np.std(outlines)) if outlines else "-"
        rows.append((f"ln area, mean and deviation: {region}", real_area["by_region_lognormal"][name], values))
    return [
        *rows,
        ("aspect 50, 95 %", real_shape["mrr_aspect_p50_p95"], np.percentile(shape["aspect"], (50, 95))),
        ("solidity 50, 5 %", real_shape["solidity_p50_p05"], np.percentile(shape["solidity"], (50, 5))),
        ("circularity 50 %", real_shape["circularity_p50"], np.median(shape["circularity"])),
        ("share with holes", real_shape["share_with_holes"], np.mean(shape["holes"])),
        ("nearest gap m: 25, 50, 75, 95 %", real_gap, np.percentile(gap, (25, 50, 75, 95))),
        ("share closer than 3 m", real_density["share_touching_lt_3m"], np.mean(gap < 3)),
        ("share of empty scenes", real_density["images_without_label"], np.mean([not scene for scene in scenes])),
        ("slumps' share of the area %, median", real_density["area_fraction_pct_p50"], np.median(share)),
        ("redrawn outlines, IoU: 5, 25, 50, 75 %", real_noise, np.percentile(noise, (5, 25, 50, 75))),
    ]


def painted(world: World) -> tuple[np.ndarray, np.ndarray]:
    """All digital numbers and the UDM2 of a scene."""
    grid = world.frame.grid
    numbers = np.zeros((4, grid.height, grid.width), np.uint16)
    udm2 = np.zeros((8, grid.height, grid.width), np.uint8)
    for row in range(0, grid.height, TILE_PX):
        for column in range(0, grid.width, TILE_PX):
            tile = world.painter.tile(row, column)
            window = np.s_[:, row : row + TILE_PX, column : column + TILE_PX]
            height, width = numbers[window].shape[1:]
            numbers[window], udm2[window] = tile.numbers[:, :height, :width], tile.udm2[:, :height, :width]
    return numbers, udm2


def coarse(numbers: np.ndarray, factor: int = 3) -> np.ndarray:
    """Reflectance averaged over blocks, to about the 10 m of Sentinel-2; 0 where any pixel is missing."""
    rows, columns = (side // factor for side in numbers.shape[1:])
    blocks = numbers[:, : rows * factor, : columns * factor].reshape(4, rows, factor, columns, factor)
    whole = (blocks > 0).all(axis=(0, 2, 4))
    return np.asarray(blocks.mean(axis=(2, 4)) * 1e-4 * whole)


def ndvi(values: np.ndarray) -> np.ndarray:
    return (values[3] - values[2]) / np.maximum(values[3] + values[2], 1e-6)


class Sample:
    """Pixels of scenes of one region, at about 10 m, sorted by what they show."""

    def __init__(self) -> None:
        self.slump: list[np.ndarray] = []
        self.tundra: list[np.ndarray] = []
        self.water: list[np.ndarray] = []
        self.snow: list[np.ndarray] = []
        self.profile: dict[int, list[np.ndarray]] = {distance: [] for distance in DISTANCES}
        self.correlation: list[list[float]] = []
        self.deviation: list[tuple[float, float]] = []

    def add(self, values: np.ndarray, mask: np.ndarray, pixel_m: float) -> None:
        """Sort the pixels of one scene, bands first."""
        seen, index = (values > 0).all(axis=0), ndvi(values)
        depth = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
        depth = (depth - 0.5 * np.sign(depth)) * pixel_m
        snow = seen & (values[0] > 0.3)
        water = seen & (index < 0) & (values[3] < WATER_NIR)
        # Lakes near the shore can have the NDVI of land, yet are as dark in the infrared as water elsewhere.
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
        """Of the four bands and the NDVI."""
        values = np.concatenate(getattr(self, kind), axis=1)
        if not values.size:
            return np.full(5, np.nan)
        return np.percentile(np.vstack([values, ndvi(values)[None]]), share, axis=1)

    def along(self, band: int) -> list[float]:
        """Median of a band (4: NDVI) by the distance to the outline."""
        profile = [np.concatenate(self.profile[distance], axis=1)[band] for distance in DISTANCES]
        return [float(np.median(values)) if values.size else np.nan for values in profile]


def real_sample(data: Path, region: str) -> Sample:
    """Sentinel-2 scenes of a region with their labels."""
    sample = Sample()
    for path in sorted(data.glob(SCENES[region])):
        if not path.stem.endswith("_mask"):
            with rasterio.open(path) as image, rasterio.open(path.with_name(f"{path.stem}_mask.tif")) as labels:
                sample.add(image.read([1, 2, 3, 4]) * 1e-4, labels.read(1) > 0, 10)
    return sample


def simulated_sample(
    region: str,
    seeds: Sequence[int] = (1, 2, 3),
    pixels: int = 2200,
    *,
    share: float = SLUMP_SHARE,
    day: date | None = None,
    redraw: Callable[[np.random.Generator, shapely.Polygon], shapely.Polygon] = drawn,
) -> Sample:
    """Clear simulated scenes, averaged to 9 m.

    Args:
        region: name.
        seeds: one for each scene.
        pixels: on a side.
        share: of the ground under slumps.
        day: of the acquisition.
        redraw: makes the label of an outline; the one that a person would have drawn.
    """
    mean, deviation = REGIONS[region].log_area
    seen_m2 = (1 - NODATA_SHARE) * (pixels * 3) ** 2
    slumps = round(share * seen_m2 / np.exp(mean + deviation**2 / 2))
    sample = Sample()
    for seed in seeds:
        world = make_world(SceneOptions(region, seed, day=day, pixels=(pixels, pixels), clouds=0, slumps=slumps))
        values = coarse(painted(world)[0])
        rng = np.random.default_rng(seed)
        outlines = [redraw(rng, feature.outline) for feature in world.scenery.slumps]
        transform = world.frame.grid.transform @ rasterio.Affine.scale(3)
        mask = rasterio.features.rasterize(outlines, values.shape[1:], transform=transform) > 0 if outlines else None
        if mask is not None:
            sample.add(values, mask & (values[0] > 0), 9)
    return sample


def appearance_rows(measured: dict[str, Any], data: Path) -> list[tuple[str, Any, Any]]:
    """Reflectance, profiles and texture, region by region."""
    rows: list[tuple[str, Any, Any]] = []
    for region in SCENES:
        real, land, made = real_sample(data, region), simulated_sample(region), dense_sample(region)
        for kind, sample in (("tundra", land), ("slump", made)):
            name = f"{region}: {kind} B, G, R, NIR, NDVI median"
            rows.append((name, real.percentiles(kind), sample.percentiles(kind)))
        rows.append((f"{region}: NDVI of slumps 10, 90 %", *(s_ndvi(s) for s in (real, made))))
        distances = ", ".join(str(d) for d in DISTANCES)
        rows.append((f"{region}: NDVI at {distances} m from the outline", real.along(4), made.along(4)))
        exact = dense_sample(region, redraw=lambda _, outline: outline)
        rows.append((f"{region}: the same, outlines as painted", real.along(4), exact.along(4)))
        rows.append((f"{region}: NIR at the same", real.along(3), made.along(3)))
        rows.append((f"{region}: blue at the same", real.along(0), made.along(0)))
        rows.append((f"{region}: tundra NDVI and NIR deviation", *(np.mean(s.deviation, axis=0) for s in (real, land))))
        lags = "NDVI autocorrelation at 10 .. 640 m"
        rows.append((f"{region}: {lags}", *(np.nanmean(s.correlation, axis=0) for s in (real, land))))
        rows.append(
            (f"{region}: tundra band correlation BG, BR, GR, BN, GN, RN", *(band_pairs(s) for s in (real, land)))
        )
    reflectance = measured["reflectance_S2_BGRN_NDVI"]
    water = simulated_sample("chukotka", (3,), day=date(2021, 6, 25))
    for region in ("taimyr", "lena", "west-siberia"):
        water.water += simulated_sample(region, (1,)).water
    rows.append(("water 10 % (all sites)", reflectance["water_p10"][:4], water.percentiles("water", 10)[:4]))
    rows.append(("water 50 %", reflectance["water_p50"][:4], water.percentiles("water", 50)[:4]))
    rows.append(("water 90 %", reflectance["water_p90"][:4], water.percentiles("water", 90)[:4]))
    rows.append(("snow 50 %", reflectance["snow_p50"][:4], water.percentiles("snow", 50)[:4]))
    return rows


def dense_sample(region: str, **options: Any) -> Sample:
    """Scenes with many slumps."""
    return simulated_sample(region, (1, 2, 3, 4, 5), 1600, share=DENSE_SHARE, **options)


def s_ndvi(sample: Sample) -> np.ndarray:
    return np.array([sample.percentiles("slump", share)[4] for share in (10, 90)])


def band_pairs(sample: Sample) -> np.ndarray:
    """Correlations between the bands of tundra, the mean of the scenes: their colours differ by date and haze."""
    whole = [np.corrcoef(values) for values in sample.tundra if values.shape[1] >= LEAST_TUNDRA_PX]
    return np.mean(whole, axis=0)[[0, 0, 1, 0, 1, 2], [1, 2, 2, 3, 3, 3]]


# The rules that should fail ------------------------------------------------------------------------------------------


def labels_of(world: World) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame(geometry=[f.outline for f in world.scenery.slumps], crs=world.frame.grid.crs)


def patches_above(score: np.ndarray, seen: np.ndarray, threshold: float, world: World) -> geopandas.GeoDataFrame:
    """Connected patches of a score above a threshold, as large as slumps are, with their mean score."""
    above = ndimage.binary_opening((score > threshold) & seen)
    numbers, count = ndimage.label(above)
    size = np.bincount(numbers.ravel(), minlength=count + 1)
    numbers[(size * world.frame.gsd_m**2 < MIN_AREA_M2)[numbers]] = 0
    transform = world.frame.grid.transform
    found = list(rasterio.features.shapes(numbers.astype(np.int32), mask=numbers > 0, transform=transform))
    mean = np.asarray(ndimage.mean(score, numbers, [int(value) for _, value in found])) if found else np.empty(0)
    polygons = [shapely.geometry.shape(shape) for shape, _ in found]
    return geopandas.GeoDataFrame({"score": mean}, geometry=polygons, crs=world.frame.grid.crs)


def best_precision(score: np.ndarray, seen: np.ndarray, world: World, thresholds: int = 9) -> float:
    """AP50 of a rule at the best of its thresholds, which favours it."""
    labels, best = labels_of(world), 0.0
    # Smooth, as anyone would who wants patches rather than pixels.
    score = ndimage.uniform_filter(score, 5)
    for share in np.linspace(0.80, 0.997, thresholds):
        found = patches_above(score, seen, float(np.quantile(score[seen], share)), world)
        if len(found):
            best = max(best, score_map(found, labels, resamples=0).average_precision)
    return best


def texture(values: np.ndarray) -> np.ndarray:
    """Roughness: local deviation of the brightness over 9 x 9 pixels."""
    bright = values[:3].mean(axis=0)
    mean = ndimage.uniform_filter(bright, 9)
    return np.sqrt(np.maximum(ndimage.uniform_filter(bright**2, 9) - mean**2, 0))


def logistic(train: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Weights of a logistic regression of pixels `(features, n)` on slump or not, classes of equal weight."""
    x = np.concatenate([features for features, _ in train], axis=1)
    y = np.concatenate([labels for _, labels in train])
    weight = np.where(y, 0.5 / max(y.sum(), 1), 0.5 / max((~y).sum(), 1))
    sign = np.where(y, 1.0, -1.0)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = sign * (w @ x)
        p = 1 / (1 + np.exp(np.clip(z, -30, 30)))
        return float((weight * np.logaddexp(0, -z)).sum()) + 1e-5 * float(w @ w), -(x * (weight * sign * p)).sum(
            axis=1
        ) + 2e-5 * w

    return optimize.minimize(loss, np.zeros(len(x)), jac=True, method="L-BFGS-B").x


def pixel_features(values: np.ndarray, bands: Sequence[int]) -> np.ndarray:
    """Bands and their squares, smoothed, about their mean and deviation in the scene, and a constant."""
    seen = values[0] > 0
    layers = []
    for band in bands:
        smooth = ndimage.uniform_filter(values[band], 5)
        z = (smooth - smooth[seen].mean()) / smooth[seen].std()
        layers += [z, np.clip(z, -3, 3) ** 2]
    return np.stack([*layers, np.ones_like(layers[0])])


def area_under_curve(score: np.ndarray, positive: np.ndarray) -> float:
    order = np.argsort(score)
    ranks = np.empty(len(score))
    ranks[order] = np.arange(1, len(score) + 1)
    n = int(positive.sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n)))


def trick_scores(
    region: str, seeds: Sequence[int] = (11, 12), pixels: int = 1400, slumps: int = 15
) -> dict[str, float]:
    """AP50 (0..1) of the rules, and the areas under the curve of pixel rules trained on another scene."""
    scenes = [
        make_world(SceneOptions(region=region, seed=seed, pixels=(pixels, pixels), clouds=0, slumps=slumps))
        for seed in seeds
    ]
    images = [painted(world)[0] * np.float32(1e-4) for world in scenes]
    seen = [image[0] > 0 for image in images]
    truth = [
        rasterio.features.rasterize([f.outline for f in w.scenery.slumps], s.shape, transform=w.frame.grid.transform)
        > 0
        for w, s in zip(scenes, seen, strict=True)
    ]
    scores: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        written = write_product(scenes[-1], Path(folder))
        frame, labels = ndvi_patches(str(written.image), Options(), labels_of(scenes[-1]))
        scores["NDVI threshold AP50"] = score_map(frame, labels, resamples=0).average_precision
    scores["texture AP50"] = best_precision(texture(images[-1]), seen[-1], scenes[-1])
    for name, bands in (("RGB", (0, 1, 2)), ("RGB + NIR", (0, 1, 2, 3))):
        features = [pixel_features(image, bands) for image in images]
        train = [(f[:, s][:, ::7], t[s][::7]) for f, s, t in zip(features[:-1], seen[:-1], truth[:-1], strict=True)]
        score = np.tensordot(logistic(train), features[-1], axes=1)
        scores[f"{name} pixels AUC"] = area_under_curve(score[seen[-1]][::5], truth[-1][seen[-1]][::5])
        scores[f"{name} pixels AP50"] = best_precision(score, seen[-1], scenes[-1])
    return scores


def print_tricks() -> None:
    """A table of the rules by region."""
    rows = {region: trick_scores(region) for region in REGIONS}
    names = list(next(iter(rows.values())))
    print("| region | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for region, scores in rows.items():
        print(f"| {region} | " + " | ".join(f"{scores[name]:.3f}" for name in names) + " |", flush=True)


# Pictures ------------------------------------------------------------------------------------------------------------


def rgb(reflectance: np.ndarray, white: float) -> np.ndarray:
    """A composite of red, green and blue, 8 bits; gamma 1.6."""
    return (np.clip(reflectance[[2, 1, 0]] / white, 0, 1) ** (1 / 1.6) * 255).astype(np.uint8).transpose(1, 2, 0)


def crop_of(reflectance: np.ndarray, row: int, column: int, size: int) -> np.ndarray:
    row = int(np.clip(row - size // 2, 0, max(reflectance.shape[1] - size, 0)))
    column = int(np.clip(column - size // 2, 0, max(reflectance.shape[2] - size, 0)))
    return reflectance[:, row : row + size, column : column + size]


def real_crop(data: Path, region: str, size_m: float, number: int) -> np.ndarray:
    """A piece of a real scene around its slumps, 10 m."""
    paths = [path for path in sorted(data.glob(SCENES[region])) if not path.stem.endswith("_mask")]
    path = paths[0] if region == "taimyr" else paths[(number * 5 + 1) % len(paths)]
    with rasterio.open(path) as image, rasterio.open(path.with_name(f"{path.stem}_mask.tif")) as labels:
        values, mask = image.read([1, 2, 3, 4]) * 1e-4, labels.read(1) > 0
    rows, columns = np.nonzero(mask & (values > 0).all(axis=0))
    middle = (len(rows) // 3) * (number + 1)
    return crop_of(values, int(rows[middle % len(rows)]), int(columns[middle % len(rows)]), round(size_m / 10))


def pictures(data: Path, folder: Path, size_m: float = 2500) -> None:
    """For three regions, a real Sentinel-2 crop beside a simulated one at 10 m and the middle of it at 3 m."""
    folder.mkdir(parents=True, exist_ok=True)
    for region in ("taimyr", "chukotka", "west-siberia"):
        white = 0.14 if region == "west-siberia" else 0.19
        world = make_world(SceneOptions(region=region, seed=5, pixels=(2048, 2048), clouds=0, slumps=20))
        values = painted(world)[0] * np.float32(1e-4)
        middle = sorted(world.scenery.slumps, key=lambda slump: slump.outline.area)[-3].outline.centroid
        columns, rows = ~world.frame.grid.transform * np.array(middle.coords).T
        simulated = crop_of(values, int(rows[0]), int(columns[0]), round(size_m / 3))
        tiles = [
            rgb(real_crop(data, region, size_m, 0), white),
            rgb(coarse((simulated * 1e4).astype(np.uint16)), white),
            rgb(simulated, white),
        ]
        row = np.hstack(
            [np.asarray(Image.fromarray(tile).resize((560, 560), Image.Resampling.BICUBIC)) for tile in tiles]
        )
        Image.fromarray(row).save(folder / f"simulation_{region}.jpg", quality=88)


if __name__ == "__main__":
    main()
