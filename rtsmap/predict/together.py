"""Scenes of one call: none of them twice, all of them in one layer, and how much ground more than one has seen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely

from rtsmap.errors import InputError, SceneError
from rtsmap.geometry import geodesic_areas_m2
from rtsmap.layer.tables import SceneResult, observed_table, slump_table
from rtsmap.scene.product import SceneFiles


def check_distinct(scenes: Sequence[tuple[str, SceneFiles]]) -> None:
    """Check that no scene comes twice.

    Args:
        scenes: each as the user named it, and its files.

    Raises:
        InputError: two are one file, also by way of links, or two files hold a scene of one id.
    """
    by_file: dict[object, str] = {}
    by_id: dict[str, str] = {}
    for named, files in scenes:
        if first := by_file.get(_file_of(files.path)):
            raise InputError(f"{named}: is the same scene as {first}; give one of them")
        if first := by_id.get(files.scene_id):
            raise InputError(
                f"{named}: has the same id as {first}, {files.scene_id}; give one of them, "
                "or map them in two calls if they show different ground"
            )
        by_file[_file_of(files.path)] = by_id[files.scene_id] = named


def check_layer(first: SceneResult, result: SceneResult) -> None:
    """Check that a result can be written beside the first, whose CRS the layer has.

    Raises:
        SceneError: it lies where that CRS does not reach.
    """
    tables = slump_table([first, result]), observed_table([first, result])
    for table in tables:
        coordinates = shapely.get_coordinates(table.geometry.to_numpy())
        if not np.isfinite(coordinates).all():
            raise SceneError(
                f"{result.info.path}: lies where the CRS of the first scene ({first.crs.name}) does not reach; "
                "map it in a call of its own"
            )


def seen_again_km2(results: Sequence[SceneResult]) -> float:
    """Geodesic area of what was observed after another scene had shown it already: all areas less that of their union.

    By the outlines of the observed areas, whose cells of some 30 m are clear for the most part.
    """
    if len(results) < 2:
        return 0.0
    outlines = observed_table(results).geometry
    ground = outlines.iloc[:1].copy()
    ground.iloc[0] = shapely.union_all(outlines.to_numpy())
    return max(0.0, float(geodesic_areas_m2(outlines).sum() - geodesic_areas_m2(ground).sum()) / 1e6)


def _file_of(path: str) -> object:
    """What tells one file from another, whatever its names."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):  # elsewhere, or only GDAL knows it
        return path
    return found.st_dev, found.st_ino
