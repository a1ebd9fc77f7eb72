"""The files that belong to a data set, so that replacing a data set never deletes or changes other files."""

import json
from pathlib import Path

from rtsmap.bands import MODALITY_CHANNELS
from rtsmap.dataset.images import ANNOTATIONS, SPLIT
from rtsmap.dataset.modality_files import FOLDER

#: Keys of an image that COCO files of other software do not have.
_OURS = {"gsd_m", "bands", "site", "scene"}


def foreign_files(folder: Path) -> list[str]:
    """Return the relative names of the files in a folder that belong to no data set of rtsmap."""
    known = _known(folder)
    files = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = (path.relative_to(folder).as_posix() for path in files)
    return sorted(name for name in names if name.removesuffix(".aux.xml") not in known)


def dataset_files(folder: Path) -> list[Path]:
    """Return the files and folders from which a data set is read."""
    shards = sorted(folder.glob("images-*.tar")) if folder.is_dir() else []
    return [folder / ANNOTATIONS, folder / SPLIT, folder / "images", folder / FOLDER, *shards]


def _known(folder: Path) -> set[str]:
    try:
        images = json.loads((folder / ANNOTATIONS).read_text(encoding="utf-8"))["images"]
        if not all(entry.keys() >= _OURS for entry in images):
            return set()
        names = [str(entry["file_name"]) for entry in images]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()
    shards = (name.partition("/")[0] for name in names if ".tar/" in name)
    endings = (*MODALITY_CHANNELS, "mask")
    modalities = (f"{FOLDER}/{Path(name).stem}_{ending}.tif" for name in names for ending in endings)
    return {ANNOTATIONS, SPLIT, *names, *shards, *modalities}
