"""Kinds of ground by reflectance: their shares in the ground without slumps of a data set, and points of each kind.

    python -m benchmarks.ground_kinds DATASET [DATASET ...]

prints the share of every kind for each site of a data set, in the ground that is neither slump nor ignored. It does so
for all images, and for the images without a slump.
"""

import argparse
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import rasterio.features
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from rtsmap.bands import ndvi
from rtsmap.dataset.images import SCALE, Dataset, read_dataset
from rtsmap.dataset.pixels import ImagePixels
from rtsmap.records import BoolArray, FloatArray

#: The names of the kinds. A pixel has one kind, except that shores also have the kind of their material.
KINDS = ("water", "bright", "dark", "bare", "shore", "green")
_SHORE_M, _POND_PX = 30.0, 4
_CLEAR_OF_SLUMPS_M = 60.0


def kinds(reflectance: FloatArray, valid: BoolArray, gsd_m: float) -> dict[str, BoolArray]:
    """Return masks of the kinds of ground.

    Water has an NDWI (green against near infrared) above 0; bright is snow, cloud and dry sand, above 0.25 in the mean
    of the visible bands; dark is shadow, burnt and wet ground, below 0.06 in the mean of all four; bare has an NDVI
    below 0.3; shore lies within 30 m of water of at least four pixels.

    Args:
        reflectance: `(4, rows, columns)`, blue, green, red, near infrared, 0..1.
        valid: `(rows, columns)`.
        gsd_m: ground sampling distance.
    """
    blue, green, red, nir = reflectance
    bright = (blue + green + red) / 3 > 0.25
    water = (green > nir) & ~bright
    dark = (reflectance.mean(axis=0) < 0.06) & ~water
    bare = (ndvi(reflectance) < 0.3) & ~water & ~bright & ~dark
    regions, count = ndimage.label(water & valid)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    body = water & valid & (sizes[regions] >= _POND_PX)
    near = ndimage.distance_transform_edt(~body) * gsd_m <= _SHORE_M if body.any() else np.zeros_like(body)
    found = {"water": water, "bright": bright, "dark": dark, "bare": bare, "shore": near & ~water}
    found["green"] = ~(water | bright | dark | bare)
    return {name: found[name] & valid for name in KINDS}


def points_of_kinds(
    image: Path, slumps: geopandas.GeoDataFrame, searched: BaseGeometry, number: int
) -> list[BaseGeometry]:
    """Draw small squares on ground without slumps, up to a number for each kind; an image always gives the same."""
    with rasterio.open(image) as source:
        numbers, transform = source.read(), source.transform
    gsd = transform.a
    clear = searched.difference(shapely.union_all(slumps.geometry.to_numpy()).buffer(_CLEAR_OF_SLUMPS_M))
    away = rasterio.features.geometry_mask([clear], numbers.shape[1:], transform, invert=True)
    rng = np.random.default_rng(numbers.shape[1:])
    found = kinds(numbers * np.float32(SCALE), (numbers > 0).all(axis=0) & away, gsd)
    points: list[BaseGeometry] = []
    for mask in found.values():
        cells = np.argwhere(mask)
        for row, column in cells[rng.permutation(len(cells))[: min(number, len(cells) // 25)]]:
            x, y = transform @ (column + 0.5, row + 0.5)
            points.append(shapely.Point(x, y).buffer(gsd / 4, cap_style="square"))
    return points


def shares(dataset: Dataset, *, empty_only: bool) -> dict[str, NDArray[np.float64]]:
    """Return, by site, the km2 of ground without slumps and of each of `KINDS`, in all images or in empty ones."""
    result: dict[str, NDArray[np.float64]] = {}
    for image in dataset.images:
        if empty_only and image.slumps:
            continue
        source = ImagePixels(dataset.folder, image)
        pixels = source.read(image.grid.window)
        left_out = [*(slump.outline for slump in image.slumps), *image.ignored]
        if left_out:
            pixels.valid[~rasterio.features.geometry_mask(left_out, pixels.valid.shape, rasterio.Affine.identity())] = 0
        found = kinds(pixels.reflectance, pixels.valid, image.gsd_m)
        counts = np.array([pixels.valid.sum(), *(found[name].sum() for name in KINDS)]) * image.gsd_m**2 / 1e6
        result[image.site] = result.get(image.site, np.zeros(len(counts))) + counts
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path, nargs="+")
    for folder in parser.parse_args().datasets:
        dataset = read_dataset(folder)
        for title, empty_only in (("all images", False), ("images without a slump", True)):
            print(f"\n{folder.name}, {title}\n\n| site | km2 | {' | '.join(f'{kind} %' for kind in KINDS)} |")
            print("|---" * (len(KINDS) + 2) + "|")
            for site, (total, *parts) in sorted(shares(dataset, empty_only=empty_only).items()):
                print(f"| {site} | {total:.1f} | {' | '.join(f'{100 * part / total:.1f}' for part in parts)} |")


if __name__ == "__main__":
    main()
