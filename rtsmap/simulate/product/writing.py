"""Writing a simulated scene as a PlanetScope product, tile by tile."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from rtsmap.errors import OutputError
from rtsmap.files.outputs import check_outputs
from rtsmap.files.writing import replacing_together
from rtsmap.layer import plain_errors
from rtsmap.simulate.acquisition import Acquisition
from rtsmap.simulate.image.renderer import TILE_PX, RenderedTile
from rtsmap.simulate.product import metadata, truth
from rtsmap.simulate.scene import SimulatedScene

#: The classes of the UDM2 as the metadata name them, and the indices of their bands.
_CLASSES = {"clear": 0, "snow": 1, "shadow": 2, "light_haze": 3, "cloud": 5}
#: Weights that give coastal blue, blue, green i, green, yellow, red, red edge and nir from blue, green, red and nir.
#: The four bands that are not rendered are mixed: coastal blue is a little below blue, green i and yellow are between
#: their neighbours, and red edge is a third of the way from red to nir, where the reflectance of plants rises.
_EIGHT = np.array(
    [
        [0.9, 0, 0, 0], [1, 0, 0, 0], [0.35, 0.65, 0, 0], [0, 1, 0, 0],
        [0, 0.45, 0.55, 0], [0, 0, 1, 0], [0, 0, 0.65, 0.35], [0, 0, 0, 1],
    ],
    dtype=np.float32,
)  # fmt: skip


@dataclass(frozen=True)
class Written:
    """A product that was written.

    Attributes:
        image: the path of the surface reflectance.
        truth: the path of the GeoPackage with the truth.
        n_slumps: the number of slumps in the truth.
        clear_fraction: the share of the valid pixels that the UDM2 flags as clear, 0..1.
    """

    image: Path
    truth: Path
    n_slumps: int
    clear_fraction: float


def paths(folder: Path, acquisition: Acquisition, bands: int) -> dict[str, Path]:
    """Return the files of a product by their content. The image is last: if it exists, the others exist as well."""
    item, eight = acquisition.item_id, "_8b" if bands == 8 else ""
    return {
        "udm2": folder / f"{item}_3B_udm2.tif",
        "json": folder / f"{item}_metadata.json",
        "xml": folder / f"{item}_3B_AnalyticMS{eight}_metadata.xml",
        "truth": folder / f"{item}_truth.gpkg",
        "image": folder / f"{item}_3B_AnalyticMS_SR{eight}.tif",
    }


def write_product(
    scene: SimulatedScene,
    folder: Path,
    *,
    overwrite: bool = False,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write image, UDM2, metadata and truth: either all of them completely, or none.

    Args:
        scene: the scene.
        folder: the folder of the files, which is created if it is missing.
        overwrite: whether to replace existing files.
        workers: the number of rendering threads; the files do not depend on it.
        progress: called with the number of finished tiles and the total number of tiles.

    Raises:
        InputError: a file exists, or the folder cannot be written.
        OutputError: the disk is full.
    """
    files = paths(folder, scene.acquisition, scene.options.bands)
    check_outputs(*files.values(), overwrite=overwrite)
    with plain_errors(folder), replacing_together(list(files.values()), overwrite=overwrite) as temporary:
        return write_files(scene, files, dict(zip(files, temporary, strict=True)), workers, progress)


