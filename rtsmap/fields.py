"""The attributes of the layer as typed records; docs, tables, column descriptions and aliases are made from them.

A new attribute is one more field of a record here, and its value where the record is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Any, Self, get_args, get_type_hints

from shapely.geometry.base import BaseGeometry

from rtsmap.records import SceneInfo

_DTYPES = {str: "string", float: "float64", bool: "bool", int: "int32", datetime: "datetime64[ms, UTC]"}
_TYPES = {str: "text", float: "real", bool: "boolean", int: "integer", datetime: "datetime"}


@dataclass(frozen=True)
class LayerField:
    """One column of the layer.

    Attributes:
        name: of the column.
        kind: type of the values; where they are not known, they are None.
        alias: the name that a GIS shows.
        description: a phrase for the documentation, in Markdown.
        unit: the unit or the range of the values; "-" if there is none.
        since: the first version of rtsmap that writes it.
    """

    name: str
    kind: type
    alias: str
    description: str
    unit: str
    since: str

    @property
    def dtype(self) -> str:
        """The type of the column in pandas."""
        return _DTYPES[self.kind]

    @property
    def type_name(self) -> str:
        """The type of the column in words."""
        return _TYPES[self.kind]

    @property
    def sentence(self) -> str:
        """The description and the unit as plain text."""
        unit = "" if self.unit == "-" else f" [{self.unit}]"
        return self.description.replace("`", "") + unit


def column(alias: str, description: str, unit: str = "-", *, since: str = "0.1.0") -> Any:
    """A field of a record that is a column of the layer; see `LayerField`."""
    return field(metadata={"alias": alias, "description": description, "unit": unit, "since": since})


@dataclass(frozen=True, kw_only=True)
class SceneAttributes:
    """The attributes of a scene, which both layers share."""

    scene_id: str = column("Scene", "identifier of the scene")
    acquired: datetime | None = column(  # noqa: RUF009  (a dataclass field)
        "Acquired (UTC)", "time of acquisition, to the millisecond", "UTC"
    )
    satellite_id: str | None = column("Satellite", "identifier of the satellite")
    instrument: str | None = column("Instrument", "name of the instrument")
    gsd_m: float = column(
        "Ground sampling distance (m)",
        "ground sampling distance of the scene: the size of its pixels on the ground, not on the map",
        "m",
    )
    view_angle_deg: float | None = column("View angle (deg)", "view angle off nadir", "degrees")
    sun_azimuth_deg: float | None = column("Sun azimuth (deg)", "azimuth of the sun, clockwise from north", "degrees")
    sun_elevation_deg: float | None = column("Sun elevation (deg)", "elevation of the sun above the horizon", "degrees")

    @classmethod
    def of(cls, info: SceneInfo) -> Self:
        """The attributes of a scene, with its time in UTC; a time without a time zone is taken as UTC."""
        values: dict[str, Any] = {one.name: getattr(info, one.name) for one in fields(cls)}
        if info.acquired is not None:
            naive = info.acquired.tzinfo is None
            values["acquired"] = info.acquired.replace(tzinfo=UTC) if naive else info.acquired.astimezone(UTC)
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Slump:
    """One slump: a MultiPolygon in world coordinates and its attributes, in the order of the layer `thaw_slumps`."""

    geometry: BaseGeometry
    slump_id: str = column(
        "Slump id (same scene, model and place)",
        "UUID (version 5) of scene, model and location; the same whenever the same model finds the same outline in the "
        "same scene",
    )
    score: float = column(
        "Score (0-1)",
        "confidence of the network; if the model's card has a `[calibration]`, the probability that the outline is "
        "that of a slump",
        "0..1",
    )
    area_m2: float = column("Area (geodesic, m2)", "geodesic area without the holes", "m2")
    perimeter_m: float = column("Perimeter (geodesic, m)", "geodesic perimeter including that of the holes", "m")
    length_m: float = column(
        "Length (geodesic, m)", "long side of the smallest rotated rectangle around the slump", "m"
    )
    width_m: float = column("Width (geodesic, m)", "short side of the same rectangle", "m")
    orientation_deg: float = column(
        "Orientation of the long axis (deg from true north, 0-180)",
        "azimuth of the long side, clockwise from true north, from 0 to below 180",
        "degrees",
    )
    compactness: float = column(
        "Compactness (1 is a circle)",
        "4 pi area / perimeter squared: 1 for a circle, small for long or ragged outlines",
        "0..1",
    )
    centroid_lon: float = column(
        "Centroid longitude (WGS 84, deg)", "longitude of the centroid, WGS 84, from -180 to 180", "degrees"
    )
    centroid_lat: float = column("Centroid latitude (WGS 84, deg)", "latitude of the centroid, WGS 84", "degrees")
    ndvi_mean: float | None = column("NDVI, mean", "mean NDVI of the slump's clear pixels", "-1..1")
    ndvi_contrast: float | None = column(
        "NDVI, slump minus 50 m ring",
        "`ndvi_mean` minus the mean NDVI of the clear pixels in a ring of 50 m around the slump; negative for bare "
        "soil in tundra",
        "-2..2",
    )
    nir_mean: float | None = column(
        "Near-infrared reflectance, mean", "mean near-infrared reflectance of the slump's clear pixels", "0..1"
    )
    clear_fraction: float = column(
        "Clear part of the slump (0-1)",
        "fraction of the slump's pixels that are clear (neither masked nor without data)",
        "0..1",
    )
    touches_edge: bool = column(
        "Touches the edge of valid pixels",
        "whether the slump comes within a pixel of the edge of valid data; it may continue beyond it",
    )
    touches_mask: bool = column(
        "Touches masked pixels (cloud, shadow)",
        "whether the slump comes within a pixel of masked pixels (cloud, shadow, ...), which may cut its outline",
    )
    n_chips: int = column("Chips that saw it", "number of overlapping chips in which the slump was detected")
    scene: SceneAttributes
    model: str = column("Model", "name of the model")
    model_sha256: str = column("Model checksum (SHA-256)", "SHA-256 checksum of the model's weights")
    rtsmap_version: str = column("rtsmap version", "version of rtsmap")


@dataclass(frozen=True, kw_only=True)
class ObservedScene:
    """What was observed of one scene, and its attributes in the order of the layer `observed_area`."""

    geometry: BaseGeometry
    scene: SceneAttributes
    product: str = column("Product", "kind of product as which the scene was read")
    observed_km2: float = column("Observed area (geodesic, km2)", "geodesic area of the clear pixels", "km2")
    cloud_fraction: float | None = column(
        "Masked part of the valid pixels (0-1)",
        "masked fraction of the valid pixels; NULL if no cloud mask was read: then nothing is known of clouds, and "
        "every valid pixel counts as observed",
        "0..1",
    )
    n_slumps: int = column("Slumps found", "number of slumps of this scene in `thaw_slumps`")
    model: str = column("Model", "name of the model that searched the scene")
    rtsmap_version: str = column("rtsmap version", "version of rtsmap")


def layer_fields(record: type) -> tuple[LayerField, ...]:
    """The columns that a record fills, in the order of the layer.

    Args:
        record: `Slump`, `ObservedScene` or `SceneAttributes`.
    """
    return tuple(_fields_of(record))


def layer_row(record: Slump | ObservedScene) -> dict[str, object]:
    """The attributes of a record by the names of the layer's columns, in their order."""
    return dict(_values(record))


def _fields_of(record: type) -> Iterator[LayerField]:
    hints = get_type_hints(record)
    for one in fields(record):
        if hints[one.name] is SceneAttributes:
            yield from _fields_of(SceneAttributes)
        elif one.metadata:
            yield LayerField(one.name, _without_none(hints[one.name]), **one.metadata)


def _without_none(hint: Any) -> type:
    kind: type
    (kind,) = (one for one in get_args(hint) if one is not NoneType) if isinstance(hint, UnionType) else [hint]
    return kind


def _values(record: Slump | ObservedScene | SceneAttributes) -> Iterator[tuple[str, object]]:
    for one in fields(record):
        value = getattr(record, one.name)
        if isinstance(value, SceneAttributes):
            yield from _values(value)
        elif one.metadata:
            yield one.name, value
