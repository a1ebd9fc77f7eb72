"""PlanetScope products by their file names: item ids, band orders, and the files that lie beside an image.

Names follow the public product specification. An order comes as a folder `<order>/PSScene/` with, for every item,
the image, its usable data mask (UDM2; before August 2018 only the UDM) and its metadata as JSON and XML. Every tool of
an order adds its name to a file's; the tool `composite` joins the items of a day to one image.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath

from rtsmap.errors import SceneError
from rtsmap.scene import composite
from rtsmap.scene.calibration import Stated
from rtsmap.scene.folder import Folder
from rtsmap.scene.masks import UDM1, UDM2
from rtsmap.scene.metadata import Metadata, read_json, read_xml
from rtsmap.scene.product import MaskFile, SceneFiles, only

#: Band numbers by the number of bands. The colour tags of the GeoTIFF are wrong in real products: never look at them.
BAND_NUMBERS: Mapping[int, Mapping[str, int]] = {
    4: {"blue": 1, "green": 2, "red": 3, "nir": 4},
    8: {"blue": 2, "green": 4, "red": 6, "nir": 8},  # 1 coastal blue, 3 green i, 5 yellow, 7 red edge
}
SURFACE_REFLECTANCE_SCALE = 1e-4

#: Tools that move or cut pixels, whose names an image shares with its mask and metadata.
_PLACING = ("clip", "reproject", "coreg", "file", "format")
_TAGS = frozenset({"sr", "4b", "8b", "analytic", "harmonized", "harmonize", "toar", "cog", *_PLACING})
_OTHER_FILES = frozenset({"dn", "udm", "udm2", "metadata", "visual", "rpc", "pan"})

_SCENE = r"(?P<date>\d{8})_(?P<time>\d{6})_(?:\d{1,2}_)?(?P<satellite>[0-9a-z]{4})"
_ORTHO_TILE = r"\d+_\d+_(?P<date>\d{4}-\d{2}-\d{2})_(?P<satellite>[0-9a-z]{4})"
_IMAGE = (
    rf"(?P<id>{_SCENE})_+(?:3B_+)?(?P<asset>(?:AnalyticMS|ortho_analytic|analytic)(?P<tags>(?:_+[0-9a-z]+)*))\.tiff?",
    rf"(?P<id>{_ORTHO_TILE})_+(?P<asset>BGRN(?P<tags>_+(?:SR|Analytic)(?:_+[0-9a-z]+)*))\.tiff?",
)


@dataclass(frozen=True)
class Product:
    """A PlanetScope image, as its name tells.

    Attributes:
        item_id: `20210714_221320_10_2413`, or `4763421_0870512_2021-07-14_1032` of the retired OrthoTiles.
        name: item type and asset, `PSScene AnalyticMS_SR_8b`.
        tags: of the asset and of the tools of the order, in lower case.
        said_by_id: date (to the day only for OrthoTiles) and satellite.
    """

    item_id: str
    name: str
    tags: tuple[str, ...]
    said_by_id: Metadata

    @property
    def surface_reflectance(self) -> bool:
        """False for radiance, which needs the coefficients of the XML."""
        return "sr" in self.tags

    @property
    def altered(self) -> bool:
        """Whether something else than the known tools has made its bands, such as `bandmath`."""
        return not set(self.tags) <= _TAGS


def parse(file_name: str) -> Product | None:
    """What a file name tells; None where it is not that of a PlanetScope analytic image."""
    match = next((found for pattern in _IMAGE if (found := re.fullmatch(pattern, file_name, re.IGNORECASE))), None)
    if match is None:
        return None
    tags = tuple(tag for tag in match["tags"].lower().split("_") if tag)
    moment = "".join(value for name, value in match.groupdict("").items() if name in {"date", "time"}).replace("-", "")
    try:
        acquired = datetime.strptime(moment.ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:  # digits that are no date: another file that only looks alike
        return None
    if _OTHER_FILES & set(tags):
        return None
    kind = "PSScene" if "time" in match.groupdict() else "PSOrthoTile"
    return Product(
        item_id=match["id"],
        name=f"{kind} {re.sub('_+', '_', match['asset'])}",
        tags=tags,
        said_by_id=Metadata(acquired=acquired, satellite_id=match["satellite"]),
    )


def in_folder(folder: Folder) -> SceneFiles | None:
    """The one PlanetScope image in a folder or below it; None where there is none.

    Raises:
        SceneError: there is more than one, or its metadata are malformed.
    """
    images = [name for name in folder.names if _recognised(PurePosixPath(name).name)]
    return _at(folder, only(folder.path, "images", images)) if images else None


def of_image(image: Path) -> SceneFiles | None:
    """An image with the files beside it; None where it is none of PlanetScope.

    Raises:
        SceneError: its metadata are malformed.
    """
    return _at(Folder.beside(image), image.name) if _recognised(image.name) else None


def elsewhere(path: str) -> SceneFiles | None:
    """An image that only GDAL can reach: its mask is looked for by the rule of names; None if none of PlanetScope."""
    folder, _, name = path.rpartition("/")
    product = parse(name)
    if product is None:
        return None
    middle = "_3B" if product.name.startswith("PSScene") else ""
    tools = "".join(f"_{tag}" for tag in product.tags if tag in _PLACING)
    mask = MaskFile(f"{folder}/{product.item_id}{middle}_udm2{tools}.tif", UDM2, certain=False)
    return _files(path, product, product.said_by_id, mask)


def _recognised(name: str) -> bool:
    return parse(name) is not None or composite.parse(name) is not None


def _at(folder: Folder, image: str) -> SceneFiles | None:
    """An image in a folder, by its name relative to that."""
    place, name = PurePosixPath(image).parent, PurePosixPath(image).name
    product = parse(name)
    beside = sorted(other for other in folder.names if PurePosixPath(other).parent == place)
    if product is None:
        return composite.files(folder, image, beside, BAND_NUMBERS)
    found = siblings(product, [PurePosixPath(other).name for other in beside])
    mask = None
    if found.udm2 or found.udm1:
        kind = UDM2 if found.udm2 else UDM1
        mask = MaskFile(folder.raster((place / (found.udm2 or found.udm1 or "")).as_posix()), kind)
    known = Metadata()
    for other, read in ((found.json, read_json), (found.xml, read_xml)):
        if other is not None:
            path = (place / other).as_posix()
            known = known.or_else(read(folder.shown(path), folder.read(path)))
    return _files(folder.raster(image), product, known.or_else(product.said_by_id), mask)


def _files(path: str, product: Product, known: Metadata, mask: MaskFile | None) -> SceneFiles:
    return SceneFiles(
        path=path,
        scene_id=product.item_id,
        product=product.name,
        known=known,
        numbers={} if product.altered else BAND_NUMBERS,
        stated=partial(_stated, path, product, known),
        mask=mask,
    )


@dataclass(frozen=True)
class Siblings:
    """Names of the files of the same item beside an image; None where there is none."""

    udm2: str | None
    udm1: str | None
    json: str | None
    xml: str | None


def siblings(product: Product, names: Sequence[str]) -> Siblings:
    """Find the masks and the metadata of an image among the names in its folder, by the item's id."""
    item, tools = re.escape(product.item_id), r"(_+[0-9a-z]+)*"

    def first(pattern: str) -> str | None:
        found = [name for name in names if re.fullmatch(f"{item}{pattern}", name, re.IGNORECASE)]
        return min(found, key=lambda name: _difference(name, product), default=None)

    # The coefficients of one kind of product are wrong for the other: their bands have other numbers.
    kind = r"(?=\w*_8b_)" if "8b" in product.tags else r"(?!\w*_8b_)"
    return Siblings(
        udm2=first(rf"_+(3B_+|ortho_)?udm2{tools}\.tiff?"),
        udm1=first(rf"_+(3B_+)?((AnalyticMS|Analytic|BGRN|ortho)_\w*?)?udm{tools}\.tiff?"),
        json=first(r"_+metadata\.json"),
        xml=first(rf"_+(3B_+)?{kind}(AnalyticMS|BGRN|ortho|analytic)\w*_(metadata|xml){tools}\.xml"),
    )


