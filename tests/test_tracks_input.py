import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from PIL import Image

from tests.tracks import CRS, X, Y, read, square, write_map, write_plain

A = square(0, 0, 60)


def two_years(folder, **fields):
    return [write_map(folder / f"{y}.gpkg", f"{y}-07-20", [A], **fields) for y in (2019, 2020)]


def no_dates(folder):
    return [write_plain(folder / "plain.gpkg", ["x"], [A], "remark")]


def dates_that_are_none(folder):
    return [write_plain(folder / "plain.gpkg", ["summer", "202-00-722"], [A, A])]


def one_epoch(folder):
    return [write_map(folder / "a.gpkg", "2019-07-20", [A]), write_map(folder / "b.gpkg", "2019-08-20", [A])]


def no_crs(folder):
    frame = geopandas.GeoDataFrame({"date": ["2019-07-20"]}, geometry=[A])
    with pytest.warns(UserWarning, match="crs"):
        pyogrio.write_dataframe(frame, folder / "plain.gpkg", layer="rts", driver="GPKG")
    return [folder / "plain.gpkg"]


def several_layers(folder):
    for name in ("lakes", "slumps"):
        frame = geopandas.GeoDataFrame({"date": ["2019-07-20"]}, geometry=[A], crs=CRS)
        pyogrio.write_dataframe(frame, folder / "plain.gpkg", layer=name, driver="GPKG", append=name == "slumps")
    return [folder / "plain.gpkg"]


def points(folder):
    frame = geopandas.GeoDataFrame({"date": ["2019-07-20"]}, geometry=[A.centroid], crs=CRS)
    pyogrio.write_dataframe(frame, folder / "points.gpkg", layer="rts", driver="GPKG")
    return [folder / "points.gpkg"]


def text(folder):
    (folder / "notes.gpkg").write_text("no layer")
    return [folder / "notes.gpkg"]


def nothing(folder):
    return [write_map(folder / f"{y}.gpkg", f"{y}-07-20", []) for y in (2019, 2020)]


BAD = {
    "no dates": (no_dates, (), "has no field that is known to hold dates; it has remark; name one with --date-field"),
    "a date field that is not there": (two_years, ("--date-field", "when"), "has no field when; it has slump_id"),
    "dates that are none": (dates_that_are_none, (), "no value of its field date is a date such as 2019-07-30"),
    "one epoch": (one_epoch, (), "are of 2019; give layers of two or more years"),
    "no CRS": (no_crs, (), "has no coordinate reference system; assign the one"),
    "several layers": (several_layers, (), "has several layers, lakes, slumps; choose one with --layer"),
    "a layer that is not there": (two_years, ("--layer", "rts"), "has no layer rts; it has thaw_slumps"),
    "points": (points, (), "holds no polygons"),
    "no layer at all": (text, (), "cannot be read as a layer of polygons"),
    "no outline": (nothing, (), "none of the layers holds an outline with a date"),
    "all scores too low": (two_years, ("--min-score", 0.9), "none of the layers holds an outline with a date"),
    "an elevation model that is none": (two_years, ("--dem", "no.tif"), "no.tif: is not a raster that can be read"),
    "an animation without scenes": (two_years, ("--animation", "a.gif"), "--animation needs --scenes"),
    "an animation of another format": (
        two_years,
        ("--scenes", "a.tif", "--animation", "a.mp4"),
        "a.mp4: cannot tell the format; end the name in .gif or .webp",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_one_line_and_no_file(rtsmap, tmp_path, monkeypatch, case):
    make, words, message = BAD[case]
    monkeypatch.chdir(tmp_path)
    layers = make(tmp_path)
    code, _, err = rtsmap("track", *layers, "-o", "tracks.gpkg", *words)
    assert code == 2
    assert message in err.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in layers}


def test_the_output_must_be_a_geopackage_and_is_not_replaced_unasked(rtsmap, tmp_path):
    layers = two_years(tmp_path)
    code, _, err = rtsmap("track", *layers, "-o", tmp_path / "tracks.parquet")
    assert (code, "end the name in .gpkg" in err) == (2, True)
    (tmp_path / "tracks.gpkg").write_text("mine")
    code, _, err = rtsmap("track", *layers, "-o", tmp_path / "tracks.gpkg")
    assert (code, "exists already" in err, (tmp_path / "tracks.gpkg").read_text()) == (2, True, "mine")
    code, out, _ = rtsmap("track", *layers, "-o", tmp_path / "tracks.gpkg", "--overwrite")
    assert code == 0
    assert "1 slumps, 2 outlines, epochs 2019, 2020" in out


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (two_years, "no observed area is known of 2019, 2020"),
        (
            lambda folder: [
                write_map(folder / "a.gpkg", "2019-07-20", [A], model="a"),
                write_map(folder / "b.gpkg", "2020-07-20", [A], model="b"),
            ],
            "the layers come from 2 models",
        ),
        (
            lambda folder: [write_plain(folder / "a.gpkg", ["2019-07-20", "2020-07-20", None], [A, A, A])],
            "1 outlines have no date and are left out",
        ),
    ],
)
def test_what_makes_tracks_less_sure_is_said(tmp_path, caplog, make, message):
    from rtsmap.tracks import track_layers

    track_layers(make(tmp_path), tmp_path / "tracks.gpkg")
    assert message in caplog.text
    assert read(tmp_path / "tracks.gpkg", "tracks")["n_seen"].tolist() == [2]


