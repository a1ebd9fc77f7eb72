"""The metadata files of a simulated product, with the names of Planet's public specification."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pyproj import Transformer
from shapely import Polygon, get_coordinates
from shapely.geometry import mapping

from rtsmap.simulate.acquisition import Acquisition

_PS = "http://schemas.planet.com/ps/v1/planet_product_metadata_geocorrected_level"
_NAMESPACES = {
    "ps": _PS,
    "eop": "http://earth.esa.int/eop",
    "opt": "http://earth.esa.int/opt",
    "gml": "http://www.opengis.net/gml",
}
#: The top-of-atmosphere reflectance per unit of radiance x 100, by the number of bands, with the orders of magnitude of
#: real products. Surface reflectance does not need these coefficients, but readers of radiance look for them.
COEFFICIENTS = {
    4: (2.0e-5, 2.1e-5, 2.3e-5, 3.5e-5),
    8: (1.8e-5, 2.0e-5, 2.05e-5, 2.1e-5, 2.2e-5, 2.3e-5, 2.9e-5, 3.5e-5),
}


def properties(acquisition: Acquisition, shares: dict[str, float]) -> dict[str, Any]:
    """Return the properties of a scene for the JSON file.

    Args:
        acquisition: the time, the satellite and the sun.
        shares: the shares of the UDM2 classes among the valid pixels, 0..1: clear, snow, shadow, light_haze, cloud.
    """
    percent = {name: round(100 * share) for name, share in shares.items()}
    published = acquisition.acquired + timedelta(hours=9)
    return {
        "acquired": f"{acquisition.acquired:%Y-%m-%dT%H:%M:%S}.000000Z",
        "anomalous_pixels": 0,
        "clear_confidence_percent": 90,
        "clear_percent": percent["clear"],
        "cloud_cover": round(shares["cloud"], 2),
        "cloud_percent": percent["cloud"],
        "ground_control": True,
        "gsd": acquisition.gsd_m,
        "heavy_haze_percent": 0,
        "instrument": acquisition.instrument,
        "item_type": "PSScene",
        "light_haze_percent": percent["light_haze"],
        "pixel_resolution": acquisition.gsd_m,
        "provider": "rtsmap simulate",
        "published": f"{published:%Y-%m-%dT%H:%M:%SZ}",
        "quality_category": "standard",
        "satellite_azimuth": 282.0,
        "satellite_id": acquisition.satellite_id,
        "shadow_percent": percent["shadow"],
        "snow_ice_percent": percent["snow"],
        "strip_id": str(int(acquisition.acquired.timestamp()) % 10_000_000),
        "sun_azimuth": acquisition.sun_azimuth_deg,
        "sun_elevation": acquisition.sun_elevation_deg,
        "view_angle": acquisition.view_angle_deg,
        "visible_percent": percent["clear"] + percent["snow"] + percent["shadow"] + percent["light_haze"],
    }


def write_json(path: Path, acquisition: Acquisition, shares: dict[str, float]) -> None:
    """Write `<id>_metadata.json`, a GeoJSON feature."""
    feature = {
        "type": "Feature",
        "id": acquisition.item_id,
        "geometry": mapping(_geographic(acquisition)),
        "properties": properties(acquisition, shares),
    }
    path.write_text(json.dumps(feature, indent=1), encoding="utf-8")


def _geographic(acquisition: Acquisition) -> Polygon:
    to_degrees = Transformer.from_crs(acquisition.grid.crs, 4326, always_xy=True)
    corners = get_coordinates(acquisition.footprint)
    lon, lat = to_degrees.transform(corners[:, 0], corners[:, 1])
    return Polygon([(round(float(x), 8), round(float(y), 8)) for x, y in zip(lon, lat, strict=True)])


def write_xml(path: Path, acquisition: Acquisition, bands: int, shares: dict[str, float]) -> None:
    """Write `<id>_3B_AnalyticMS[_8b]_metadata.xml`."""
    for prefix, address in _NAMESPACES.items():
        ElementTree.register_namespace(prefix, address)
    root = _element(None, "ps:EarthObservation")
    using = _element(_element(root, "gml:using"), "eop:EarthObservationEquipment")
    platform = _element(_element(using, "eop:platform"), "eop:Platform")
    _element(platform, "eop:shortName", "PlanetScope")
    _element(platform, "eop:serialIdentifier", acquisition.satellite_id)
    _element(_element(_element(using, "eop:instrument"), "eop:Instrument"), "eop:shortName", acquisition.instrument)
    moment = _element(_element(using, "eop:acquisitionParameters"), "ps:Acquisition")
    _element(moment, "opt:illuminationAzimuthAngle", f"{acquisition.sun_azimuth_deg:e}", uom="deg")
    _element(moment, "opt:illuminationElevationAngle", f"{acquisition.sun_elevation_deg:e}", uom="deg")
    _element(moment, "ps:spaceCraftViewAngle", f"{acquisition.view_angle_deg:e}", uom="deg")
    _element(moment, "ps:acquisitionDateTime", f"{acquisition.acquired:%Y-%m-%dT%H:%M:%S}+00:00")
    result = _element(_element(root, "gml:resultOf"), "ps:EarthObservationResult")
    _element(result, "opt:cloudCoverPercentage", f"{100 * shares['cloud']:e}", uom="percentage")
    _raster(result, acquisition, bands)
    for number, coefficient in enumerate(COEFFICIENTS[bands], start=1):
        band = _element(result, "ps:bandSpecificMetadata")
        _element(band, "ps:bandNumber", str(number))
        _element(band, "ps:reflectanceCoefficient", str(coefficient))
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _raster(result: ElementTree.Element, acquisition: Acquisition, bands: int) -> None:
    product = _element(_element(result, "eop:product"), "ps:ProductInformation")
    reference = _element(product, "ps:spatialReferenceSystem")
    _element(reference, "ps:epsgCode", str(acquisition.grid.crs.to_epsg()))
    for name, value in (
        ("ps:numRows", acquisition.grid.height),
        ("ps:numColumns", acquisition.grid.width),
        ("ps:numBands", bands),
        ("ps:rowGsd", acquisition.gsd_m),
        ("ps:columnGsd", acquisition.gsd_m),
    ):
        _element(product, name, str(value))


def _element(
    parent: ElementTree.Element | None, name: str, text: str | None = None, **attributes: str
) -> ElementTree.Element:
    prefix, _, tag = name.partition(":")
    full = f"{{{_NAMESPACES[prefix]}}}{tag}"
    element = ElementTree.Element(full) if parent is None else ElementTree.SubElement(parent, full)
    element.text = text
    element.attrib.update(attributes)
    return element
