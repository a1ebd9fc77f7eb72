"""Small Sentinel-2, Landsat and STAC scenes on disk for tests, with the names of real ones and simulated pixels."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from tests.scenes import UTM_7N

SAFE = "S2B_MSIL2A_20220716T201849_N0400_R071_T07WFR_20220716T225510"
LANDSAT = "LC08_L2SP_066011_20210714_20210721_02_T1"
GRID_10M = Affine(10.0, 0.0, 570_000.0, 0.0, -10.0, 7_720_000.0)
SHAPE = 40, 60

PRODUCT_XML = """<?xml version="1.0"?>
<n1:Level-2A_User_Product xmlns:n1="https://example.org/psd">
  <n1:General_Info><Product_Info>
    <PRODUCT_START_TIME>2022-07-16T20:18:49.024Z</PRODUCT_START_TIME>
    {uri}<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
    <Datatake><SPACECRAFT_NAME>Sentinel-2B</SPACECRAFT_NAME></Datatake>
  </Product_Info><Product_Image_Characteristics>
    <{quantification}>10000</{quantification}>{offsets}
  </Product_Image_Characteristics></n1:General_Info>
  <n1:Quality_Indicators_Info><Cloud_Coverage_Assessment>12.5</Cloud_Coverage_Assessment></n1:Quality_Indicators_Info>
</n1:Level-2A_User_Product>
"""
TILE_XML = """<?xml version="1.0"?>
<n1:Level-2A_Tile_ID xmlns:n1="https://example.org/psd"><n1:Geometric_Info><Tile_Angles>
  <Mean_Sun_Angle><ZENITH_ANGLE unit="deg">49.5</ZENITH_ANGLE>
  <AZIMUTH_ANGLE unit="deg">171.25</AZIMUTH_ANGLE></Mean_Sun_Angle>
  <Mean_Viewing_Incidence_Angle bandId="1"><ZENITH_ANGLE unit="deg">4.0</ZENITH_ANGLE></Mean_Viewing_Incidence_Angle>
  <Mean_Viewing_Incidence_Angle bandId="7"><ZENITH_ANGLE unit="deg">5.0</ZENITH_ANGLE></Mean_Viewing_Incidence_Angle>
</Tile_Angles></n1:Geometric_Info></n1:Level-2A_Tile_ID>
"""
MTL = """GROUP = LANDSAT_METADATA_FILE
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "LANDSAT_8"
    SENSOR_ID = "OLI_TIRS"
    DATE_ACQUIRED = 2021-07-14
    SCENE_CENTER_TIME = "20:57:26.4012310Z"
    CLOUD_COVER = 3.21
    SUN_AZIMUTH = 169.5
    SUN_ELEVATION = 41.25
  END_GROUP = IMAGE_ATTRIBUTES
END_GROUP = LANDSAT_METADATA_FILE
END
"""


def numbers(position: int, base: int = 9000) -> NDArray[np.uint16]:
    """Numbers of the band at a position (0 blue to 3 near infrared), which all differ and are plausible reflectance."""
    height, width = SHAPE
    return (base + 500 * position + np.arange(height * width).reshape(SHAPE) % 499).astype(np.uint16)


def write_band(path: Path, band: NDArray[Any], transform: Affine = GRID_10M, *, crs: str = UTM_7N) -> Path:
    """Write one band, as JPEG 2000 without loss or as GeoTIFF by the file's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    jp2 = path.suffix == ".jp2"
    driver, options = ("JP2OpenJPEG", {"QUALITY": "100", "REVERSIBLE": "YES"}) if jp2 else ("GTiff", {})
    height, width = band.shape
    profile = {"count": 1, "height": height, "width": width, "dtype": band.dtype, "crs": crs, "transform": transform}
    with rasterio.open(path, "w", driver=driver, **profile, **options) as dataset:
        dataset.write(band, 1)
    return path


