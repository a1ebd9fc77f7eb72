"""Pictures of a site in the scenes of several years."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pyproj import CRS, Transformer

from rtsmap.errors import InputError
from rtsmap.preview import natural_colours
from rtsmap.records import Pixels, Window
from rtsmap.scene import Scene, open_scene
from rtsmap.scene.ground_distance import pixel_size_m

_OUTLINE, _CASING = (255, 235, 20), (25, 25, 25)
_WGS84 = "EPSG:4326"


@dataclass(frozen=True)
class Chip:
    """A site in one scene.

    Attributes:
        acquired: date.
        pixels: of the site.
        scene_crs: CRS of the scene.
        window: of the site in the scene's grid.
        transform: of that grid.
    """

    acquired: datetime
    pixels: Pixels
    scene_crs: CRS
    window: Window
    transform: Affine

    def picture(self, side: int, outlines: gpd.GeoSeries | None = None, text: str = "") -> Image.Image:
        """Natural colours, `side` px, with outlines and one line of text."""
        picture = Image.fromarray(natural_colours(self.pixels)).resize((side, side), Image.Resampling.BICUBIC)
        draw = ImageDraw.Draw(picture)
        rings = [] if outlines is None else self._rings(outlines, side)
        for colour, width in ((_CASING, 4), (_OUTLINE, 2)):
            for ring in rings:
                draw.line([tuple(point) for point in ring], fill=colour, width=width, joint="curve")
        if text:
            font = ImageFont.load_default(max(11, side // 24))
            box = draw.textbbox((8, 8), text, font=font)
            draw.rectangle((box[0] - 4, box[1] - 4, box[2] + 4, box[3] + 4), fill=(0, 0, 0))
            draw.text((8, 8), text, fill="white", font=font)
        return picture

    def _rings(self, outlines: gpd.GeoSeries, side: int) -> list[NDArray[np.float64]]:
        placed = outlines.to_crs(self.scene_crs)
        parts = shapely.get_parts(placed.to_numpy())
        rings = shapely.get_rings(parts[shapely.get_dimensions(parts) == 2])
        a, _, c, _, e, f = tuple(self.transform)[:6]
        scale = np.array([side / self.window.width, side / self.window.height])
        found = []
        for ring in rings:
            points = shapely.get_coordinates(ring)
            pixels = np.column_stack([(points[:, 0] - c) / a, (points[:, 1] - f) / e])
            found.append((pixels - (self.window.column, self.window.row)) * scale)
        return found


def chips(scenes: Sequence[Path], site: tuple[float, float], width_m: float) -> list[Chip]:
    """The scenes that show a site, in the order of time.

    Args:
        scenes: images of any number of dates.
        site: longitude and latitude of the middle, degrees.
        width_m: of the site.

    Raises:
        InputError: a scene cannot be read or has no date, or none shows the site.
    """
    found = []
    for path in scenes:
        with open_scene(str(path)) as scene:
            if scene.info.acquired is None:
                raise InputError(f"{path}: its date is not known; put it into the name, such as site_20190730.tif")
            chip = _chip(scene, scene.info.acquired, site, width_m)
            if chip is not None:
                found.append(chip)
    if not found:
        raise InputError(f"{scenes[0]}: neither it nor another of the scenes shows {site[0]:.5f},{site[1]:.5f}")
    return sorted(found, key=lambda one: one.acquired)


def _chip(scene: Scene, acquired: datetime, site: tuple[float, float], width_m: float) -> Chip | None:
    grid = scene.grid
    x, y = Transformer.from_crs(_WGS84, grid.crs, always_xy=True).transform(*site)
    if not (np.isfinite(x) and np.isfinite(y)):
        return None
    across, down = (max(8, round(width_m / size)) for size in pixel_size_m(grid))
    column = round((x - grid.transform.c) / grid.transform.a - across / 2)
    row = round((y - grid.transform.f) / grid.transform.e - down / 2)
    window = Window(row, column, down, across)
    inside = window.intersection(grid.window)
    if not inside.height or not inside.width:
        return None
    pixels = scene.read(window)
    if pixels.valid.mean() < 0.5:
        return None
    return Chip(acquired, pixels, grid.crs, window, grid.transform)
