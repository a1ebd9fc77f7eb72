"""Recognition of the product of a scene: each product family is tried in turn, and others are plain rasters."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from rtsmap.errors import SceneError
from rtsmap.scene import landsat, planetscope, sentinel2, stac
from rtsmap.scene.files import is_gdal_name, is_remote
from rtsmap.scene.folder import Folder, is_archive
from rtsmap.scene.metadata import Metadata
from rtsmap.scene.product import SceneFiles

#: Product families whose scenes are folders or archives, in the order in which they are tried.
FAMILIES: tuple[Callable[[Folder], SceneFiles | None], ...] = (
    sentinel2.in_folder,
    landsat.in_folder,
    planetscope.in_folder,
)

_MOMENT = re.compile(r"(?<!\d)(\d{8})(?:T(\d{6}))?(?!\d)")
_DIRECTORY = re.compile(r"GTIFF_DIR:(\d+):")


def find(path: str) -> SceneFiles:
    """Find the files and metadata of a scene before any raster is opened.

    Args:
        path: see `scene.opening.open_scene`.

    Raises:
        SceneError: the path does not exist or is a folder without a scene, or the metadata are malformed.
    """
    if not path.strip():
        raise SceneError("the name of a scene is empty; give a file, a folder or an address")
    if is_gdal_name(path):
        behind = sentinel2.product_of_gdal_name(path)
        return _raster(path) if behind is None else _in_folder(behind)
    if stac.is_item(path):
        return stac.of_item(path)
    if is_remote(path):
        return planetscope.elsewhere(path) or _raster(path)
    local = Path(path)
    if not local.exists():
        raise SceneError(f"{path}: no such file; check the path")
    if local.is_dir() or is_archive(local):
        return _in_folder(local)
    behind = local.parent if landsat.is_metadata(local.name) else sentinel2.product_of_file(local)
    if behind is not None:
        return _in_folder(behind)
    return planetscope.of_image(local) or _raster(path)


def _in_folder(path: Path) -> SceneFiles:
    if not path.exists():
        raise SceneError(f"{path}: no such file; check the path")
    folder = Folder.of(path)
    for family in FAMILIES:
        if (found := family(folder)) is not None:
            return found
    raise SceneError(
        f"{path}: holds no PlanetScope image (..._AnalyticMS_SR.tif), and no Sentinel-2 or Landsat Collection 2 scene; "
        "name the image file itself"
    )


def _raster(path: str) -> SceneFiles:
    stem = PurePosixPath(path).stem
    page = _DIRECTORY.match(path)
    scene_id = f"{stem}_{page[1]}" if page and page[1] != "1" else stem  # each image of a file is a separate scene
    return SceneFiles(path=path, scene_id=scene_id, product="raster", known=_from_name(stem))


def _from_name(stem: str) -> Metadata:
    """The date in a name, `YYYYMMDD` or `YYYYMMDDTHHMMSS`, if there is exactly one."""
    moments = set()
    for day, time in _MOMENT.findall(stem):
        try:
            moment = datetime.strptime(day + (time or "000000"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            continue
        if 1972 <= moment.year < 2100:  # from the year of the first Landsat on; other digits are not dates
            moments.add(moment)
    return Metadata(acquired=moments.pop() if len(moments) == 1 else None)
