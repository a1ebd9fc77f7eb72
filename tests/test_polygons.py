"""Polygons of others are read in one way, with one line for what is wrong."""

import geopandas
import pytest
import shapely

from rtsmap.errors import InputError
from rtsmap.polygons import project_frame, read_area, read_polygons

BOW_TIE = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])


def test_invalid_polygons_are_mended_and_other_geometries_left_out(tmp_path):
    shapes = [shapely.box(0, 0, 10, 10), BOW_TIE, shapely.Point(3, 3)]
    geopandas.GeoDataFrame({"name": ["a", "b", "c"]}, geometry=shapes, crs=32651).to_file(tmp_path / "labels.gpkg")
    frame = read_polygons(tmp_path / "labels.gpkg")
    assert frame["name"].tolist() == ["a", "b"]
    assert frame.is_valid.all()
    assert frame.area.tolist() == [100, 50]


def test_polygons_come_in_the_crs_asked_for(tmp_path):
    geopandas.GeoDataFrame(geometry=[shapely.box(100, 70, 101, 71)], crs=4326).to_file(tmp_path / "labels.geojson")
    frame = project_frame(read_polygons(tmp_path / "labels.geojson"), 32647)
    assert frame.crs.to_epsg() == 32647
    assert frame.area.sum() == pytest.approx(4.0e9, rel=0.1)


def test_unreadable_layers_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.gpkg: cannot be read as a layer"):
        read_polygons(tmp_path / "none.gpkg")
    geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)]).to_parquet(tmp_path / "plain.parquet")
    with pytest.raises(InputError, match="no coordinate reference system"):
        read_polygons(tmp_path / "plain.parquet")


def test_an_area_of_points_holds_no_polygon(tmp_path):
    geopandas.GeoDataFrame(geometry=[shapely.Point(3, 3)], crs=32651).to_file(tmp_path / "points.gpkg")
    with pytest.raises(InputError, match=r"points\.gpkg: holds no polygon"):
        read_area(tmp_path / "points.gpkg", 32651, (0, 0, 9, 9))
