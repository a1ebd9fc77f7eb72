"""Stabilisation: which slumps become vegetated, and how their activity falls until nothing is bare."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rtsmap.simulate import statistics
from rtsmap.simulate.series.year import Year
from rtsmap.simulate.slumps.features import Feature

#: The duration of stabilisation in years. It is chosen, because the labels show only its end.
_YEARS = 3
#: The share of all slumps that are stabilising at any time.
SHARE = statistics.LOST * _YEARS
#: The activity at the beginning and at the end of stabilisation.
_FIRST_ACTIVITY, _LAST_ACTIVITY = 0.6, 0.15
#: The exponent of the area in the rate of stabilisation, by which small slumps stabilise more often. As they also
#: shrink meanwhile, the median area of slumps that vanish is 0.35 of that of all slumps, as measured.
_POWER = -0.5


def already_stabilising(rng: np.random.Generator, slumps: Sequence[Feature]) -> list[Feature]:
    """Return the slumps of a first year that are already stabilising, with reduced activity."""
    found = _chosen(rng, slumps, SHARE * len(slumps))
    activity = np.exp(rng.uniform(np.log(_LAST_ACTIVITY), np.log(_FIRST_ACTIVITY), len(found)))
    return [replace(slump, activity=float(low)) for slump, low in zip(found, activity, strict=True)]


def stabilise(year: Year) -> None:
    """Reduce the activity of stabilising slumps until they vanish, and let others begin to stabilise."""
    yearly = (_LAST_ACTIVITY / _FIRST_ACTIVITY) ** (1 / _YEARS)
    for number in sorted(year.stabilising):
        slump = replace(year.pending[number], activity=year.pending[number].activity * yearly)
        year.pending[number] = slump
        if slump.activity < _LAST_ACTIVITY:
            year.record((slump,), [])
    for slump in _chosen(year.rng, list(year.active().values()), statistics.LOST * len(year.before.slumps)):
        activity = min(slump.activity, _FIRST_ACTIVITY) * year.rng.uniform(0.8, 1)
        year.pending[slump.number] = replace(slump, activity=activity)
        year.stabilising.add(slump.number)


def _chosen(rng: np.random.Generator, slumps: Sequence[Feature], expected: float) -> list[Feature]:
    """Draw slumps with a probability that depends on their area, so that their expected number is as given."""
    weights = np.array([slump.outline.area**_POWER for slump in slumps])
    chances = expected * weights / max(weights.sum(), 1e-9)
    return [slump for slump, drawn in zip(slumps, rng.random(len(slumps)) < chances, strict=True) if drawn]
