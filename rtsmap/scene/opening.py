"""Opening of a scene: assignment of bands, calibration to reflectance, cloud mask and elevation model."""

import logging
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from typing import Any

from rtsmap.bands import BANDS
from rtsmap.errors import SceneError
from rtsmap.records import Grid, SceneInfo
from rtsmap.scene.calibration import calibrate
from rtsmap.scene.elevation import Elevation
from rtsmap.scene.files import open_raster
from rtsmap.scene.finding import find
from rtsmap.scene.ground_distance import gsd_m, unevenness
from rtsmap.scene.looking import look_at
from rtsmap.scene.masks import DEFAULT_MASK, OpenMask, check_classes
from rtsmap.scene.planetscope import BAND_NUMBERS
from rtsmap.scene.product import MaskFile, SceneFiles
from rtsmap.scene.raster import Scene, grid_of
from rtsmap.scene.stacking import finer
from rtsmap.scene.stacking import stack as stack_bands

_log = logging.getLogger(__name__)

_UNEVEN = 1.2  # ratio of pixel sides; models tolerate at most about twice that
_ABSENT = ("404", "403", "does not exist", "No such")  # S3 answers 403 for a missing file if listing is not permitted


def open_scene(
    path: str,
    *,
    bands: Mapping[str, int] | None = None,
    scale: float | None = None,
    offset: float | None = None,
    mask: Collection[str] = DEFAULT_MASK,
    dem: str | None = None,
) -> Scene:
    """Open a scene for reading by window.

    The files of a scene are found by their names: a PlanetScope image with its mask and metadata, a Sentinel-2 product,
    a Landsat Collection 2 scene, or a STAC item. Any other raster needs bands described as blue, green, red and nir, or
    the argument `bands`. For a remote PlanetScope image only the UDM2 is searched, with one request for the expected
    name; date and satellite are then taken from the item id.

    Args:
        path: an image; a folder, zip or tar archive that contains one scene (a Planet order, a SAFE folder, a Landsat
            scene), or a metadata file of that scene; the path or URL of a STAC item; or any name that GDAL opens
            (`/vsicurl/...`, `s3://...`, `GTIFF_DIR:2:...`).
        bands: number of each band in the file, from 1, by the names of `bands.BANDS`.
        scale: reflectance per digital number; by default that of the product, else of the file, else 1e-4 for integers
            and 1 for floating-point numbers.
        offset: reflectance of the digital number 0; by default that of the product, else of the file, else 0.
        mask: classes from `masks.CLASSES` in which a pixel is not clear.
        dem: an elevation model in metres, with one band, in any CRS and at any resolution, such as ArcticDEM or the
            Copernicus DEM. Pixels then have relative elevation and slope; see `scene.elevation`.

    Returns:
        The open scene, to be used in a `with` statement or closed.

    Raises:
        SceneError: the scene cannot be used; the message is one line `path: what is wrong; what to do`.
        InputError: `mask` contains an unknown class, or scale or offset is invalid.

    Example:
        >>> import rtsmap
        >>> from rtsmap.records import Window
        >>> with rtsmap.open_scene("scene.tif") as scene:
        ...     pixels = scene.read(Window(row=0, column=0, height=64, width=64))
        >>> scene.info.scene_id, pixels.reflectance.shape, bool(pixels.valid.all())
        ('scene', (4, 64, 64), True)
    """
    classes, files = check_classes(mask), find(path)
    with ExitStack() as stack:
        dataset = stack.enter_context(_open_bands(files, bands))
        grid = grid_of(files.path, dataset)
        numbers = _band_numbers(files, dataset, bands)
        stated = files.stated(numbers, scale, offset)
        calibration = calibrate(files.path, dataset, numbers, stated, scale=scale, offset=offset)
        opened = None if files.mask is None else _open_mask(files.mask, dataset, classes)
        if opened is not None:
            stack.callback(opened.dataset.close)
        info = SceneInfo(
            scene_id=files.scene_id,
            path=files.path,
            product=files.product,
            gsd_m=round(gsd_m(grid), 4),
            **{name: value for name, value in vars(files.known).items() if name != "reflectance_coefficients"},
        )
        elevation = None if dem is None else Elevation(dem, grid, files.path)
        scene = Scene(dataset, info, grid, calibration, opened, elevation)
        look_at(scene)
        _warn_of_uneven(files.path, grid)
        stack.pop_all()  # from here on, the scene is responsible for closing its files
        return scene