def write_files(
    scene: SimulatedScene,
    files: Mapping[str, Path],
    temporary: Mapping[str, Path],
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write the files of a product under temporary names.

    Args:
        scene: the scene.
        files: the final paths, see `paths`.
        temporary: the temporary paths by the same keys.
        workers: see `write_product`.
        progress: see `write_product`.

    Raises:
        OutputError: the disk is full.
    """
    try:
        counts = _write_rasters(scene, temporary["image"], temporary["udm2"], workers, progress)
    except rasterio.errors.RasterioError as error:
        raise OutputError(f"{files['image']}: cannot be written ({error.__cause__ or error})") from error
    shares = {name: float(counts[band] / max(counts[-1], 1)) for name, band in _CLASSES.items()}
    metadata.write_json(temporary["json"], scene.acquisition, shares)
    metadata.write_xml(temporary["xml"], scene.acquisition, scene.options.bands, shares)
    n_slumps = truth.write_truth(temporary["truth"], scene)
    return Written(files["image"], files["truth"], n_slumps, shares["clear"])


def _write_rasters(
    scene: SimulatedScene, image: Path, udm2: Path, workers: int, progress: Callable[[int, int], None] | None
) -> NDArray[np.int64]:
    """Write image and mask, and return the number of pixels of each UDM2 class and, as the last, of valid pixels."""
    counts = np.zeros(7, dtype=np.int64)
    origins = _tile_origins(scene)
    with ExitStack() as stack:
        picture = stack.enter_context(_create(image, scene, scene.options.bands, "uint16"))
        mask = stack.enter_context(_create(udm2, scene, 8, "uint8"))
        for done, ((row, column), tile) in enumerate(_rendered(scene, origins, workers), start=1):
            height, width = min(TILE_PX, picture.height - row), min(TILE_PX, picture.width - column)
            window = Window(column, row, width, height)
            numbers, classes = tile.numbers[:, :height, :width], tile.udm2[:, :height, :width]
            # Blocks that are never written become 0 when the file is closed, which takes much less time.
            if numbers.any():
                picture.write(numbers if scene.options.bands == 4 else eight_bands(numbers), window=window)
            filled = np.flatnonzero(classes.any(axis=(1, 2)))
            mask.write(classes[filled], list(filled + 1), window=window)
            counts[:6] += np.count_nonzero(classes[:6], axis=(1, 2))
            counts[6] += np.count_nonzero(numbers[0])
            if progress is not None:
                progress(done, len(origins))
    return counts


def _tile_origins(scene: SimulatedScene) -> list[tuple[int, int]]:
    grid = scene.acquisition.grid
    return [(row, column) for row in range(0, grid.height, TILE_PX) for column in range(0, grid.width, TILE_PX)]


def _rendered(
    scene: SimulatedScene, origins: list[tuple[int, int]], workers: int
) -> Iterator[tuple[tuple[int, int], RenderedTile]]:
    """Yield the tiles in order, while a few more are rendered in advance."""
    with ThreadPoolExecutor(workers) as pool:
        pending: list[Future[RenderedTile]] = []
        for index, origin in enumerate(origins):
            while len(pending) + index < len(origins) and len(pending) < 2 * workers:
                pending.append(pool.submit(scene.renderer.tile, *origins[index + len(pending)]))
            yield origin, pending.pop(0).result()


def _create(path: Path, scene: SimulatedScene, count: int, dtype: str) -> Any:
    grid = scene.acquisition.grid
    return rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=count,
        dtype=dtype,
        width=grid.width,
        height=grid.height,
        crs=grid.crs.to_wkt(),
        transform=grid.transform,
        nodata=0 if dtype == "uint16" else None,
        tiled=True,
        blockxsize=256,
        blockysize=256,
        compress="deflate",
        zlevel=1,
        predictor=2,
        interleave="pixel" if dtype == "uint16" else "band",
        bigtiff="if_safer",
        photometric="minisblack",
    )


def eight_bands(numbers: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return the eight bands of a SuperDove, mixed from the four rendered bands.

    Args:
        numbers: digital numbers `(4, rows, columns)`, 0 where there are none.

    Returns:
        Digital numbers `(8, rows, columns)`; 0 stays 0.
    """
    mixed = np.einsum("ab,brc->arc", _EIGHT, numbers.astype(np.float32)) + 0.5
    whole: NDArray[np.uint16] = np.maximum(mixed, numbers[0] > 0).astype(np.uint16)
    return whole
