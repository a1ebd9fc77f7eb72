"""Polygons from files: labels, areas of interest and finished layers, in any format that GDAL reads.

A file in longitude and latitude is taken as it looks on a map: an edge between two points of equal latitude follows
that parallel, however long it is, and an area may cross the antimeridian or reach a pole. Edges in projected files are
straight in the CRS of the file. `project` preserves both in the CRS of a scene.
"""

from rtsmap.polygons.projecting import project, project_frame, utm_of
from rtsmap.polygons.reading import MAP_LAYER, POLYGONS, check_area, polygon_layer, read_area, read_polygons

__all__ = [
    "MAP_LAYER",
    "POLYGONS",
    "check_area",
    "polygon_layer",
    "project",
    "project_frame",
    "read_area",
    "read_polygons",
    "utm_of",
]
