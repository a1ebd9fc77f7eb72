"""The files on this machine that a command reads, by the names that it was given."""

import itertools
import re
import stat
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

#: What parts a local path in GDAL's names from the rest: `GPKG:a.gpkg:layer`, `/vsizip/{a.zip}/b.tif`, `zip://a.zip!b`.
_PARTED = re.compile(r"""[:!,{}"'?|]|^/vsi[a-z0-9_]+/|(?<=/)/?vsi[a-z0-9_]+/""")

#: What images of one scene have in common: the ids of PlanetScope, of its retired OrthoTiles, Landsat, Sentinel-2.
_ITEM = re.compile(
    r"\d{8}_\d{6}_(\d{2}_)?[0-9a-z]{4}(?=_)|\d+_\d+_\d{4}-\d{2}-\d{2}_[0-9a-z]{4}(?=_)"
    r"|L[COTEM]\d{2}_[0-9a-z]{4}_\d{6}_\d{8}_\d{8}_\d{2}_[A-Z0-9]{2}(?=_)|T\d{2}[A-Z]{3}_\d{8}T\d{6}(?=_)",
    re.IGNORECASE,
)
_OF_ITEM = re.compile(r".*(\.tiff?|\.jp2|\.xml|\.txt|(metadata|stac).*\.json)", re.IGNORECASE)

#: Beside `a.tif` lie `a.tif.ovr` and the like, `a.tfw`, and beside `a.shp` the rest of it.
_BESIDE = re.compile(r"\.(tfw|wld|jgw|aux|rrd|hdr|imd|rpb|prj|dbf|shx|cpg|qix|sbn|sbx)", re.IGNORECASE)

#: Where a STAC item or a virtual raster names other files.
_NAMED = {".json": re.compile(r'"href"\s*:\s*"([^"]+)"'), ".vrt": re.compile(r"<Source\w+[^>]*>([^<]+)</Source")}
_LONGEST = 10_000_000  # characters of such a file that are looked at


def local_paths(names: Iterable[Path | str | None]) -> list[Path]:
    """The files and folders that names of inputs speak of, and what is read with them.

    Args:
        names: paths, addresses, or names for GDAL; what is not on this machine is left out, as is None.

    Returns:
        Each once: what the names speak of, then what lies beside a scene (metadata, masks, overviews) and what a STAC
        item or a virtual raster names.
    """
    said = dict.fromkeys(path for name in names if name is not None for path in _spoken_of(str(name)))
    listing = cache(_names_in)  # once for all scenes of a folder
    files = [path for path in said if path.is_file()]
    others = (other for path in files for other in (*_beside(path, listing(path.parent)), *_named_in(path)))
    return list(dict.fromkeys([*said, *others]))


def _spoken_of(name: str) -> Iterator[Path]:
    if _mode(Path(name)):
        yield Path(name)
        return
    for part in filter(None, _PARTED.split(name)):
        for form in dict.fromkeys((part, part.lstrip("/"), f"/{part.lstrip('/')}")):
            path = Path(form)
            yield from (
                one for one in (path, *path.parents) if stat.S_ISREG(_mode(one))
            )  # an archive holds what follows
            if form.strip("./") and stat.S_ISDIR(_mode(path)):
                yield path


def is_pipe(path: Path) -> bool:
    """Whether a path is a named pipe, such as a shell makes of `<(command)`: whoever opens it may wait for ever."""
    return stat.S_ISFIFO(_mode(path))


def _mode(path: Path) -> int:
    """Of a file or folder; 0 where there is none, or where the name can be no path."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def _names_in(folder: Path) -> Sequence[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:  # files in it may be read nonetheless
        return ()


def _beside(path: Path, names: Sequence[str]) -> Iterator[Path]:
    item = _ITEM.match(path.name)
    beginning = item[0] if item else path.stem
    first = bisect_left(names, beginning)
    for name in itertools.takewhile(lambda name: name.startswith(beginning), names[first:]):
        stem, dot, suffix = name.rpartition(".")
        of_file = name.startswith(f"{path.name}.") or (stem == path.stem and _BESIDE.fullmatch(dot + suffix))
        if of_file or (item and _OF_ITEM.fullmatch(name)):
            yield path.with_name(name)


def _named_in(path: Path) -> Iterator[Path]:
    pattern = _NAMED.get(path.suffix.lower())
    if pattern is None:
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for name in pattern.findall(file.read(_LONGEST)):
            yield from (place for form in (str(path.parent / name), name) for place in _spoken_of(form))
