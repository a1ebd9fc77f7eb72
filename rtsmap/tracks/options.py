"""What a user may choose about tracks."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrackOptions:
    """Choices of `rtsmap track`; docs/guide/tracks.md gives the source of each number.

    Attributes:
        date_field: of the outlines; without it the usual names are tried.
        layer: of files that hold several.
        observed: further files that say what was observed, polygons with a date.
        min_score: outlines below are left out; those without a score stay.
        placement_error_m: by how much two images of one place may lie apart.
        boundary_error_m: standard error of an outline's position; without it one pixel of the coarsest layer.
        correlation_m: along the outline, the distance over which its errors are alike.
        min_overlap: common area by that of the smaller outline, after a buffer of the placement error, from which on
            two outlines may be the same slump.
        min_part: the same without buffer, from which on a further outline is a part of a merge or split.
        bridge: epochs in which a slump may be missed, though observed, and still be the same one.
        monotone: also give areas that never shrink, by isotonic regression.
        align: scenes by which the epochs are shifted onto the first one.
        dem: elevation model for the headwall's direction.
    """

    date_field: str | None = None
    layer: str | None = None
    observed: tuple[Path, ...] = ()
    min_score: float = 0.0
    placement_error_m: float = 6.0
    boundary_error_m: float | None = None
    correlation_m: float = 30.0
    min_overlap: float = 0.3
    min_part: float = 0.5
    bridge: int = 2
    monotone: bool = False
    align: tuple[Path, ...] = ()
    dem: str | None = None
