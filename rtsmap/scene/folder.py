"""The files of a scene in a folder or in an archive, which is read without unpacking."""

import os
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from rtsmap.errors import SceneError

_ARCHIVES = {".zip": "/vsizip/", ".tar": "/vsitar/"}


@dataclass(frozen=True)
class Folder:
    """A folder or an archive, and the names of its files.

    Attributes:
        path: the folder or the archive.
        names: sorted names of all files in it and its subfolders, relative to it and with `/`.
    """

    path: Path
    names: tuple[str, ...]

    @classmethod
    def of(cls, path: Path) -> "Folder":
        """List a folder or an archive.

        Raises:
            SceneError: it cannot be read.
        """
        try:
            return cls(path, tuple(sorted(_archived(path) if is_archive(path) else _below(path))))
        except (OSError, zipfile.BadZipFile, tarfile.TarError) as error:
            raise SceneError(f"{path}: cannot be read ({error}); check its permissions, or fetch it again") from error

    @classmethod
    def beside(cls, file: Path) -> "Folder":
        """The files in the same folder as a file, which is included."""
        return cls(file.parent, tuple(sorted(entry.name for entry in file.parent.iterdir())))

    def shown(self, name: str) -> str:
        """The path of a file for messages."""
        return str(self.path / name)

    def raster(self, name: str) -> str:
        """The path of a file in GDAL's notation."""
        prefix = _ARCHIVES.get(self.path.suffix.lower(), "") if is_archive(self.path) else ""
        return f"{prefix}{self.path.resolve()}/{name}" if prefix else str(self.path / name)

    def read(self, name: str) -> bytes:
        """Read the content of a file.

        Raises:
            SceneError: it cannot be read.
        """
        try:
            if not is_archive(self.path):
                return (self.path / name).read_bytes()
            if self.path.suffix.lower() == ".zip":
                with zipfile.ZipFile(self.path) as archive:
                    return archive.read(name)
            with tarfile.open(self.path, "r:") as archive:
                member = archive.extractfile(name)
                return b"" if member is None else member.read()
        except (OSError, KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SceneError(f"{self.shown(name)}: cannot be read ({reason}); check its permissions") from error


def is_archive(path: Path) -> bool:
    """Whether a path is an archive whose files GDAL reads without unpacking."""
    return path.suffix.lower() in _ARCHIVES and path.is_file()


def _archived(path: Path) -> list[str]:
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            return [name for name in archive.namelist() if not name.endswith("/")]
    with tarfile.open(path, "r:") as archive:
        return [member.name for member in archive if member.isfile()]


def _below(path: Path) -> list[str]:
    found = []
    for folder, _, names in os.walk(path):
        relative = Path(folder).relative_to(path)
        found += [(relative / name).as_posix() for name in names]
    return found
