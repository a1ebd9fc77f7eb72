"""A picture of a scene with the slumps found in it: for a first look, reports and documentation."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from rtsmap import bands
from rtsmap.files.writing import replacing
from rtsmap.geometry import polygon_rings
from rtsmap.records import BoolArray, Pixels, SceneInfo

#: Shorter and longer side limits of the picture, in px: small scenes are magnified, large ones reduced.
MIN_WIDTH, MAX_SIDE = 900, 1600

_RGB = [bands.BANDS.index(name) for name in ("red", "green", "blue")]
_NO_DATA = 225  # light grey
_GAMMA = 1 / 1.2  # lifts dark tundra a little; more would wash out bare soil
_OUTLINE, _CASING = (255, 235, 20), (25, 25, 25)
_OUTLINE_PX, _CASING_PX = 2.0, 4.0
_SMOOTH = 3  # outlines are drawn this much larger and reduced, since Pillow draws no smooth lines
_TITLE_PX, _TEXT_PX = 20, 16


def title(info: SceneInfo, n_slumps: int) -> str:
    """One line: scene, date (UTC) and number of slumps."""
    moment = f"{info.acquired:%Y-%m-%d %H:%M} UTC" if info.acquired else "date not known"
    return f"{info.scene_id}  ·  {moment}  ·  {n_slumps} {'slump' if n_slumps == 1 else 'slumps'}"


def write_preview(
    path: Path,
    pixels: Pixels,
    transform: Affine,
    outlines: Iterable[BaseGeometry],
    *,
    heading: str,
    pixel_m: float,
    overwrite: bool = True,
) -> None:
    """Write a PNG in natural colours with outlines, a scale bar and a heading; whole or not at all.

    Args:
        path: of the PNG.
        pixels: of the scene, reduced by the caller as memory asks; the picture is fitted to 900..1600 px anyway.
        transform: from these pixels (column, row) to the outlines' coordinates.
        outlines: polygons in world coordinates.
        heading: text above the picture, such as `title` gives.
        pixel_m: ground width of a pixel of `pixels`, in m.
        overwrite: whether it may be there; see `files.replacing`.

    Raises:
        OutputError: the file cannot be written.
    """
    height, width = pixels.valid.shape
    scale = min(max(1.0, MIN_WIDTH / width), MAX_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = _ground(pixels, size)
    draw_outlines(picture, list(outline_rings(outlines, ~transform, (size[0] / width, size[1] / height))))
    _draw_scale_bar(picture, pixel_m * width / size[0])
    framed = _with_heading(picture, heading)
    with replacing(path, overwrite=overwrite) as temporary:
        framed.save(temporary, format="PNG", optimize=True)


def _ground(pixels: Pixels, size: tuple[int, int]) -> Image.Image:
    """Natural colours; light grey where not valid, paler with diagonal lines where masked."""
    colours = Image.fromarray(natural_colours(pixels))
    enlarged = size[0] > pixels.valid.shape[1]
    picture = np.array(colours.resize(size, Image.Resampling.BICUBIC if enlarged else Image.Resampling.BOX))
    masked = _resized(pixels.valid & ~pixels.clear, size)
    lines = (np.arange(size[1])[:, None] + np.arange(size[0])) % 10 < 2
    picture[masked] = (0.7 * picture[masked] + 0.3 * 255).astype(np.uint8)
    picture[masked & lines] = (0.6 * picture[masked & lines] + 0.4 * 255).astype(np.uint8)
    picture[~_resized(pixels.valid, size)] = _NO_DATA
    return Image.fromarray(picture)


def natural_colours(pixels: Pixels) -> NDArray[np.uint8]:
    """`(rows, columns, 3)`, 2 to 98 % of the whole image, of its clear pixels where there are any.

    Each band begins at its own 2 %, which takes off the haze, but all share one gain: a gain for each would turn tundra
    a garish green and wash out the bare soil of slumps.
    """
    of_use = pixels.clear & pixels.valid
    of_use = of_use if of_use.any() else pixels.valid
    if not of_use.any():
        return np.full((*pixels.valid.shape, 3), _NO_DATA, dtype=np.uint8)
    rgb = pixels.reflectance[_RGB]
    low, high = np.percentile(rgb[:, of_use], (2, 98), axis=1).astype(np.float32)
    gain = max(float((high - low).max()), 1e-4)
    bright = np.clip((rgb - low[:, None, None]) / gain, 0, 1) ** _GAMMA
    shown = np.where(pixels.valid, bright * 255, _NO_DATA)
    return np.ascontiguousarray(np.moveaxis(np.rint(shown).astype(np.uint8), 0, -1))


def _resized(mask: BoolArray, size: tuple[int, int]) -> BoolArray:
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST), dtype=np.bool_)


def outline_rings(
    outlines: Iterable[BaseGeometry], to_pixels: Affine, scale: tuple[float, float]
) -> Iterator[list[tuple[float, float]]]:
    """The rings of some outlines in pixels of a picture.

    Args:
        outlines: polygons in world coordinates.
        to_pixels: transform from world coordinates to pixels (column, row) of the image.
        scale: width and height of a pixel of the image in pixels of the picture.

    Yields:
        The points of each ring, holes included.
    """
    a, b, c, d, e, f = tuple(to_pixels)[:6]
    x, y = scale
    for outline in outlines:
        scaled = affine_transform(outline, [a * x, b * x, d * y, e * y, c * x, f * y])
        yield from ([(x, y) for x, y in ring.coords] for ring in polygon_rings(scaled))


def draw_outlines(picture: Image.Image, rings: Sequence[Sequence[tuple[float, float]]]) -> None:
    """Draw rings as light lines on a dark casing, which can be seen on bright ice and on dark water."""
    if not rings:
        return
    for width, colour in ((_CASING_PX, _CASING), (_OUTLINE_PX, _OUTLINE)):
        mask = Image.new("L", (picture.width * _SMOOTH, picture.height * _SMOOTH))
        draw = ImageDraw.Draw(mask)
        for ring in rings:
            points = [(x * _SMOOTH, y * _SMOOTH) for x, y in (*ring, ring[1])]  # once more, for the joint at the start
            draw.line(points, fill=255, width=round(width * _SMOOTH), joint="curve")
        picture.paste(colour, mask=mask.resize(picture.size, Image.Resampling.BOX))


def _draw_scale_bar(picture: Image.Image, pixel_m: float) -> None:
    """Lower left: a round length of at most a quarter of the width."""
    length_m = _round_length(picture.width / 4 * pixel_m)
    length, margin = length_m / pixel_m, 14
    label = f"{length_m / 1000:g} km"
    font = ImageFont.load_default(_TEXT_PX)
    right = margin + max(length, font.getlength(label))
    top = picture.height - margin - _TEXT_PX - 16
    box = margin - 8, top - 6, right + 8, picture.height - margin + 6
    veil = Image.new("L", picture.size)
    ImageDraw.Draw(veil).rounded_rectangle(box, radius=5, fill=150)
    picture.paste((0, 0, 0), mask=veil)
    draw = ImageDraw.Draw(picture)
    draw.text((margin, top), label, fill="white", font=font)
    draw.rectangle((margin, picture.height - margin - 6, margin + length, picture.height - margin - 1), fill="white")


def _round_length(longest: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not longer."""
    power = 10.0 ** math.floor(math.log10(longest))
    return max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9))


def _with_heading(picture: Image.Image, heading: str) -> Image.Image:
    """The picture below a white strip with one line of text, smaller where it is long."""
    font = ImageFont.load_default(_TITLE_PX)
    room = picture.width - 24
    if font.getlength(heading) > room:
        font = ImageFont.load_default(max(8.0, _TITLE_PX * room / font.getlength(heading)))
    strip = 2 * _TITLE_PX
    framed = Image.new("RGB", (picture.width, picture.height + strip), "white")
    framed.paste(picture, (0, strip))
    ImageDraw.Draw(framed).text((12, strip // 2), heading, fill=(30, 30, 30), font=font, anchor="lm")
    return framed
