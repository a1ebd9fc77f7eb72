"""A simulated scene: its landscape, scenery and clouds are drawn from a seed, and its renderer makes the pixels."""

import zlib
from dataclasses import dataclass
from datetime import date

import numpy as np
from shapely import Polygon

from rtsmap.errors import InputError
from rtsmap.simulate.acquisition import Acquisition, make_acquisition
from rtsmap.simulate.image.background import MESO_M, BackgroundRenderer
from rtsmap.simulate.image.clouds import CloudField, draw_cover
from rtsmap.simulate.image.lowland import Lowland
from rtsmap.simulate.image.renderer import Renderer
from rtsmap.simulate.slumps import lookalikes
from rtsmap.simulate.slumps.features import Feature, Scenery, in_order
from rtsmap.simulate.slumps.library import load_library
from rtsmap.simulate.slumps.placement import Terrain, analyse_terrain, number_of_slumps, place_slumps
from rtsmap.simulate.terrain import streams
from rtsmap.simulate.terrain.forms import lowland_region, make_forms
from rtsmap.simulate.terrain.landscape import Landscape, make_landscape
from rtsmap.simulate.terrain.regions import Region, region_named
from rtsmap.simulate.terrain.variation import varied_light, varied_region


@dataclass(frozen=True)
class SceneOptions:
    """The options of a simulated scene.

    Attributes:
        region: a name in `regions.REGIONS`.
        seed: the seed of all random numbers; the same options and seed give the same scene.
        at: longitude and latitude (degrees) of the centre; by default, the location given for the region.
        day: the day of the acquisition; by default, a day in July or August is drawn.
        gsd_m: the size of a pixel, m.
        size_km: the length and width of the footprint, km; without this and `pixels`, 25 x 11.5 km as for PS2.
        pixels: the width and height of the raster instead, which is the bounding box of the footprint.
        bands: the number of bands, 4 or 8.
        clouds: the share of the scene under cloud, 0..1; None draws it at random.
        density: a factor applied to the number of slumps per area.
        slumps: the number of slumps; None draws it at random, and gives no slump in 15 % of the scenes.
        lowland: simulate flat ground with many lakes, ponds, drained basins and polygon nets, and small slumps on the
            shores.
        coast: simulate the sea on one side, with beaches, beach ridges and spits.
        thin_clouds: the share of the scene under thin cloud, 0..1.
        vary: how much more widely than measured colours, contrast, texture, phenology and haze vary; 0 turns this off.
        upright: whether the footprint fills the raster instead of being rotated in it.
    """

    region: str = "banks-island"
    seed: int = 0
    at: tuple[float, float] | None = None
    day: date | None = None
    gsd_m: float = 3.0
    size_km: tuple[float, float] | None = None
    pixels: tuple[int, int] | None = None
    bands: int = 4
    clouds: float | None = None
    density: float = 1.0
    slumps: int | None = None
    lowland: bool = False
    coast: bool = False
    thin_clouds: float = 0.0
    vary: float = 0.0
    upright: bool = False


@dataclass(frozen=True)
class SimulatedScene:
    """Everything that one acquisition shows, and the renderer of its pixels.

    Attributes:
        options: the options that it was made from.
        region: the region, as the options changed it.
        acquisition: the raster, the footprint, the time and the sun.
        land: the height of the ground, the lakes and the drainage.
        scenery: slumps, look-alikes, streams and tracks.
        renderer: makes the pixels, tile by tile.
        drawing: additional numbers that seed the drawing of the labels, so that it differs between years.
    """

    options: SceneOptions
    region: Region
    acquisition: Acquisition
    land: Landscape
    scenery: Scenery
    renderer: Renderer
    drawing: tuple[int, ...] = ()


#: The largest number of slumps that may be requested, for any scene and per area. Placing more could take hours and
#: would not succeed. Both are chosen.
_FEW, _MOST_PER_KM2 = 200, 50

#: The largest distance between a lowland slump and the water, m.
SHORE_M = 45.0
#: The parts of a scene that have a random number stream each, so that other clouds do not change ground and slumps.
PARTS = ("acquisition", "land", "slumps", "others", "background", "clouds", "dynamics", "look", "lowland", "vary")


def stream(options: SceneOptions, part: str, *year: int) -> np.random.Generator:
    """Return the random number generator of one of `PARTS` and, in a series, of one year."""
    region = zlib.crc32(options.region.encode())
    return np.random.default_rng([options.seed, PARTS.index(part), *year, region])


