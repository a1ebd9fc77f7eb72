"""Differences between the scenes of a series apart from the slumps: phenology, sensor, snow and moving bars."""

from dataclasses import replace
from datetime import date

import numpy as np
import shapely
from shapely import STRtree, affinity

from rtsmap.geometry import largest_polygon
from rtsmap.simulate.acquisition import Acquisition
from rtsmap.simulate.image.patches import MARGIN_M
from rtsmap.simulate.scene import late_snow
from rtsmap.simulate.series.year import State
from rtsmap.simulate.slumps.features import Feature, Scenery, in_order
from rtsmap.simulate.terrain.regions import Region, Spectrum

#: The day of the year when tundra is greenest, at the end of July, and the share of its green that is missing a month
#: before and after. These and the following numbers are chosen, not measured.
_GREENEST, _MISSING = 208, 0.06
_GREEN_DEVIATION = 0.02  # from year to year
_GAIN_DEVIATION = 0.02  # of the calibration, for each band
_BARS_MOVE_M = 2.5
_LEAST_M2 = 60.0


def with_phenology(rng: np.random.Generator, region: Region, day: date) -> Region:
    """Return the region with the vegetation of a day: greenest at the end of July, and varying between years."""
    days = (day.timetuple().tm_yday - _GREENEST) / 30
    dry = _MISSING * days**2 + rng.normal(0, _GREEN_DEVIATION)
    return replace(
        region,
        tundra=_towards(region.tundra, region.scar, dry),
        dense_vegetation=_towards(region.dense_vegetation, region.scar, dry),
    )


def _towards(first: Spectrum, second: Spectrum, share: float) -> Spectrum:
    blue, green, red, nir = (a + share * (b - a) for a, b in zip(first, second, strict=True))
    return blue, green, red, nir


def band_gains(rng: np.random.Generator) -> list[float]:
    """Draw the gain error of each band of a satellite."""
    return [float(gain) for gain in np.exp(rng.normal(0, _GAIN_DEVIATION, 4))]


def scenery_of(
    rng: np.random.Generator, base: Scenery, state: State, acquisition: Acquisition, most_snow: float
) -> Scenery:
    """Return the scenery of one year.

    Args:
        rng: the random numbers of that year.
        base: the scenery of the first year. Streams, tracks and look-alikes stay, bars move a little, and the amount of
            snow depends on the day.
        state: the slumps, and the scars that they left.
        acquisition: the footprint and the day.
        most_snow: `late_snow` of the base.
    """
    others = [feature for feature in base.features if feature.kind != "slump"]
    snow = sorted((f for f in others if f.kind == "snow"), key=lambda feature: -feature.outline.area)
    melted = snow[round(len(snow) * min(late_snow(acquisition) / most_snow, 1)) :]
    lying = [_drifted(rng, feature) for feature in others if not any(feature is gone for gone in melted)]
    features = [*_clear_of([*lying, *state.scars], state.slumps), *state.slumps]
    near = STRtree([feature.outline for feature in features]).query(
        acquisition.footprint.buffer(MARGIN_M), "intersects"
    )
    return Scenery(in_order([features[index] for index in np.sort(near)]), base.streams, base.roads)


def _drifted(rng: np.random.Generator, feature: Feature) -> Feature:
    if feature.kind != "bar":
        return feature
    return replace(feature, outline=affinity.translate(feature.outline, *rng.normal(0, _BARS_MOVE_M, 2)))


def _clear_of(others: list[Feature], slumps: tuple[Feature, ...]) -> list[Feature]:
    """Remove the ground of slumps from look-alikes."""
    tree = STRtree([slump.outline for slump in slumps])
    left = []
    for feature in others:
        near = tree.query(feature.outline, "intersects")
        if not len(near) or feature.kind == "snow":
            left.append(feature)
            continue
        rest = largest_polygon(feature.outline.difference(shapely.union_all(tree.geometries[near])))
        if rest.area > _LEAST_M2:
            left.append(replace(feature, outline=rest))
    return left
