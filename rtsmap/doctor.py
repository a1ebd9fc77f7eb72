"""A report of the packages, runtimes and drivers that rtsmap finds, with advice if something is missing."""

import importlib.metadata
import importlib.util
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rtsmap import __version__
from rtsmap.detector.loading import chosen_runtime
from rtsmap.errors import INSTALL_TORCH
from rtsmap.models import DEFAULT_MODEL, find_model
from rtsmap.runtime.machine import network_threads

REQUIRED = ("numpy", "rasterio", "geopandas", "pyogrio", "shapely", "pyproj", "click", "pydantic")


@dataclass(frozen=True)
class Finding:
    """One line of the report; `advice` is empty if nothing is missing."""

    topic: str
    found: str
    advice: str = ""


def examine() -> Iterator[Finding]:
    """Examine the packages, the runtimes of the network, the drivers of GDAL and the disk, in this order."""
    yield Finding("rtsmap", f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    yield Finding("packages", ", ".join(f"{name} {importlib.metadata.version(name)}" for name in REQUIRED))
    yield _torch()
    yield _onnxruntime()
    yield _prediction()
    yield _gdal()
    yield _disk()


def _torch() -> Finding:
    try:
        import torch  # noqa: PLC0415  (optional, and slow to import)

        from rtsmap.network import cascade  # noqa: F401, PLC0415  (shows that detectron2 works here)
    except ImportError as error:
        return Finding("torch", f"not usable ({error}); training and export need it: {INSTALL_TORCH}")
    found = (
        f"{torch.__version__}, detectron2 {_version('detectron2', 'pb1-detectron2')}, {torch.get_num_threads()} threads"
    )
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        return Finding("torch", f"{found}, GPU {torch.cuda.get_device_name(0)} ({memory:.0f} GiB)")
    return Finding("torch", f"{found}, no GPU: predictions run on the CPU")


def _onnxruntime() -> Finding:
    try:
        import onnxruntime  # noqa: PLC0415  (slow to import)
    except ImportError as error:
        return Finding("onnxruntime", f"not usable ({error})", "pip install onnxruntime")
    return Finding("onnxruntime", f"{onnxruntime.__version__}, {', '.join(onnxruntime.get_available_providers())}")


def _prediction() -> Finding:
    """The runtime that will compute the network of the default model."""
    folder, card = find_model(DEFAULT_MODEL)
    if chosen_runtime(folder, card, chip_size=card.input.chip_size) == "torch":
        missing = [name for name in ("torch", "detectron2") if importlib.util.find_spec(name) is None]
        advice = f"{', '.join(missing)} missing; {INSTALL_TORCH}" if missing else ""
        return Finding("predict", f"{card.name} runs on torch", advice)
    try:
        from rtsmap.detector.onnx import CUDA, resolve_provider  # noqa: PLC0415  (slow to import)
    except ImportError as error:
        return Finding("predict", f"{card.name} cannot run ({error})", "pip install onnxruntime")
    processor = "the GPU" if resolve_provider("auto") == CUDA else f"the CPU, {network_threads()} threads"
    return Finding("predict", f"{card.name} runs on ONNX Runtime, {processor}")


def _gdal() -> Finding:
    import pyogrio  # noqa: PLC0415
    import rasterio  # noqa: PLC0415
    from rasterio.drivers import raster_driver_extensions  # noqa: PLC0415

    with rasterio.Env() as env:
        rasters, vectors = env.drivers(), pyogrio.list_drivers(write=True)
    wanted = {"GTiff": rasters, "VRT": rasters, "GPKG": vectors}
    missing = [name for name, drivers in wanted.items() if name not in drivers]
    found = f"{rasterio.__gdal_version__} (rasters, {len(raster_driver_extensions())} file types), "
    found += f"{'.'.join(map(str, pyogrio.__gdal_version__))} (layers)"
    return Finding("GDAL", found, f"drivers missing: {', '.join(missing)}; install rasterio's wheel" if missing else "")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return Finding("disk", f"{free:.1f} GB free here", "little space for results; free some" if free < 1 else "")


def _version(*names: str) -> str:
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"
