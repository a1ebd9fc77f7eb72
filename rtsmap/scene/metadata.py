"""Metadata of a scene, and reading of Planet's metadata files: `<id>_metadata.json` and `..._metadata.xml`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from rtsmap.errors import SceneError
from rtsmap.files.json_files import MALFORMED, parse_json

_FIRST_YEAR, _LAST_YEAR = 1957, 2200  # placeholders such as 0001 and 9999 are no dates


@dataclass(frozen=True)
class Metadata:
    """Metadata of a scene from one source; None if it is missing. Names and units are those of `records.SceneInfo`.

    Attributes:
        reflectance_coefficients: top-of-atmosphere reflectance per digital number, by band number from 1.
    """

    acquired: datetime | None = None
    satellite_id: str | None = None
    instrument: str | None = None
    view_angle_deg: float | None = None
    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None
    cloud_fraction: float | None = None
    reflectance_coefficients: Mapping[int, float] = field(default_factory=dict)

    def or_else(self, other: "Metadata") -> "Metadata":
        """Fill the missing fields with those of `other`."""
        present = {name: value for name, value in vars(self).items() if value not in (None, {})}
        return Metadata(**{**vars(other), **present})


def read_json(path: str, content: bytes) -> Metadata:
    """Read `<id>_metadata.json`, a GeoJSON feature or only its properties.

    Raises:
        SceneError: the content is not such a JSON document, or contains an invalid date or number.
    """
    document = parse_json(path, content, SceneError, "fetch it again or remove it")
    try:
        return _from_json(document.get("properties", document))
    except MALFORMED as error:
        raise SceneError(f"{path}: is not valid metadata ({error}); fetch it again or remove it") from error


def _from_json(properties: Mapping[str, Any]) -> Metadata:
    percent = _number(properties.get("cloud_percent"))
    return Metadata(
        acquired=utc(properties.get("acquired")),
        satellite_id=_text(properties.get("satellite_id")),
        instrument=_text(properties.get("instrument")),
        view_angle_deg=_number(properties.get("view_angle")),
        sun_azimuth_deg=_number(properties.get("sun_azimuth")),
        sun_elevation_deg=_number(properties.get("sun_elevation")),
        cloud_fraction=_number(properties.get("cloud_cover")) if percent is None else percent / 100,
    )


def read_xml(path: str, content: bytes) -> Metadata:
    """Read `..._metadata.xml`. Namespaces are ignored, because their URIs differ between versions.

    Raises:
        SceneError: the content is not XML, or contains an invalid date or number.
    """
    try:
        return _from_xml(ElementTree.fromstring(content))
    except (ElementTree.ParseError, *MALFORMED) as error:
        raise SceneError(f"{path}: is not valid metadata ({error}); fetch it again or remove it") from error


def _from_xml(root: ElementTree.Element) -> Metadata:
    def text(name: str) -> str | None:
        return _text(root.findtext(f".//{{*}}{name}"))

    percent = _number(text("cloudCoverPercentage"))
    return Metadata(
        acquired=utc(text("acquisitionDateTime")),
        satellite_id=text("Platform//{*}serialIdentifier"),
        instrument=text("Instrument//{*}shortName"),
        view_angle_deg=_number(text("spaceCraftViewAngle")),
        sun_azimuth_deg=_number(text("illuminationAzimuthAngle")),
        sun_elevation_deg=_number(text("illuminationElevationAngle")),
        cloud_fraction=None if percent is None else percent / 100,
        reflectance_coefficients={
            int(band.findtext("{*}bandNumber", "")): float(coefficient)
            for band in root.findall(".//{*}bandSpecificMetadata")
            if (coefficient := band.findtext("{*}reflectanceCoefficient"))
        },
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value).strip() or None


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def utc(value: Any) -> datetime | None:
    """Parse an ISO 8601 time to UTC; a time without an offset is taken as UTC.

    Raises:
        ValueError: it is not a time, or its year is not from 1957 to 2200.
    """
    if value is None:
        return None
    moment = datetime.fromisoformat(value)
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError(f"no satellite took an image on {value}")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