def make_scene(options: SceneOptions) -> SimulatedScene:
    """Lay out a scene. Its pixels are rendered later, tile by tile.

    Raises:
        InputError: the region is unknown, or the location or the size is out of range.
    """
    acquisition = acquisition_of(options, stream(options, "acquisition"))
    rng, light = stream(options, "lowland"), stream(options, "vary")
    region = region_of(options, rng, light, acquisition)
    forms = None
    if options.lowland or options.coast:
        forms = make_forms(rng, acquisition.grid, region, lowland=options.lowland, coast=options.coast)
    land = make_landscape(stream(options, "land"), acquisition.grid, region, forms)
    terrain = analyse_terrain(land, SHORE_M) if options.lowland else analyse_terrain(land)
    scenery = make_scenery(options, terrain, acquisition.footprint, late_snow(acquisition), region)
    lowland = None
    if forms is not None:
        sizes = {"gsd_m": acquisition.gsd_m, "spacing_m": MESO_M}
        lowland = Lowland(rng, forms, land.lake, region, **sizes, flat=options.lowland)
    background = BackgroundRenderer(stream(options, "background"), land, region, acquisition, lowland)
    seen = varied_light(light, options.vary) if options.vary else ()
    renderer = Renderer(
        acquisition, region, background, scenery, clouds_of(options, stream(options, "clouds"), acquisition), *seen
    )
    return SimulatedScene(options, region, acquisition, land, scenery, renderer)


def region_of(
    options: SceneOptions, lowland: np.random.Generator, vary: np.random.Generator, acquisition: Acquisition
) -> Region:
    """Return the region as the options change it.

    Raises:
        InputError: there is no region of that name.
    """
    region = region_named(options.region)
    if options.vary:
        region = varied_region(vary, region, acquisition.acquired.date(), options.vary)
    return lowland_region(lowland, region) if options.lowland else region


def acquisition_of(options: SceneOptions, rng: np.random.Generator) -> Acquisition:
    """Make the acquisition that the options describe.

    Raises:
        InputError: the region is unknown, the location or the size is out of range, or the slumps are too many.
    """
    if options.size_km is not None and options.pixels is not None:
        raise InputError("--size-km and --pixels both set the size of the scene; give only one of them")
    region = region_named(options.region)
    lon, lat = options.at or (region.lon, region.lat)
    acquisition = make_acquisition(
        rng,
        lon=lon,
        lat=lat,
        day=options.day,
        gsd_m=options.gsd_m,
        size_km=options.size_km,
        pixels=options.pixels,
        bands=options.bands,
        upright=options.upright,
    )
    check_number(options.slumps or 0, acquisition.footprint)
    return acquisition


def clouds_of(options: SceneOptions, rng: np.random.Generator, acquisition: Acquisition) -> CloudField:
    """Return the clouds of an acquisition, with the requested cover or a random one."""
    drawn = draw_cover(rng)
    return CloudField(rng, acquisition, drawn if options.clouds is None else options.clouds, options.thin_clouds)


def make_scenery(
    options: SceneOptions, terrain: Terrain, footprint: Polygon, snow: float, region: Region | None = None
) -> Scenery:
    """Place slumps, look-alikes, streams and tracks.

    Args:
        options: the region, the number of slumps and the seed.
        terrain: the result of `analyse_terrain`.
        footprint: the area in which features are placed.
        snow: the amount of snow, see `late_snow`.
        region: the region, where it differs from the one that the options name.

    Raises:
        InputError: more slumps are requested than the footprint can hold.
    """
    region, library = region or region_named(options.region), load_library()
    slump_rng, other_rng = stream(options, "slumps"), stream(options, "others")
    drawn = number_of_slumps(slump_rng, footprint.area / 1e6, options.density)
    count = drawn if options.slumps is None else options.slumps
    check_number(count, footprint)
    slumps = place_slumps(slump_rng, terrain, region, library, footprint, count)
    paths, sizes = streams.stream_lines(other_rng, terrain.land)
    others = lookalikes.place_lookalikes(other_rng, terrain, region, library, footprint, slumps, paths, snow)
    features: list[Feature] = [*others, *slumps]
    beds, tracks = streams.stream_beds(paths, sizes), streams.roads(other_rng, region, footprint)
    return Scenery(in_order(features), tuple(beds), tuple(tracks))


def check_number(slumps: int, footprint: Polygon) -> None:
    """Check that a footprint can hold a number of slumps.

    Raises:
        InputError: there are too many.
    """
    if slumps > (most := max(_FEW, round(footprint.area / 1e6 * _MOST_PER_KM2))):
        raise InputError(
            f"{slumps} slumps are too many for an area of this size; request {most} at most, or a lower density"
        )


def late_snow(acquisition: Acquisition) -> float:
    """Return the relative number of snow patches: 1 in mid-July, 2 three weeks earlier, 0.5 three weeks later."""
    days = acquisition.acquired.timetuple().tm_yday - 196
    return float(2.0 ** (-days / 21))
