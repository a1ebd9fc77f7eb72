"""The regions of the simulation: the appearance of slumps and their surroundings, and the landforms."""

from collections.abc import Mapping
from dataclasses import dataclass

from rtsmap.errors import InputError

Spectrum = tuple[float, float, float, float]


@dataclass(frozen=True)
class Region:
    """Appearance and landforms of a region. Spectra are surface reflectance in blue, green, red and near infrared.

    Attributes:
        lon, lat: a location in the region (degrees), the default centre of a scene.
        log_area: the measured mean and standard deviation of ln(area in m2) of the slumps.
        tundra: the median spectrum of vegetated ground away from slumps.
        dense_vegetation: the spectrum of the greenest ground, along streams and in old scars.
        scar: the spectrum of bare ground deep inside a slump (40 m and more from its edge).
        relief_m: the standard deviation of the height of hills, m.
        bank_m: the height of the steeper shores, m.
        lakes: the share of the ground under lakes, 0..1.
        lake_m: the size of lakes as the correlation length of the field that makes them, m.
        turbidity: the brightness of lakes, 0 (brown or clear) .. 1 (silty).
        bare: the share of bare ground that is not a slump (hilltops, blow-outs, bars), 0..1.
        snow: the number of late snow patches per km2 in mid-July.
        roads: the number of tracks per 10 km of the longer side of the footprint's bounds.
        texture_scale: a factor of the texture finer than 34 m, fitted to the autocorrelation of the NDVI where that was
            measured.
        active: a factor of the bareness of slumps: 1 in most regions, more where less vegetation has returned. It is
            fitted to the NDVI inside outlines.
        wetness: how much of the ground is wet and dark in all bands: hardly any below 0, broad fringes of lakes at 1
            and more. It is fitted to the correlation of the infrared with the visible bands.
        measured: whether tundra and scar come from Sentinel-2 scenes of the region; otherwise they come from the most
            similar regions.
        deviation: the standard deviation of the texture of tundra, by band. Together with marsh, hills and bare ground
            it gives the measured one.
        pairs: the correlations of the texture of tundra between the bands BG, BR, GR, BN, GN, RN.
        bare_m: the depth inside a slump (m) at which the bareness is within 1/e of its maximum, from the profile of the
            NDVI across outlines.
    """

    lon: float
    lat: float
    log_area: tuple[float, float]
    tundra: Spectrum
    dense_vegetation: Spectrum
    scar: Spectrum
    relief_m: float
    bank_m: float
    lakes: float
    lake_m: float
    turbidity: float
    bare: float
    snow: float
    roads: float
    texture_scale: float
    active: float
    wetness: float
    measured: bool
    deviation: Spectrum = (0.006, 0.007, 0.009, 0.027)
    pairs: tuple[float, float, float, float, float, float] = (0.74, 0.82, 0.84, -0.08, 0.42, 0.14)
    bare_m: float = 20.0


#: The regions are sites of the labels. Where `measured`, tundra is the median of the site's Sentinel-2 scenes at more
#: than 200 m from any label, scar lies between the barest twentieth and the barest quarter of the labelled pixels,
#: dense vegetation is fitted to the spread of the NDVI of tundra, and landforms are set by eye from the same scenes.
REGIONS: Mapping[str, Region] = {
    "banks-island": Region(
        -119.5, 72.8, (10.02, 1.28), (0.046, 0.069, 0.083, 0.225), (0.045, 0.073, 0.077, 0.275),
        (0.078, 0.102, 0.119, 0.150), 15, 18, 0.08, 420, 0.45, 0.012, 0.10, 0, 2.0, 1.0, 0.0, False,
    ),
    "taimyr": Region(
        74.4, 72.6, (8.08, 0.91), (0.030, 0.060, 0.069, 0.286), (0.029, 0.062, 0.067, 0.312),
        (0.050, 0.064, 0.072, 0.088), 16, 10, 0.03, 300, 0.70, 0.006, 0.06, 0, 2.0, 2.5, -0.9, True,
    ),
    "chukotka": Region(
        -178.9, 67.4, (8.35, 1.28), (0.044, 0.073, 0.076, 0.304), (0.044, 0.075, 0.074, 0.318),
        (0.090, 0.112, 0.119, 0.140), 14, 10, 0.10, 380, 0.40, 0.008, 0.25, 0, 2.2, 1.6, 0.3, True,
        (0.008, 0.009, 0.016, 0.034), (0.87, 0.77, 0.82, 0.36, 0.60, 0.42),
    ),
    "lena": Region(
        124.5, 72.0, (9.37, 1.15), (0.034, 0.055, 0.040, 0.218), (0.034, 0.056, 0.039, 0.234),
        (0.078, 0.092, 0.094, 0.148), 18, 14, 0.12, 520, 0.20, 0.008, 0.05, 0, 2.8, 1.7, -0.5, True,
        (0.008, 0.010, 0.011, 0.020), (0.93, 0.91, 0.90, 0.68, 0.78, 0.70),
    ),
    "tuktoyaktuk": Region(
        -133.0, 69.1, (7.62, 1.05), (0.032, 0.056, 0.054, 0.250), (0.032, 0.060, 0.051, 0.300),
        (0.070, 0.091, 0.098, 0.145), 10, 9, 0.22, 520, 0.20, 0.006, 0.03, 0.3, 2.0, 1.0, 0.8, False,
    ),
    "herschel": Region(
        -139.1, 69.6, (8.61, 1.05), (0.034, 0.060, 0.058, 0.270), (0.034, 0.064, 0.054, 0.320),
        (0.076, 0.095, 0.104, 0.150), 24, 18, 0.03, 300, 0.35, 0.008, 0.08, 0, 2.0, 1.0, 0.0, False,
    ),
    "west-siberia": Region(
        69.3, 70.2, (7.62, 0.96), (0.0245, 0.043, 0.066, 0.215), (0.0255, 0.045, 0.065, 0.248),
        (0.032, 0.050, 0.068, 0.145), 9, 9, 0.14, 420, 0.75, 0.010, 0.08, 1.0, 3.0, 0.6, 0.1, True,
        (0.007, 0.0085, 0.013, 0.036), (0.83, 0.78, 0.84, 0.52, 0.70, 0.70),
    ),
}  # fmt: skip


def region_named(name: str) -> Region:
    """Return the region of that name.

    Raises:
        InputError: there is no region of that name.
    """
    if name not in REGIONS:
        raise InputError(f"--region {name}: there is no region of that name; choose one of {', '.join(REGIONS)}")
    return REGIONS[name]
