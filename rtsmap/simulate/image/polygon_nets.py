"""Nets of ice-wedge polygons of 10 to 30 m, with wet centres and raised rims, or with dry centres between troughs."""

import numpy as np
from scipy.spatial import cKDTree

from rtsmap.records import FloatArray
from rtsmap.simulate.terrain.noise import Tile, smoothstep

#: The coarsest pixel (m) at which polygons are rendered; they are not resolved beyond it.
COARSEST_M = 8.0
_SIZE = 800
_PERIOD_M = 2400.0


def make_net(rng: np.random.Generator, gsd_m: float, cell_m: float) -> Tile:
    """Make two periodic fields: the distance to the nearest ice wedge, m, and a random number 0..1 for each polygon.

    Args:
        rng: the random numbers.
        gsd_m: the pixel size of the scene, m.
        cell_m: the mean size of the polygons, m.
    """
    side = _PERIOD_M if gsd_m * _SIZE > _PERIOD_M else gsd_m * _SIZE
    size = round(side / gsd_m)
    steps = max(3, round(side / cell_m))
    rows, columns = np.meshgrid(np.arange(steps), np.arange(steps), indexing="ij")
    jitter = rng.uniform(-0.5, 0.5, (2, steps, steps))
    centres = np.stack([rows + jitter[0], columns + jitter[1]], axis=-1).reshape(-1, 2) % steps * (side / steps)
    pixels = (np.stack(np.meshgrid(*[np.arange(size)] * 2, indexing="ij"), axis=-1).reshape(-1, 2) + 0.5) * (
        side / size
    )
    # The periodic tree requires its points to lie strictly inside the period.
    tree = cKDTree(np.minimum(centres, np.nextafter(side, 0)), boxsize=side)
    distances, nearest = tree.query(pixels, k=2)
    edge = (distances[:, 1] - distances[:, 0]) / 2
    number = rng.random(len(centres))[nearest[:, 0]]
    return Tile(np.stack([edge, number]).reshape(2, size, size).astype(np.float32), gsd_m)


def render_net(bands: FloatArray, net: FloatArray, strength: FloatArray, low: FloatArray) -> FloatArray:
    """Render a polygon net over the ground, in place.

    Args:
        bands: the reflectance of the ground, `(4, rows, columns)`.
        net: a window of the fields of `make_net`, `(2, rows, columns)`.
        strength: the strength of the net, `(rows, columns)`, 0..1.
        low: the type of the polygons, `(rows, columns)`: 1 for wet centres within rims, 0 for dry centres between
            troughs.

    Returns:
        The share of each pixel that is water in the centre of a polygon, `(rows, columns)`, 0..1.
    """
    edge, number = net
    trough, centre = 1 - smoothstep(edge, 0.6, 2.6), smoothstep(edge, 3.5, 6.5)
    rim = (1 - trough) * (1 - centre)
    wet = low * centre * (0.04 + 0.22 * number) + trough * (0.20 - 0.10 * low)
    dry = low * rim * 0.07 + (1 - low) * centre * 0.09 * number
    bands *= 1 + strength * (dry - wet)
    water: FloatArray = strength * low * centre * smoothstep(number + 0.6 * strength, 1.15, 1.3)
    return water
