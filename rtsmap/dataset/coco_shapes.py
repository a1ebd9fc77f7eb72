"""Segmentations of COCO as tools write them: rings in several nestings, masks by run lengths, boxes alone."""

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
    """The rings `(n, 2)` of a segmentation, in any of the nestings that tools write.

    A list of flat rings is COCO's own form. There are also a flat ring alone, a list of rings of `[x, y]` pairs, and
    one ring of pairs.

    Raises:
        ValueError: it is none of these; TypeError likewise.
    """
    if segmentation is None or len(segmentation) == 0:
        return []
    if isinstance(segmentation[0], Real) or _is_ring_of_pairs(segmentation):
        segmentation = [segmentation]
    rings = [np.reshape(np.asarray(ring, dtype=np.float64), (-1, 2)) for ring in segmentation]
    if not all(np.isfinite(ring).all() for ring in rings):
        raise ValueError("a coordinate is no number")
    return rings


def _is_ring_of_pairs(segmentation: Any) -> bool:
    return len(segmentation) > 2 and all(len(one) == 2 and isinstance(one[0], Real) for one in segmentation)


def parts_of(segmentation: Any, *, pixel_centres: bool, size: tuple[int, int]) -> Sequence[BaseGeometry]:
    """The parts of a slump, in pixel coordinates.

    Args:
        segmentation: rings or run lengths.
        pixel_centres: rings run through the centres of border pixels and are widened to their borders.
        size: width and height of the image.

    Raises:
        ValueError: it cannot be read, or is of another size; KeyError, TypeError, AttributeError likewise.
    """
    if isinstance(segmentation, Mapping):
        mask = _mask(segmentation)
        if mask.shape[::-1] != size:
            raise ValueError(f"its mask is {mask.shape[1]} x {mask.shape[0]} px, the image {size[0]} x {size[1]}")
        return outlines_of(mask)
    return [_widened(ring) if pixel_centres else _polygon(ring) for ring in rings_of(segmentation)]


def box_of(annotation: Mapping[str, Any]) -> BaseGeometry | None:
    """The box of an annotation, in pixel coordinates; None where it has none with an area.

    Raises:
        ValueError: it is no box; TypeError likewise.
    """
    if annotation.get("bbox") is None or len(annotation["bbox"]) == 0:
        return None
    left, top, width, height = (float(value) for value in annotation["bbox"])
    if not np.isfinite([left, top, width, height]).all():
        raise ValueError("its bbox is no box")
    return shapely.box(left, top, left + width, top + height) if width > 0 and height > 0 else None


def _polygon(ring: NDArray[np.float64]) -> BaseGeometry:
    if len(ring) < 3:  # a point or a line has no area
        return shapely.Polygon()
    mended: BaseGeometry = shapely.make_valid(shapely.Polygon(ring), method="structure", keep_collapsed=False)
    return mended


def _widened(ring: NDArray[np.float64]) -> BaseGeometry:
    """From pixel centres to the border of these pixels; one or two points are a pixel or a row of them."""
    centres = ring + 0.5
    filled = _polygon(centres)
    if filled.is_empty:  # a line there and back
        ends = [shapely.box(x - 0.5, y - 0.5, x + 0.5, y + 0.5) for x, y in centres]
        line = shapely.LineString([*centres, centres[0]])
        return shapely.union_all([*ends, line.buffer(0.5, cap_style="flat", join_style="mitre")])
    border = shapely.LinearRing(centres).buffer(0.5, join_style="mitre", mitre_limit=2)
    return shapely.union_all([border, filled])


def _mask(rle: Mapping[str, Any]) -> NDArray[np.bool_]:
    """A run-length encoded mask: lengths of runs of 0 and 1 in turn, down the columns."""
    height, width = rle["size"]
    counts = rle["counts"] if isinstance(rle["counts"], list) else _decompressed(str(rle["counts"]))
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape(width, height).T


def _decompressed(text: str) -> list[int]:
    """The run lengths of COCO's compressed form.

    Each number is written in groups of 5 bits, lowest first, one to a character from "0" on; 32 says that another group
    follows, and 16 in the last one that the number is negative. From the fourth on they are differences from the
    number two before.
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
