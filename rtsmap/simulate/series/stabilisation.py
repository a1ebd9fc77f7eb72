"""Slumps that plants take back: which of them, and how they fade until nothing is bare."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rtsmap.simulate import statistics
from rtsmap.simulate.series.year import Year
from rtsmap.simulate.slumps.features import Feature

#: Years from the first that a slump stabilises until it is gone. Chosen: the labels show only the end of it.
_YEARS = 3
#: Share of all slumps that are stabilising at any time.
SHARE = statistics.LOST * _YEARS
#: Activity at the beginning and at the end of stabilising.
_WANING, _GONE = 0.6, 0.15
#: Small slumps stabilise more often, as this power of their area: with what they shrink meanwhile, those that vanish have
#: 0.35 of the area of all, by the medians, as measured.
_POWER = -0.5


def already_stabilising(rng: np.random.Generator, slumps: Sequence[Feature]) -> list[Feature]:
    """Those slumps of a first year that are stabilising, with what is left of their activity."""
    found = _chosen(rng, slumps, SHARE * len(slumps))
    activity = np.exp(rng.uniform(np.log(_GONE), np.log(_WANING), len(found)))
    return [replace(slump, activity=float(low)) for slump, low in zip(found, activity, strict=True)]


def stabilise(year: Year) -> None:
    """Let stabilising slumps lose activity until they are gone, and others begin to stabilise."""
    yearly = (_GONE / _WANING) ** (1 / _YEARS)
    for number in sorted(year.stabilising):
        slump = replace(year.waiting[number], activity=year.waiting[number].activity * yearly)
        year.waiting[number] = slump
        if slump.activity < _GONE:
            year.become((slump,), [])
    for slump in _chosen(year.rng, list(year.active().values()), statistics.LOST * len(year.before.slumps)):
        activity = min(slump.activity, _WANING) * year.rng.uniform(0.8, 1)
        year.waiting[slump.number] = replace(slump, activity=activity)
        year.stabilising.add(slump.number)


def _chosen(rng: np.random.Generator, slumps: Sequence[Feature], expected: float) -> list[Feature]:
    """About as many slumps as expected, each by its area."""
    weights = np.array([slump.outline.area**_POWER for slump in slumps])
    chances = expected * weights / max(weights.sum(), 1e-9)
    return [slump for slump, drawn in zip(slumps, rng.random(len(slumps)) < chances, strict=True) if drawn]
