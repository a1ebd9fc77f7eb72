"""What is known of slumps on the open scenes: labels, and where the lack of a label says nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import rasterio
import rasterio.features
import shapely
from affine import Affine
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from rtsmap.dataset.labels import read_labels
from rtsmap.dataset.segmentation import components

#: Ground around an outline that is no label, and around a point, which is not taken as searched, m.
AROUND_OUTLINE_M, AROUND_POINT_M = 20.0, 150.0
#: Lattice on which experts' outlines are counted, m, and the smallest area of agreement, m2.
AGREEMENT_M, LEAST_M2 = 2.5, 300.0

_JOIN_M = 0.05
_EXPERTS = "nitze2024_labelling_experiment.gpkg"


class Inventories:
    """All published outlines and points, of any date.

    Args:
        folder: of GeoPackages; outlines of experts are in one of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.experts = pyogrio.read_dataframe(folder / _EXPERTS, layer="rts_by_labeller")
        self.asked = pyogrio.read_dataframe(folder / _EXPERTS, layer="aoi")
        layers = [(path, layer) for path in sorted(folder.glob("*.gpkg")) for layer, _ in pyogrio.list_layers(path)]
        frames = [
            pyogrio.read_dataframe(path, layer=layer, columns=[])
            for path, layer in layers
            if "footprint" not in layer and layer != "aoi"
        ]
        self.all = geopandas.GeoDataFrame(pd.concat(frames, ignore_index=True), crs=frames[0].crs)

    def near(self, image: Path) -> geopandas.GeoSeries:
        """Outlines and points on an image, in its CRS."""
        crs, box, _, _ = _frame(image)
        around = geopandas.GeoSeries([box.buffer(AROUND_POINT_M)], crs=crs).to_crs(self.all.crs).iloc[0]
        found = self.all.geometry[self.all.intersects(around)].force_2d()
        return found.to_crs(crs).make_valid()

    def agreement(self, site: str, image: Path) -> geopandas.GeoDataFrame:
        """Ground that at least half of a site's experts drew as slump."""
        crs, box, _, _ = _frame(image)
        drawn = self.experts[self.experts["site"].str.lower() == site].to_crs(crs)
        grid = Affine(AGREEMENT_M, 0, box.bounds[0], 0, -AGREEMENT_M, box.bounds[3])
        shape = tuple(int((box.bounds[i + 2] - box.bounds[i]) / AGREEMENT_M) for i in (1, 0))
        votes = np.zeros(shape, dtype=np.uint8)
        for _, one in drawn.groupby("labeller"):
            votes += rasterio.features.rasterize(one.geometry, out_shape=shape, transform=grid, dtype="uint8")
        agreed = (2 * votes >= drawn["labeller"].nunique()).astype(np.uint8)
        regions = [region for region in components(agreed, agreed == 1, grid) if region.area >= LEAST_M2]
        return geopandas.GeoDataFrame(geometry=regions, crs=crs)


def labels_of(labels: Path | None, site: str, image: Path, inventories: Inventories) -> geopandas.GeoDataFrame:
    """The slumps of a scene, in its CRS."""
    if labels is None:
        return inventories.agreement(site, image)
    crs, _, _, _ = _frame(image)
    return read_labels(labels)[["geometry"]].to_crs(crs)


def annotated_area(
    labels: Path | None, image: Path, slumps: geopandas.GeoDataFrame, inventories: Inventories
) -> BaseGeometry:
    """The part of a scene whose ground without a label can be taken as ground without a slump.

    Left out is what an inventory of any year, the scene's own mask, or a single expert takes for a slump and no label
    touches.
    """
    crs, box, _, _ = _frame(image)
    if labels is None:
        asked = inventories.asked.to_crs(crs)
        box = box.intersection(asked.union_all())
    known = slumps.union_all()
    others = [*inventories.near(image), *_of_mask(image)]
    doubtful = [
        other.buffer(AROUND_POINT_M if other.geom_type == "Point" else AROUND_OUTLINE_M)
        for other in others
        if other.distance(known) > (AROUND_OUTLINE_M if other.geom_type == "Point" else 0)
    ]
    return box.difference(shapely.union_all(doubtful))


def _of_mask(image: Path) -> list[BaseGeometry]:
    mask = image.with_name(f"{image.stem}_mask.tif")
    return list(read_labels(mask).to_crs(_frame(image)[0]).geometry) if mask.exists() else []


def four_bands(image: Path, numbers: Sequence[int], output: Path) -> Path:
    """Write blue, green, red and near infrared of an image under their names; returns the path."""
    with rasterio.open(image) as source:
        bands, profile = source.read(list(numbers)), source.profile
    profile.update(driver="GTiff", count=4, nodata=0, compress="deflate", tiled=False, interleave="pixel")
    with rasterio.open(output, "w", **profile) as target:
        target.write(bands)
        for number, name in enumerate(("blue", "green", "red", "nir"), start=1):
            target.set_band_description(number, name)
    return output.resolve()


def write_layer(path: Path, geometry: Sequence[Any], crs: CRS, fields: Mapping[str, Sequence[str]]) -> None:
    """Write geometries with their fields, whatever was there."""
    path.unlink(missing_ok=True)
    # parts of one slump that meet in a corner are joined there: polygons of a layer are read as slumps of their own
    joined = [one if one.geom_type == "Polygon" else one.buffer(_JOIN_M, join_style="mitre") for one in geometry]
    geopandas.GeoDataFrame(dict(fields), geometry=joined, crs=crs).to_file(path, layer="labels")


def _frame(image: Path) -> tuple[CRS, BaseGeometry, Affine, tuple[int, int]]:
    """CRS, outline, transform and shape of an image."""
    with rasterio.open(image) as source:
        return CRS.from_user_input(source.crs), shapely.box(*source.bounds), source.transform, source.shape
