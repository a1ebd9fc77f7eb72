"""Slumps and scenes on disk for tests of data sets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from affine import Affine

from tests.scenes import TRANSFORM, UTM_7N, write_raster

#: Two slumps in pixels (left, top, right, bottom) of the scene of `write_scene`.
SLUMPS = ((4, 6, 16, 14), (40, 44, 52, 60))


def world(*boxes: Sequence[float], transform: Affine = TRANSFORM) -> list[shapely.Polygon]:
    """Convert rectangles in pixels to polygons in the CRS of the scene."""
    return [shapely.affinity.affine_transform(shapely.box(*box), transform.to_shapely()) for box in boxes]


def write_polygons(
    path: Path,
    outlines: Sequence[Any] | None = None,
    fields: Mapping[str, Sequence[Any]] | None = None,
    *,
    crs: str | None = UTM_7N,
    to_crs: str | None = None,
    layer: str | None = None,
) -> Path:
    """Write polygons, by default `SLUMPS`, and return the path."""
    frame = geopandas.GeoDataFrame(
        dict(fields or {}), geometry=world(*SLUMPS) if outlines is None else outlines, crs=crs
    )
    frame = frame if to_crs is None else frame.to_crs(to_crs)
    options = {} if layer is None else {"layer": layer}
    frame.to_file(path, **options)
    return path


def write_scene(path: Path, *, size: int = 64, slumps: Sequence[Sequence[int]] = SLUMPS, **options: Any) -> Path:
    """Write a scene of 3 m pixels: tundra of 0.04, 0.06, 0.06, 0.26, and bare slumps of 0.09, 0.1, 0.12, 0.13."""
    numbers = np.empty((4, size, size), dtype=np.uint16)
    numbers[:] = np.array([400, 600, 600, 2600]).reshape(4, 1, 1)
    for left, top, right, bottom in slumps:
        numbers[:, top:bottom, left:right] = np.array([900, 1000, 1200, 1300]).reshape(4, 1, 1)
    return write_raster(path, options.pop("numbers", numbers), nodata=0, **options)
