"""One simulated place: landscape, scenery and clouds from a seed, and the renderer that shows them."""

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
from rtsmap.simulate.slumps.placement import Terrain, number_of_slumps, place_slumps, analyse_terrain
from rtsmap.simulate.terrain import streams
from rtsmap.simulate.terrain.forms import lowland_region, make_forms
from rtsmap.simulate.terrain.landscape import Landscape, make_landscape
from rtsmap.simulate.terrain.regions import Region, region_named
from rtsmap.simulate.terrain.variation import varied_light, varied_region


@dataclass(frozen=True)
class SceneOptions:
    """What to simulate.

    Attributes:
        region: name out of `regions.REGIONS`.
        seed: of everything; the same options and seed give the same scene.
        at: longitude and latitude (degrees) of the middle; without, the region's own place.
        day: of the acquisition; without, one of July or August.
        gsd_m: size of a pixel.
        size_km: length and width of the footprint; without this and `pixels`, 25 x 11.5 km as of PS2.
        pixels: width and height of the raster instead, the bounding box of the footprint.
        bands: 4 or 8.
        clouds: share of the scene, 0..1; None draws it.
        density: factor of the number of slumps per area.
        slumps: their number; None draws it, none in 15 % of the scenes.
        lowland: flat ground full of lakes, ponds, drained basins and polygon nets, small slumps on the shores.
        coast: the sea on one side, with beaches, ridges and spits.
        thin_clouds: share of the scene under thin cloud, 0..1.
        vary: how much wider than measured colours, contrast, texture, phenology and haze are drawn; 0 not at all.
        upright: the footprint fills the raster.
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
    """A place at one moment; `drawing` tells apart who drew the labels of one year and of another."""

    options: SceneOptions
    region: Region
    acquisition: Acquisition
    land: Landscape
    scenery: Scenery
    renderer: Renderer
    drawing: tuple[int, ...] = ()


#: As many slumps may be asked for; more would be tried for hours, and find no terrain. Chosen.
_FEW, _MOST_PER_KM2 = 200, 50

#: Slumps of lowland lie no farther from the water, m.
SHORE_M = 45.0
#: Each part of a scene has its own stream of random numbers: other clouds leaves ground and slumps as they are.
PARTS = ("acquisition", "land", "slumps", "others", "background", "clouds", "dynamics", "look", "lowland", "vary")


def stream(options: SceneOptions, part: str, *year: int) -> np.random.Generator:
    """Random numbers of one of `PARTS`; in a series, also of one year."""
    region = zlib.crc32(options.region.encode())
    return np.random.default_rng([options.seed, PARTS.index(part), *year, region])


def make_scene(options: SceneOptions) -> SimulatedScene:
    """Lay out a place; rendering comes later, tile by tile.

    Raises:
        InputError: an unknown region, or a place or size out of range.
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
    """The region as the options change it.

    Raises:
        InputError: there is none of that name.
    """
    region = region_named(options.region)
    if options.vary:
        region = varied_region(vary, region, acquisition.acquired.date(), options.vary)
    return lowland_region(lowland, region) if options.lowland else region


def acquisition_of(options: SceneOptions, rng: np.random.Generator) -> Acquisition:
    """The acquisition that the options ask for.

    Raises:
        InputError: an unknown region, a place or size out of range, or more slumps than fit.
    """
    if options.size_km is not None and options.pixels is not None:
        raise InputError("--size-km and --pixels both say how large the scene is; give one of them")
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
    """Clouds over a acquisition: as many as wanted, or drawn."""
    drawn = draw_cover(rng)
    return CloudField(rng, acquisition, drawn if options.clouds is None else options.clouds, options.thin_clouds)


def make_scenery(
    options: SceneOptions, terrain: Terrain, footprint: Polygon, snow: float, region: Region | None = None
) -> Scenery:
    """Slumps and all else that lies on the terrain.

    Args:
        options: the region, the number of slumps, the seed.
        terrain: from `analyse_terrain`.
        footprint: where the features lie.
        snow: as of `late_snow`.
        region: where it is not as the options name it.

    Raises:
        InputError: more slumps than the footprint holds.
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
    """Check that a footprint may hold so many slumps.

    Raises:
        InputError: it does not.
    """
    if slumps > (most := max(_FEW, round(footprint.area / 1e6 * _MOST_PER_KM2))):
        raise InputError(f"{slumps} slumps are more than this ground holds; ask for {most} at most, or a lower density")


def late_snow(acquisition: Acquisition) -> float:
    """Snow patches by the day: 1 in the middle of July, doubled three weeks before, halved three weeks later."""
    days = acquisition.acquired.timetuple().tm_yday - 196
    return float(2.0 ** (-days / 21))
