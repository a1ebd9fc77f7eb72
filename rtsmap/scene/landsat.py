"""Landsat Collection 2 level 2 scenes: a folder or archive with surface reflectance by band and `QA_PIXEL`."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from rtsmap.bands import BANDS
from rtsmap.errors import SceneError
from rtsmap.scene.calibration import Stated
from rtsmap.scene.folder import Folder
from rtsmap.scene.masks import QA_PIXEL
from rtsmap.scene.metadata import Metadata, utc
from rtsmap.scene.product import BandFile, MaskFile, SceneFiles, only

#: Number of the blue band, by satellite; green, red and near infrared follow it in both generations of sensors.
_FIRST_BAND: Mapping[str, int] = {"04": 1, "05": 1, "07": 1, "08": 2, "09": 2}
SCALE, OFFSET = 2.75e-5, -0.2  # of surface reflectance in Collection 2, the same for all sensors

_HEAD = r"(?P<head>(?:.*/)?(?P<id>L[COTE](?P<satellite>0[45789])_\w+?))"
_FILE = re.compile(rf"{_HEAD}_SR_B(?P<band>\d)\.tiff?", re.IGNORECASE)
_LEVEL_1 = re.compile(rf"{_HEAD}_(?:T1|T2|RT)_B\d+\.tiff?", re.IGNORECASE)
_DAY = re.compile(r"L\w\d\d_\w+?_\d{6}_(\d{8})_")


def in_folder(folder: Folder) -> SceneFiles | None:
    """The one Landsat scene in a folder or archive; None if there is none.

    Raises:
        SceneError: there are several scenes, a band is missing, the scene is of level 1, or its metadata are malformed.
    """
    matches = [match for name in folder.names if (match := _FILE.fullmatch(name))]
    if not matches:
        if any(_LEVEL_1.fullmatch(name) for name in folder.names):
            raise SceneError(f"{folder.path}: is a Landsat scene of level 1; fetch the level 2 product (..._SR_B4.TIF)")
        return None
    head = only(folder.path, "Landsat scenes", sorted({match["head"] for match in matches}))
    first = _FIRST_BAND[matches[0]["satellite"]]
    found = {int(match["band"]): match[0] for match in matches}
    numbers = dict(zip(BANDS, range(first, first + len(BANDS)), strict=True))
    if lacking := [f"SR_B{number}" for number in numbers.values() if number not in found]:
        raise SceneError(f"{folder.shown(head)}: lacks {', '.join(lacking)}; fetch the Landsat scene again")
    mask = next(
        (name for name in folder.names if re.fullmatch(rf"{re.escape(head)}_QA_PIXEL\.tiff?", name, re.I)), None
    )
    return SceneFiles(
        path=str(folder.path),
        scene_id=matches[0]["id"],
        product="Landsat Collection 2 surface reflectance",
        known=_known(folder, head, matches[0]),
        bands={band: BandFile(folder.raster(found[number])) for band, number in numbers.items()},
        stated=lambda _numbers, _scale, _offset: Stated((SCALE,) * len(BANDS), (OFFSET,) * len(BANDS)),
        mask=None if mask is None else MaskFile(folder.raster(mask), QA_PIXEL),
    )


def is_metadata(name: str) -> bool:
    """Whether a file is the metadata file of a Landsat scene, which may be given instead of its folder."""
    return re.fullmatch(r"L[COTE]0\d_\w+_MTL\.(?:txt|json|xml)", name, re.IGNORECASE) is not None


def _known(folder: Folder, head: str, match: re.Match[str]) -> Metadata:
    """Metadata from the MTL file (text, XML or JSON); day and satellite otherwise from the scene id.

    Raises:
        SceneError: the MTL file contains an invalid date or number.
    """
    day = _DAY.match(match["id"])
    from_id = Metadata(
        acquired=datetime.strptime(day[1], "%Y%m%d").replace(tzinfo=UTC) if day else None,
        satellite_id=f"LANDSAT_{int(match['satellite'])}",
    )
    names = [f"{head}_MTL.{suffix}" for suffix in ("txt", "xml", "json")]
    name = next((name for name in names if name in folder.names), None)
    if name is None:
        return from_id
    content = folder.read(name).decode("utf-8", "replace")
    try:
        return _read(content).or_else(from_id)
    except ValueError as error:
        raise SceneError(f"{folder.shown(name)}: is not valid metadata ({error}); fetch it again") from error


def _read(content: str) -> Metadata:
    def text(name: str) -> str | None:
        found = re.search(rf'\b{name}["\s>=:]+([^"<\n]+)', content)
        return found[1].strip() if found else None

    def number(name: str) -> float | None:
        value = text(name)
        return None if value is None else float(value)

    day, time, cloud = text("DATE_ACQUIRED"), text("SCENE_CENTER_TIME"), number("CLOUD_COVER")
    moment = f"{day}T{time.rstrip('Z')[:15]}" if day and time else day  # Python reads six of the seven decimals
    return Metadata(
        acquired=utc(moment),
        satellite_id=text("SPACECRAFT_ID"),
        instrument=text("SENSOR_ID"),
        sun_azimuth_deg=number("SUN_AZIMUTH"),
        sun_elevation_deg=number("SUN_ELEVATION"),
        cloud_fraction=None if cloud is None or cloud < 0 else cloud / 100,
    )
