"""PlanetScope products, recognised by file names: item ids, band orders, and the files beside an image.

Names follow the public product specification. An order is a folder `<order>/PSScene/` that contains, for every item,
the image, its usable data mask (UDM2; before August 2018 only the UDM) and its metadata as JSON and XML. Every tool of
an order appends its name to file names; the tool `composite` merges the items of one day into one image.
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

#: Band numbers, by the number of bands in the file. The colour tags of the GeoTIFF are wrong in real products and must
#: not be used.
BAND_NUMBERS: Mapping[int, Mapping[str, int]] = {
    4: {"blue": 1, "green": 2, "red": 3, "nir": 4},
    8: {"blue": 2, "green": 4, "red": 6, "nir": 8},  # 1 coastal blue, 3 green i, 5 yellow, 7 red edge
}
SURFACE_REFLECTANCE_SCALE = 1e-4

#: Tools that move or clip pixels. Their names are also in the file names of the mask and the metadata.
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
    """A PlanetScope image, as described by its file name.

    Attributes:
        item_id: such as `20210714_221320_10_2413`, or `4763421_0870512_2021-07-14_1032` for the retired OrthoTiles.
        name: item type and asset, such as `PSScene AnalyticMS_SR_8b`.
        tags: tags of the asset and names of the tools of the order, in lower case.
        from_id: acquisition time (only the day for OrthoTiles) and satellite.
    """

    item_id: str
    name: str
    tags: tuple[str, ...]
    from_id: Metadata

    @property
    def surface_reflectance(self) -> bool:
        """Whether the image is surface reflectance; radiance needs the coefficients in the XML file."""
        return "sr" in self.tags

    @property
    def altered(self) -> bool:
        """Whether the bands were made by a tool that is not known here, such as `bandmath`."""
        return not set(self.tags) <= _TAGS


def parse(file_name: str) -> Product | None:
    """Parse a file name; None if it is not that of a PlanetScope analytic image."""
    match = next((found for pattern in _IMAGE if (found := re.fullmatch(pattern, file_name, re.IGNORECASE))), None)
    if match is None:
        return None
    tags = tuple(tag for tag in match["tags"].lower().split("_") if tag)
    moment = "".join(value for name, value in match.groupdict("").items() if name in {"date", "time"}).replace("-", "")
    try:
        acquired = datetime.strptime(moment.ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:  # the digits are not a date, so that the file is of another kind with a similar name
        return None
    if _OTHER_FILES & set(tags):
        return None
    kind = "PSScene" if "time" in match.groupdict() else "PSOrthoTile"
    return Product(
        item_id=match["id"],
        name=f"{kind} {re.sub('_+', '_', match['asset'])}",
        tags=tags,
        from_id=Metadata(acquired=acquired, satellite_id=match["satellite"]),
    )


def in_folder(folder: Folder) -> SceneFiles | None:
    """The one PlanetScope image in a folder or its subfolders; None if there is none.

    Raises:
        SceneError: there is more than one image, or the metadata are malformed.
    """
    images = [name for name in folder.names if _recognised(PurePosixPath(name).name)]
    return _at(folder, only(folder.path, "images", images)) if images else None


def of_image(image: Path) -> SceneFiles | None:
    """A local image with the files beside it; None if it is not a PlanetScope image.

    Raises:
        SceneError: the metadata are malformed.
    """
    return _at(Folder.beside(image), image.name) if _recognised(image.name) else None


def elsewhere(path: str) -> SceneFiles | None:
    """A remote image, with the expected name of its mask; None if it is not a PlanetScope image."""
    folder, _, name = path.rpartition("/")
    product = parse(name)
    if product is None:
        return None
    middle = "_3B" if product.name.startswith("PSScene") else ""
    tools = "".join(f"_{tag}" for tag in product.tags if tag in _PLACING)
    mask = MaskFile(f"{folder}/{product.item_id}{middle}_udm2{tools}.tif", UDM2, certain=False)
    return _files(path, product, product.from_id, mask)


def _recognised(name: str) -> bool:
    return parse(name) is not None or composite.parse(name) is not None


def _at(folder: Folder, image: str) -> SceneFiles | None:
    """The files of an image, whose name is relative to the folder."""
    subfolder, name = PurePosixPath(image).parent, PurePosixPath(image).name
    product = parse(name)
    beside = sorted(other for other in folder.names if PurePosixPath(other).parent == subfolder)
    if product is None:
        return composite.files(folder, image, beside, BAND_NUMBERS)
    found = siblings(product, [PurePosixPath(other).name for other in beside])
    mask = None
    if found.udm2 or found.udm1:
        kind = UDM2 if found.udm2 else UDM1
        mask = MaskFile(folder.raster((subfolder / (found.udm2 or found.udm1 or "")).as_posix()), kind)
    known = Metadata()
    for other, read in ((found.json, read_json), (found.xml, read_xml)):
        if other is not None:
            path = (subfolder / other).as_posix()
            known = known.or_else(read(folder.shown(path), folder.read(path)))
    return _files(folder.raster(image), product, known.or_else(product.from_id), mask)


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
    """Names of the files of the same item beside an image; None if there is no such file."""

    udm2: str | None
    udm1: str | None
    json: str | None
    xml: str | None


def siblings(product: Product, names: Sequence[str]) -> Siblings:
    """Find the masks and the metadata of an image among the names in its folder, by the item id."""
    item, tools = re.escape(product.item_id), r"(_+[0-9a-z]+)*"

    def first(pattern: str) -> str | None:
        found = [name for name in names if re.fullmatch(f"{item}{pattern}", name, re.IGNORECASE)]
        return min(found, key=lambda name: _difference(name, product), default=None)

    # The coefficients of 4-band and 8-band products differ, because their bands are numbered differently.
    kind = r"(?=\w*_8b_)" if "8b" in product.tags else r"(?!\w*_8b_)"
    return Siblings(
        udm2=first(rf"_+(3B_+|ortho_)?udm2{tools}\.tiff?"),
        udm1=first(rf"_+(3B_+)?((AnalyticMS|Analytic|BGRN|ortho)_\w*?)?udm{tools}\.tiff?"),
        json=first(r"_+metadata\.json"),
        xml=first(rf"_+(3B_+)?{kind}(AnalyticMS|BGRN|ortho|analytic)\w*_(metadata|xml){tools}\.xml"),
    )


def _difference(name: str, product: Product) -> tuple[int, str]:
    """The number of tools in which a file differs from its image: an order may contain an item both whole and clipped.

    The name is the second element, to make the order of equally good files definite.
    """
    tools = set(re.split("[_.]", name.lower())) & set(_PLACING)
    return len(tools ^ (set(product.tags) & set(_PLACING))), name


def _stated(
    path: str, product: Product, known: Metadata, numbers: Sequence[int], scale: float | None, _offset: float | None
) -> Stated:
    """Scale and offset of bands. If the user gives a scale, a radiance product does not need its coefficients.

    Raises:
        SceneError: the image is a radiance product whose coefficients are missing or whose bands were altered.
    """
    if scale is not None:
        return Stated()
    if product.altered:
        if product.surface_reflectance:
            return Stated()
        raise SceneError(
            f"{path}: was derived from a radiance product ({product.name}) by an unknown tool, so that "
            "its scale is unknown; give --scale, or use the surface reflectance product (_SR)"
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
