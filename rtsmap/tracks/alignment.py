"""By how much the images of later epochs lie beside those of the first one."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from scipy import fft

from rtsmap import bands
from rtsmap.errors import InputError
from rtsmap.records import Window
from rtsmap.scene import Scene, open_scene
from rtsmap.tracks.dates import acquired
from rtsmap.tracks.outlines import Floats
from rtsmap.tracks.reading import PLANE

_WINDOW = 256  # px
_WINDOWS = 5  # along each side of the scene
_LEAST = 3  # windows that must agree
_VALID = 0.8  # of a window
_LOWEST = 0.3  # cycles per pixel; beyond, images are noise
_CLEAR_PEAK = 10.0  # standard deviations of the correlation
_NIR = bands.BANDS.index("nir")


@dataclass(frozen=True)
class Shift:
    """How one scene lies beside the reference.

    Attributes:
        scene: its path.
        year: its epoch.
        bounds: of the scene in `reading.PLANE`.
        east_m: displacement in the scene's CRS, m.
        north_m: likewise.
        spread_m: median distance of the windows' displacements from it, m.
        windows: that were compared.
        in_plane: the displacement in `reading.PLANE`, m.
    """

    scene: str
    year: int
    bounds: tuple[float, float, float, float]
    east_m: float
    north_m: float
    spread_m: float
    windows: int
    in_plane: tuple[float, float]


def scene_shifts(paths: Sequence[Path]) -> list[Shift]:
    """The displacement of every scene from the earliest one, by phase correlation of the near infrared.

    Args:
        paths: scenes of one place, in any order, on one CRS and pixel size.

    Raises:
        InputError: a scene has no date, lies on another CRS or pixel size, or shows too little of the same ground.
    """
    with ExitStack() as stack:
        scenes = [stack.enter_context(open_scene(str(path))) for path in paths]
        scenes.sort(key=lambda scene: (acquired(scene), scene.info.path))
        return [_shift(scenes[0], scene) for scene in scenes[1:]]


def displacement(reference: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float, float]:
    """Rows and columns by which the content of one image lies beside that of another, and how clear that is.

    Phase correlation (Kuglin and Hines 1975) of frequencies below 0.3 cycles per pixel, with a parabola through the
    peak and its neighbours. Frequencies count by the square root of their amplitude: all alike, as in the original,
    those that hold only noise double the error.

    Args:
        reference: `(n, n)`.
        other: as large.

    Returns:
        Rows, columns, and the height of the peak in standard deviations of the correlation.
    """
    size = len(reference)
    taper = np.outer(np.hanning(size), np.hanning(size))
    spectra = [fft.fft2((image - image.mean()) * taper) for image in (other, reference)]
    cross = spectra[0] * np.conj(spectra[1])
    frequency = np.hypot(*np.meshgrid(fft.fftfreq(size), fft.fftfreq(size)))
    cross = np.where(frequency < _LOWEST, cross / np.sqrt(np.maximum(np.abs(cross), 1e-12)), 0)
    correlation = fft.ifft2(cross).real
    peak = np.unravel_index(int(correlation.argmax()), correlation.shape)
    row, column = (
        at + _summit(np.take(line, [at - 1, at, at + 1], mode="wrap"))
        for at, line in ((int(peak[0]), correlation[:, peak[1]]), (int(peak[1]), correlation[peak[0]]))
    )
    half = size / 2
    clearness = float(correlation[peak] / correlation.std())
    return (row + half) % size - half, (column + half) % size - half, clearness


def _shift(reference: Scene, scene: Scene) -> Shift:
    path, grid, own = scene.info.path, scene.grid, reference.grid
    sizes = (grid.transform.a / own.transform.a, grid.transform.e / own.transform.e)
    if grid.crs != own.crs or not np.allclose(sizes, 1, atol=1e-3):
        raise InputError(f"{path}: has another CRS or pixel size than {reference.info.path}; warp it to the same")
    found = [one for window in _windows(reference) if (one := _compare(reference, scene, window)) is not None]
    if len(found) < _LEAST:
        raise InputError(
            f"{path}: shows too little of the ground of {reference.info.path} to be compared with it; "
            "leave it out, or do without --align"
        )
    east, north = (float(np.median([one[axis] for one in found])) for axis in (0, 1))
    spread = float(np.median(np.hypot(*(np.array(found) - (east, north)).T)))
    right, bottom = grid.transform @ (grid.width, grid.height)
    to_plane = Transformer.from_crs(grid.crs, PLANE, always_xy=True)
    bounds = to_plane.transform_bounds(grid.transform.c, bottom, right, grid.transform.f)
    x, y = (grid.transform.c + right) / 2, (grid.transform.f + bottom) / 2
    ends = np.array(to_plane.transform([x, x + east], [y, y + north]))
    across, up = (ends[:, 1] - ends[:, 0]).tolist()
    return Shift(path, acquired(scene).year, bounds, east, north, spread, len(found), (across, up))


def _windows(scene: Scene) -> list[Window]:
    """Windows all over a scene; fewer in a small one."""
    starts = [
        sorted({round(share * (side - _WINDOW)) for share in np.linspace(0.02, 0.98, _WINDOWS)})
        for side in (scene.grid.height, scene.grid.width)
    ]
    return [Window(row, column, _WINDOW, _WINDOW) for row, column in product(*starts)]


def _compare(reference: Scene, scene: Scene, window: Window) -> tuple[float, float] | None:
    """East and north, m, or None where a window tells nothing."""
    own, other = reference.grid.transform, scene.grid.transform
    x, y = own @ (window.column, window.row)
    column, row = round((x - other.c) / other.a), round((y - other.f) / other.e)
    images = []
    for source, place in ((reference, window), (scene, Window(row, column, _WINDOW, _WINDOW))):
        pixels = source.read(place)
        usable = pixels.valid & pixels.clear
        if usable.mean() < _VALID:
            return None
        nir = pixels.reflectance[_NIR].astype(np.float64)
        images.append(np.where(usable, nir, nir[usable].mean()))
    down, across, clearness = displacement(*images)
    if clearness < _CLEAR_PEAK:
        return None
    x_other, y_other = other @ (column, row)
    return float(x_other - x + across * other.a), float(y_other - y + down * other.e)


def _summit(values: Floats) -> float:
    """Where the parabola through three values is highest, from the middle one."""
    low, middle, high = values
    bend = low - 2 * middle + high
    return float(np.clip((low - high) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0
