"""The displacement of the scenes of later epochs from the first scene, by phase correlation."""

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
_WINDOWS = 5  # along each side of a scene
_MIN_WINDOWS = 3  # windows with a clear displacement that a scene must have
_MIN_VALID = 0.8  # share of valid and clear pixels in a window
_MAX_FREQUENCY = 0.3  # cycles per pixel; images hold mostly noise above it
_MIN_PEAK = 10.0  # standard deviations of the correlation
_NIR = bands.BANDS.index("nir")


@dataclass(frozen=True)
class Shift:
    """The displacement of one scene from the reference scene.

    Attributes:
        scene: path of the scene.
        year: epoch of the scene.
        bounds: bounds of the scene (west, south, east, north) in `reading.PLANE`, m.
        east_m: displacement to the east in the CRS of the scene, m.
        north_m: displacement to the north in the CRS of the scene, m.
        spread_m: median distance between the displacements of the windows and that of the scene, m.
        windows: number of windows that were compared.
        in_plane: displacement (x, y) in `reading.PLANE`, m.
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
        paths: scenes of the same area in any order; they must share a CRS and a pixel size.

    Raises:
        InputError: a scene has no date, has another CRS or pixel size, or overlaps the earliest scene too little.
    """
    with ExitStack() as stack:
        scenes = [stack.enter_context(open_scene(str(path))) for path in paths]
        scenes.sort(key=lambda scene: (acquired(scene), scene.info.path))
        return [_shift(scenes[0], scene) for scene in scenes[1:]]


def displacement(reference: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float, float]:
    """The displacement of the content of an image from that of a reference image.

    The displacement is found by phase correlation (Kuglin and Hines 1975) of the frequencies below 0.3 cycles per
    pixel; a parabola through the peak and its neighbours gives fractions of a pixel. Every frequency is weighted by the
    square root of its amplitude: with the equal weights of the original method, the frequencies that hold only noise
    double the error.

    Args:
        reference: `(n, n)` image.
        other: `(n, n)` image.

    Returns:
        The displacement in rows and in columns, and the height of the correlation peak in standard deviations of the
        correlation.
    """
    size = len(reference)
    taper = np.outer(np.hanning(size), np.hanning(size))
    spectra = [fft.fft2((image - image.mean()) * taper) for image in (other, reference)]
    cross = spectra[0] * np.conj(spectra[1])
    frequency = np.hypot(*np.meshgrid(fft.fftfreq(size), fft.fftfreq(size)))
    cross = np.where(frequency < _MAX_FREQUENCY, cross / np.sqrt(np.maximum(np.abs(cross), 1e-12)), 0)
    correlation = fft.ifft2(cross).real
    peak = np.unravel_index(int(correlation.argmax()), correlation.shape)
    row, column = (
        at + _parabola_peak(np.take(line, [at - 1, at, at + 1], mode="wrap"))
        for at, line in ((int(peak[0]), correlation[:, peak[1]]), (int(peak[1]), correlation[peak[0]]))
    )
    half = size / 2
    clearness = float(correlation[peak] / correlation.std())
    return (row + half) % size - half, (column + half) % size - half, clearness


def _shift(reference: Scene, scene: Scene) -> Shift:
    path, grid, own = scene.info.path, scene.grid, reference.grid
    sizes = (grid.transform.a / own.transform.a, grid.transform.e / own.transform.e)
    if grid.crs != own.crs or not np.allclose(sizes, 1, atol=1e-3):
        raise InputError(
            f"{path}: its CRS or pixel size differs from that of {reference.info.path}; reproject one of them"
        )
    found = [one for window in _windows(reference) if (one := _compare(reference, scene, window)) is not None]
    if len(found) < _MIN_WINDOWS:
        raise InputError(
            f"{path}: overlaps {reference.info.path} too little to be compared with it; "
            "leave the scene out, or omit --align"
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
    """Windows spread evenly over a scene; a small scene has fewer of them."""
    starts = [
        sorted({round(share * (side - _WINDOW)) for share in np.linspace(0.02, 0.98, _WINDOWS)})
        for side in (scene.grid.height, scene.grid.width)
    ]
    return [Window(row, column, _WINDOW, _WINDOW) for row, column in product(*starts)]


def _compare(reference: Scene, scene: Scene, window: Window) -> tuple[float, float] | None:
    """The displacement to the east and to the north in m; None if the window shows no clear displacement."""
    own, other = reference.grid.transform, scene.grid.transform
    x, y = own @ (window.column, window.row)
    column, row = round((x - other.c) / other.a), round((y - other.f) / other.e)
    images = []
    for source, read_window in ((reference, window), (scene, Window(row, column, _WINDOW, _WINDOW))):
        pixels = source.read(read_window)
        usable = pixels.valid & pixels.clear
        if usable.mean() < _MIN_VALID:
            return None
        nir = pixels.reflectance[_NIR].astype(np.float64)
        images.append(np.where(usable, nir, nir[usable].mean()))
    down, across, clearness = displacement(*images)
    if clearness < _MIN_PEAK:
        return None
    x_other, y_other = other @ (column, row)
    return float(x_other - x + across * other.a), float(y_other - y + down * other.e)


def _parabola_peak(values: Floats) -> float:
    """The position of the maximum of the parabola through three values, relative to the middle one, -0.5..0.5."""
    low, middle, high = values
    bend = low - 2 * middle + high
    return float(np.clip((low - high) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0
