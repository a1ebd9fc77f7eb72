"""Sentinel-2 products: a SAFE folder or archive of level 2A or 1C, or only its band files.

From processing baseline 04.00 on (2022-01-25) digital numbers have an offset of -1000, which the metadata state for
each band.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from rtsmap.bands import BANDS
from rtsmap.errors import SceneError
from rtsmap.scene.calibration import Stated, sentinel2, sentinel2_added
from rtsmap.scene.folder import Folder
from rtsmap.scene.masks import SCL
from rtsmap.scene.metadata import Metadata, utc
from rtsmap.scene.product import BandFile, MaskFile, SceneFiles, only

#: Names of the bands of 10 m, and their ids in the metadata.
BAND_NAMES: Mapping[str, str] = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08"}
_BAND_IDS: Mapping[str, str] = {"blue": "1", "green": "2", "red": "3", "nir": "7"}

_OFFSET_FROM_BASELINE = 4.0
_ADDED = -1000.0

_QUANTIFICATIONS = ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE", "QUANTIFICATION_VALUE")

_FILE = re.compile(
    r"(?P<head>(?:.*/)?(?:[^/]*_)?)(?P<band>B02|B03|B04|B08|SCL)(?:_(?P<step>10|20|60)m)?\.(?:jp2|tiff?)", re.IGNORECASE
)
_PRODUCT_FILE = re.compile(r"(?:.*/)?(?:MTD_MSIL(?:1C|2A)|S2._\w*_MTD_SAFL(?:1C|2A)\w*)\.xml", re.IGNORECASE)
_ID = re.compile(r"(?P<satellite>S2[A-D])_MSIL(?P<level>1C|2A)_(?P<moment>\d{8}T\d{6})\w*")
_GDAL_NAME = re.compile(r"SENTINEL2_L(?:1C|2A)(?:_TILE)?:(?P<file>.+\.xml)(?::(?P<step>\w+))?(?::EPSG_\d+)?")


def added_of_baseline(baseline: str) -> float:
    """The `BOA_ADD_OFFSET` of a processing baseline such as `05.10`: -1000 or 0.

    Raises:
        ValueError: the baseline is not a number.
    """
    return _ADDED if float(baseline) >= _OFFSET_FROM_BASELINE else 0.0


def product_of_gdal_name(name: str) -> Path | None:
    """The product in a GDAL name such as `SENTINEL2_L2A:/vsizip/x.zip/y.SAFE/MTD_MSIL2A.xml:10m:EPSG_32607`.

    Returns:
        The folder or archive; None for other names.

    Raises:
        SceneError: the name specifies bands of another resolution than 10 m.
    """
    match = _GDAL_NAME.fullmatch(name)
    if match is None:
        return None
    if (match["step"] or "10m") != "10m":
        raise SceneError(f"{name}: blue, green, red and near infrared have 10 m; name the product's folder instead")
    return product_of_file(Path(match["file"].removeprefix("/vsizip/")))


def product_of_file(file: Path) -> Path | None:
    """The folder or archive of the product to which a metadata file belongs; None for other files."""
    name = file.name.lower()
    if not (name in {"mtd_tl.xml", "manifest.safe"} or _PRODUCT_FILE.fullmatch(file.name)):
        return None
    archive = next((parent for parent in file.parents if parent.suffix.lower() == ".zip"), None)
    if archive is not None:
        return archive
    in_safe = name == "mtd_tl.xml" and file.parent.parent.name == "GRANULE"
    return file.parents[2] if in_safe else file.parent


def in_folder(folder: Folder) -> SceneFiles | None:
    """The one Sentinel-2 scene in a folder or archive; None if there is none.

    Raises:
        SceneError: there are several scenes, a band is missing, or the metadata are malformed.
    """
    scenes = _scenes(folder)
    if not scenes:
        return None
    whole = {head: files for head, files in scenes.items() if _bands(files) is not None}
    if not whole:
        head, files = next(iter(scenes.items()))
        lacking = [name for name in BAND_NAMES.values() if not files.keys() & {(name, "10"), (name, "")}]
        raise SceneError(
            f"{folder.shown(head.rstrip('_/'))}: lacks {', '.join(lacking)} at 10 m; fetch the Sentinel-2 product again"
        )
    head = only(folder.path, "Sentinel-2 scenes", list(whole))
    bands, files = _bands(whole[head]) or {}, whole[head]
    details = _Details(folder, head)
    try:
        known, stated = details.known(), details.stated()
    except ValueError as error:
        raise SceneError(f"{folder.path}: its metadata are not valid ({error}); fetch it again") from error
    mask = next((files["SCL", step] for step in ("10", "", "20", "60") if ("SCL", step) in files), None)
    return SceneFiles(
        path=str(folder.path),
        scene_id=details.scene_id,
        product=f"Sentinel-2 L{details.level}" if details.level else "Sentinel-2",
        known=known,
        bands={name: BandFile(folder.raster(bands[name])) for name in BANDS},
        stated=partial(_stated, str(folder.path), stated),
        mask=None if mask is None else MaskFile(folder.raster(mask), SCL),
    )


_Files = Mapping[tuple[str, str], str]


def _scenes(folder: Folder) -> dict[str, dict[tuple[str, str], str]]:
    """Group files by the common beginning of their names, which identifies a scene.

    Returns:
        For each scene, its files by band and resolution (a text in m, empty if the name contains none).
    """
    scenes: dict[str, dict[tuple[str, str], str]] = {}
    for name in folder.names:
        if match := _FILE.fullmatch(name):
            head = re.sub(r"R[126]0m/", "", match["head"])
            scenes.setdefault(head, {})[match["band"].upper(), match["step"] or ""] = name
    return {head: files for head, files in scenes.items() if any(band != "SCL" for band, _ in files)}


def _bands(files: _Files) -> dict[str, str] | None:
    for step in ("10", ""):
        if all((band, step) in files for band in BAND_NAMES.values()):
            return {name: files[band, step] for name, band in BAND_NAMES.items()}
    return None


class _Details:
    """Metadata of a scene, from names and metadata files.

    Args:
        folder: the folder or archive of the scene.
        head: common beginning of the names of its files.
    """

    def __init__(self, folder: Folder, head: str) -> None:
        self._product = _metadata(folder, head, lambda name: _PRODUCT_FILE.fullmatch(name) is not None)
        self._tile = _metadata(folder, head, lambda name: PurePosixPath(name).name == "MTD_TL.xml")
        uri = self._text("PRODUCT_URI") or self._text("PRODUCT_URI_2A") or ""
        names = (folder.path.resolve().name, *head.split("/"), uri)
        self._id = next((found for name in reversed(names) if (found := _ID.match(name))), None)
        stem = head.rpartition("/")[2].rstrip("_")
        self.scene_id = self._id[0] if self._id else stem or folder.path.resolve().stem
        self.level = self._id["level"] if self._id else None

    def known(self) -> Metadata:
        """Acquisition time, satellite, angles and cloud fraction."""
        match, sun = self._id, ".//{*}Mean_Sun_Angle/{*}%s_ANGLE"
        zenith, cloud = self._number(sun % "ZENITH"), self._number(".//{*}Cloud_Coverage_Assessment")
        views = [self._number(f".//{{*}}Mean_Viewing_Incidence_Angle[@bandId='{band}']/{{*}}ZENITH_ANGLE")
                 for band in _BAND_IDS.values()]  # fmt: skip
        seen = [view for view in views if view is not None]
        start = self._text("PRODUCT_START_TIME")
        moment = re.search(r"\d{8}T\d{6}", match["moment"] if match else self.scene_id)
        named = None if moment is None else datetime.strptime(moment[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        return Metadata(
            acquired=utc(start) if start else named,
            satellite_id=self._text("SPACECRAFT_NAME") or (f"Sentinel-{match['satellite'][1:]}" if match else None),
            instrument="MSI",
            view_angle_deg=sum(seen) / len(seen) if seen else None,
            sun_azimuth_deg=self._number(sun % "AZIMUTH"),
            sun_elevation_deg=None if zenith is None else 90 - zenith,
            cloud_fraction=None if cloud is None else cloud / 100,
        )

    def stated(self) -> Stated:
        """Scale and offset by band; no offset if neither the metadata nor the name specify the baseline."""
        found = (self._number(f".//{{*}}{name}") for name in _QUANTIFICATIONS)
        quantification = next(filter(None, found), 10_000.0)
        added = [self._number(f".//{{*}}{name}[@band_id='{_BAND_IDS[band]}']")
                 for band in BANDS for name in ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET")]  # fmt: skip
        given = [value for value in added if value is not None]
        if len(given) == len(BANDS):
            return sentinel2(given, quantification)
        baseline = self._text("PROCESSING_BASELINE")
        named = sentinel2_added(self.scene_id) if baseline is None else added_of_baseline(baseline)
        known = sentinel2((named or 0.0,) * len(BANDS), quantification)
        return known if named is not None else Stated(known.scale)

    def _text(self, name: str) -> str | None:
        return None if self._product is None else self._product.findtext(f".//{{*}}{name}")

    def _number(self, path: str) -> float | None:
        texts = (root.findtext(path) for root in (self._product, self._tile) if root is not None)
        return next((float(text) for text in texts if text), None)


def _metadata(folder: Folder, head: str, wanted: Callable[[str], bool]) -> ElementTree.Element | None:
    """The metadata file in the nearest folder above the bands of a scene; None if there is none."""
    names = [name for name in folder.names if wanted(name) and head.startswith(name.rpartition("/")[0])]
    if not names:
        return None
    name = max(names, key=len)
    try:
        return ElementTree.fromstring(folder.read(name))
    except ElementTree.ParseError as error:
        raise SceneError(f"{folder.shown(name)}: is not valid metadata ({error}); fetch it again") from error


def _stated(path: str, own: Stated, _numbers: Sequence[int], _scale: float | None, offset: float | None) -> Stated:
    if own.offset is None and offset is None:
        raise SceneError(
            f"{path}: neither an MTD_MSIL2A.xml nor its name specifies the processing baseline; give --offset -0.1 "
            "where that is 04.00 or later (from 2022-01-25 on, and reprocessed scenes), else --offset 0"
        )
    return own
