"""What a scene is: products and their files, metadata, and reading pixels by window."""

from rtsmap.scene.opening import open_scene
from rtsmap.scene.raster import Scene
from rtsmap.scene.udm2 import CLASSES, DEFAULT_MASK

__all__ = ["CLASSES", "DEFAULT_MASK", "Scene", "open_scene"]
