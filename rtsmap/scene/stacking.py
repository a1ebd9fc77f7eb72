"""Virtual rasters that combine bands from separate files, and that refine masks with larger pixels."""

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import rasterio
import rasterio.windows
from rasterio.errors import RasterioIOError

from rtsmap.errors import SceneError
from rtsmap.scene.files import is_remote, on_one_grid, open_raster, vsi_path
from rtsmap.scene.product import BandFile

#: GDAL's names of data types, by their numpy names.
_TYPES: Mapping[str, str] = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "float32": "Float32",
    "float64": "Float64",
}
_LARGEST_RATIO = 6  # the scene classification of Sentinel-2 at 60 m for bands of 10 m


def stack(bands: Mapping[str, BandFile]) -> Any:
    """Open bands on the same pixel grid as one dataset, in the given order and described by their names.

    Raises:
        SceneError: a file cannot be read, lacks the band, or is on another pixel grid than the first.
    """
    sources = [(name, band, open_raster(band.path)) for name, band in bands.items()]
    try:
        _, first_band, first = sources[0]
        for _, band, source in sources:
            if band.number > source.count:
                raise SceneError(f"{band.path}: has {source.count} bands, no band {band.number}; fetch it again")
            if not on_one_grid(first, source):
                raise SceneError(
                    f"{band.path}: does not lie on the grid of {first_band.path} (another size, position or CRS); "
                    "give bands on the same pixel grid"
                )
        dtype = np.result_type(*(source.dtypes[band.number - 1] for _, band, source in sources)).name
        if dtype not in _TYPES:
            raise SceneError(f"{first_band.path}: has numbers of the type {dtype}; give integers or floating point")
        elements = [
            _band(number, name, band, source, dtype) for number, (name, band, source) in enumerate(sources, start=1)
        ]
        return _open(_dataset(first, elements), first_band.path)
    finally:
        for _, _, source in sources:
            source.close()


def finer(path: str, mask: Any, image: Any) -> Any:
    """A mask on the pixel grid of its image; pixels that are 2 to 6 times as large as those of the image are repeated.

    Args:
        path: path of the mask.
        mask: the open mask.
        image: the open image.

    Returns:
        The mask itself if it has the grid of the image, else a virtual raster.

    Raises:
        SceneError: the two grids do not match.
    """
    ratio = max(1, round(image.height / mask.height))
    if ratio > _LARGEST_RATIO or not on_one_grid(image, mask, ratio):
        raise SceneError(
            f"{path}: does not lie on the grid of its image (another size, position or CRS); "
            "order image and mask with the same tools, or remove it"
        )
    if ratio == 1:
        return mask
    whole = BandFile(path)
    return _open(_dataset(image, [_band(1, "", whole, mask, mask.dtypes[0], image.height, image.width)]), path)


def _dataset(like: Any, bands: list[str]) -> str:
    transform = f"<GeoTransform>{_numbers(like.transform.to_gdal())}</GeoTransform>"
    affine = "" if like.transform.is_identity else transform
    crs = "" if like.crs is None else f"<SRS>{escape(like.crs.to_wkt())}</SRS>"
    return (
        f'<VRTDataset rasterXSize="{like.width}" rasterYSize="{like.height}">{crs}{affine}{"".join(bands)}</VRTDataset>'
    )


def _band(
    number: int, name: str, band: BandFile, source: Any, dtype: str, height: int | None = None, width: int | None = None
) -> str:
    """XML of one band. Its blocks are those of the source, so that the size of the read cache is chosen for them."""
    index = band.number - 1
    rows, columns = source.block_shapes[index]
    nodata, scale, offset = source.nodatavals[index], source.scales[index], source.offsets[index]
    declared = "" if nodata is None else f"<NoDataValue>{nodata!r}</NoDataValue>"
    calibrated = f"<Offset>{offset!r}</Offset><Scale>{scale!r}</Scale>" if (scale, offset) != (1.0, 0.0) else ""
    whole = f'xOff="0" yOff="0" xSize="{source.width}" ySize="{source.height}"'
    target = f'xOff="0" yOff="0" xSize="{width or source.width}" ySize="{height or source.height}"'
    return (
        f'<VRTRasterBand dataType="{_TYPES[dtype]}" band="{number}" '
        f'blockXSize="{columns}" blockYSize="{rows}">'
        f"<Description>{escape(name)}</Description>{declared}{calibrated}"
        f'<SimpleSource><SourceFilename relativeToVRT="0">{escape(vsi_path(band.path))}</SourceFilename>'
        f"<SourceBand>{band.number}</SourceBand><SrcRect {whole}/><DstRect {target}/></SimpleSource></VRTRasterBand>"
    )


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(repr(float(value)) for value in values)


def _open(xml: str, path: str) -> Any:
    dataset = rasterio.open(xml)
    if is_remote(path):
        _touch(dataset, path)
    return dataset


def _touch(dataset: Any, path: str) -> None:
    """Open the remote sources now, without GDAL's request to the server for a listing of the folder."""
    try:
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
            dataset.read(window=rasterio.windows.Window(0, 0, 1, 1))
    except RasterioIOError as error:
        dataset.close()
        raise SceneError(f"{path}: cannot be read ({error}); fetch it again") from error
