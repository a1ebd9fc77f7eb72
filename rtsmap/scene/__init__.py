"""Scenes: satellite products and their files, metadata, and reading of pixels by window."""

from rtsmap.scene.masks import CLASSES, DEFAULT_MASK
from rtsmap.scene.opening import open_scene
from rtsmap.scene.raster import Scene

__all__ = ["CLASSES", "DEFAULT_MASK", "Scene", "open_scene"]
