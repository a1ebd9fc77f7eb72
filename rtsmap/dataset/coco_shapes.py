"""Reading COCO segmentations as different tools write them: nested rings, run-length encoded masks, boxes."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rtsmap.dataset.segmentation import outlines_of

_Ring = NDArray[np.float64]


def rings_of(segmentation: Any) -> list[_Ring]:
    """Return the rings `(n, 2)` of a segmentation, in any of the nestings that tools write.

    COCO's own form is a list of flat rings. Some tools write a single flat ring, a list of rings of `[x, y]` pairs, or
    a single ring of pairs.

    Raises:
        ValueError: the segmentation has none of these forms.
        TypeError: the segmentation has none of these forms.
    """
    if segmentation is None or len(segmentation) == 0:
        return []
    if isinstance(segmentation[0], Real) or _is_ring_of_pairs(segmentation):
        segmentation = [segmentation]
    rings = [np.reshape(np.asarray(ring, dtype=np.float64), (-1, 2)) for ring in segmentation]
    if not all(np.isfinite(ring).all() for ring in rings):
        raise ValueError("a coordinate is not a number")
    return rings


def _is_ring_of_pairs(segmentation: Any) -> bool:
    return len(segmentation) > 2 and all(len(one) == 2 and isinstance(one[0], Real) for one in segmentation)


def parts_of(segmentation: Any, *, pixel_centres: bool, size: tuple[int, int]) -> Sequence[BaseGeometry]:
    """Return the parts of a slump as polygons, in pixel coordinates.

    Args:
        segmentation: rings or run lengths.
        pixel_centres: whether rings run through the centres of border pixels; they are then widened to the outer
            borders of these pixels.
        size: width and height of the image, px.

    Raises:
        ValueError: the segmentation cannot be read, or its mask has another size than the image.
        KeyError: the segmentation cannot be read.
        TypeError: the segmentation cannot be read.
        AttributeError: the segmentation cannot be read.
    """
    if isinstance(segmentation, Mapping):
        mask = _mask(segmentation)
        if mask.shape[::-1] != size:
            raise ValueError(f"its mask is {mask.shape[1]} x {mask.shape[0]} px, but the image {size[0]} x {size[1]}")
        return outlines_of(mask)
    return [_widened(ring) if pixel_centres else _polygon(ring) for ring in rings_of(segmentation)]


def box_of(annotation: Mapping[str, Any]) -> BaseGeometry | None:
    """Return the box of an annotation, in pixel coordinates; None where it has no box, or one without area.

    Raises:
        ValueError: the box is malformed.
        TypeError: the box is malformed.
    """
    if annotation.get("bbox") is None or len(annotation["bbox"]) == 0:
        return None
    left, top, width, height = (float(value) for value in annotation["bbox"])
    if not np.isfinite([left, top, width, height]).all():
        raise ValueError("its bbox holds a value that is not finite")
    return shapely.box(left, top, left + width, top + height) if width > 0 and height > 0 else None


def _polygon(ring: NDArray[np.float64]) -> BaseGeometry:
    if len(ring) < 3:  # a point or a line has no area
        return shapely.Polygon()
    mended: BaseGeometry = shapely.make_valid(shapely.Polygon(ring), method="structure", keep_collapsed=False)
    return mended


def _widened(ring: NDArray[np.float64]) -> BaseGeometry:
    """Widen a ring from pixel centres to the border of the pixels; one or two points are a pixel or a row of pixels."""
    centres = ring + 0.5
    filled = _polygon(centres)
    if filled.is_empty:  # the ring is a line that returns to its start
        ends = [shapely.box(x - 0.5, y - 0.5, x + 0.5, y + 0.5) for x, y in centres]
        line = shapely.LineString([*centres, centres[0]])
        return shapely.union_all([*ends, line.buffer(0.5, cap_style="flat", join_style="mitre")])
    border = shapely.LinearRing(centres).buffer(0.5, join_style="mitre", mitre_limit=2)
    return shapely.union_all([border, filled])


def _mask(rle: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Decode a run-length encoded mask: alternating run lengths of 0 and 1, column by column."""
    height, width = rle["size"]
    counts = rle["counts"] if isinstance(rle["counts"], list) else _decompressed(str(rle["counts"]))
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape(width, height).T


def _decompressed(text: str) -> list[int]:
    """Decode the run lengths of COCO's compressed form.

    Each number is written in groups of 5 bits, the lowest first, with one character from "0" on for each group. Bit 32
    is set if another group follows, and bit 16 of the last group is set if the number is negative. From the fourth
    number on, each is the difference from the number two places before.
    """
    counts: list[int] = []
    number = shift = 0
    for character in text:
        group = ord(character) - ord("0")
        number |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            number -= 1 << shift
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = shift = 0
    return counts