def _difference(name: str, product: Product) -> tuple[int, str]:
    """How far the tools of a file are from those of its image: an order may hold an item both whole and clipped."""
    tools = set(re.split("[_.]", name.lower())) & set(_PLACING)
    return len(tools ^ (set(product.tags) & set(_PLACING))), name


def _stated(
    path: str, product: Product, known: Metadata, numbers: Sequence[int], scale: float | None, _offset: float | None
) -> Stated:
    """Scale and offset of bands; a radiance product's coefficients are not needed where the user gives a scale.

    Raises:
        SceneError: a radiance product whose XML is missing or says nothing of a band, or whose bands were altered.
    """
    if scale is not None:
        return Stated()
    if product.altered:
        if product.surface_reflectance:
            return Stated()
        raise SceneError(
            f"{path}: something was made of a radiance product ({product.name}), and its numbers may be anything; "
            "give --scale, or use the surface reflectance product (_SR)"
        )
    none = (0.0,) * len(numbers)
    if product.surface_reflectance or "toar" in product.tags:
        return Stated((SURFACE_REFLECTANCE_SCALE,) * len(numbers), none)
    try:
        return Stated([known.reflectance_coefficients[number] for number in numbers], none)
    except KeyError:
        raise SceneError(
            f"{path}: is a radiance product, and no XML beside it gives the reflectance coefficients; "
            "add its ..._metadata.xml, give --scale, or use the surface reflectance product (_SR)"
        ) from None
