"""Combination of the scenes of one year into one epoch, by the majority of the clear views."""

import numpy as np
import shapely
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from rtsmap.geometry import largest_polygon, polygon_parts
from rtsmap.tracks.observation import Observation
from rtsmap.tracks.outlines import Bools, Ints, Outlines, areas_of, components, shapes_of

#: Outlines of one scene with a larger IoU are duplicates of each other.
_DUPLICATE_IOU = 0.95
#: Parts of a combined outline with a smaller share of the area of the largest part are slivers, and are left out.
_MIN_PART_SHARE = 0.1


def combine(outlines: Outlines, observation: Observation, min_part: float) -> Outlines:
    """Combine the outlines of each slump and year.

    Outlines of different scenes of a year belong together if they share at least `min_part` of the area of the smaller
    one. The combined outline is the ground that at least half of the clear views show as slump, and may consist of
    several outlines. If no ground is shown by half of the clear views, only the views that show the slump are counted.
    The score is the mean over the clear views, where a view without the slump counts as 0. The date is the mean of the
    dates of the views that show the slump.

    Args:
        outlines: outlines of any number of years.
        observation: observed areas around these outlines.
        min_part: see `TrackOptions`.

    Returns:
        The outlines in the order of years; within a year, outlines of one scene come before combined ones.
    """
    years = np.unique(outlines.years)
    return Outlines.joined(
        [
            outlines.take(outlines.years < 0),
            *(_year(outlines.take(outlines.years == year), observation, min_part) for year in years),
        ]
    )


def _year(outlines: Outlines, observation: Observation, min_part: float) -> Outlines:
    group = _groups(outlines, min_part)
    alone = np.bincount(group)[group] == 1
    parts = [_with_views(outlines.take(alone), observation)]
    order = np.flatnonzero(~alone)
    order = order[np.argsort(group[order], kind="stable")]
    if len(order):
        several = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
        parts += [_combined(outlines.take(rows), observation) for rows in several]
    return Outlines.joined(parts)


def _groups(outlines: Outlines, min_part: float) -> Ints:
    """The number of the slump that each outline of a year shows."""
    shapes, scenes = outlines.shapes, outlines.scenes
    if len(np.unique(scenes)) == 1 and len(shapes) < 2:
        return np.zeros(len(shapes), dtype=np.int64)
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    first, second = first[first < second], second[first < second]
    common = areas_of(shapely.intersection(shapes[first], shapes[second]))
    areas = areas_of(shapes)
    iou = common / (areas[first] + areas[second] - common)
    shared = common / np.minimum(areas[first], areas[second])
    same: Bools = np.where(scenes[first] == scenes[second], iou > _DUPLICATE_IOU, shared >= min_part)
    return components((first[same], second[same]), len(shapes))


def _with_views(outlines: Outlines, observation: Observation) -> Outlines:
    """Outlines that only one scene shows, with the number of scenes that observed their location."""
    if not len(outlines) or not observation.is_known(int(outlines.years[0])):
        return outlines
    views = np.maximum(observation.views(outlines.shapes, int(outlines.years[0])), 1)
    columns = vars(outlines) | {"n_views": views, "scores": outlines.scores / views}
    return Outlines(**columns)


def _combined(views: Outlines, observation: Observation) -> Outlines:
    """The combined outline of a slump that several scenes of a year show."""
    scenes = np.unique(views.scenes)
    shown = [shapely.union_all(views.shapes[views.scenes == scene]) for scene in scenes]
    year = int(views.years[0])
    hull = shapes_of([shapely.union_all(shown)])
    known = observation.is_known(year)
    n_views = max(len(scenes), int(observation.views(hull, year)[0])) if known else 0
    shape = majority(shown, max(n_views, len(scenes)) / 2)
    if shape.is_empty:
        shape = majority(shown, len(scenes) / 2)
    parts = _parts(shape)
    scores = [views.scores[views.scenes == scene].max() for scene in scenes]
    count = len(parts)
    return Outlines(
        shapes=shapes_of(parts),
        years=np.full(count, year),
        days=np.full(count, np.mean([views.days[views.scenes == scene][0] for scene in scenes])),
        scores=np.full(count, np.sum(scores) / max(n_views, len(scenes))),
        names=shapes_of([",".join(sorted(views.names))] * count),
        scenes=np.full(count, scenes[0]),
        models=np.full(count, views.models[0]),
        n_views=np.full(count, n_views),
        n_hits=np.full(count, len(scenes)),
    )


def majority(shapes: list[BaseGeometry], at_least: float) -> BaseGeometry:
    """The area that is covered by at least `at_least` of the polygons."""
    if at_least <= 1:
        return shapely.union_all(shapes)
    lines = shapely.union_all([shape.boundary for shape in shapes])
    faces = shapely.get_parts(shapely.polygonize(list(shapely.get_parts(lines))))
    inside = np.zeros(len(faces), dtype=np.int64)
    points = shapely.point_on_surface(faces)
    for shape in shapes:
        inside += shapely.contains(shape, points)
    return shapely.union_all(faces[inside >= at_least])


def _parts(shape: BaseGeometry) -> list[Polygon]:
    """The polygons of a combined outline, without slivers."""
    parts = polygon_parts(shape)
    smallest = _MIN_PART_SHARE * largest_polygon(shape).area
    return [part for part in parts if part.area >= smallest]
