from datetime import date

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely

from rtsmap.dataset.labels import Fields, read_footprints, read_labels
from rtsmap.errors import DatasetError, InputError
from tests.labels import SLUMPS, world, write_polygons
from tests.scenes import write_raster

DAY = date(2018, 7, 3)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {
                "image_id": ["20180703_192559_1006"] * 2,
                "image_date": ["2018-07-03"] * 2,
                "region": ["Banks_Island"] * 2,
                "site": ["Banks_Island_01"] * 2,
            },
            ("20180703_192559_1006", DAY, DAY, "Banks_Island_01", True),
            id="AWI",
        ),
        pytest.param(
            {
                "BaseMapDate": ["2018-07-03,2018-08-01"] * 2,
                "RegionName": ["Herschel"] * 2,
                "TrainClass": ["Negative"] * 2,
                "UID": ["a", "b"],
            },
            (None, DAY, date(2018, 8, 1), "Herschel", False),
            id="ARTS",
        ),
        pytest.param(
            {
                "year": [2018] * 2,
                "image_ids": ["20180703_1, 20180703_2"] * 2,
                "site": ["BL"] * 2,
                "date": ["2018-07-03"] * 2,
                "uid": ["a", "b"],
            },
            ("20180703_1, 20180703_2", DAY, DAY, "BL", True),
            id="Barth",
        ),
        pytest.param(
            {"scene": ["537_RE1"] * 2, "date": [pd.Timestamp(DAY)] * 2, "site": ["Batagay"] * 2, "uid": ["a", "b"]},
            ("537_RE1", DAY, DAY, "Batagay", True),
            id="Runge",
        ),
        pytest.param({"area": [1.0, 2.0]}, (None, None, None, None, True), id="plain"),
    ],
)
def test_fields_are_known_by_the_names_of_the_sources(tmp_path, fields, expected):
    labels = read_labels(write_polygons(tmp_path / "labels.gpkg", fields=fields))
    assert list(labels.columns) == [
        "scene_id", "date_from", "date_to", "date_utc", "site", "uid", "positive", "geometry",
    ]  # fmt: skip
    row = labels.iloc[0]
    assert tuple(row[name] for name in ("scene_id", "date_from", "date_to", "site", "positive")) == expected
    given = fields.get("uid", fields.get("UID"))
    assert list(labels["uid"]) == given if given else labels["uid"].is_unique


def test_fields_that_a_shapefile_cuts_to_ten_characters_are_known(tmp_path):
    fields = {"BaseMapDat": ["2018-07-03"] * 2, "TrainClass": ["Positive"] * 2}
    labels = read_labels(write_polygons(tmp_path / "labels.shp", fields=fields))
    assert list(labels["date_from"]) == [DAY, DAY]
    assert labels["positive"].all()


def test_fields_can_be_named(tmp_path):
    fields = {"Bild": ["x", "y"], "Tag": ["20180703", None], "Ort": ["here", " "], "Nr": [7, 8]}
    labels = read_labels(
        write_polygons(tmp_path / "labels.gpkg", fields=fields), fields=Fields("Bild", "Tag", "Ort", "Nr")
    )
    assert list(labels["scene_id"]) == ["x", "y"]
    assert list(labels["date_from"]) == [DAY, None]
    assert list(labels["site"]) == ["here", None]
    assert list(labels["uid"]) == ["7", "8"]


def test_of_labels_without_a_site_the_region_is_taken(tmp_path):
    fields = {"site": ["False", "Banks_Island_01"], "region": ["Novaya Zemlya", "Banks_Island"]}
    labels = read_labels(write_polygons(tmp_path / "labels.gpkg", fields=fields))
    assert list(labels["site"]) == ["Novaya Zemlya", "Banks_Island_01"]