def _warn_of_uneven(path: str, grid: Grid) -> None:
    if (ratio := unevenness(grid)) > _UNEVEN:
        _log.warning(
            "%s: its pixels are up to %.1f times as large in one corner as in another, and count as those of its "
            "centre; warp it to UTM with gdalwarp, or cut it into parts",
            path,
            ratio,
        )


def _open_bands(files: SceneFiles, chosen: Mapping[str, int] | None) -> Any:
    if files.bands is None:
        return open_raster(files.path)
    if chosen is not None:
        raise SceneError(f"{files.path}: its bands are files of their own, known by their names; leave out --bands")
    if len({(band.path, band.number) for band in files.bands.values()}) < len(files.bands):
        raise SceneError(f"{files.path}: names one file for two of blue, green, red and nir; fetch it again")
    return stack_bands(files.bands)


def _band_numbers(files: SceneFiles, dataset: Any, chosen: Mapping[str, int] | None) -> tuple[int, ...]:
    described = [(text or "").strip().lower() for text in dataset.descriptions]
    if chosen is not None:
        numbers = chosen
    elif files.numbers:
        if dataset.count not in files.numbers:
            raise SceneError(
                f"{files.path}: has {_count(dataset)} where a PlanetScope image has 4 or 8; {_advice(dataset.count)}"
            )
        numbers = files.numbers[dataset.count]
    else:
        numbers = {name: described.index(name) + 1 for name in BANDS if name in described}
        if len(numbers) < len(BANDS):
            lacking = ", ".join(name for name in BANDS if name not in numbers)
            raise SceneError(
                f"{files.path}: none of its {_count(dataset)} is described as {lacking}; {_advice(dataset.count)}"
            )
    if set(numbers) != set(BANDS):
        raise SceneError(f"{files.path}: the bands {', '.join(BANDS)} are needed; {_advice(dataset.count)}")
    for name in BANDS:
        if not 1 <= numbers[name] <= dataset.count:
            raise SceneError(
                f"{files.path}: has {_count(dataset)}, no band {numbers[name]} for {name}; correct --bands"
            )
    if len({numbers[name] for name in BANDS}) < len(BANDS):
        raise SceneError(f"{files.path}: blue, green, red and nir must be four different bands; correct --bands")
    return tuple(numbers[name] for name in BANDS)


def _count(dataset: Any) -> str:
    return "1 band" if dataset.count == 1 else f"{dataset.count} bands"


def _advice(count: int) -> str:
    """Advice, for an error message, if the bands of an image with `count` bands are not known."""
    if count < len(BANDS):
        return "give an image with blue, green, red and near infrared, or the folder of a Sentinel-2 or Landsat scene"
    known = BAND_NUMBERS.get(count)
    example = ",".join(f"{name}={number}" for name, number in (known or BAND_NUMBERS[4]).items())
    return f"say which they are with --bands {example}" + (" (of PlanetScope's 8 bands)" if count == 8 else "")


def _open_mask(file: MaskFile, image: Any, classes: tuple[str, ...]) -> OpenMask | None:
    """Open the mask on the pixel grid of its image; None if its name was derived by rule and it does not exist."""
    try:
        dataset = open_raster(file.path)
    except SceneError as error:
        if not file.certain and any(sign in str(error) for sign in _ABSENT):
            return None
        raise
    with ExitStack() as stack:
        stack.callback(dataset.close)
        if dataset.count != file.kind.count:
            raise SceneError(
                f"{file.path}: has {_count(dataset)} where a {file.kind.name} has {file.kind.count}; "
                "fetch it again or remove it"
            )
        fitted = finer(file.path, dataset, image)
        if fitted is dataset:
            stack.pop_all()
        return OpenMask(file.path, fitted, file.kind, classes)
