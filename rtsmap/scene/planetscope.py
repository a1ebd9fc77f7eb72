"""PlanetScope products by their file names: item ids, band orders, and the files that lie beside an image.

Names follow the public product specification. An order comes as a folder `<order>/PSScene/` with, for every item,
the image, its usable data mask (UDM2) and its metadata as JSON and XML.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rtsmap.errors import SceneError
from rtsmap.scene.metadata import Metadata, read_json, read_xml

#: Band numbers by the number of bands. The colour tags of the GeoTIFF are wrong in real products: never look at them.
BAND_NUMBERS: Mapping[int, Mapping[str, int]] = {
    4: {"blue": 1, "green": 2, "red": 3, "nir": 4},
    8: {"blue": 2, "green": 4, "red": 6, "nir": 8},  # 1 coastal blue, 3 green i, 5 yellow, 7 red edge
}
SURFACE_REFLECTANCE_SCALE = 1e-4

_LISTED = 8  # images that an error names

_SCENE = re.compile(
    r"(?P<id>(?P<date>\d{8})_(?P<time>\d{6})_(?:\d{2}_)?(?P<satellite>[0-9a-zA-Z]{4}))"
    r"_3B_(?P<asset>AnalyticMS(?P<tags>(?:_(?:SR|8b|harmonized|clip|reproject))*))\.tiff?",
    re.IGNORECASE,
)
_ORTHO_TILE = re.compile(
    r"(?P<id>\d+_\d+_(?P<date>\d{4}-\d{2}-\d{2})_(?P<satellite>[0-9a-zA-Z]{4}))"
    r"_(?P<asset>BGRN(?P<tags>_(?:SR|Analytic)(?:_clip)?))\.tiff?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Product:
    """A PlanetScope image, as its name tells.

    Attributes:
        item_id: `20210714_221320_10_2413`, or `4763421_0870512_2021-07-14_1032` of the retired OrthoTiles.
        name: item type and asset, `PSScene AnalyticMS_SR_8b`.
        surface_reflectance: false for radiance, which needs the coefficients of the XML.
        clipped: to the order's area of interest; so are its siblings.
        said_by_id: date (to the day only for OrthoTiles) and satellite.
    """

    item_id: str
    name: str
    surface_reflectance: bool
    clipped: bool
    said_by_id: Metadata


def parse(file_name: str) -> Product | None:
    """What a file name tells; None where it is not that of a PlanetScope analytic image."""
    scene = _SCENE.fullmatch(file_name)
    match = scene or _ORTHO_TILE.fullmatch(file_name)
    if match is None:
        return None
    tags = match["tags"].lower().split("_")
    moment = match["date"].replace("-", "") + (match["time"] if scene else "000000")
    try:
        acquired = datetime.strptime(moment, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:  # digits that are no date: another file that only looks alike
        return None
    return Product(
        item_id=match["id"],
        name=f"{'PSScene' if scene else 'PSOrthoTile'} {match['asset']}",
        surface_reflectance="sr" in tags,
        clipped="clip" in tags,
        said_by_id=Metadata(acquired=acquired, satellite_id=match["satellite"]),
    )


def image_of_order(folder: Path) -> Path:
    """The one PlanetScope image in a folder or below it.

    Raises:
        SceneError: there is none, or more than one.
    """
    images = sorted(path for path in folder.rglob("*.[tT][iI][fF]*") if parse(path.name))
    if not images:
        raise SceneError(f"{folder}: holds no PlanetScope image (..._AnalyticMS_SR.tif); name the image file itself")
    if len(images) > 1:
        names = [str(image.relative_to(folder)) for image in images]
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        raise SceneError(f"{folder}: holds {len(names)} images ({', '.join(names[:_LISTED])}{more}); name one of them")
    return images[0]


@dataclass(frozen=True)
class Siblings:
    """Files of the same item beside an image; None where there is none."""

    udm2: Path | None
    json: Path | None
    xml: Path | None


def siblings(image: Path, product: Product) -> Siblings:
    """Find the UDM2 and the metadata of an image in its folder, by the item's id."""
    item = re.escape(product.item_id)
    names = sorted(path.name for path in image.parent.iterdir())

    def first(pattern: str) -> Path | None:
        found = [name for name in names if re.fullmatch(pattern, name, re.IGNORECASE)]
        found.sort(key=lambda name: ("_clip" in name.lower()) != product.clipped)  # ordered both whole and clipped
        return image.parent / found[0] if found else None

    # The coefficients of one kind of product are wrong for the other: their bands have other numbers.
    kind = r"(?=\w*_8b_)" if "_8b" in product.name.lower() else r"(?!\w*_8b_)"

    return Siblings(
        udm2=first(rf"{item}(_3B)?_udm2(_clip|_reproject)*\.tiff?"),
        json=first(rf"{item}_metadata\.json"),
        xml=first(rf"{item}(_3B)?_{kind}(AnalyticMS|BGRN)\w*_metadata(_clip)?\.xml"),
    )


def remote_udm2(image: str, product: Product) -> str:
    """Where the UDM2 of an image lies that cannot be listed, by the rule of names."""
    folder = image[: image.rfind("/") + 1]
    middle = "_3B" if product.name.startswith("PSScene") else ""
    return f"{folder}{product.item_id}{middle}_udm2{'_clip' if product.clipped else ''}.tif"


def metadata(product: Product, files: Siblings) -> Metadata:
    """What is known of a scene: from the JSON, what that lacks from the XML, and date and satellite from the id.

    Raises:
        SceneError: a metadata file is malformed.
    """
    known = Metadata() if files.json is None else read_json(files.json)
    if files.xml is not None:
        known = known.or_else(read_xml(files.xml))
    return known.or_else(product.said_by_id)


def scales(path: str, product: Product, numbers: Iterable[int], known: Metadata) -> tuple[float, ...]:
    """Reflectance per digital number of the bands `numbers`.

    Raises:
        SceneError: a radiance product whose XML is missing or says nothing of a band.
    """
    if product.surface_reflectance:
        return tuple(SURFACE_REFLECTANCE_SCALE for _ in numbers)
    try:
        return tuple(known.reflectance_coefficients[number] for number in numbers)
    except KeyError:
        raise SceneError(
            f"{path}: is a radiance product, and no XML beside it gives the reflectance coefficients; "
            "add its ..._metadata.xml, give --scale, or use the surface reflectance product (_SR)"
        ) from None
