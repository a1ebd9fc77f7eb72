"""Random fields that depend on position only: periodic tiles made by spectral synthesis and read by slices.

A tile of a few megabytes represents an endless field. Any window of a scene therefore shows the same ground, in
whatever order and by however many threads the windows are read.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtsmap.records import FloatArray

Spectrum = Callable[[NDArray[np.float64]], NDArray[np.float64]]
_RUN = 64  # positions interpolated at once: few enough for narrow matrices, many enough for a fast product


@dataclass(frozen=True)
class Tile:
    """Periodic random fields.

    Attributes:
        values: one period of each field, `(fields, size, size)`. Rows count southward from the origin of the CRS, and
            columns eastward.
        spacing_m: the spacing of the points, m; their coordinates are whole multiples of it.
    """

    values: FloatArray
    spacing_m: float

    def read(self, row: int, column: int, height: int, width: int) -> FloatArray:
        """Return a window of the endless fields, `(fields, height, width)`."""
        window = np.empty((len(self.values), height, width), dtype=np.float32)
        # Slices between the edges of the period are several times as fast as an index for every point.
        for rows, from_row in _pieces(row, height, self.values.shape[-1]):
            for columns, from_column in _pieces(column, width, self.values.shape[-1]):
                window[:, rows, columns] = self.values[:, from_row, from_column]
        return window


def _pieces(start: int, length: int, period: int) -> Iterator[tuple[slice, slice]]:
    """Yield the parts of a window along one side, and the part of the period that each of them is read from."""
    done = 0
    while done < length:
        first = (start + done) % period
        count = min(length - done, period - first)
        yield slice(done, done + count), slice(first, first + count)
        done += count


def make_tile(
    rng: np.random.Generator, spectrum: Spectrum, *, fields: int, size: int, spacing_m: float, unit: bool = True
) -> Tile:
    """Make Gaussian random fields with a given power spectrum.

    Args:
        rng: draws the white noise that is filtered.
        spectrum: the power by wave number (radians per m; the isotropic two-dimensional density).
        fields: the number of independent fields.
        size: the length of the period, grid points.
        spacing_m: the spacing of the points, m.
        unit: whether to scale the fields to a standard deviation of 1. Otherwise they keep that of the spectrum, which
            is needed where two tiles share one spectrum.
    """
    frequency = 2 * np.pi * np.fft.fftfreq(size, spacing_m)
    wave = np.hypot(frequency[:, None], frequency[None, : size // 2 + 1])
    power = spectrum(wave)
    power[0, 0] = 0
    # The sum over the grid of wave numbers is the density times the area of one cell.
    amplitude = np.sqrt(power) * (2 * np.pi / (size * spacing_m)) * size
    values = np.empty((fields, size, size), dtype=np.float32)
    for index in range(fields):
        white = np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
        field = np.fft.irfft2(white * amplitude, s=(size, size))
        values[index] = field / field.std() if unit else field
    return Tile(values, spacing_m)


def exponential_sum(scales: Sequence[tuple[float, float]]) -> Spectrum:
    """Return the spectrum of the correlation `sum of w exp(-d / L)`; `scales` holds pairs of L (m) and w.

    The two-dimensional transform of one exponential is `w L^2 / (2 pi (1 + (k L)^2)^1.5)`.
    """

    def power(wave: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros_like(wave)
        for length, weight in scales:
            total += weight * length**2 / (2 * np.pi * (1 + (wave * length) ** 2) ** 1.5)
        return total

    return power


def above(spectrum: Spectrum, wavelength_m: float) -> Spectrum:
    """Return the part of a spectrum with waves longer than a wavelength; `below` returns the rest."""
    return lambda wave: spectrum(wave) * _long(wave, wavelength_m)


def below(spectrum: Spectrum, wavelength_m: float) -> Spectrum:
    """Return the part of a spectrum with waves shorter than a wavelength."""
    return lambda wave: spectrum(wave) * (1 - _long(wave, wavelength_m))


def _long(wave: NDArray[np.float64], wavelength_m: float) -> NDArray[np.float64]:
    """Return a weight: 1 for waves much longer than the wavelength, 0 for much shorter ones."""
    share: NDArray[np.float64] = 1 / (1 + (wave * wavelength_m / (2 * np.pi)) ** 8)
    return share


def bell(length_m: float) -> Spectrum:
    """Return the spectrum of rounded blobs: a Gaussian correlation of this length."""
    return lambda wave: np.exp(-((wave * length_m) ** 2) / 2)


def fractal(slope: float, longest_m: float) -> Spectrum:
    """Return a power law, density `k^-slope`, which is constant for waves longer than `longest_m`."""
    return lambda wave: (wave**2 + (2 * np.pi / longest_m) ** 2) ** (-slope / 2)


def spline_weights(positions: NDArray[Any], count: int) -> FloatArray:
    """Return interpolation weights by cubic B-splines (smooth to the second derivative).

    Args:
        positions: `(n,)` positions in grid steps from the first point, between 1 and count - 2.
        count: the number of grid points.

    Returns:
        `(n, count)`, so that `weights @ field @ weights.T` is the field at the positions.
    """
    base = np.floor(positions).astype(np.int64)
    t = positions - base
    basis = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.zeros((len(positions), count), dtype=np.float32)
    for step, part in enumerate(basis):
        weights[np.arange(len(positions)), base + step - 1] = part / 6
    return weights


def between(down: FloatArray, fields: FloatArray, across: FloatArray) -> FloatArray:
    """Interpolate fields `(..., rows, columns)`, given the weights of rows and of columns."""
    *leading, rows, _ = fields.shape
    wide = np.empty((*leading, rows, len(across)), dtype=np.float32)
    for positions, points in _runs(across):
        np.matmul(fields[..., points], across[positions, points].T, out=wide[..., positions])
    read = np.empty((*leading, len(down), len(across)), dtype=np.float32)
    for positions, points in _runs(down):
        np.matmul(down[positions, points], wide[..., points, :], out=read[..., positions, :])
    return read


def _runs(weights: FloatArray) -> Iterator[tuple[slice, slice]]:
    """Yield runs of positions and the few grid points with a weight for them, because nearly all weights are 0."""
    for start in range(0, len(weights), _RUN):
        positions = slice(start, start + _RUN)
        near = np.flatnonzero(weights[positions].any(axis=0))
        yield positions, slice(near[0], near[-1] + 1)


def blend(bands: FloatArray, colour: FloatArray | Sequence[FloatArray], cover: FloatArray) -> None:
    """Blend bands `(bands, rows, columns)` with a colour, in place; a colour is one number or array for each band."""
    for index, value in enumerate(colour):
        bands[index] += (value - bands[index]) * cover


def smoothstep(values: FloatArray, low: float, high: float) -> FloatArray:
    """Return 0 below `low`, 1 above `high`, and a smooth transition between them."""
    t = np.clip((values - low) / (high - low), 0, 1)
    result: FloatArray = (t * t * (3 - 2 * t)).astype(np.float32, copy=False)
    return result
