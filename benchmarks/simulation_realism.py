"""Simulated scenes beside measured ones: a table of statistics, simple rules that should fail, and pictures.

    python -m benchmarks.simulation_realism [DATA] [--shortcuts] [--pictures FOLDER]

DATA is the folder of real data with generator_stats.json, s2_scenes and s2_chips_wsiberia. Prints Markdown.
"""

import argparse
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from PIL import Image

from rtsmap.simulate.product.labelling import drawn
from rtsmap.simulate.scene import SceneOptions, SimulatedScene, make_scene
from rtsmap.simulate.terrain.regions import REGIONS
from tests.realism import (
    DISTANCES,
    Sample,
    band_pairs,
    coarse,
    gaps,
    overlap,
    rendered,
    shape_measures,
    simulated_sample,
)
from tests.shortcuts import shortcut_scores

DATA = Path(__file__).parents[2] / "shared" / "data" / "open"
#: The regions whose Sentinel-2 scenes were measured, and the files of the scenes.
SCENES = {
    "taimyr": "s2_scenes/taimyr_*.tif",
    "chukotka": "s2_scenes/iultinsky_*.tif",
    "lena": "s2_scenes/lower_lena_*.tif",
    "west-siberia": "s2_chips_wsiberia/*.tif",
}
#: The share of the ground under slumps in scenes in which slumps are measured. Tundra is measured where slumps are as
#: rare as in real scenes, because more slumps come with more bare ground.
DENSE_SHARE = 0.012


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=DATA)
    parser.add_argument("--shortcuts", action="store_true", help="score the rules that should fail")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    if arguments.pictures:
        pictures(arguments.data, arguments.pictures)
        return
    if arguments.shortcuts:
        print_shortcuts()
        return
    measured = json.loads((arguments.data / "generator_stats.json").read_text())
    print("| statistic | measured | simulated |\n|---|---|---|")
    for name, real, simulated in [*outline_rows(measured), *appearance_rows(measured, arguments.data)]:
        print(f"| {name} | {text(real)} | {text(simulated)} |")


def text(values: Any) -> str:
    """Return numbers as the text of a table cell."""
    if isinstance(values, str):
        return values
    return " / ".join(f"{value:.3g}" for value in np.atleast_1d(np.asarray(values, dtype=float)))


def layouts(scenes: int = 4, size_km: tuple[float, float] = (14, 8)) -> list[SimulatedScene]:
    """Lay out scenes of every region without rendering them."""
    return [
        make_scene(SceneOptions(region=region, seed=seed, size_km=size_km, clouds=0))
        for region in REGIONS
        for seed in range(100, 100 + scenes)
    ]


def outline_rows(measured: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return the rows on size, shape, gaps, numbers and label noise."""
    laid_out = layouts()
    scenes = [[feature.outline for feature in simulated.scenery.slumps] for simulated in laid_out]
    every = [outline for scene in scenes for outline in scene]
    shape = shape_measures(every)
    gap = np.concatenate([gaps(scene) for scene in scenes])
    rng = np.random.default_rng(0)
    noise = [overlap(outline, drawn(rng, outline)) for outline in every]
    share = [
        sum(o.area for o in scene) / simulated.acquisition.footprint.area * 100
        for scene, simulated in zip(scenes, laid_out, strict=True)
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
            for scene, simulated in zip(scenes, laid_out, strict=True)
            if simulated.options.region == region
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


def real_sample(data: Path, region: str) -> Sample:
    """Read the Sentinel-2 scenes of a region with their labels."""
    sample = Sample()
    for path in sorted(data.glob(SCENES[region])):
        if not path.stem.endswith("_mask"):
            with rasterio.open(path) as image, rasterio.open(path.with_name(f"{path.stem}_mask.tif")) as labels:
                sample.add(image.read([1, 2, 3, 4]) * 1e-4, labels.read(1) > 0, 10)
    return sample


def appearance_rows(measured: dict[str, Any], data: Path) -> list[tuple[str, Any, Any]]:
    """Return the rows on reflectance, profiles and texture, region by region."""
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
        rows.append((f"{region}: the same, outlines as rendered", real.along(4), exact.along(4)))
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
    """Simulate scenes with many slumps."""
    return simulated_sample(region, (1, 2, 3, 4, 5), 1600, share=DENSE_SHARE, **options)


def s_ndvi(sample: Sample) -> np.ndarray:
    return np.array([sample.percentiles("slump", share)[4] for share in (10, 90)])


# Shortcuts ------------------------------------------------------------------------------------------


def print_shortcuts() -> None:
    """Print a table of the rules by region."""
    rows = {region: shortcut_scores(region) for region in REGIONS}
    names = list(next(iter(rows.values())))
    print("| region | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for region, scores in rows.items():
        print(f"| {region} | " + " | ".join(f"{scores[name]:.3f}" for name in names) + " |", flush=True)


# Pictures ------------------------------------------------------------------------------------------------------------


def rgb(reflectance: np.ndarray, white: float) -> np.ndarray:
    """Return a composite of red, green and blue with 8 bits and a gamma of 1.6."""
    return (np.clip(reflectance[[2, 1, 0]] / white, 0, 1) ** (1 / 1.6) * 255).astype(np.uint8).transpose(1, 2, 0)


def crop_of(reflectance: np.ndarray, row: int, column: int, size: int) -> np.ndarray:
    row = int(np.clip(row - size // 2, 0, max(reflectance.shape[1] - size, 0)))
    column = int(np.clip(column - size // 2, 0, max(reflectance.shape[2] - size, 0)))
    return reflectance[:, row : row + size, column : column + size]


def real_crop(data: Path, region: str, size_m: float, number: int) -> np.ndarray:
    """Cut a piece of a real scene around its slumps, at 10 m."""
    paths = [path for path in sorted(data.glob(SCENES[region])) if not path.stem.endswith("_mask")]
    path = paths[0] if region == "taimyr" else paths[(number * 5 + 1) % len(paths)]
    with rasterio.open(path) as image, rasterio.open(path.with_name(f"{path.stem}_mask.tif")) as labels:
        values, mask = image.read([1, 2, 3, 4]) * 1e-4, labels.read(1) > 0
    rows, columns = np.nonzero(mask & (values > 0).all(axis=0))
    middle = (len(rows) // 3) * (number + 1)
    return crop_of(values, int(rows[middle % len(rows)]), int(columns[middle % len(rows)]), round(size_m / 10))


def pictures(data: Path, folder: Path, size_m: float = 2500) -> None:
    """Write, for three regions, a real Sentinel-2 crop beside simulated ones at 10 m and at 3 m."""
    folder.mkdir(parents=True, exist_ok=True)
    for region in ("taimyr", "chukotka", "west-siberia"):
        white = 0.14 if region == "west-siberia" else 0.19
        scene = make_scene(SceneOptions(region=region, seed=5, pixels=(2048, 2048), clouds=0, slumps=20))
        values = rendered(scene)[0] * np.float32(1e-4)
        middle = sorted(scene.scenery.slumps, key=lambda slump: slump.outline.area)[-3].outline.centroid
        columns, rows = ~scene.acquisition.grid.transform * np.array(middle.coords).T
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
