"""How slumps and their surroundings look from region to region."""

from collections.abc import Mapping
from dataclasses import dataclass

from rtsmap.errors import InputError

Spectrum = tuple[float, float, float, float]


@dataclass(frozen=True)
class Region:
    """Appearance and land forms of a region. Spectra are surface reflectance, blue, green, red, nir.

    Attributes:
        lon, lat: of a place in it (degrees), where a scene lies unless told otherwise.
        log_area: mean and standard deviation of ln(area in m2) of its slumps, measured.
        tundra: median of vegetated ground away from slumps.
        lush: of the greenest ground, along streams and in old scars.
        scar: of bare ground deep inside a slump (40 m and more from its edge).
        relief_m: standard deviation of the height of hills.
        bank_m: height of the steeper shores.
        lakes: share of the ground under lakes.
        lake_m: size of lakes, as the correlation length of the field that makes them.
        turbid: how bright its lakes are, 0 (brown, clear) .. 1 (full of silt).
        bare: share of the ground that is bare without being a slump (hilltops, blow-outs, bars).
        snow: late snow patches for each km2, in the middle of July.
        roads: tracks for each 10 km of the frame's side.
        rough: factor of the texture finer than 34 m, fitted to the NDVI's autocorrelation where measured.
        active: how much of its slumps is bare: 1 as in most regions, more where fewer plants are back. Fitted to the
            NDVI inside outlines.
        measured: tundra and scar come from Sentinel-2 scenes of the region; otherwise from the regions most like it.
    """

    lon: float
    lat: float
    log_area: tuple[float, float]
    tundra: Spectrum
    lush: Spectrum
    scar: Spectrum
    relief_m: float
    bank_m: float
    lakes: float
    lake_m: float
    turbid: float
    bare: float
    snow: float
    roads: float
    rough: float
    active: float
    measured: bool


#: Sites of the labels. Where `measured`, tundra is the median beyond 200 m of any label and scar the barest tenth of
#: the labelled pixels of the site's Sentinel-2 scenes; the land forms are set by eye from the same scenes.
REGIONS: Mapping[str, Region] = {
    "banks-island": Region(
        -119.5, 72.8, (10.02, 1.28), (0.046, 0.069, 0.083, 0.225), (0.045, 0.073, 0.077, 0.275),
        (0.078, 0.102, 0.119, 0.150), 15, 18, 0.08, 420, 0.45, 0.012, 0.10, 0, 2.0, 1.0, False,
    ),
    "taimyr": Region(
        74.4, 72.6, (8.08, 0.91), (0.030, 0.060, 0.069, 0.286), (0.029, 0.063, 0.066, 0.330),
        (0.043, 0.059, 0.066, 0.098), 16, 10, 0.03, 300, 0.25, 0.006, 0.06, 0, 2.0, 1.0, True,
    ),
    "chukotka": Region(
        -178.9, 67.4, (8.35, 1.28), (0.044, 0.073, 0.076, 0.304), (0.044, 0.077, 0.072, 0.350),
        (0.083, 0.105, 0.110, 0.146), 14, 10, 0.10, 380, 0.40, 0.008, 0.25, 0, 3.0, 1.5, True,
    ),
    "lena": Region(
        124.5, 72.0, (9.37, 1.15), (0.034, 0.055, 0.040, 0.218), (0.034, 0.059, 0.037, 0.268),
        (0.074, 0.091, 0.089, 0.146), 18, 14, 0.12, 520, 0.15, 0.008, 0.05, 0, 3.0, 2.0, True,
    ),
    "tuktoyaktuk": Region(
        -133.0, 69.1, (7.62, 1.05), (0.032, 0.056, 0.054, 0.250), (0.032, 0.060, 0.051, 0.300),
        (0.070, 0.091, 0.098, 0.145), 10, 9, 0.22, 520, 0.20, 0.006, 0.03, 0.3, 2.0, 1.0, False,
    ),
    "herschel": Region(
        -139.1, 69.6, (8.61, 1.05), (0.034, 0.060, 0.058, 0.270), (0.034, 0.064, 0.054, 0.320),
        (0.076, 0.095, 0.104, 0.150), 24, 18, 0.03, 300, 0.35, 0.008, 0.08, 0, 2.0, 1.0, False,
    ),
    "west-siberia": Region(
        69.3, 70.2, (7.62, 0.96), (0.024, 0.042, 0.064, 0.208), (0.025, 0.046, 0.063, 0.262),
        (0.029, 0.047, 0.067, 0.176), 9, 9, 0.14, 420, 0.60, 0.010, 0.08, 1.0, 2.2, 1.0, True,
    ),
}  # fmt: skip


def region_named(name: str) -> Region:
    """The region of that name.

    Raises:
        InputError: there is none.
    """
    if name not in REGIONS:
        raise InputError(f"--region {name}: is no region of the simulation; choose from {', '.join(REGIONS)}")
    return REGIONS[name]
