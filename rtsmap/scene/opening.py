"""Opening a scene: which product it is, which of its bands are which, and what is known of it."""

import logging
import re
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from rtsmap.bands import BANDS
from rtsmap.errors import SceneError
from rtsmap.records import Grid, SceneInfo
from rtsmap.scene import planetscope, udm2
from rtsmap.scene.calibration import Stated, calibrate
from rtsmap.scene.elevation import Elevation
from rtsmap.scene.files import is_remote, open_raster
from rtsmap.scene.ground_distance import gsd_m, unevenness
from rtsmap.scene.looking import look_at
from rtsmap.scene.metadata import Metadata
from rtsmap.scene.planetscope import Product, Siblings
from rtsmap.scene.raster import Scene, grid_of

_log = logging.getLogger(__name__)

_BANDS_OPTION = "--bands blue=1,green=2,red=3,nir=4"
_MOMENT = re.compile(r"(?<!\d)(\d{8})(?:T(\d{6}))?(?!\d)")
_UNEVEN = 1.2  # sides of pixels; a model bears no more than about twice that
_ABSENT = ("404", "403", "does not exist", "No such")  # S3 says 403 of what is not there, unless one may list


def open_scene(
    path: str,
    *,
    bands: Mapping[str, int] | None = None,
    scale: float | None = None,
    offset: float | None = None,
    mask: Collection[str] = udm2.DEFAULT_MASK,
    dem: str | None = None,
) -> Scene:
    """Open a scene for reading by window.

    A PlanetScope image is known by its name: 4 or 8 bands, surface reflectance or radiance, with or without
    `_harmonized` and `_clip`, or a retired OrthoTile. Its UDM2 and metadata are found beside it. Any other raster needs
    bands described as blue, green, red and nir, or `bands`. Of remote images the UDM2 alone is looked for, by one
    request for its name; date and satellite then come from the id.

    Args:
        path: an image, the folder of an order that holds one, or whatever GDAL opens (`/vsicurl/...`, `s3://...`).
        bands: number of each band in the file, from 1, by the names of `bands.BANDS`.
        scale: reflectance per digital number; without it that of the product, else of the file, else 1e-4 for integers
            and 1 for floating-point numbers.
        offset: reflectance of the number 0; without it that of the product, else of the file, else 0.
        mask: classes out of `udm2.CLASSES` in which a pixel is not clear.
        dem: an elevation model in metres, with one band, in any CRS and at any resolution: ArcticDEM, Copernicus DEM.
            The scene's pixels then have their terrain; see `scene.elevation`.

    Raises:
        SceneError: with one line `path: what is wrong; what to do`.
        InputError: `mask` has a name that is no class, or scale or offset cannot be.
    """
    mask_bands = udm2.bands_to_read(mask)
    found = _find(path)
    with ExitStack() as stack:
        dataset = stack.enter_context(open_raster(found.path))
        grid = grid_of(found.path, dataset)
        numbers = _band_numbers(found, dataset, bands)
        stated = _stated(found, numbers, scale)
        calibration = calibrate(found.path, dataset, numbers, stated, scale=scale, offset=offset)
        mask_dataset = None if found.udm2 is None else _open_udm2(found, dataset)
        known = found.known
        info = SceneInfo(
            scene_id=found.scene_id,
            path=found.path,
            product=found.product.name if found.product else "raster",
            gsd_m=round(gsd_m(grid), 4),
            **{name: value for name, value in vars(known).items() if name != "reflectance_coefficients"},
        )
        if mask_dataset is not None:
            stack.callback(mask_dataset.close)
        elevation = None if dem is None else Elevation(dem, grid, found.path)
        scene = Scene(dataset, info, grid, calibration, mask_dataset, mask_bands, elevation)
        look_at(scene)
        _warn_of_uneven(found.path, grid)
        stack.pop_all()  # from here on the scene closes its files
        return scene


@dataclass(frozen=True)
class _Found:
    """The files of a scene, and what they say before the image is opened."""

    path: str
    product: Product | None
    udm2: str | None
    known: Metadata

    @property
    def scene_id(self) -> str:
        return self.product.item_id if self.product else PurePosixPath(self.path).stem


