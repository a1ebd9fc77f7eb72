"""Pictures of a site from the scenes of several years."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
from affine import Affine
from PIL import Image, ImageDraw, ImageFont
from pyproj import CRS, Transformer

from rtsmap.errors import InputError
from rtsmap.preview import draw_outlines, natural_colours, outline_rings
from rtsmap.records import Pixels, Window
from rtsmap.scene import Scene, open_scene
from rtsmap.scene.ground_distance import pixel_size_m
from rtsmap.tracks.dates import acquired

_WGS84 = "EPSG:4326"


@dataclass(frozen=True)
class Chip:
    """The pixels of a site in one scene.

    Attributes:
        acquired: date of the scene.
        pixels: pixels of the site.
        scene_crs: CRS of the scene.
        window: window of the site in the grid of the scene.
        transform: transform of the grid of the scene.
    """

    acquired: datetime
    pixels: Pixels
    scene_crs: CRS
    window: Window
    transform: Affine

    def picture(self, side: int, outlines: gpd.GeoSeries | None = None, text: str = "") -> Image.Image:
        """A square picture in natural colours, `side` px wide, with outlines and one line of text."""
        picture = Image.fromarray(natural_colours(self.pixels)).resize((side, side), Image.Resampling.BICUBIC)
        if outlines is not None:
            to_pixels = ~(self.transform @ Affine.translation(self.window.column, self.window.row))
            scale = side / self.window.width, side / self.window.height
            draw_outlines(picture, list(outline_rings(outlines.to_crs(self.scene_crs), to_pixels, scale)))
        if text:
            draw = ImageDraw.Draw(picture)
            font = ImageFont.load_default(max(11, side // 24))
            box = draw.textbbox((8, 8), text, font=font)
            draw.rectangle((box[0] - 4, box[1] - 4, box[2] + 4, box[3] + 4), fill=(0, 0, 0))
            draw.text((8, 8), text, fill="white", font=font)
        return picture


def chips(scenes: Sequence[Path], site: tuple[float, float], width_m: float) -> list[Chip]:
    """Read the site from every scene that shows it, in chronological order.

    Args:
        scenes: paths of scenes of any dates.
        site: longitude and latitude of the centre of the site, degrees.
        width_m: width of the site, m.

    Raises:
        InputError: a scene cannot be read or has no date, or no scene shows the site.
    """
    found = []
    for path in scenes:
        with open_scene(str(path)) as scene:
            chip = _chip(scene, acquired(scene), site, width_m)
            if chip is not None:
                found.append(chip)
    if not found:
        raise InputError(
            f"{scenes[0]}: neither this scene nor another one shows {site[0]:.5f},{site[1]:.5f}; choose another --site"
        )
    return sorted(found, key=lambda one: one.acquired)


def _chip(scene: Scene, moment: datetime, site: tuple[float, float], width_m: float) -> Chip | None:
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
    return Chip(moment, pixels, grid.crs, window, grid.transform)
