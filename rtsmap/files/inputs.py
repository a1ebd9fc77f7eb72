"""The local files that a command reads, found from the names of its inputs."""

import itertools
import re
import stat
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

#: Separates a local path from the rest of a GDAL name: `GPKG:a.gpkg:layer`, `/vsizip/{a.zip}/b.tif`, `zip://a.zip!b`.
_PARTED = re.compile(r"""[:!,{}"'?|]|^/vsi[a-z0-9_]+/|(?<=/)/?vsi[a-z0-9_]+/""")

#: The item id with which all file names of one scene begin: PlanetScope, its retired OrthoTiles, Landsat, Sentinel-2.
_ITEM = re.compile(
    r"\d{8}_\d{6}_(\d{2}_)?[0-9a-z]{4}(?=_)|\d+_\d+_\d{4}-\d{2}-\d{2}_[0-9a-z]{4}(?=_)"
    r"|L[COTEM]\d{2}_[0-9a-z]{4}_\d{6}_\d{8}_\d{8}_\d{2}_[A-Z0-9]{2}(?=_)|T\d{2}[A-Z]{3}_\d{8}T\d{6}(?=_)",
    re.IGNORECASE,
)
_OF_ITEM = re.compile(r".*(\.tiff?|\.jp2|\.xml|\.txt|(metadata|stac).*\.json)", re.IGNORECASE)

#: Sidecar files that replace the suffix: `a.tfw` of `a.tif`, and the other files of the shapefile `a.shp`.
_BESIDE = re.compile(r"\.(tfw|wld|jgw|aux|rrd|hdr|imd|rpb|prj|dbf|shx|cpg|qix|sbn|sbx)", re.IGNORECASE)

#: References to other files in a STAC item and in a virtual raster.
_NAMED = {".json": re.compile(r'"href"\s*:\s*"([^"]+)"'), ".vrt": re.compile(r"<Source\w+[^>]*>([^<]+)</Source")}
_LONGEST = 10_000_000  # characters of such a file that are searched


def local_paths(names: Iterable[Path | str | None]) -> list[Path]:
    """Find the local files and folders that input names refer to, and the files that are read with them.

    Args:
        names: paths, URLs or GDAL dataset names; None and what does not exist locally are skipped.

    Returns:
        Each path once: first those in the names, then the sidecar files of each scene (metadata, masks, overviews) and
        the files to which a STAC item or a virtual raster refers.
    """
    named = dict.fromkeys(path for name in names if name is not None for path in _paths_in_name(str(name)))
    listing = cache(_names_in)  # a folder is listed once for all its scenes
    files = [path for path in named if path.is_file()]
    others = (other for path in files for other in (*_beside(path, listing(path.parent)), *_referenced_by(path)))
    return list(dict.fromkeys([*named, *others]))


def _paths_in_name(name: str) -> Iterator[Path]:
    if _mode(Path(name)):
        yield Path(name)
        return
    for part in filter(None, _PARTED.split(name)):
        for form in dict.fromkeys((part, part.lstrip("/"), f"/{part.lstrip('/')}")):
            path = Path(form)
            # a regular file among the parents is an archive that holds the rest of the path
            yield from (file for file in (path, *path.parents) if stat.S_ISREG(_mode(file)))
            if form.strip("./") and stat.S_ISDIR(_mode(path)):
                yield path


def is_pipe(path: Path) -> bool:
    """Whether a path is a named pipe, such as a shell makes from `<(command)`; opening one may block for ever."""
    return stat.S_ISFIFO(_mode(path))


def _mode(path: Path) -> int:
    """The mode of a file or folder; 0 if it does not exist or the name is not a valid path."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def _names_in(folder: Path) -> Sequence[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:  # a folder that cannot be listed may still have readable files
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


def _referenced_by(path: Path) -> Iterator[Path]:
    pattern = _NAMED.get(path.suffix.lower())
    if pattern is None:
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for name in pattern.findall(file.read(_LONGEST)):
            yield from (found for form in (str(path.parent / name), name) for found in _paths_in_name(form))
