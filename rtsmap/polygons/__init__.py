"""Polygons that others made: labels, areas of interest, finished layers, in any format that GDAL reads.

A file in longitude and latitude means what it shows on a map: an edge between two points of one latitude follows that
parallel, however long it is, and an area may cross the antimeridian or reach a pole. Edges of projected files are
straight in their own CRS. `project` keeps both true in the CRS of a scene.
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
