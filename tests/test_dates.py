"""Dates as tables and layers write them, and which day of a scene they are compared with."""

from datetime import UTC, date, datetime

import pandas as pd
import pytest

from rtsmap.dataset.dates import days_of, local_day
from rtsmap.dataset.label_matching import Rule, extent_of, match
from rtsmap.dataset.labels import read_labels
from rtsmap.dataset.sources import read_table
from rtsmap.errors import DatasetError, SceneError
from rtsmap.scene import open_scene
from tests.labels import SLUMPS, world, write_polygons
from tests.scenes import PROPERTIES, write_planetscope

DAY, LATER = date(2018, 7, 3), date(2018, 8, 1)


@pytest.mark.parametrize(
    ("value", "first", "last", "utc"),
    [
        ("2018-07-03", DAY, DAY, False),
        ("2018/07/03", DAY, DAY, False),
        ("2018/7/3", DAY, DAY, False),
        ("20180703", DAY, DAY, False),
        (20180703, DAY, DAY, False),
        (DAY, DAY, DAY, False),
        (pd.Timestamp(DAY), DAY, DAY, False),
        ("2018-07-03 00:00:00", DAY, DAY, False),
        ("2018-08-01, 2018-07-03", DAY, LATER, False),
        ("2018-07-03/2018-08-01", DAY, LATER, False),
        ("2018/07/03;2018/08/01;", DAY, LATER, False),
        ("2018-07-03T20:15:12Z", DAY, DAY, True),
        ("2018-07-03 20:15:12.123456", DAY, DAY, True),
        ("2018-07-03T00:00:00Z", DAY, DAY, True),
        ("2018-07-02T16:30-08:00", DAY, DAY, True),
        ("2018-07-02T23:59:59-0001", DAY, DAY, True),
        ("2018-07-04T05:00:00+09", DAY, DAY, True),
        ("2018-08-01T07:59+08:00/2018-08-01T08:00+08:00", date(2018, 7, 31), LATER, True),
        (pd.Timestamp("2018-07-04T01:00", tz="Asia/Yakutsk"), DAY, DAY, True),
        ("0001-01-01", date.min, date.min, False),
        ("9999-12-31", date.max, date.max, False),
    ],
)
def test_dates_and_moments(value, first, last, utc):
    days = days_of(value)
    assert (days.first, days.last, days.utc) == (first, last, utc)


@pytest.mark.parametrize(
    "value",
    [None, "", "soon", "202-00-722", "2018-06-31", "2018-13-01", "20180703_192559_1006", "2018-07-03T25:00Z", pd.NaT,
     float("nan"), "0001-01-01T00:30:00+02:00", "9999-12-31T23:30:00-02:00", "3.7.2018"],
)  # fmt: skip
def test_what_is_no_date(value):
    assert days_of(value) is None


@pytest.mark.parametrize(
    ("moment", "longitude", "expected"),
    [
        (datetime(2020, 7, 14, 4, 30, tzinfo=UTC), -139, date(2020, 7, 13)),
        (datetime(2020, 7, 13, 22, 30, tzinfo=UTC), 125, date(2020, 7, 14)),
        (datetime(2020, 7, 13, 22, 30, tzinfo=UTC), 185, date(2020, 7, 13)),
        (datetime(2020, 7, 13, 12, 0, tzinfo=UTC), 0, date(2020, 7, 13)),
        (datetime(9999, 12, 31, 23, 0, tzinfo=UTC), 100, date(9999, 12, 31)),
        (datetime(1, 1, 1, 1, 0, tzinfo=UTC), -100, date(1, 1, 1)),
    ],
)
def test_the_day_at_a_place(moment, longitude, expected):
    assert local_day(moment, longitude) == expected


@pytest.mark.parametrize(
    ("label", "belongs"),
    [
        ("2021-07-13", True),  # at 139 W it is 18:43 of the day before
        ("2021/07/13", True),
        ("2021-07-14", False),
        ("2021-07-14T04:00:00Z", True),
        ("2021-07-13T18:43:00-09:00", True),
        ("2021-07-13T04:00:00Z", False),
        ("0001-01-01", False),
        ("9999-12-31", False),
    ],
)
def test_a_label_belongs_to_the_day_that_it_says(tmp_path, label, belongs):
    properties = {**PROPERTIES, "acquired": "2021-07-14T04:00:00Z"}
    image = write_planetscope(tmp_path, properties=properties, with_xml=False)
    labels = read_labels(write_polygons(tmp_path / "labels.geojson", world(SLUMPS[0]), {"date": [label]}))
    with open_scene(str(image)) as scene:
        found = match(labels, extent_of(scene), Rule(days=0), by_id=False, source="labels")
    assert len(found) == belongs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-07-13", date(2020, 7, 13)),
        ("2020/07/13", date(2020, 7, 13)),
        ("2020-07-13T23:30:00-10:00", datetime(2020, 7, 14, 9, 30, tzinfo=UTC)),
        ("0001-01-01", date.min),
        ("13.7.2020", None),
        ("2020-07-13,2020-07-14", None),
        ("9999-12-31T23:30:00-10:00", None),
    ],
)
def test_dates_of_a_table(tmp_path, text, expected):
    path = tmp_path / "scenes.csv"
    path.write_text(f'image,labels,site,date\na.tif,,here,"{text}"\n')
    if expected is None:
        with pytest.raises(DatasetError, match=r"scenes\.csv: line 2: the date .* is not YYYY-MM-DD"):
            read_table(path)
    else:
        assert read_table(path)[0].acquired == expected


@pytest.mark.parametrize("acquired", ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59Z", "1066-10-14T09:00:00Z"])
def test_a_scene_cannot_be_of_any_year(tmp_path, acquired):
    image = write_planetscope(tmp_path, properties={**PROPERTIES, "acquired": acquired})
    with pytest.raises(SceneError, match=r"metadata\.json: is not valid metadata \(no satellite took an image on"):
        open_scene(str(image))
