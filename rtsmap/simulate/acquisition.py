"""Where and when a simulated scene was taken: its raster, its rotated footprint, the sun, its id."""

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

#: Share of the bounding box that a rotated PlanetScope acquisition leaves empty (39 and 41 % in two real products).
NODATA_SHARE = 0.40
#: The sensor overpass, hours of local solar time (PlanetScope descends between 9:30 and 11:30).
LOCAL_HOUR = 10.6
#: Raster sides beyond this are refused: 40000 px is 120 km.
LARGEST_PX = 65_536
SMALLEST_PX = 64


@dataclass(frozen=True)
class Acquisition:
    """One acquisition.

    Attributes:
        footprint: of the sensor in the grid's CRS, counter-clockwise.
        sun_azimuth_deg: from north, clockwise.
        sun_elevation_deg: above the horizon.
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
    """Lay a acquisition around a place.

    Args:
        rng: of what is not given: the day (July or August), the seconds, the satellite, the view angle.
        lon: degrees, WGS 84.
        lat: likewise.
        day: of the acquisition.
        gsd_m: size of a pixel.
        size_km: length and width of the footprint; the raster is its bounding box.
        pixels: width and height of the raster instead.
        bands: 4 (PS2) or 8 (PSB.SD).
        upright: the footprint fills the raster, as a tile of a mosaic does, instead of being turned.

    Raises:
        InputError: the place has no UTM zone, or the size is out of range.
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
    """The same acquisition, looking some pixels farther east (`columns`) and south (`rows`)."""
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
    """Angle (radians) at which a rectangle leaves `NODATA_SHARE` of its bounding box empty.

    The box of a rectangle a x b turned by t has the area `ab + (a^2 + b^2) sin t cos t`.
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
    """All of a box."""
    right, bottom = left + box_width, top - box_height
    return Polygon([(left, top), (left, bottom), (right, bottom), (right, top)])


def _footprint(left: float, top: float, box_width: float, box_height: float) -> Polygon:
    """The rectangle inscribed in a box that leaves `NODATA_SHARE` of it empty, turned as a descending orbit turns it.

    Its corners divide the box's sides; with p of the width and q of the height, the corners that are cut hold
    `p (1 - q) + (1 - p) q` of the box, and the sides are at right angles if `p (1 - p) W^2 = q (1 - q) H^2`.
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
    """Azimuth and elevation of the sun in degrees, to about half a degree.

    Declination by Cooper (1969), `23.45 sin(360 (284 + n) / 365)`; the equation of time (under 7 minutes in summer) is
    left out.
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