def write_safe(
    folder: Path,
    name: str = SAFE,
    *,
    suffix: str = "jp2",
    baseline: str = "04.00",
    offsets: Mapping[int, int] | None = None,
    classes: NDArray[np.uint8] | None = None,
    with_xml: bool = True,
    bands: Sequence[str] = ("B02", "B03", "B04", "B08"),
) -> Path:
    """Write a SAFE folder and return its path.

    Args:
        folder: that holds it.
        name: without `.SAFE`; it tells the level.
        suffix: of the band files.
        baseline: of processing, in the XML.
        offsets: by band id; none without.
        classes: `(20, 30)` scene classification at 20 m; none without.
        with_xml: write the metadata.
        bands: that are there.
    """
    level = "1C" if "MSIL1C" in name else "2A"
    safe = folder / f"{name}.SAFE"
    granule = safe / "GRANULE" / f"L{level}_T07WFR_A027993_20220716T201850"
    images = granule / "IMG_DATA" / "R10m" if level == "2A" else granule / "IMG_DATA"
    step = "_10m" if level == "2A" else ""
    for position, band in enumerate(("B02", "B03", "B04", "B08")):
        if band in bands:
            write_band(images / f"T07WFR_20220716T201849_{band}{step}.{suffix}", numbers(position, 1500))
    if classes is not None:
        scl = granule / "IMG_DATA" / "R20m" / f"T07WFR_20220716T201849_SCL_20m.{suffix}"
        write_band(scl, classes, GRID_10M @ Affine.scale(2))
    if with_xml:
        tag = "BOA_ADD_OFFSET" if level == "2A" else "RADIO_ADD_OFFSET"
        added = "".join(f'<{tag} band_id="{band}">{value}</{tag}>' for band, value in (offsets or {}).items())
        quantification = "BOA_QUANTIFICATION_VALUE" if level == "2A" else "QUANTIFICATION_VALUE"
        values = {"uri": "", "baseline": baseline, "offsets": added, "quantification": quantification}
        (safe / f"MTD_MSIL{level}.xml").write_text(PRODUCT_XML.format(**values))
        (granule / "MTD_TL.xml").write_text(TILE_XML)
    return safe


def write_landsat(
    folder: Path,
    name: str = LANDSAT,
    *,
    first: int = 2,
    quality: NDArray[np.uint16] | None = None,
    with_mtl: bool = True,
    bands: Sequence[int] = (0, 1, 2, 3),
) -> Path:
    """Write the folder of a Landsat scene and return its path.

    Args:
        folder: that holds it.
        name: of the product.
        first: number of the blue band.
        quality: `QA_PIXEL`; none without.
        with_mtl: write the metadata.
        bands: positions of those that are there, from blue.
    """
    scene, transform = folder / name, Affine(30.0, 0.0, 570_015.0, 0.0, -30.0, 7_720_005.0)
    scene.mkdir(parents=True)
    for position in bands:
        write_band(scene / f"{name}_SR_B{first + position}.TIF", numbers(position), transform)
    if quality is not None:
        write_band(scene / f"{name}_QA_PIXEL.TIF", quality, transform)
    if with_mtl:
        (scene / f"{name}_MTL.txt").write_text(MTL)
    return scene


def write_item(
    path: Path,
    keys: Mapping[str, str],
    *,
    properties: Mapping[str, Any] | None = None,
    raster: Mapping[str, Any] | None = None,
    scene_id: str = "S2B_7WFR_20220716_0_L2A",
    classes: NDArray[np.uint8] | None = None,
) -> Path:
    """Write a STAC item with GeoTIFFs beside it and return its path.

    Args:
        path: of the item.
        keys: of the assets, by the names of bands and `scl`.
        properties: beside the date.
        raster: added to every asset of a band.
        scene_id: of the item.
        classes: of the asset `scl`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    assets = {}
    for position, band in enumerate(("blue", "green", "red", "nir")):
        if band in keys:
            write_band(path.parent / f"{band}.tif", numbers(position, 1500))
            assets[keys[band]] = {"href": f"./{band}.tif", **(raster or {})}
    if classes is not None:
        write_band(path.parent / "scl.tif", classes, GRID_10M @ Affine.scale(2))
        assets[keys["scl"]] = {"href": "./scl.tif"}
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": scene_id, "collection": "sentinel-2-l2a",
        "properties": {"datetime": "2022-07-16T20:29:37.024Z", "platform": "sentinel-2b", "instruments": ["msi"],
                       "eo:cloud_cover": 12.5, "view:sun_elevation": 40.5, **(properties or {})},
        "assets": assets,
    }  # fmt: skip
    path.write_text(json.dumps(item))
    return path
