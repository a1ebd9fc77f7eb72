"""What the options say of a scene: how to open it, and which of its chips to read."""

from collections.abc import Callable
from dataclasses import dataclass

import shapely
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from rtsmap.chips.grid import ChipGrid
from rtsmap.polygons import read_area
from rtsmap.predict.options import ResolvedOptions
from rtsmap.records import ChipWindow, PixelSource
from rtsmap.scene import Scene, open_scene
from rtsmap.settings.card import ModelCard


@dataclass(frozen=True)
class Layout:
    """The chips of a scene that are to be mapped.

    Attributes:
        chip_grid: the grid of all chips.
        wanted: returns whether a chip has a part in the area of interest.
        area: the area of interest in the CRS of the grid; None if the whole scene is mapped.
    """

    chip_grid: ChipGrid
    wanted: Callable[[ChipWindow], bool]
    area: BaseGeometry | None

    def windows(self) -> list[ChipWindow]:
        """The windows of the chips that are to be mapped."""
        return list(filter(self.wanted, self.chip_grid.all_windows()))


def open_with(path: str, options: ResolvedOptions, *, terrain: bool = True) -> Scene:
    """Open a scene as the options say, with its elevation model if there is one and `terrain` is true."""
    dem = options.dem if terrain else None
    return open_scene(path, bands=options.bands, scale=options.scale, offset=options.offset, mask=options.mask, dem=dem)


def layout(source: PixelSource, card: ModelCard, options: ResolvedOptions, *, one_strip: bool = False) -> Layout:
    """Cover a scene with chips, and choose those in the area of interest.

    Raises:
        InputError: chip size and overlap do not fit together, or the area of interest cannot be read.
    """
    sizes = options.chip_size, options.overlap, card.network.alignment
    chip_grid = ChipGrid(source.grid, *sizes, one_strip=one_strip)
    if options.aoi is None:
        return Layout(chip_grid, lambda _window: True, None)
    extent = affine_transform(shapely.box(*source.grid.window.bounds), source.grid.transform.to_shapely()).bounds
    area = read_area(options.aoi, source.grid.crs, extent, options.aoi_layer)
    in_pixels = affine_transform(area, (~source.grid.transform).to_shapely())
    shapely.prepare(in_pixels)
    return Layout(chip_grid, lambda window: bool(in_pixels.intersects(shapely.box(*window.core.bounds))), area)
