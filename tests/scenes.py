"""Small scenes on disk for tests: a simulated PlanetScope product and plain rasters."""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

ITEM_ID = "20210714_221320_10_2413"
UTM_7N = "EPSG:32607"
#: North-up pixels of 3 m near Herschel Island.
TRANSFORM = Affine(3.0, 0.0, 570_000.0, 0.0, -3.0, 7_720_000.0)

PROPERTIES: Mapping[str, Any] = {
    "acquired": "2021-07-14T22:13:20.123456Z",
    "satellite_id": "2413",
    "instrument": "PSB.SD",
    "view_angle": 4.1,
    "sun_azimuth": 171.5,
    "sun_elevation": 42.2,
    "cloud_percent": 7,
    "cloud_cover": 0.5,
}

XML = """<?xml version="1.0"?>
<ps:EarthObservation xmlns:ps="http://example.org/ps" xmlns:eop="http://example.org/eop" xmlns:opt="http://example.org/o">
  <eop:Platform><eop:shortName>PlanetScope</eop:shortName><eop:serialIdentifier>2413</eop:serialIdentifier></eop:Platform>
  <eop:Instrument><eop:shortName>PS2</eop:shortName></eop:Instrument>
  <opt:illuminationAzimuthAngle uom="deg">1.70e+02</opt:illuminationAzimuthAngle>
  <opt:illuminationElevationAngle uom="deg">4.10e+01</opt:illuminationElevationAngle>
  <ps:spaceCraftViewAngle uom="deg">-2.5</ps:spaceCraftViewAngle>
  <ps:acquisitionDateTime>2021-07-14T23:13:21+01:00</ps:acquisitionDateTime>
  <opt:cloudCoverPercentage uom="percentage">12.0</opt:cloudCoverPercentage>
  {bands}
</ps:EarthObservation>
"""

COEFFICIENTS_4 = (2.0e-5, 2.1e-5, 2.3e-5, 3.5e-5)
COEFFICIENTS_8 = (1.8e-5, 2.0e-5, 2.05e-5, 2.1e-5, 2.2e-5, 2.3e-5, 2.9e-5, 3.5e-5)


def ramp(bands: int = 4, height: int = 40, width: int = 60) -> NDArray[np.uint16]:
    """Numbers that all differ from one another and from 0: `1 + 1000 band + (row * width + column) % 997`."""
    place = np.arange(height * width).reshape(height, width) % 997
    return (1 + 1000 * np.arange(bands)[:, None, None] + place).astype(np.uint16)


def clear_udm2(height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    """A UDM2 without clouds: clear 1, confidence 95, all else 0."""
    numbers = np.zeros((8, height, width), dtype=np.uint8)
    numbers[0] = 1
    numbers[6] = 95
    return numbers


def write_raster(
    path: Path,
    numbers: NDArray[Any] | None = None,
    *,
    descriptions: Sequence[str] | None = ("blue", "green", "red", "nir"),
    crs: str | None = UTM_7N,
    transform: Affine | None = TRANSFORM,
    nodata: float | None = None,
    mask: NDArray[np.bool_] | None = None,
    scales: Sequence[float] | None = None,
    offsets: Sequence[float] | None = None,
    **profile: Any,
) -> Path:
    """Write a GeoTIFF, `ramp()` without numbers; `mask` becomes an internal mask band, true where valid."""
    numbers = ramp() if numbers is None else numbers
    count, height, width = numbers.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    place = {} if transform is None else {"transform": transform}
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        options = {"count": count, "height": height, "width": width, "dtype": numbers.dtype, "crs": crs, **place}
        with rasterio.open(path, "w", driver="GTiff", nodata=nodata, **options, **profile) as dataset:
            dataset.write(numbers)
            if descriptions is not None:
                dataset.descriptions = tuple(descriptions)
            if scales is not None:
                dataset.scales = tuple(scales)
            if offsets is not None:
                dataset.offsets = tuple(offsets)
            if mask is not None:
                dataset.write_mask(mask)
    return path


def write_xml(path: Path, coefficients: Sequence[float] = COEFFICIENTS_4) -> Path:
    """Write the metadata XML of a product with these reflectance coefficients."""
    bands = "".join(
        f"<ps:bandSpecificMetadata><ps:bandNumber>{number}</ps:bandNumber>"
        f"<ps:reflectanceCoefficient>{coefficient}</ps:reflectanceCoefficient></ps:bandSpecificMetadata>"
        for number, coefficient in enumerate(coefficients, start=1)
    )
    path.write_text(XML.format(bands=bands))
    return path


def write_planetscope(
    folder: Path,
    numbers: NDArray[Any] | None = None,
    *,
    item_id: str = ITEM_ID,
    asset: str = "AnalyticMS_SR",
    udm2: NDArray[np.uint8] | None = None,
    with_udm2: bool = True,
    with_json: bool = True,
    with_xml: bool = True,
    properties: Mapping[str, Any] = PROPERTIES,
    crs: str = UTM_7N,
    transform: Affine = TRANSFORM,
    nodata: float | None = 0,
) -> Path:
    """Write an image and the files that come with it, and return the image's path.

    Args:
        folder: made if missing.
        numbers: `(4 or 8, rows, columns)` uint16; `ramp()` without, with 8 bands where the asset has `_8b`.
        item_id: of a PSScene.
        asset: `AnalyticMS[_SR][_8b][_harmonized][_clip]`.
        udm2: `(8, rows, columns)` uint8, all clear without.
        with_udm2: write the UDM2 at all; likewise the others.
        with_json: `<id>_metadata.json`, a GeoJSON feature.
        with_xml: `..._metadata.xml` with coefficients for every band.
        properties: of the JSON.
        crs: of image and UDM2.
        transform: likewise.
        nodata: of the image.
    """
    eight, clip = "_8b" in asset, "_clip" if "_clip" in asset else ""
    numbers = ramp(8 if eight else 4) if numbers is None else numbers
    place: dict[str, Any] = {"crs": crs, "transform": transform, "descriptions": None}
    image = write_raster(folder / f"{item_id}_3B_{asset}.tif", numbers, nodata=nodata, **place)
    if with_udm2:
        classes = clear_udm2(*numbers.shape[1:]) if udm2 is None else udm2
        write_raster(folder / f"{item_id}_3B_udm2{clip}.tif", classes, **place)
    if with_json:
        feature = {"type": "Feature", "id": item_id, "geometry": None, "properties": dict(properties)}
        (folder / f"{item_id}_metadata.json").write_text(json.dumps(feature))
    if with_xml:
        name = f"{item_id}_3B_AnalyticMS{'_8b' if eight else ''}_metadata{clip}.xml"
        write_xml(folder / name, COEFFICIENTS_8 if eight else COEFFICIENTS_4)
    return image


def truncate(path: Path, keep: float = 0.5) -> None:
    """Cut a file as a broken download leaves it."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
