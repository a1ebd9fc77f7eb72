"""Days and moments as tables and layers write them, and the day at a place."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd

_DAY = r"\d{4}-\d{1,2}-\d{1,2}|\d{4}/\d{1,2}/\d{1,2}|\d{8}"
_TIME = r"\d{1,2}:?\d{2}(?::?\d{2}(?:\.\d+)?)?\s*(?:Z|UTC|[+-]\d{2}(?::?\d{2})?)?"
_ONE = re.compile(rf"({_DAY})(?:[T ]({_TIME}))?", re.IGNORECASE)
_ALL = re.compile(rf"(?:{_ONE.pattern}\s*(?:[,;/]\s*|$))+", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2}):?(\d{2})(?::?(\d{2}))?[^Zz+-]*?(?:(Z|UTC)|([+-])(\d{2}):?(\d{2})?)?", re.IGNORECASE)


@dataclass(frozen=True)
class Days:
    """When something was seen.

    Attributes:
        first: day.
        last: day; the same where one is known.
        utc: they are days of UTC, because a time of day was given with them; else days at the place.
        moment: the time of UTC, where there is a single one.
    """

    first: date
    last: date
    utc: bool = False
    moment: datetime | None = None


def days_of(value: Any) -> Days | None:
    """Days of `YYYY-MM-DD`, `YYYY/MM/DD`, `YYYYMMDD`, `first,last`, or a moment with or without an offset from UTC.

    Returns:
        None where there is none, or it is no date: published labels hold such as 202-00-722.
    """
    if value is None or pd.isna(value):
        return None
    text = value.isoformat() if isinstance(value, date) else str(value).strip()
    if not _ALL.fullmatch(text):
        return None
    try:
        moments = [_moment(day, clock) for day, clock in _ONE.findall(text)]
    except (ValueError, OverflowError):  # the 31st of June; a time zone before the year 1
        return None
    days = [moment.date() if isinstance(moment, datetime) else moment for moment in moments]
    times = [moment for moment in moments if isinstance(moment, datetime)]
    return Days(min(days), max(days), bool(times), times[0] if len(moments) == len(times) == 1 else None)


def _moment(day: str, clock: str) -> date:
    parts = re.split("[-/]", day) if len(day) != 8 or not day.isdigit() else (day[:4], day[4:6], day[6:])
    plain = date(*map(int, parts))
    match = _CLOCK.fullmatch(clock)
    if match is None:
        return plain
    hours, minutes, seconds, utc, sign, zone_hours, zone_minutes = match.groups()
    moment = datetime(plain.year, plain.month, plain.day, int(hours), int(minutes), int(seconds or 0), tzinfo=UTC)
    if not utc and not sign and moment.time() == datetime.min.time():  # how many formats write a day
        return plain
    offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
    return moment - offset if sign == "+" else moment + offset


def local_day(moment: datetime, longitude: float) -> date:
    """The day by the sun at a place, for a moment of UTC: there it is noon when the sun stands in the south."""
    try:
        return (moment + timedelta(hours=((longitude + 180) % 360 - 180) / 15)).date()
    except OverflowError:  # in the years 1 and 9999
        return moment.date()
