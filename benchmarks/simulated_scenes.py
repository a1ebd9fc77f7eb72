"""The simulated scenes for pre-training: all regions, two resolutions, lowland, coasts and clouds.

    python -m benchmarks.simulated_scenes -o simulated --scenes 60
    rtsmap dataset build --table simulated/scenes.csv --any-date --chip-size 512 -o simulated-set

The scenes alternate between the seven regions. One in three is averaged to 10 m, two in three are lowland, one in
three has a coast, a third has thin cloud, a third has thick cloud, and most vary more than measured. Clouds stay in the
pixels as ground without slumps. Slumps with more than 30 % of their area under thick cloud are excluded from the
annotated area. Scene N does not depend on the other scenes, so that a set can be extended and an interrupted run can be
continued.
"""

import argparse
import csv
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray

from rtsmap.bands import BANDS
from rtsmap.files.writing import replacing
from rtsmap.records import BoolArray
from rtsmap.simulate.product.writing import write_product
from rtsmap.simulate.scene import SceneOptions, make_scene
from rtsmap.simulate.terrain.regions import REGIONS

COARSE_M = 10.0
#: The seed of the first scene; benchmarks use other seeds.
FIRST_SEED = 6000
_SIDES_PX = {False: 1800, True: 2400}  # of 3 m, without and with averaging
_HIDDEN = 0.3
_COLUMNS = ("image", "labels", "footprints", "site", "date", "slumps", "km2", "options")


@dataclass(frozen=True)
class Picture:
    """A scene in memory.

    Attributes:
        numbers: the digital numbers, `(4, rows, columns)`.
        cloud: where there is thick cloud, `(rows, columns)`.
        transform: the geotransform.
    """

    numbers: NDArray[np.uint16]
    cloud: BoolArray
    transform: Affine


def options_of(number: int) -> tuple[SceneOptions, bool]:
    """Return the options of scene number N, and whether it is averaged."""
    rng = np.random.default_rng([FIRST_SEED, number])
    coarse = number // len(REGIONS) % 3 == 2
    side = _SIDES_PX[coarse]
    km2 = (side * 3 / 1000) ** 2
    per_km2 = float(rng.choice([0.0, 0.6, 1.5, 2.5], p=[0.06, 0.3, 0.34, 0.3]))
    return (
        SceneOptions(
            region=list(REGIONS)[number % len(REGIONS)],
            seed=FIRST_SEED + number,
            day=date(2016 + int(rng.integers(8)), 6, 8) + timedelta(days=int(rng.integers(100))),
            pixels=(side, side),
            slumps=int(rng.poisson(per_km2 * km2)),
            clouds=float(rng.uniform(0.02, 0.25)) if rng.random() < 1 / 3 else 0.0,
            lowland=bool(rng.random() < 2 / 3),
            coast=bool(rng.random() < 1 / 3),
            thin_clouds=float(rng.uniform(0.08, 0.5)) if rng.random() < 1 / 3 else 0.0,
            vary=float(rng.uniform(0.5, 1.2)) if rng.random() < 0.8 else 0.0,
            upright=True,
        ),
        coarse,
    )


def write_scene(number: int, folder: Path) -> None:
    """Write the image, its labels, the annotated area, and its row of the table."""
    options, coarse = options_of(number)
    name = f"simulated_{options.region.replace('-', '_')}_{number:03d}_{'10m' if coarse else '3m'}"
    row = folder / f"{name}.csv"
    if row.exists():
        return
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        written = write_product(make_scene(options), Path(temporary), workers=1)
        picture = _read(written.image)
        slumps = geopandas.read_file(written.truth, layer="rts")
        searched = geopandas.read_file(written.truth, layer="footprint").geometry.iloc[0]
    if coarse:
        picture = averaged(picture, COARSE_M)
    hidden = np.array([_cloudy(picture, outline) > _HIDDEN for outline in slumps.geometry], dtype=bool)
    searched = searched.difference(shapely.union_all(slumps.geometry.to_numpy()[hidden]).buffer(20))
    labels = f"{name}_rts.gpkg" if (~hidden).any() else ""
    if labels:
        slumps[~hidden].to_file(folder / labels, layer="rts")
    geopandas.GeoDataFrame(geometry=[searched], crs=slumps.crs).explode().to_file(folder / f"{name}_searched.gpkg")
    _write(picture, slumps.crs, folder / f"{name}.tif")
    km2 = np.count_nonzero(picture.numbers[0]) * picture.transform.a**2 / 1e6
    values = (f"{name}.tif", labels, f"{name}_searched.gpkg", f"simulated_{options.region.replace('-', '_')}")
    with replacing(row) as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow([*values, options.day, int((~hidden).sum()), f"{km2:.2f}", options])


def averaged(picture: Picture, gsd_m: float) -> Picture:
    """Average the pixels within each coarser pixel; incomplete coarse pixels at the right and bottom are dropped."""
    fine = picture.transform.a
    parts, step = round(fine), round(gsd_m)  # whole metres
    rows, columns = (side * parts // step for side in picture.cloud.shape)

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        metres = np.repeat(np.repeat(values, parts, axis=0), parts, axis=1)[: rows * step, : columns * step]
        result: NDArray[np.float32] = metres.reshape(rows, step, columns, step).mean(axis=(1, 3))
        return result

    valid = mean((picture.numbers[0] > 0).astype(np.float32)) > 0.999
    bands = [np.maximum(np.rint(mean(band.astype(np.float32))), 1) * valid for band in picture.numbers]
    left, top = picture.transform.c, picture.transform.f
    cloud = mean(picture.cloud.astype(np.float32)) > 0.5
    return Picture(np.stack(bands).astype(np.uint16), cloud, Affine(gsd_m, 0, left, 0, -gsd_m, top))


def _read(image: Path) -> Picture:
    with rasterio.open(image) as source, rasterio.open(next(image.parent.glob("*_udm2.tif"))) as mask:
        return Picture(source.read(), mask.read(6) > 0, source.transform)


def _cloudy(picture: Picture, outline: shapely.Polygon) -> float:
    """Return the share of an outline under thick cloud."""
    inside = rasterio.features.rasterize(
        [outline], out_shape=picture.cloud.shape, transform=picture.transform, all_touched=True, dtype="uint8"
    )
    return float(picture.cloud[inside == 1].mean()) if inside.any() else 1.0


def _write(picture: Picture, crs: object, path: Path) -> None:
    count, height, width = picture.numbers.shape
    profile = {"driver": "GTiff", "dtype": "uint16", "nodata": 0, "compress": "deflate", "predictor": 2, "tiled": True}
    size = {"count": count, "height": height, "width": width}
    with rasterio.open(path, "w", crs=crs, transform=picture.transform, **size, **profile) as target:
        target.write(picture.numbers)
        target.descriptions = BANDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--first", type=int, default=0, help="number of the first scene")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for number in range(arguments.first, arguments.first + arguments.scenes):
        write_scene(number, arguments.output)
        rows = [
            next(csv.reader(path.read_text().splitlines())) for path in sorted(arguments.output.glob("simulated_*.csv"))
        ]
        with replacing(arguments.output / "scenes.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([_COLUMNS, *rows])
        slumps, km2 = sum(int(row[5]) for row in rows), sum(float(row[6]) for row in rows)
        print(f"{len(rows)} scenes, {slumps} slumps, {km2:.0f} km2", flush=True)


if __name__ == "__main__":
    main()
