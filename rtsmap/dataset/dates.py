"""Parsing of days and times as tables and layers write them, and local days."""

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
    """The days on which a label or a scene was seen.

    Attributes:
        first: first day.
        last: last day; the same as the first where only one is known.
        utc: whether these are days in UTC, because they were given with a time; otherwise they are local days.
        moment: time in UTC, where there is a single one.
    """

    first: date
    last: date
    utc: bool = False
    moment: datetime | None = None


def days_of(value: Any) -> Days | None:
    """Parse `YYYY-MM-DD`, `YYYY/MM/DD`, `YYYYMMDD`, `first,last`, or a time with or without an offset from UTC.

    Returns:
        The days; None without a value, or where it is not a date, such as 202-00-722 in published labels.
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
    if not utc and not sign and moment.time() == datetime.min.time():  # many formats write a day as midnight
        return plain
    offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
    return moment - offset if sign == "+" else moment + offset


def local_day(moment: datetime, longitude: float) -> date:
    """Return the day in local solar time at a longitude (degrees), for a time in UTC."""
    try:
        return (moment + timedelta(hours=((longitude + 180) % 360 - 180) / 15)).date()
    except OverflowError:  # at the ends of the years 1 and 9999
        return moment.date()
