import sys
import tomllib

import numpy as np
import pytest
import shapely
from PIL import Image

from rtsmap import bands
from rtsmap.dataset import Dataset, Label, read_dataset
from rtsmap.dataset.pixels import pixels_of
from rtsmap.dataset.stats import BINS, channel_statistics, site_statistics
from rtsmap.dataset.writer import writing_dataset
from rtsmap.errors import DatasetError
from rtsmap.records import Pixels
from rtsmap.settings.card import ModelCard
from tests.datasets import BARE, SLUMPS, TUNDRA, labelled_image, pixels_with, write_dataset, write_images


def joined(*datasets: Dataset) -> Dataset:
    """Images of several data sets in one, with their pixels."""
    folder = datasets[0].folder.parent / "joined"
    with writing_dataset(folder, "a test") as writer:
        for dataset in datasets:
            for image in dataset.images:
                writer.add(image, pixels_of(dataset.folder, image))
    return read_dataset(folder)


def test_means_and_deviations_are_those_of_the_pixels(tmp_path):
    dataset = write_dataset(tmp_path / "set", ["here"])
    values = np.concatenate([pixels_of(dataset.folder, image).reflectance for image in dataset.images], axis=1)
    mean, std = channel_statistics(dataset, ("rgb", "ndvi", "nir"))
    assert list(mean) == list(std) == ["red", "green", "blue", "ndvi", "nir"]
    assert mean["red"] == pytest.approx(values[2].mean(), abs=1e-4)
    assert std["nir"] == pytest.approx(values[3].std(), abs=1e-4)
    assert mean["ndvi"] == pytest.approx(bands.ndvi(values).mean(), abs=1e-4)


def test_every_site_counts_alike_whatever_its_size(tmp_path):
    dark = write_dataset(tmp_path / "dark", ["here"], per_site=5)
    bright = write_images(tmp_path / "bright", [labelled_image("there-0", x=700_000)], gain=2.0)
    mean, _ = channel_statistics(joined(dark, bright), ("nir",))
    alone, _ = channel_statistics(dark, ("nir",))
    assert mean["nir"] == pytest.approx(1.5 * alone["nir"], abs=2e-4)


def test_nodata_does_not_count_and_tiles_change_nothing(tmp_path, monkeypatch):
    image = labelled_image()
    pixels = pixels_with(image)
    valid = pixels.valid.copy()
    valid[:36] = False
    with writing_dataset(tmp_path / "set", "a test") as writer:
        writer.add(image, Pixels(pixels.reflectance, valid, valid))
    dataset = read_dataset(tmp_path / "set")
    mean, std = channel_statistics(dataset, ("rgb",))
    assert mean["red"] == pytest.approx(pixels.reflectance[2, 36:].mean(), abs=1e-4)
    (site,) = site_statistics(dataset)
    monkeypatch.setattr("rtsmap.dataset.tiles.TILE_PX", 20)
    assert channel_statistics(dataset, ("rgb",)) == (mean, std)
    (again,) = site_statistics(dataset)
    np.testing.assert_array_equal(again.histograms.slump["nir"], site.histograms.slump["nir"])
    assert again.valid_km2 == site.valid_km2 == pytest.approx(28 * 64 * 100 / 1e6)


def test_a_site_is_described(tmp_path):
    whole, part = SLUMPS
    first = labelled_image("here-0", slumps=(Label(whole, 1.0, "a"), Label(part, 0.5, "b")))
    second = labelled_image("here-1", x=505_000, slumps=(Label(shapely.box(0, 0, 10, 10), 0.25, "b"),))
    third = labelled_image("here-2", x=510_000, slumps=(), acquired=None)
    (site,) = site_statistics(write_images(tmp_path / "set", [first, second, third]))
    assert (site.images, site.empty, site.scenes, site.labels, site.slumps) == (3, 1, 3, 3, 2)
    np.testing.assert_allclose(site.areas_m2, [whole.area * 100, part.area * 100 / 0.5])  # the half that is seen, twice
    assert site.valid_km2 == pytest.approx(3 * 0.64**2)
    assert site.density_per_km2 == pytest.approx(3 / (3 * 0.64**2))
    assert [day.isoformat() for day in site.days] == ["2021-07-14"] * 2