def test_a_change_of_the_model_is_told_by_what_it_does_to_areas(rtsmap, tmp_path):
    layers = [
        write_map(tmp_path / "a.gpkg", "2018-07-20", [A], model="a"),
        write_map(tmp_path / "b.gpkg", "2019-07-20", [A], model="a"),
        write_map(tmp_path / "c.gpkg", "2020-07-20", [square(0, 0, 60, 90)], model="b"),
    ]
    _, out, _ = rtsmap("track", *layers, "-o", tmp_path / "tracks.gpkg")
    assert "median ratio of areas 1.50 where the model changes, 1.00 where it does not" in out


def test_the_observed_area_may_come_from_another_file(tmp_path):
    from rtsmap.tracks import TrackOptions, track_layers

    plain = write_plain(tmp_path / "rts.gpkg", ["2018-07-20", "2018-07-20", "2019-07-20"], [A, square(900, 0, 60), A])
    around = shapely.box(X - 500, Y - 500, X + 500, Y + 500)
    areas = write_plain(tmp_path / "seen.gpkg", ["2018-07-20", "2019-07-20"], [around.buffer(2000), around])
    track_layers([plain], tmp_path / "tracks.gpkg", TrackOptions(observed=(areas,)))
    assert sorted(read(tmp_path / "tracks.gpkg", "tracks")["status"]) == ["active", "not_observed"]


def test_geoparquet_is_read_as_rtsmap_writes_it(tmp_path):
    from rtsmap.tracks import track_layers

    for year in (2019, 2020):
        common = {"acquired": np.datetime64(f"{year}-07-20", "ms"), "scene_id": "a"}
        slumps = geopandas.GeoDataFrame({"slump_id": ["1"], "score": [0.7]}, geometry=[A], crs=CRS).assign(**common)
        slumps.to_parquet(tmp_path / f"{year}.parquet")
        area = geopandas.GeoDataFrame(common, index=[0], geometry=[A.buffer(500)], crs=CRS)
        area.to_parquet(tmp_path / f"{year}_observed.parquet")
    track_layers([tmp_path / f"{year}.parquet" for year in (2019, 2020)], tmp_path / "tracks.gpkg")
    (track,) = read(tmp_path / "tracks.gpkg", "tracks").itertuples()
    assert (track.n_seen, track.n_observed) == (2, 2)


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """Two years of a slump that grows, with their scenes and an elevation model that rises to the east."""
    import rasterio
    import rasterio.features
    from affine import Affine

    folder = tmp_path_factory.mktemp("pictured")
    grid = Affine(3, 0, X - 300, 0, -3, Y + 300)
    outlines = [square(0, 0, 60), square(0, 0, 100, 60)]
    for year, outline in zip((2019, 2020), outlines, strict=True):
        write_map(folder / f"{year}.gpkg", f"{year}-07-20", [outline])
        inside = rasterio.features.rasterize([outline], (200, 200), transform=grid) > 0
        numbers = np.where(inside, [[[900]], [[1000]], [[1200]], [[1500]]], [[[400]], [[600]], [[500]], [[2500]]])
        profile = {"driver": "GTiff", "count": 4, "dtype": "uint16", "height": 200, "width": 200, "crs": CRS}
        with rasterio.open(folder / f"site_{year}0720.tif", "w", transform=grid, **profile) as file:
            file.write(numbers.astype("uint16"))
            file.descriptions = ("blue", "green", "red", "nir")
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "height": 60, "width": 60, "crs": CRS}
    with rasterio.open(folder / "dem.tif", "w", transform=Affine(15, 0, X - 400, 0, -15, Y + 400), **profile) as file:
        file.write(np.tile(np.arange(60, dtype="float32"), (60, 1)), 1)
    return folder