def test_generated_ids_do_not_depend_on_format_or_order(tmp_path):
    slumps = world(*SLUMPS)
    first = read_labels(write_polygons(tmp_path / "a.gpkg", slumps))
    second = read_labels(write_polygons(tmp_path / "b.shp", slumps[::-1]))
    assert set(first["uid"]) == set(second["uid"])


def test_parts_become_outlines_of_their_own(tmp_path):
    both = shapely.MultiPolygon(world(*SLUMPS))
    labels = read_labels(write_polygons(tmp_path / "labels.gpkg", [both], {"uid": ["a"]}))
    assert list(labels.geom_type) == ["Polygon", "Polygon"]
    assert list(labels["uid"]) == ["a", "a/2"]


def test_a_mask_gives_its_regions_with_corners_and_holes(tmp_path):
    mask = np.zeros((1, 20, 20), dtype=np.uint8)
    mask[0, 2:8, 2:8] = 1
    mask[0, 4, 4] = 0
    mask[0, 8:10, 8:10] = 1  # touches by a corner: the same slump
    mask[0, 15:18, 3:6] = 1
    labels = read_labels(write_raster(tmp_path / "mask.tif", mask, descriptions=None))
    assert sorted(labels.area / 9) == [9, 35 + 4]
    assert labels.is_valid.all()
    assert labels.crs.to_epsg() == 32607


def test_footprints_keep_image_and_date(tmp_path):
    path = write_polygons(tmp_path / "f.gpkg", world((0, 0, 9, 9)), {"image_id": ["x"], "image_date": ["2018-07-03"]})
    (row,) = read_footprints(path).itertuples()
    assert (row.scene_id, row.date_from) == ("x", DAY)


def test_an_empty_file_is_an_error_unless_the_searched_area_is_known(tmp_path):
    path = write_polygons(tmp_path / "labels.gpkg", [])
    with pytest.raises(DatasetError, match=r"labels\.gpkg: holds no polygon; give the area that was searched"):
        read_labels(path)
    assert read_labels(path, allow_empty=True).empty
    with pytest.raises(DatasetError, match="holds no footprint"):
        read_footprints(path)


def test_an_unknown_field_is_refused_with_those_that_are_there(tmp_path):
    path = write_polygons(tmp_path / "labels.gpkg", fields={"day": ["2018-07-03"] * 2})
    with pytest.raises(DatasetError, match=r"labels\.gpkg: has no field tag; it has day"):
        read_labels(path, fields=Fields(date="tag"))


def test_of_several_layers_one_is_chosen(tmp_path):
    path = tmp_path / "labels.gpkg"
    write_polygons(path, layer="rts")
    write_polygons(path, world((0, 0, 9, 9)), layer="footprints")
    with pytest.raises(InputError, match="has several layers, rts, footprints; choose one with --layer"):
        read_labels(path)
    with pytest.raises(InputError, match="has no layer slumps; it has rts, footprints"):
        read_labels(path, layer="slumps")
    assert len(read_labels(path, layer="rts")) == 2
    write_polygons(path, layer="thaw_slumps")  # of a map by rtsmap
    assert len(read_labels(path)) == 2


def test_labels_without_a_place_are_refused(tmp_path):
    frame = geopandas.GeoDataFrame(geometry=world(*SLUMPS), crs="EPSG:32607")
    frame.set_crs(None, allow_override=True).to_parquet(tmp_path / "labels.parquet")
    with pytest.raises(InputError, match=r"labels\.parquet: has no coordinate reference system; assign the one"):
        read_labels(tmp_path / "labels.parquet")
    mask = write_raster(tmp_path / "mask.tif", np.ones((1, 4, 4), dtype=np.uint8), crs=None, descriptions=None)
    with pytest.raises(DatasetError, match=r"mask\.tif: has no coordinate reference system"):
        read_labels(mask)
    (tmp_path / "broken.tif").write_bytes(b"no raster")
    with pytest.raises(DatasetError, match=r"broken\.tif: cannot be read as a mask"):
        read_labels(tmp_path / "broken.tif")
