"""STAC items: JSON documents that list the files of a scene.

Asset keys are those of Earth Search, the Copernicus Data Space, the Planetary Computer and the Landsat catalogue.
"""

import posixpath
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rtsmap.bands import BANDS
from rtsmap.errors import SceneError
from rtsmap.files.json_files import parse_json
from rtsmap.scene.calibration import Stated, sentinel2, sentinel2_added
from rtsmap.scene.files import is_remote
from rtsmap.scene.masks import QA_PIXEL, SCL, UDM2, MaskKind
from rtsmap.scene.metadata import Metadata, utc
from rtsmap.scene.product import BandFile, MaskFile, SceneFiles
from rtsmap.scene.sentinel2 import added_of_baseline

#: Asset keys, best first. `nir08` is the near infrared of Landsat, but the narrow near infrared (20 m) of Sentinel-2.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "blue": ("blue", "B02", "B02_10m"),
    "green": ("green", "B03", "B03_10m"),
    "red": ("red", "B04", "B04_10m"),
    "nir": ("nir", "B08", "B08_10m", "nir08"),
}
_MASKS: Sequence[tuple[str, MaskKind]] = (
    *((key, SCL) for key in ("scl", "SCL", "SCL_20m", "scl_20m")),
    *((key, QA_PIXEL) for key in ("qa_pixel", "QA_PIXEL")),
    *((key, UDM2) for key in ("udm2", "ortho_udm2", "UDM2")),
)
_TIMEOUT_S = 60
_LARGEST = 16 << 20  # bytes; an item usually has about ten thousand


def is_item(path: str) -> bool:
    """Whether a path or URL looks like that of an item."""
    if is_remote(path):
        name = path.partition("?")[0]
        return name.endswith((".json", ".geojson")) or (
            path.startswith(("http://", "https://")) and posixpath.basename(posixpath.dirname(name)) == "items"
        )
    return Path(path).suffix.lower() in {".json", ".geojson"} and Path(path).is_file()


