"""Composites of PlanetScope orders: `composite.tif`, a mosaic of the items of one day, and `composite_udm2.tif`."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePosixPath

from rtsmap.errors import SceneError
from rtsmap.scene.calibration import Stated
from rtsmap.scene.folder import Folder
from rtsmap.scene.masks import UDM2
from rtsmap.scene.metadata import Metadata, read_json
from rtsmap.scene.product import MaskFile, SceneFiles

_TOOLS = r"(?:_(?!udm2?(?:_|\.)|metadata)[0-9a-z]+)*"
_IMAGE = re.compile(
    rf"(?P<prefix>(?:(?P<date>\d{{4}}-\d{{2}}-\d{{2}})_strip_\d+_)?)composite(?P<tools>{_TOOLS})\.tiff?", re.IGNORECASE
)
_ITEM = re.compile(r"(\d{8}_\d{6})_(?:\d{1,2}_)?[0-9a-z]{4}_", re.IGNORECASE)
_BUNDLE = re.compile(r'"planet/bundle_type"\s*:\s*"(\w+)"')
_GENERIC_FOLDERS = {"psscene", "files", ""}


def parse(file_name: str) -> re.Match[str] | None:
    """Parse the file name of a composite; None if the file is not a composite."""
    return _IMAGE.fullmatch(file_name)


def files(
    folder: Folder, image: str, beside: Sequence[str], numbers: Mapping[int, Mapping[str, int]]
) -> SceneFiles | None:
    """Find a composite with its mask and metadata.

    Args:
        folder: the folder or archive that holds the composite.
        image: its name, relative to the folder.
        beside: names of the files in the same subfolder, relative to the folder.
        numbers: band numbers, by the number of bands in the file.

    Returns:
        The files; None if nothing shows that the composite is from Planet, because other tools make composites too.

    Raises:
        SceneError: the metadata are malformed.
    """
    match = parse(PurePosixPath(image).name)
    if match is None:
        return None
    prefix = re.escape(match["prefix"])
    mask = _first(rf"{prefix}composite_udm2{_TOOLS}\.tiff?", beside)
    metadata = _first(rf"{prefix}composite_metadata\.json", beside)
    items = [found[1] for name in folder.names if (found := _ITEM.match(PurePosixPath(name).name))]
    if not (mask or metadata or match["date"] or items):
        return None
    known = _known(match["date"], items)
    if metadata is not None:
        known = read_json(folder.shown(metadata), folder.read(metadata)).or_else(known)
    path = folder.raster(image)
    return SceneFiles(
        path=path,
        scene_id=_id(folder, image, match["prefix"]),
        product="PSScene composite",
        known=known,
        numbers=numbers,
        stated=partial(_stated, path, _is_reflectance(folder, match["tools"])),
        mask=None if mask is None else MaskFile(folder.raster(mask), UDM2),
    )


def _first(pattern: str, names: Sequence[str]) -> str | None:
    return next((name for name in names if re.fullmatch(pattern, PurePosixPath(name).name, re.IGNORECASE)), None)


def _known(day: str | None, items: Sequence[str]) -> Metadata:
    """The time of the earliest item if all are from one day, else the day in the name, else nothing."""
    moments = sorted(datetime.strptime(item, "%Y%m%d_%H%M%S").replace(tzinfo=UTC) for item in items)
    if moments and moments[0].date() == moments[-1].date():
        return Metadata(acquired=moments[0])
    return Metadata(acquired=datetime.fromisoformat(day).replace(tzinfo=UTC) if day else None)


def _id(folder: Folder, image: str, prefix: str) -> str:
    """An id that includes the name of the folder, because the composite has the same name in every order."""
    parts = [*folder.path.resolve().parts[:-1], folder.path.stem, *PurePosixPath(image).parent.parts]
    order = next((part for part in reversed(parts) if part.lower() not in _GENERIC_FOLDERS), "")
    return f"{prefix}composite" if prefix else f"{order}_composite"


def _is_reflectance(folder: Folder, tools: str) -> bool | None:
    """Whether digital numbers are reflectance x 10000; None if neither the manifest nor file names show it."""
    if "toar" in tools.lower():
        return True
    manifests = [name for name in folder.names if PurePosixPath(name).name == "manifest.json"]
    bundles = {found for name in manifests for found in _BUNDLE.findall(folder.read(name).decode("utf-8", "replace"))}
    names = bundles or {name for name in folder.names if "analyticms" in name.lower() and name.lower().endswith("tif")}
    if not names:
        return None
    return all("_sr" in name.lower() for name in names)


def _stated(
    path: str, reflectance: bool | None, numbers: Sequence[int], scale: float | None, _offset: float | None
) -> Stated:
    """Scale and offset for reflectance x 10000.

    Raises:
        SceneError: the composite holds radiance.
    """
    if scale is not None or reflectance is None:
        return Stated()
    if not reflectance:
        raise SceneError(
            f"{path}: is a composite of radiance products, whose reflectance coefficients differ from item to item; "
            "order surface reflectance (analytic_sr) or the tool toar, or give --scale"
        )
    return Stated((1e-4,) * len(numbers), (0.0,) * len(numbers))
