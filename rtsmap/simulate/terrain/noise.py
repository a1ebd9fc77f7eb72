"""Random fields that are a function of place alone: periodic tiles made by spectral synthesis, read by slices.

A tile of a few megabytes stands for an endless field, so that any window of a scene, read in any order by any number of
threads, shows the same ground.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtsmap.records import FloatArray

Spectrum = Callable[[NDArray[np.float64]], NDArray[np.float64]]
_RUN = 64  # positions that are read at once: few enough for narrow matrices, many enough for a fast product


@dataclass(frozen=True)
class Tile:
    """Unit fields, `(fields, size, size)`, on the lattice of points `spacing_m` times whole numbers.

    Rows count southward from the origin of the CRS, columns eastward.
    """

    values: FloatArray
    spacing_m: float

    def read(self, row: int, column: int, height: int, width: int) -> FloatArray:
        """A window of the endless lattice, `(fields, height, width)`."""
        window = np.empty((len(self.values), height, width), dtype=np.float32)
        # Slices between the period's edges: several times as fast as an index of every point.
        for rows, from_row in _pieces(row, height, self.values.shape[-1]):
            for columns, from_column in _pieces(column, width, self.values.shape[-1]):
                window[:, rows, columns] = self.values[:, from_row, from_column]
        return window


def _pieces(start: int, length: int, period: int) -> Iterator[tuple[slice, slice]]:
    """Parts of a window along one side, and where in the period each of them is read."""
    done = 0
    while done < length:
        first = (start + done) % period
        count = min(length - done, period - first)
        yield slice(done, done + count), slice(first, first + count)
        done += count


def make_tile(
    rng: np.random.Generator, spectrum: Spectrum, *, fields: int, size: int, spacing_m: float, unit: bool = True
) -> Tile:
    """Gaussian fields with a given power spectrum.

    Args:
        rng: of the white noise that is shaped.
        spectrum: power by wave number (radians per m, the isotropic two-dimensional density).
        fields: independent ones.
        size: of the period, lattice points.
        spacing_m: of the lattice.
        unit: scale to a standard deviation of 1; without, the spectrum's own, as where two tiles share one spectrum.
    """
    frequency = 2 * np.pi * np.fft.fftfreq(size, spacing_m)
    wave = np.hypot(frequency[:, None], frequency[None, : size // 2 + 1])
    power = spectrum(wave)
    power[0, 0] = 0
    # Sum over the lattice of wave numbers: density times the area of one cell.
    amplitude = np.sqrt(power) * (2 * np.pi / (size * spacing_m)) * size
    values = np.empty((fields, size, size), dtype=np.float32)
    for index in range(fields):
        white = np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
        field = np.fft.irfft2(white * amplitude, s=(size, size))
        values[index] = field / field.std() if unit else field
    return Tile(values, spacing_m)


def exponential_sum(scales: Sequence[tuple[float, float]]) -> Spectrum:
    """Spectrum of the correlation `sum of w exp(-d / L)`, `scales` being pairs of L (m) and w.

    The two-dimensional transform of an exponential: `w L^2 / (2 pi (1 + (k L)^2)^1.5)`.
    """

    def power(wave: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros_like(wave)
        for length, weight in scales:
            total += weight * length**2 / (2 * np.pi * (1 + (wave * length) ** 2) ** 1.5)
        return total

    return power


def above(spectrum: Spectrum, wavelength_m: float) -> Spectrum:
    """The waves longer than a wavelength; `below` takes the others."""
    return lambda wave: spectrum(wave) * _long(wave, wavelength_m)


def below(spectrum: Spectrum, wavelength_m: float) -> Spectrum:
    """The waves shorter than a wavelength."""
    return lambda wave: spectrum(wave) * (1 - _long(wave, wavelength_m))


def _long(wave: NDArray[np.float64], wavelength_m: float) -> NDArray[np.float64]:
    """1 for waves well above the wavelength, 0 well below."""
    share: NDArray[np.float64] = 1 / (1 + (wave * wavelength_m / (2 * np.pi)) ** 8)
    return share


def bell(length_m: float) -> Spectrum:
    """Rounded blobs: a Gaussian correlation of this length."""
    return lambda wave: np.exp(-((wave * length_m) ** 2) / 2)


def fractal(slope: float, longest_m: float) -> Spectrum:
    """A power law, density `k^-slope`, level for waves beyond the longest."""
    return lambda wave: (wave**2 + (2 * np.pi / longest_m) ** 2) ** (-slope / 2)


def spline_weights(positions: NDArray[Any], count: int) -> FloatArray:
    """Weights that read a lattice between its points, by cubic B-splines (smooth to the second derivative).

    Args:
        positions: `(n,)` in lattice steps from the first point; between 1 and count - 2.
        count: of lattice points.

    Returns:
        `(n, count)`, so that `weights @ field @ weights.T` reads a field at the positions.
    """
    base = np.floor(positions).astype(np.int64)
    t = positions - base
    basis = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.zeros((len(positions), count), dtype=np.float32)
    for step, part in enumerate(basis):
        weights[np.arange(len(positions)), base + step - 1] = part / 6
    return weights


def between(down: FloatArray, fields: FloatArray, across: FloatArray) -> FloatArray:
    """Fields `(..., rows, columns)` read between their points, by the weights of rows and of columns."""
    *leading, rows, _ = fields.shape
    wide = np.empty((*leading, rows, len(across)), dtype=np.float32)
    for places, points in _runs(across):
        np.matmul(fields[..., points], across[places, points].T, out=wide[..., places])
    read = np.empty((*leading, len(down), len(across)), dtype=np.float32)
    for places, points in _runs(down):
        np.matmul(down[places, points], wide[..., points, :], out=read[..., places, :])
    return read


def _runs(weights: FloatArray) -> Iterator[tuple[slice, slice]]:
    """Runs of positions and the few lattice points that have a weight in them: nearly all weights are 0."""
    for start in range(0, len(weights), _RUN):
        places = slice(start, start + _RUN)
        near = np.flatnonzero(weights[places].any(axis=0))
        yield places, slice(near[0], near[-1] + 1)


def blend(bands: FloatArray, colour: FloatArray | Sequence[FloatArray], cover: FloatArray) -> None:
    """Cover bands `(bands, rows, columns)` with a colour, in place; a colour is a number or an array for each band."""
    for index, value in enumerate(colour):
        bands[index] += (value - bands[index]) * cover


def smoothstep(values: FloatArray, low: float, high: float) -> FloatArray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    result: FloatArray = (t * t * (3 - 2 * t)).astype(np.float32, copy=False)
    return result
