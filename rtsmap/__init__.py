"""Map retrogressive thaw slumps from satellite scenes.

The names below are imported when they are first used, so that `import rtsmap` takes no time. A scene becomes a layer in
four lines:

    detector = rtsmap.load_detector("rts-mini")
    mapped = rtsmap.map_scenes(["scene.tif"], detector)
    rtsmap.write_layer("slumps.gpkg", mapped.results, detector.provenance(mapped.scenes))
    slumps = rtsmap.read_layer("slumps.gpkg").slumps
"""

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtsmap.errors import RtsmapError as RtsmapError
    from rtsmap.layer import SceneResult as SceneResult
    from rtsmap.layer import write_layer as write_layer
    from rtsmap.layer.reading import read_layer as read_layer
    from rtsmap.predict.detector import load_detector as load_detector
    from rtsmap.predict.options import Options as Options
    from rtsmap.predict.scene import predict_scene as predict_scene
    from rtsmap.predict.scenes import map_scenes as map_scenes
    from rtsmap.runtime.execution import Execution as Execution
    from rtsmap.scene import open_scene as open_scene

__version__ = "0.1.0"

#: Where each name is defined.
_MODULES = {
    "Execution": "rtsmap.runtime.execution",
    "Options": "rtsmap.predict.options",
    "RtsmapError": "rtsmap.errors",
    "SceneResult": "rtsmap.layer",
    "load_detector": "rtsmap.predict.detector",
    "map_scenes": "rtsmap.predict.scenes",
    "open_scene": "rtsmap.scene",
    "predict_scene": "rtsmap.predict.scene",
    "read_layer": "rtsmap.layer.reading",
    "write_layer": "rtsmap.layer",
}

__all__ = [
    "Execution",
    "Options",
    "RtsmapError",
    "SceneResult",
    "__version__",
    "load_detector",
    "map_scenes",
    "open_scene",
    "predict_scene",
    "read_layer",
    "write_layer",
]

# When it is imported, ONNX Runtime decides whether to store events and an identifier of the machine in the home folder
# and to send them to its makers. rtsmap sends nothing to anybody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