def _find(path: str) -> _Found:
    if is_remote(path):
        product = planetscope.parse(PurePosixPath(path).name)
        known = product.said_by_id if product else _from_name(PurePosixPath(path).stem)
        return _Found(path, product, planetscope.remote_udm2(path, product) if product else None, known)
    image = Path(path)
    if image.is_dir():
        image = planetscope.image_of_order(image)
    if not image.exists():
        raise SceneError(f"{path}: no such file; check the path")
    product = planetscope.parse(image.name)
    if product is None:
        return _Found(str(image), None, None, _from_name(image.stem))
    files: Siblings = planetscope.siblings(image, product)
    mask = None if files.udm2 is None else str(files.udm2)
    return _Found(str(image), product, mask, planetscope.metadata(product, files))


def _from_name(stem: str) -> Metadata:
    """The date in a name, `YYYYMMDD` or `YYYYMMDDTHHMMSS`, where there is exactly one."""
    moments = set()
    for day, time in _MOMENT.findall(stem):
        try:
            moment = datetime.strptime(day + (time or "000000"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            continue
        if 1972 <= moment.year < 2100:  # from the first Landsat on; other digits are numbers, not dates
            moments.add(moment)
    return Metadata(acquired=moments.pop() if len(moments) == 1 else None)


def _warn_of_uneven(path: str, grid: Grid) -> None:
    if (ratio := unevenness(grid)) > _UNEVEN:
        _log.warning(
            "%s: its pixels are up to %.1f times as large in one corner as in another, and count as those of its "
            "centre; warp it to UTM with gdalwarp, or cut it into parts",
            path,
            ratio,
        )


def _band_numbers(found: _Found, dataset: Any, chosen: Mapping[str, int] | None) -> tuple[int, ...]:
    if chosen is not None:
        numbers = chosen
    elif found.product is not None:
        if dataset.count not in planetscope.BAND_NUMBERS:
            raise SceneError(
                f"{found.path}: has {dataset.count} bands where a PlanetScope image has 4 or 8; "
                f"say which they are with {_BANDS_OPTION}"
            )
        numbers = planetscope.BAND_NUMBERS[dataset.count]
    else:
        described = [(text or "").strip().lower() for text in dataset.descriptions]
        numbers = {name: described.index(name) + 1 for name in BANDS if name in described}
        if len(numbers) < len(BANDS):
            lacking = ", ".join(name for name in BANDS if name not in numbers)
            raise SceneError(
                f"{found.path}: none of its {dataset.count} bands is described as {lacking}; "
                f"say which they are with {_BANDS_OPTION}"
            )
    if set(numbers) != set(BANDS):
        raise SceneError(f"{found.path}: the bands {', '.join(BANDS)} are needed; give them all: {_BANDS_OPTION}")
    for name in BANDS:
        if not 1 <= numbers[name] <= dataset.count:
            raise SceneError(
                f"{found.path}: has {dataset.count} bands, no band {numbers[name]} for {name}; mend --bands"
            )
    return tuple(numbers[name] for name in BANDS)


def _stated(found: _Found, numbers: tuple[int, ...], scale: float | None) -> Stated:
    """What a PlanetScope product says of its numbers; a radiance product's coefficients are not needed with a scale."""
    if found.product is None or scale is not None:
        return Stated()
    return Stated(planetscope.scales(found.path, found.product, numbers, found.known), (0.0,) * len(numbers))


def _open_udm2(found: _Found, image: Any) -> Any:
    """Open the UDM2; None where a remote one turns out not to exist."""
    path = str(found.udm2)
    try:
        dataset = open_raster(path)
    except SceneError as error:
        if is_remote(path) and any(sign in str(error) for sign in _ABSENT):
            _log.warning("%s: no UDM2 found at %s; every pixel with data counts as clear", found.path, path)
            return None
        raise
    same_place = np.allclose(dataset.transform, image.transform, rtol=0, atol=1e-3 * image.transform.a)
    if dataset.shape != image.shape or dataset.crs != image.crs or not same_place:
        dataset.close()
        raise SceneError(
            f"{path}: does not lie on the grid of its image (another size, place or CRS); "
            "order image and UDM2 with the same tools, or remove it"
        )
    if dataset.count != udm2.BAND_COUNT:
        dataset.close()
        raise SceneError(f"{path}: has {dataset.count} bands where a UDM2 has 8; fetch it again or remove it")
    return dataset
