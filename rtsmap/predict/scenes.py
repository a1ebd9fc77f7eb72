"""Several scenes in one call: each is mapped once, all go into one layer, and one failure does not end the others."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import shapely

from rtsmap.errors import InputError, InterruptedRunError, RtsmapError, SceneError
from rtsmap.geometry import geodesic_areas_m2
from rtsmap.layer.tables import SceneResult, observed_table, slump_table
from rtsmap.predict.detector import ReadyDetector
from rtsmap.predict.scene import predict_scene
from rtsmap.runtime.execution import Execution
from rtsmap.runtime.failures import explained
from rtsmap.scene.finding import find
from rtsmap.scene.product import SceneFiles

_Done = TypeVar("_Done")


@dataclass(frozen=True)
class MappedScenes:
    """The results of several scenes.

    Attributes:
        scenes: the scenes that were mapped, as they were named.
        results: the result of each of them.
        failures: one error for each of the other scenes; the message names the scene.
    """

    scenes: list[str]
    results: list[SceneResult]
    failures: list[RtsmapError]


def _ignore(_failure: RtsmapError) -> None:
    """Leave a failure to the end."""


def map_scenes(
    scenes: Sequence[str],
    detector: ReadyDetector,
    execution: Execution | None = None,
    *,
    on_failure: Callable[[RtsmapError], None] = _ignore,
) -> MappedScenes:
    """Map several scenes that go into one layer. A scene that fails does not end the others.

    Args:
        scenes: what `open_scene` accepts, each scene once.
        detector: from `load_detector`, with the options that decide the results.
        execution: how the work is executed; that of the detector without it.
        on_failure: is called with the error of a scene as soon as it fails, if there are other scenes.

    Returns:
        The results, and the failures.

    Raises:
        InputError: a scene is given twice, or all scenes failed because of their input.
        RtsmapError: the only scene failed, or all scenes failed.

    Example:
        >>> import rtsmap
        >>> detector = rtsmap.load_detector("rts-mini")
        >>> mapped = rtsmap.map_scenes(["scene.tif", "missing.tif"], detector)
        >>> mapped.scenes, [str(failure) for failure in mapped.failures]
        (['scene.tif'], ['missing.tif: no such file; check the path'])
        >>> rtsmap.write_layer("slumps.gpkg", mapped.results, detector.provenance(mapped.scenes))
    """
    check_given_once(scenes)
    results: list[SceneResult] = []

    def map_one(scene: str) -> str:
        result = predict_scene(scene, detector, execution)
        check_layer(results[0] if results else result, result)
        results.append(result)
        return scene

    done, failures = one_by_one(scenes, map_one, on_failure)
    return MappedScenes(done, results, failures)


def one_by_one(
    scenes: Sequence[str], work: Callable[[str], _Done], on_failure: Callable[[RtsmapError], None] = _ignore
) -> tuple[list[_Done], list[RtsmapError]]:
    """Do the work scene by scene; an error ends the work on its scene only.

    Args:
        scenes: the scenes, as the user named them.
        work: is called with each scene.
        on_failure: is called with the error of a scene as soon as it fails, if there are other scenes.

    Returns:
        What the work returned, and the failures of the other scenes, with the original errors as their causes.

    Raises:
        RtsmapError: the failure of the only scene; or all of several scenes failed, an `InputError` if the reason was
            the input of each.
    """
    done: list[_Done] = []
    failures: list[RtsmapError] = []
    for scene in scenes:
        try:
            done.append(work(scene))
        except InterruptedRunError:
            raise
        except Exception as error:
            failures.append(failure := explained(error, scene))
            if len(scenes) == 1:
                raise failure from error
            if failure is not error:
                failure.__cause__ = error
            on_failure(failure)
    if failures and not done:
        kind = InputError if all(isinstance(failure, InputError) for failure in failures) else RtsmapError
        raise kind(f"none of the {len(scenes)} scenes could be worked on")
    return done, failures


def check_given_once(scenes: Sequence[str]) -> None:
    """Check that no scene is given twice, before any is worked on.

    A scene that cannot be found is left out here; the error comes when it is opened.

    Raises:
        InputError: two scenes are one file, or have the same id.
    """
    if len(scenes) < 2:
        return
    found = []
    for scene in scenes:
        with suppress(Exception):
            found.append((scene, find(scene)))
    check_distinct(found)


def check_distinct(scenes: Sequence[tuple[str, SceneFiles]]) -> None:
    """Check that all scenes differ.

    Args:
        scenes: each scene as the user named it, and its files.

    Raises:
        InputError: two scenes are one file, also through links, or two files hold scenes with the same id.
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
    """Check that a result can be written into the layer, which has the CRS of the first result.

    Raises:
        SceneError: the scene lies outside the area of use of that CRS.
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
    """Geodesic area that was observed more than once: the sum of the observed areas less the area of their union, km2.

    It is computed from the outlines of the observed areas, whose resolution is about 30 m.
    """
    if len(results) < 2:
        return 0.0
    outlines = observed_table(results).geometry
    ground = outlines.iloc[:1].copy()
    ground.iloc[0] = shapely.union_all(outlines.to_numpy())
    return max(0.0, float(geodesic_areas_m2(outlines).sum() - geodesic_areas_m2(ground).sum()) / 1e6)


def _file_of(path: str) -> object:
    """An identity of the file that does not depend on its name."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):  # a URL, or a path that only GDAL understands
        return path
    return found.st_dev, found.st_ino
