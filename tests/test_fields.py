"""The attributes of the layer, each written down once."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest

from rtsmap.fields import ObservedScene, SceneAttributes, Slump, column, layer_fields
from rtsmap.records import SceneInfo


@pytest.mark.parametrize(
    ("record", "name", "dtype", "type_name", "unit"),
    [
        (Slump, "slump_id", "string", "text", "-"),
        (Slump, "area_m2", "float64", "real", "m2"),
        (Slump, "ndvi_mean", "float64", "real", "-1..1"),  # None where it is not known
        (Slump, "touches_edge", "bool", "boolean", "-"),
        (Slump, "n_chips", "int32", "integer", "-"),
        (Slump, "acquired", "datetime64[ms, UTC]", "datetime", "UTC"),  # of the scene
        (ObservedScene, "sun_azimuth_deg", "float64", "real", "degrees"),
        (ObservedScene, "n_slumps", "int32", "integer", "-"),
    ],
)
def test_columns_follow_from_the_records(record, name, dtype, type_name, unit):
    (found,) = [one for one in layer_fields(record) if one.name == name]
    assert (found.dtype, found.type_name, found.unit) == (dtype, type_name, unit)


def test_the_attributes_of_the_scene_lie_where_the_record_has_them():
    names, scene = ([one.name for one in layer_fields(record)] for record in (Slump, SceneAttributes))
    start = names.index("n_chips") + 1
    assert names[start : start + len(scene)] == scene
    assert names[start + len(scene) :] == ["model", "model_sha256", "rtsmap_version"]


def test_a_new_attribute_is_written_down_once():
    @dataclass(frozen=True, kw_only=True)
    class Wider(Slump):
        headwall_m: float | None = column("Headwall (m)", "length of the headwall", "m", since="0.2.0")

    *others, last = layer_fields(Wider)
    assert tuple(others) == layer_fields(Slump)
    assert (last.name, last.dtype, last.alias, last.since) == ("headwall_m", "float64", "Headwall (m)", "0.2.0")


@pytest.mark.parametrize("record", [Slump, ObservedScene])
def test_every_column_can_be_told_from_the_others(record):
    fields = layer_fields(record)
    assert all(one.alias and one.description and "|" not in one.description for one in fields)
    assert len({one.alias for one in fields}) == len({one.name for one in fields}) == len(fields)


MOMENT = datetime(2020, 7, 1, 20, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("acquired", "expected"),
    [
        (MOMENT, MOMENT),
        (datetime(2020, 7, 1, 20, 1, 2), MOMENT),
        (datetime(2020, 7, 1, 13, 1, 2, tzinfo=timezone(timedelta(hours=-7))), MOMENT),
        (None, None),
    ],
)
def test_times_are_utc(acquired, expected):
    scene = SceneAttributes.of(SceneInfo("s", "s.tif", "planetscope", 3.0, acquired=acquired))
    assert scene.acquired == expected
    assert scene.acquired is None or scene.acquired.tzinfo is UTC
