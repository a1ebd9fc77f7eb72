"""STAC items: one JSON that names the files of a scene.

The keys of assets are those of Earth Search, the Copernicus Data Space, the Planetary Computer and Landsat's catalogue.
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

#: Keys of assets, best first. `nir08` is Landsat's near infrared, but Sentinel-2's narrow band of 20 m.
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
_LARGEST = 16 << 20  # bytes; an item has some ten thousand


def is_item(path: str) -> bool:
    """Whether a path or an address looks like that of an item."""
    if is_remote(path):
        name = path.partition("?")[0]
        return name.endswith((".json", ".geojson")) or (
            path.startswith(("http://", "https://")) and posixpath.basename(posixpath.dirname(name)) == "items"
        )
    return Path(path).suffix.lower() in {".json", ".geojson"} and Path(path).is_file()


def of_item(path: str) -> SceneFiles:
    """The scene that an item describes.

    Args:
        path: a file, or an `http` address.

    Raises:
        SceneError: it cannot be read, is no item, or lacks a band.
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
    """The asset that holds a band, and the band's number in it: by the asset's key, else by what it says of its bands.

    Raises:
        SceneError: there is none.
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
    """Where an asset lies; relative to the item where it does not say."""
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
    """Scale and offset of the bands `numbers`, which stand in the order of `bands`; `names` are its id and collection.

    Earth Search states the offset of Sentinel-2 also where it has applied it, and says so by a property of its own.

    Raises:
        SceneError: a Sentinel-2 scene of which nothing tells the processing baseline.
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
            f"{path}: tells neither the processing baseline nor the offset of its Sentinel-2 bands; give --offset -0.1 "
            "where the baseline is 04.00 or later (from 2022-01-25 on, and reprocessed scenes), else --offset 0"
        )
    usual = sentinel2((added or 0.0,) * len(pairs))
    return Stated(stated.scale or usual.scale, usual.offset if added is not None else None)


def _of_asset(asset: Mapping[str, Any], number: int) -> tuple[float | None, float | None]:
    """Scale and offset that an asset states of a band, by any version of the raster extension."""
    places = [asset]
    for name in ("raster:bands", "bands"):
        described = asset.get(name) or []
        if len(described) >= number:
            places.insert(0, described[number - 1])
    scale, offset = (
        next((float(place[key]) for place in places for key in (f"raster:{name}", name) if place.get(key) is not None),
             None) for name in ("scale", "offset")
    )  # fmt: skip
    if scale == 1 and not offset:  # means that nothing is said
        return None, None
    return scale, offset


def _of_sentinel2(names: Sequence[str], properties: Mapping[str, Any]) -> bool:
    """By its id or its collection, its satellite, or properties that only Sentinel-2 has."""
    words = (*names, properties.get("constellation") or "", properties.get("platform") or "")
    if any(name.startswith("s2:") for name in properties):
        return True
    return any(str(word).lower().replace("_", "-").startswith(("sentinel-2", "s2a-", "s2b-", "s2c-")) for word in words)
