"""Simple rules that must not find the slumps of simulated scenes: thresholds, texture, and single pixels."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import rasterio.features
import shapely
from scipy import ndimage, optimize

from rtsmap import bands
from rtsmap.evaluation.map_scores import score_map
from rtsmap.predict.options import MIN_AREA_M2, Options
from rtsmap.scene import open_scene
from rtsmap.simulate.product.writing import write_product
from rtsmap.simulate.scene import SceneOptions, SimulatedScene, make_scene
from tests.realism import rendered


def ndvi_patches(
    path: str, options: Options, labels: geopandas.GeoDataFrame
) -> tuple[geopandas.GeoDataFrame, geopandas.GeoDataFrame]:
    """Find patches below the best NDVI threshold, at least as large as the smallest slump; the barest score highest."""
    with open_scene(path, bands=options.bands, scale=options.scale, offset=options.offset) as scene:
        pixels, transform, crs = scene.read(scene.grid.window), scene.grid.transform, scene.grid.crs
        pixel_m2 = scene.info.gsd_m**2
    index = bands.ndvi(pixels.reflectance)
    best: tuple[float, geopandas.GeoDataFrame] | None = None
    for threshold in np.linspace(0.1, 0.5, 9):
        # Water has an NDVI below 0.
        patches, count = ndimage.label((index < threshold) & (index > 0) & pixels.clear)
        size = np.bincount(patches.ravel(), minlength=count + 1)
        small = size * pixel_m2 < MIN_AREA_M2
        patches[small[patches]] = 0
        shapes = list(rasterio.features.shapes(patches.astype(np.int32), mask=patches > 0, transform=transform))
        mean = ndimage.mean(index, patches, [int(value) for _, value in shapes])
        frame = geopandas.GeoDataFrame(
            {"score": 1 - np.asarray(mean)}, geometry=[shapely.geometry.shape(shape) for shape, _ in shapes], crs=crs
        )
        precision = score_map(frame, labels, resamples=0).average_precision
        if best is None or precision > best[0]:
            best = precision, frame
    assert best is not None
    return best[1], labels


def labels_of(simulated: SimulatedScene) -> geopandas.GeoDataFrame:
    """Return the slumps of a scene."""
    return geopandas.GeoDataFrame(
        geometry=[f.outline for f in simulated.scenery.slumps], crs=simulated.acquisition.grid.crs
    )


def patches_above(
    score: np.ndarray, seen: np.ndarray, threshold: float, simulated: SimulatedScene
) -> geopandas.GeoDataFrame:
    """Find connected patches of a score above a threshold, as large as slumps, with their mean score."""
    above = ndimage.binary_opening((score > threshold) & seen)
    numbers, count = ndimage.label(above)
    size = np.bincount(numbers.ravel(), minlength=count + 1)
    numbers[(size * simulated.acquisition.gsd_m**2 < MIN_AREA_M2)[numbers]] = 0
    transform = simulated.acquisition.grid.transform
    found = list(rasterio.features.shapes(numbers.astype(np.int32), mask=numbers > 0, transform=transform))
    mean = np.asarray(ndimage.mean(score, numbers, [int(value) for _, value in found])) if found else np.empty(0)
    polygons = [shapely.geometry.shape(shape) for shape, _ in found]
    return geopandas.GeoDataFrame({"score": mean}, geometry=polygons, crs=simulated.acquisition.grid.crs)


def best_precision(score: np.ndarray, seen: np.ndarray, simulated: SimulatedScene, thresholds: int = 9) -> float:
    """Return the AP50 of a rule at the best of its thresholds, which favours the rule."""
    labels, best = labels_of(simulated), 0.0
    # Smooth the score, to find patches instead of pixels.
    score = ndimage.uniform_filter(score, 5)
    for share in np.linspace(0.80, 0.997, thresholds):
        found = patches_above(score, seen, float(np.quantile(score[seen], share)), simulated)
        if len(found):
            best = max(best, score_map(found, labels, resamples=0).average_precision)
    return best


def texture(values: np.ndarray) -> np.ndarray:
    """Return the local standard deviation of the brightness over 9 x 9 pixels."""
    bright = values[:3].mean(axis=0)
    mean = ndimage.uniform_filter(bright, 9)
    return np.sqrt(np.maximum(ndimage.uniform_filter(bright**2, 9) - mean**2, 0))


def logistic(train: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Fit a logistic regression of pixels `(features, n)` on slump or not, with classes of equal weight."""
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
    """Return smoothed bands, standardised within the scene, their squares, and a constant."""
    seen = values[0] > 0
    layers = []
    for band in bands:
        smooth = ndimage.uniform_filter(values[band], 5)
        z = (smooth - smooth[seen].mean()) / smooth[seen].std()
        layers += [z, np.clip(z, -3, 3) ** 2]
    return np.stack([*layers, np.ones_like(layers[0])])


def area_under_curve(score: np.ndarray, positive: np.ndarray) -> float:
    """Return the area under the ROC curve."""
    order = np.argsort(score)
    ranks = np.empty(len(score))
    ranks[order] = np.arange(1, len(score) + 1)
    n = int(positive.sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n)))


def shortcut_scores(
    region: str, seeds: Sequence[int] = (11, 12), pixels: int = 1400, slumps: int = 15
) -> dict[str, float]:
    """Return the AP50 (0..1) of the rules, and the AUC of pixel rules that were trained on another scene."""
    scenes = [
        make_scene(SceneOptions(region=region, seed=seed, pixels=(pixels, pixels), clouds=0, slumps=slumps))
        for seed in seeds
    ]
    images = [rendered(simulated)[0] * np.float32(1e-4) for simulated in scenes]
    seen = [image[0] > 0 for image in images]
    truth = [
        rasterio.features.rasterize(
            [f.outline for f in w.scenery.slumps], s.shape, transform=w.acquisition.grid.transform
        )
        > 0
        for w, s in zip(scenes, seen, strict=True)
    ]
    scores: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        written = write_product(scenes[-1], Path(folder))
        frame, labels = ndvi_patches(str(written.image), Options(), labels_of(scenes[-1]))
        scores["NDVI threshold AP50"] = score_map(frame, labels, resamples=0).average_precision
    scores["texture AP50"] = best_precision(texture(images[-1]), seen[-1], scenes[-1])
    for name, used in (("RGB", (0, 1, 2)), ("RGB + NIR", (0, 1, 2, 3))):
        features = [pixel_features(image, used) for image in images]
        train = [(f[:, s][:, ::7], t[s][::7]) for f, s, t in zip(features[:-1], seen[:-1], truth[:-1], strict=True)]
        score = np.tensordot(logistic(train), features[-1], axes=1)
        scores[f"{name} pixels AUC"] = area_under_curve(score[seen[-1]][::5], truth[-1][seen[-1]][::5])
        scores[f"{name} pixels AP50"] = best_precision(score, seen[-1], scenes[-1])
    return scores
