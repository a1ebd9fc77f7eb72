"""The acquisition of a simulated scene: its raster, rotated footprint, time, sun position and identifier."""

import math
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
from affine import Affine
from pyproj import CRS, Transformer
from shapely import Polygon
from shapely.affinity import translate

from rtsmap.errors import InputError
from rtsmap.records import Grid

#: The share of the bounding box that a rotated PlanetScope footprint leaves empty (39 and 41 % in two real products).
NODATA_SHARE = 0.40
#: The time of the overpass, hours of local solar time (PlanetScope descends between 9:30 and 11:30).
LOCAL_HOUR = 10.6
#: The largest and the smallest side of a raster that are accepted, px: 40000 px of 3 m are 120 km.
LARGEST_PX = 65_536
SMALLEST_PX = 64


@dataclass(frozen=True)
class Acquisition:
    """One acquisition.

    Attributes:
        item_id: the identifier of the scene, as Planet composes it.
        grid: the raster.
        gsd_m: the size of a pixel, m.
        footprint: the area that the sensor saw, in the grid's CRS, counter-clockwise.
        acquired: the time of the acquisition, UTC.
        satellite_id: the identifier of the satellite.
        instrument: PS2 or PSB.SD.
        view_angle_deg: the view angle, degrees off nadir.
        sun_azimuth_deg: the direction of the sun, degrees from north, clockwise.
        sun_elevation_deg: the height of the sun, degrees above the horizon.
    """

    item_id: str
    grid: Grid
    gsd_m: float
    footprint: Polygon
    acquired: datetime
    satellite_id: str
    instrument: str
    view_angle_deg: float
    sun_azimuth_deg: float
    sun_elevation_deg: float


def make_acquisition(
    rng: np.random.Generator,
    *,
    lon: float,
    lat: float,
    day: date | None,
    gsd_m: float,
    size_km: tuple[float, float] | None,
    pixels: tuple[int, int] | None,
    bands: int,
    upright: bool = False,
) -> Acquisition:
    """Make an acquisition centred on a location.

    Args:
        rng: draws what is not given: the day (in July or August), the time, the satellite and the view angle.
        lon: longitude of the centre, degrees (WGS 84).
        lat: latitude of the centre, degrees (WGS 84).
        day: the day of the acquisition.
        gsd_m: the size of a pixel, m.
        size_km: the length and width of the footprint, km; the raster is its bounding box.
        pixels: the width and height of the raster instead.
        bands: 4 (PS2) or 8 (PSB.SD).
        upright: whether the footprint fills the raster, as a tile of a mosaic does, instead of being rotated.

    Raises:
        InputError: the location has no UTM zone, or the size is out of range.
    """
    day = day or date(2021, 7, 1) + timedelta(days=int(rng.integers(62)))
    crs = _utm(lon, lat)
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat)
    if pixels is None:
        size_km = size_km or (25.0, 11.5)
        pixels = _sides(size_km, gsd_m) if upright else _bounding_pixels(size_km, gsd_m)
    width, height = pixels
    if not SMALLEST_PX <= min(width, height) <= max(width, height) <= LARGEST_PX:
        raise InputError(f"a raster of {width} x {height} pixels: each side must be {SMALLEST_PX} to {LARGEST_PX}")
    left = round(x / gsd_m - width / 2) * gsd_m
    top = round(y / gsd_m + height / 2) * gsd_m
    grid = Grid(crs, Affine(gsd_m, 0, left, 0, -gsd_m, top), height, width)
    moment = _overpass(day, lon, rng)
    satellite = f"24{rng.integers(16, 192):02x}" if bands == 8 else f"10{rng.integers(16, 120):02x}"
    azimuth, elevation = sun_position(moment, lon, lat)
    return Acquisition(
        item_id=f"{moment:%Y%m%d_%H%M%S}_{rng.integers(100):02d}_{satellite}",
        grid=grid,
        gsd_m=gsd_m,
        footprint=(_filled if upright else _footprint)(left, top, width * gsd_m, height * gsd_m),
        acquired=moment,
        satellite_id=satellite,
        instrument="PSB.SD" if bands == 8 else "PS2",
        view_angle_deg=round(float(rng.uniform(0.2, 5.0)), 1),
        sun_azimuth_deg=round(azimuth, 1),
        sun_elevation_deg=round(elevation, 1),
    )