def of_item(path: str) -> SceneFiles:
    """Read the description of a scene from an item.

    Args:
        path: path of a file, or an `http` or `https` URL.

    Raises:
        SceneError: the item cannot be read, is not a STAC item, or lacks a band.
    """
    item = _item(path)
    try:
        properties, assets = item["properties"], item["assets"]
        bands = {name: _band(path, assets, name) for name in BANDS}
        mask = next(((assets[key], kind) for key, kind in _MASKS if key in assets), None)
        return SceneFiles(
            path=path,
            scene_id=str(item["id"]),
            product=f"STAC {item.get('collection') or properties.get('constellation') or 'item'}",
            known=_known(properties),
            bands={name: BandFile(_address(path, asset["href"]), number) for name, (asset, number) in bands.items()},
            stated=partial(
                _stated,
                path,
                (str(item["id"]), str(item.get("collection") or "")),
                properties,
                [bands[name] for name in BANDS],
            ),
            mask=None if mask is None else MaskFile(_address(path, mask[0]["href"]), mask[1]),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SceneError(f"{path}: is not a valid STAC item ({error!r}); fetch it again") from error


def _item(path: str) -> Mapping[str, Any]:
    document = parse_json(path, _content(path), SceneError, "give a STAC item or an image")
    features = document.get("features") if isinstance(document, dict) else None
    if isinstance(features, list):
        if len(features) != 1:
            raise SceneError(f"{path}: holds {len(features)} items; save the one that is meant as a file of its own")
        document = features[0]
    if not isinstance(document, dict) or not isinstance(document.get("assets"), dict) or "properties" not in document:
        raise SceneError(f"{path}: is not a STAC item (it has no assets); give an item or an image")
    return document


def _content(path: str) -> bytes:
    if path.startswith("file://"):
        path = path.removeprefix("file://")
    address = path.removeprefix("/vsicurl/")
    try:
        if not is_remote(address):
            return Path(path).read_bytes()
        if not address.startswith(("http://", "https://")):
            raise SceneError(f"{path}: an item is read from a file or by http; copy it here first")
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer:
            content: bytes = answer.read(_LARGEST)
            return content
    except (OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = getattr(error, "strerror", None) or error
        raise SceneError(f"{path}: cannot be read ({reason}); check the path") from error


def _band(path: str, assets: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], int]:
    """Find the asset that contains a band, by its key, else by its band descriptions.

    Returns:
        The asset, and the number of the band in it.

    Raises:
        SceneError: no asset contains the band.
    """
    for key in _KEYS[name]:
        if key in assets:
            return assets[key], 1
    for common in (name, "nir08") if name == "nir" else (name,):
        for asset in assets.values():
            described = asset.get("eo:bands") or asset.get("bands") or []
            for number, band in enumerate(described, start=1):
                if common in {band.get("common_name"), band.get("eo:common_name"), band.get("name")}:
                    return asset, number
    raise SceneError(f"{path}: none of its assets is the band {name}; give an item with blue, green, red and nir")


def _address(item: str, href: str) -> str:
    """The path or URL of an asset; a relative `href` is resolved against the item."""
    if is_remote(href) or posixpath.isabs(href):
        return href.removeprefix("file://")
    folder = item.removeprefix("file://").partition("?")[0].rpartition("/")[0]
    return posixpath.normpath(f"{folder}/{href}") if not is_remote(item) else f"{folder}/{href.removeprefix('./')}"


def _known(properties: Mapping[str, Any]) -> Metadata:
    def number(name: str) -> float | None:
        value = properties.get(name)
        return None if value is None else float(value)

    cloud, instruments = number("eo:cloud_cover"), properties.get("instruments") or []
    return Metadata(
        acquired=utc(properties.get("datetime") or properties.get("start_datetime")),
        satellite_id=properties.get("platform"),
        instrument=", ".join(map(str, instruments)) or None,
        view_angle_deg=number("view:off_nadir"),
        sun_azimuth_deg=number("view:sun_azimuth"),
        sun_elevation_deg=number("view:sun_elevation"),
        cloud_fraction=None if cloud is None else cloud / 100,
    )


def _stated(
    path: str,
    names: Sequence[str],
    properties: Mapping[str, Any],
    bands: Sequence[tuple[Mapping[str, Any], int]],
    numbers: Sequence[int],
    _scale: float | None,
    offset: float | None,
) -> Stated:
    """Scale and offset of bands.

    Earth Search states the offset of Sentinel-2 even if it has already been applied, which a separate property records.

    Args:
        path: path of the item, for messages.
        names: id and collection of the item.
        properties: properties of the item.
        bands: asset and band number of each band.
        numbers: positions in `bands`, from 1, of the bands wanted.
        offset: the offset that the user gives; None if not given.

    Raises:
        SceneError: the scene is from Sentinel-2, and neither its processing baseline nor an offset is specified.
    """
    pairs = [_of_asset(*bands[number - 1]) for number in numbers]
    scales = [scale for scale, _ in pairs if scale is not None]
    offsets = [own for _, own in pairs if own is not None]
    stated = Stated(
        scales if len(scales) == len(pairs) else None,
        offsets if len(offsets) == len(pairs) else None,
    )
    if properties.get("earthsearch:boa_offset_applied") is True:
        return Stated(stated.scale, (0.0,) * len(pairs))
    if stated.offset is not None or not _of_sentinel2(names, properties):
        return stated
    baseline = properties.get("s2:processing_baseline") or properties.get("processing:version")
    product = str(properties.get("s2:product_uri") or names[0])
    added = sentinel2_added(product) if baseline is None else added_of_baseline(str(baseline))
    if added is None and offset is None:
        raise SceneError(
            f"{path}: specifies neither the processing baseline nor the offset of its Sentinel-2 bands; give "
            "--offset -0.1 where the baseline is 04.00 or later (from 2022-01-25 on, and reprocessed scenes), "
            "else --offset 0"
        )
    usual = sentinel2((added or 0.0,) * len(pairs))
    return Stated(stated.scale or usual.scale, usual.offset if added is not None else None)


def _of_asset(asset: Mapping[str, Any], number: int) -> tuple[float | None, float | None]:
    """Scale and offset that an asset states for a band, in any version of the raster extension."""
    sources = [asset]
    for name in ("raster:bands", "bands"):
        described = asset.get(name) or []
        if len(described) >= number:
            sources.insert(0, described[number - 1])
    scale, offset = (
        next((float(one[key]) for one in sources for key in (f"raster:{name}", name) if one.get(key) is not None),
             None) for name in ("scale", "offset")
    )  # fmt: skip
    if scale == 1 and not offset:  # these values mean that no calibration is stated
        return None, None
    return scale, offset


def _of_sentinel2(names: Sequence[str], properties: Mapping[str, Any]) -> bool:
    """Whether a scene is from Sentinel-2, by its id, collection or satellite, or by properties of Sentinel-2 alone."""
    words = (*names, properties.get("constellation") or "", properties.get("platform") or "")
    if any(name.startswith("s2:") for name in properties):
        return True
    return any(str(word).lower().replace("_", "-").startswith(("sentinel-2", "s2a-", "s2b-", "s2c-")) for word in words)
