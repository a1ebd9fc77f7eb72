"""The options of tracks."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrackOptions:
    """The options of `rtsmap track`; docs/guide/tracks.md gives the source of each number.

    Attributes:
        date_field: field with the dates of the outlines; by default, the usual names are tried.
        layer: name of the layer in files with several layers.
        observed: further files with observed areas: polygons with a date.
        min_score: outlines with a lower score are left out; outlines without a score are kept.
        placement_error_m: largest displacement between two images of the same area, m.
        boundary_error_m: standard error of the position of an outline, m; by default, it is estimated from the tracks,
            or is one pixel of the coarsest layer if there are too few of them.
        correlation_m: distance along an outline over which its errors are correlated, m.
        min_overlap: smallest share of the smaller outline, after a buffer of the placement error, that two outlines of
            the same slump have in common.
        min_part: smallest share of the smaller outline, without a buffer, that a part of a merge or a split has in
            common with the whole.
        bridge: number of epochs in which a slump may be observed and not found before its track ends.
        monotone: whether areas that never shrink are computed too, by isotonic regression.
        align: scenes by which the outlines of later epochs are aligned with the first one.
        dem: elevation model by which headwalls are identified.
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