def shifted(acquisition: Acquisition, columns: int, rows: int) -> Acquisition:
    """Return the same acquisition, moved by some pixels to the east (`columns`) and to the south (`rows`)."""
    grid = acquisition.grid
    moved = replace(grid, transform=grid.transform @ Affine.translation(columns, rows))
    east, south = columns * acquisition.gsd_m, rows * acquisition.gsd_m
    return replace(acquisition, grid=moved, footprint=translate(acquisition.footprint, east, -south))


def _utm(lon: float, lat: float) -> CRS:
    if not (-180 <= lon <= 180 and -80 <= lat <= 84):
        raise InputError(f"--at {lon:g},{lat:g}: must be longitude -180..180 and latitude -80..84, where UTM reaches")
    zone = min(int((lon + 180) // 6) + 1, 60)
    return CRS.from_epsg((32600 if lat >= 0 else 32700) + zone)


def _tilt(length: float, width: float) -> float:
    """Return the angle (radians) at which a rectangle leaves `NODATA_SHARE` of its bounding box empty.

    The bounding box of a rectangle a x b rotated by t has the area `ab + (a^2 + b^2) sin t cos t`.
    """
    wanted = length * width * (1 / (1 - NODATA_SHARE) - 1) / (length**2 + width**2)
    return 0.5 * math.asin(min(1.0, 2 * wanted))


def _bounding_pixels(size_km: tuple[float, float], gsd_m: float) -> tuple[int, int]:
    length, width = size_km[0] * 1000, size_km[1] * 1000
    angle = _tilt(length, width)
    sine, cosine = math.sin(angle), math.cos(angle)
    return math.ceil((length * cosine + width * sine) / gsd_m), math.ceil((length * sine + width * cosine) / gsd_m)


def _sides(size_km: tuple[float, float], gsd_m: float) -> tuple[int, int]:
    width, height = (math.ceil(side * 1000 / gsd_m) for side in size_km)
    return width, height


def _filled(left: float, top: float, box_width: float, box_height: float) -> Polygon:
    """Return a footprint that fills a box."""
    right, bottom = left + box_width, top - box_height
    return Polygon([(left, top), (left, bottom), (right, bottom), (right, top)])


def _footprint(left: float, top: float, box_width: float, box_height: float) -> Polygon:
    """Return the inscribed rectangle that leaves `NODATA_SHARE` of a box empty, rotated as in a descending orbit.

    Its corners divide the sides of the box at the shares p of the width and q of the height. The empty corners then
    cover `p (1 - q) + (1 - p) q` of the box, and the sides are at right angles if `p (1 - p) W^2 = q (1 - q) H^2`.
    """
    shares = np.linspace(0.0, 0.5, 2001)
    flat = shares * (1 - shares) * (min(box_width, box_height) / max(box_width, box_height)) ** 2
    other = 0.5 - np.sqrt(np.maximum(0.25 - flat, 0))  # along the longer side
    empty = shares * (1 - other) + (1 - shares) * other
    best = int(np.argmin(np.abs(empty - NODATA_SHARE)))
    p, q = (other[best], shares[best]) if box_width >= box_height else (shares[best], other[best])
    right, bottom = left + box_width, top - box_height
    corners = [
        (left, top - q * box_height),
        (left + p * box_width, bottom),
        (right, bottom + q * box_height),
        (right - p * box_width, top),
    ]
    return Polygon(corners)


def _overpass(day: date, lon: float, rng: np.random.Generator) -> datetime:
    hours = (LOCAL_HOUR + rng.normal(0, 0.5) - lon / 15) % 24
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=round(hours * 3600))


def sun_position(moment: datetime, lon: float, lat: float) -> tuple[float, float]:
    """Return the azimuth and the elevation of the sun in degrees, to about half a degree.

    The declination follows Cooper (1969), `23.45 sin(360 (284 + n) / 365)`. The equation of time (less than 7 minutes
    in summer) is neglected.
    """
    day = moment.timetuple().tm_yday
    declination = math.radians(23.45) * math.sin(2 * math.pi * (284 + day) / 365)
    solar_hour = moment.hour + moment.minute / 60 + moment.second / 3600 + lon / 15
    hour = math.radians(15 * (solar_hour - 12))
    phi = math.radians(lat)
    sine = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(hour)
    east = -math.cos(declination) * math.sin(hour)
    north = math.cos(phi) * math.sin(declination) - math.sin(phi) * math.cos(declination) * math.cos(hour)
    return math.degrees(math.atan2(east, north)) % 360, math.degrees(math.asin(sine))
