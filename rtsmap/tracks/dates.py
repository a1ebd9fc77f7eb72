"""Dates of scenes and of outlines, in the forms that published layers use."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rtsmap.errors import InputError
from rtsmap.tracks.outlines import Floats

if TYPE_CHECKING:
    from rtsmap.scene import Scene

Moments = NDArray[np.datetime64]

_START = date(1970, 1, 1)
_YEARS = (1900, 2100)  # other numbers of four digits are not years of images
#: The day of a date that is only a year: the middle of the months in which slumps are mapped. A choice, not measured.
_MIDDLE = (8, 1)


def days_of(values: "pd.Series[Any]") -> Floats:
    """Days since 1970-01-01 (UTC); NaN where a value is not a date.

    Args:
        values: times, days (`2019-07-30`, `20190730`), years (`2019`), or several days separated by commas, for
            which the mean of the first and the last is taken.

    Returns:
        `(n,)` days.
    """
    if pd.api.types.is_datetime64_any_dtype(values):
        moments = pd.to_datetime(values, utc=True).dt.tz_localize(None)
        return np.asarray((moments - pd.Timestamp(_START)) / pd.Timedelta(days=1), dtype=np.float64)
    codes, distinct = pd.factorize(values)
    known = np.array([*(_days(value) for value in distinct), np.nan], dtype=np.float64)
    return known[codes]  # the code -1 of a missing value selects the last element, NaN


def years_of(days: Floats) -> NDArray[np.int32]:
    """The calendar year of each day."""
    return days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int32) + 1970


def moments_of(days: Floats) -> Moments:
    """Times to the millisecond; NaT where the day is not known."""
    known = np.isfinite(days)
    milliseconds = np.where(known, np.round(np.where(known, days, 0) * 86_400_000), 0).astype(np.int64)
    return np.where(known, milliseconds.astype("datetime64[ms]"), np.datetime64("NaT", "ms"))


def acquired(scene: "Scene") -> datetime:
    """The date of a scene; a time without a time zone is taken as UTC.

    Raises:
        InputError: the scene has no date.
    """
    if scene.info.acquired is None:
        raise InputError(f"{scene.info.path}: its date is not known; put it into the name, such as site_20190730.tif")
    moment = scene.info.acquired
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def day_text(days: float) -> str:
    """A day since 1970-01-01 as `YYYY-MM-DD`."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=float(days))).strftime("%Y-%m-%d")


def _days(value: object) -> float:
    parts = [part.strip() for part in re.split("[,/;]", str(value)) if part.strip()]
    days = [_day(part) for part in parts]
    return (min(days) + max(days)) / 2 if days else float("nan")


def _day(text: str) -> float:
    """The days of one day or year; NaN for anything else, such as `202-00-722`, which occurs in published labels."""
    if re.fullmatch(r"\d{4}(\.0)?", text):
        return _days_of_year(int(text[:4]))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return float("nan")
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    days = (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(days=1)
    return days if _YEARS[0] <= moment.year <= _YEARS[1] else float("nan")


def _days_of_year(year: int) -> float:
    known = _YEARS[0] <= year <= _YEARS[1]
    return float((date(year, *_MIDDLE) - _START).days) if known else float("nan")


def calendar_days(years: Sequence[int]) -> Floats:
    """The first day of each year, in days since 1970-01-01."""
    return np.array([(date(year, 1, 1) - _START).days for year in years], dtype=np.float64)