def test_histograms_tell_slumps_from_tundra(tmp_path):
    (site,) = site_statistics(write_dataset(tmp_path / "set", ["here"], ignored=(shapely.box(0, 0, 10, 10),)))
    slump, background = site.histograms.slump["nir"], site.histograms.background["nir"]
    assert slump.sum() == 2 * sum(outline.area for outline in SLUMPS)
    assert slump.sum() + background.sum() == 2 * (64 * 64 - 100)  # what is ignored is neither
    assert slump.argmax() / BINS == pytest.approx(BARE[3], abs=0.01)
    assert background.argmax() / BINS == pytest.approx(TUNDRA[3], abs=0.01)


def test_the_command_prints_a_table_and_what_a_model_card_needs(tmp_path, rtsmap):
    folder = write_dataset(tmp_path / "set", empty=1, shard_size=3).folder
    code, out, err = rtsmap("dataset", "stats", folder, "--png", tmp_path / "figure.png")
    assert code == 0, err
    table, toml = out.split("\n\n", 1)
    header, *rows = (line.split("  ") for line in table.splitlines())
    assert [row[0].strip() for row in (header, *rows)] == ["site", "taimyr", "yamal"]
    assert "50%" in table
    assert table.endswith("2021-07-14")
    section = tomllib.loads(toml)["input"]
    expected = channel_statistics(read_dataset(folder), ("rgb", "ndvi", "nir"))
    assert (section["mean"], section["std"]) == expected
    assert {"mean", "std"} <= set(ModelCard.model_fields["input"].annotation.model_fields)
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.size[0] > 1000
        assert len(picture.convert("L").getcolors()) > 20


def test_images_of_red_green_and_blue_have_three_channels(tmp_path, rtsmap):
    folder = write_dataset(tmp_path / "set", ["here"], bands=("blue", "green", "red"), crs=None, transform=None).folder
    code, out, _ = rtsmap("dataset", "stats", folder, "--png", tmp_path / "figure.png")
    assert code == 0
    assert set(tomllib.loads(out.split("\n\n", 1)[1])["input"]["mean"]) == {"red", "green", "blue"}


def test_sites_without_slumps_are_described_too(tmp_path, rtsmap):
    folder = write_dataset(tmp_path / "set", ["here"], empty=2, acquired=None).folder
    code, out, _ = rtsmap("dataset", "stats", folder, "--png", tmp_path / "figure.png")
    assert code == 0
    assert "100%" in out
    assert "not known" in out


def test_what_cannot_be_normalised_is_refused(tmp_path):
    dataset = write_dataset(tmp_path / "rgb", ["here"], bands=("blue", "green", "red"))
    with pytest.raises(DatasetError, match="some images lack the bands of ndvi, nir; choose others"):
        channel_statistics(dataset, ("rgb", "ndvi", "nir"))
    image = labelled_image(slumps=())
    flat = np.full((4, 64, 64), 0.2, dtype=np.float32)
    for name, valid in (("flat", True), ("empty", False)):
        with writing_dataset(tmp_path / name, "a test") as writer:
            writer.add(image, Pixels(flat, *2 * [np.full((64, 64), valid)]))
    with pytest.raises(DatasetError, match="red is the same in all pixels; run rtsmap dataset check"):
        channel_statistics(read_dataset(tmp_path / "flat"), ("rgb",))
    with pytest.raises(DatasetError, match="has no valid pixel; run rtsmap dataset check"):
        channel_statistics(read_dataset(tmp_path / "empty"), ("rgb",))


def test_a_figure_is_replaced_only_when_asked(tmp_path, rtsmap):
    folder = write_dataset(tmp_path / "set", ["here"]).folder
    (tmp_path / "figure.png").touch()
    code, _, err = rtsmap("dataset", "stats", folder, "--png", tmp_path / "figure.png")
    assert code == 2
    assert "figure.png: exists already" in err
    assert rtsmap("dataset", "stats", folder, "--png", tmp_path / "figure.png", "--overwrite")[0] == 0


def test_without_matplotlib_the_figure_alone_is_refused(tmp_path, rtsmap, monkeypatch):
    folder = write_dataset(tmp_path / "set", ["here"]).folder
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert rtsmap("dataset", "stats", folder)[0] == 0
    code, _, err = rtsmap("dataset", "stats", folder, "--png", tmp_path / "figure.png")
    assert code == 2
    assert "needs matplotlib, which comes with rtsmap[train]" in err