def test_plots_and_an_animation_show_the_slump_through_the_years(rtsmap, pictured, tmp_path):
    scenes = [word for year in (2019, 2020) for word in ("--scenes", pictured / f"site_{year}0720.tif")]
    words = ["-o", tmp_path / "tracks.gpkg", "--plots", tmp_path / "plots", "--animation", tmp_path / "site.gif"]
    maps = [pictured / f"{year}.gpkg" for year in (2019, 2020)]
    code, out, err = rtsmap("track", *maps, *scenes, *words, "--boundary-error", 1, "--site-km", 0.3)
    assert code == 0, err
    (track,) = read(tmp_path / "tracks.gpkg", "tracks").itertuples()
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {f"{track.track_id}.png", "sheet.png"}
    with Image.open(tmp_path / "site.gif") as animation:
        assert animation.n_frames == 2
        first = np.asarray(animation.convert("RGB"), dtype=int)
        animation.seek(1)
        assert np.abs(np.asarray(animation.convert("RGB"), dtype=int) - first).mean() > 1
    assert "1 plots" in out


def test_a_site_that_no_scene_shows_is_said(rtsmap, pictured, tmp_path):
    maps = [pictured / f"{year}.gpkg" for year in (2019, 2020)]
    words = ["--scenes", pictured / "site_20190720.tif", "--animation", tmp_path / "site.gif", "--site", "10,70"]
    code, _, err = rtsmap("track", *maps, "-o", tmp_path / "tracks.gpkg", *words)
    assert code == 2
    assert "neither this scene nor another one shows 10.00000,70.00000" in err


def test_the_headwall_is_where_the_elevation_model_rises(pictured, tmp_path):
    from rtsmap.tracks import TrackOptions, track_layers

    maps = [pictured / f"{year}.gpkg" for year in (2019, 2020)]
    track_layers(maps, tmp_path / "tracks.gpkg", TrackOptions(dem=str(pictured / "dem.tif")))
    (row,) = read(tmp_path / "tracks.gpkg", "growth").itertuples()
    assert row.retreat_by == "dem"
    assert row.retreat_azimuth_deg == pytest.approx(90, abs=3)
    assert row.retreat_median_m == pytest.approx(40, rel=0.03)


def write_ground(path, ground, corner, moved):
    """A scene of a random ground, whose georeference is off by so many metres."""
    import rasterio
    from affine import Affine

    profile = {"driver": "GTiff", "count": 4, "dtype": "uint16", "height": 300, "width": 300, "crs": CRS}
    grid = Affine(3, 0, X - 450 + moved[0], 0, -3, Y + 450 + moved[1])
    with rasterio.open(path, "w", transform=grid, **profile) as file:
        file.write(np.repeat(ground[None, corner : corner + 300, corner : corner + 300], 4, axis=0))
        file.descriptions = ("blue", "green", "red", "nir")
    return path


def test_epochs_are_shifted_as_their_images_lie_beside_each_other(rtsmap, tmp_path):
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(np.random.default_rng(4).normal(size=(320, 320)), 2.0)
    ground = (2000 + 500 * smooth / smooth.std()).clip(1, 9000).astype("uint16")
    write_ground(tmp_path / "site_20190720.tif", ground, 10, (0, 0))
    write_ground(tmp_path / "site_20200720.tif", ground, 10, (13.5, -9))  # the same ground, placed wrongly
    maps = [
        write_map(tmp_path / "2019.gpkg", "2019-07-20", [square(0, 0, 60)]),
        write_map(tmp_path / "2020.gpkg", "2020-07-20", [square(13.5, -9, 60)]),
    ]
    scenes = [word for year in (2019, 2020) for word in ("--scenes", tmp_path / f"site_{year}0720.tif")]
    code, out, err = rtsmap("track", *maps, "-o", tmp_path / "tracks.gpkg", *scenes, "--align")
    assert code == 0, err
    assert "13.5 m east, -9.0 m north of the first scene" in out
    first, second = read(tmp_path / "tracks.gpkg", "outlines").sort_values("epoch").geometry
    assert first.symmetric_difference(second).area < 0.02 * first.area
    code, _, err = rtsmap("track", *maps, "-o", tmp_path / "t.gpkg", *scenes[:2], "--align")
    assert (code, "--align needs two or more --scenes" in err) == (2, True)
