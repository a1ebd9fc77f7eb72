"""The sources of a data set: scenes with their label files, given one by one or in a table."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from rtsmap.dataset.dates import days_of
from rtsmap.errors import DatasetError, InputError
from rtsmap.scene.calibration import check_given
from rtsmap.scene.files import is_gdal_name, is_remote

COLUMNS = ("image", "labels", "site")
_OPTIONAL = ("footprints", "layer", "footprints_layer", "date", "dem", "scale", "offset")


@dataclass(frozen=True)
class Source:
    """A scene, its label files, and properties that its own files do not state.

    Attributes:
        image: the scene, as `open_scene` takes it.
        labels: file of polygons or a mask; None if the scene has no slumps.
        footprints: file with the area that the labeller searched; None for the whole scene.
        site: name of the site; None for that of the labels.
        acquired: day or moment of acquisition; None for that of the scene.
        dem: elevation model of the scene; None for that of all scenes, if any.
        scale: reflectance per digital number; None for that of all scenes, or else of the scene.
        offset: reflectance of the number 0; None for that of all scenes, or else of the scene.
        layer: layer of the labels; None for that of all scenes, if any.
        footprints_layer: layer of the footprints; None for that of all scenes, if any.
        paired: whether the labels were given for this scene, so that labels without a date are matched by place.
    """

    image: str
    labels: Path | None
    footprints: Path | None = None
    site: str | None = None
    acquired: date | datetime | None = None
    paired: bool = False
    dem: str | None = None
    scale: float | None = None
    offset: float | None = None
    layer: str | None = None
    footprints_layer: str | None = None


def read_table(table: Path) -> list[Source]:
    """Read a CSV table with the columns image, labels and site.

    The columns footprints, layer (of the labels), footprints_layer, date, dem, scale and offset are optional. Paths are
    relative to the table. An empty cell in the column labels stands for a scene without slumps.

    Raises:
        DatasetError: the table cannot be read, or a column, a value or a file is missing or wrong.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:  # Excel writes a byte order mark
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeError, csv.Error) as error:
        raise DatasetError(f"{table}: cannot be read as a table ({error})") from error
    if not rows or (missing := set(COLUMNS) - set(rows[0])):
        lacking = f"; it lacks {', '.join(sorted(missing))}" if rows else ""
        raise DatasetError(f"{table}: needs a header and the columns {', '.join(COLUMNS)}{lacking}")
    return [_source(table, number, row) for number, row in enumerate(rows, start=2)]


def _source(table: Path, number: int, row: Mapping[str, str | None]) -> Source:
    values = {name: (row.get(name) or "").strip() for name in (*COLUMNS, *_OPTIONAL)}
    if not values["image"]:
        raise DatasetError(f"{table}: line {number} has no image; name one or remove the line")
    files = {name: table.parent / values[name] if values[name] else None for name in ("labels", "footprints")}
    for name, path in files.items():
        if path is not None and not path.exists():
            raise DatasetError(f"{table}: line {number}: {name} {path} does not exist; correct the path")
    image, dem = (_placed(table, values[name]) for name in ("image", "dem"))
    if values["dem"] and not (is_remote(dem) or is_gdal_name(dem)) and not Path(dem).exists():
        raise DatasetError(f"{table}: line {number}: dem {dem} does not exist; correct the path")
    acquired = days_of(values["date"])
    if values["date"] and (acquired is None or acquired.first != acquired.last):
        raise DatasetError(f"{table}: line {number}: the date {values['date']} is not YYYY-MM-DD")
    return Source(
        image,
        files["labels"],
        files["footprints"],
        values["site"] or None,
        (acquired.moment or acquired.first) if acquired else None,
        paired=True,
        dem=dem if values["dem"] else None,
        scale=_number(table, number, "scale", values["scale"]),
        offset=_number(table, number, "offset", values["offset"]),
        layer=values["layer"] or None,
        footprints_layer=values["footprints_layer"] or None,
    )


def _number(table: Path, line: int, column: str, text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
        check_given(**{"scale": None, "offset": None, column: value})
    except (ValueError, InputError) as error:
        meant = "a number above 0" if column == "scale" else "a number"
        raise DatasetError(f"{table}: line {line}: the {column} {text} is not {meant}") from error
    return value


def _placed(table: Path, path: str) -> str:
    return path if is_remote(path) or is_gdal_name(path) else str(table.parent / path)
