"""The index of occupied ground."""

import numpy as np
import pytest
from shapely import Point, box

from rtsmap.simulate.slumps.occupancy import Occupancy


@pytest.fixture
def discs():
    """Small and large ones on both sides of the origin, some of them over several cells."""
    rng = np.random.default_rng(0)
    centres, sizes = rng.uniform(-4000, 4000, (200, 2)), np.exp(rng.normal(3.5, 1.2, 200))
    return [Point(centre).buffer(size) for centre, size in zip(centres, sizes, strict=True)]


def test_it_answers_as_a_comparison_with_every_outline_would(discs):
    taken, asked = Occupancy(discs[:150]), discs[150:]
    expected = [not any(disc.intersects(other) for other in discs[:150]) for disc in asked]
    assert [taken.is_free(disc) for disc in asked] == expected
    assert 0 < sum(expected) < len(expected)


def test_what_is_added_is_taken_and_what_touches_it_as_well():
    taken = Occupancy()
    assert taken.is_free(box(0, 0, 1200, 10))
    taken.add(box(0, 0, 1200, 10))
    assert not taken.is_free(box(1190, 10, 1300, 700))
    assert taken.is_free(box(1201, 0, 1300, 10))
