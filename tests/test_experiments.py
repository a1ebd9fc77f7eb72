"""The paper's tables, on a data set of two small images."""

import csv

import pytest

from rtsmap.config import NetworkConfig
from rtsmap.dataset.images import SPLIT
from rtsmap.training.experiments import jobs
from rtsmap.training.paper import Recipe, cells
from tests.datasets import write_dataset
from tests.networks import TINY_TRAINING

TABLES = ("table1", "table2", "table3", "table4", "table5")

#: A row of each table, of as few trainings as show how its cells are made.
A_ROW = ("cascade", "1 modality", "residual cross", "channel", "rgb alone")


@pytest.fixture
def prepared(tmp_path):
    """A data set with a fold for each of its two images, and settings of a network that learns for one step."""
    folder = write_dataset(tmp_path / "dataset", per_site=1).folder
    (folder / SPLIT).write_text("image,site,fold\ntaimyr-0,taimyr,fold-0\nyamal-0,yamal,fold-1\n")
    TINY_TRAINING.updated(iterations=1).to_toml(tmp_path / "train.toml")
    return "--config", tmp_path / "train.toml", "-o", tmp_path / "out"


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("table", "row"), list(zip(TABLES, A_ROW, strict=True)))
def test_a_row_of_every_table_runs(rtsmap, prepared, tmp_path, table, row):
    bands = ("blue", "green", "red") if table == "table1" else ("blue", "green", "red", "nir")
    folder = write_dataset(tmp_path / "few", per_site=1, bands=bands).folder
    code, out, err = rtsmap("train", "experiment", table, folder, "--row", row, "--test", "taimyr", *prepared)
    assert code == 0, err
    assert out == (tmp_path / "out" / f"{table}.md").read_text()
    (found,) = rows_of(tmp_path / "out" / f"{table}.csv")
    assert row in found["row"].lower()
    assert 0 <= float(found["ap50"]) <= 100 < 100 * float(found["paper_ap50"])


@pytest.mark.slow
@pytest.mark.parametrize(("table", "number"), list(zip(TABLES, (9, 5, 7, 7, 6), strict=True)))
def test_every_table_of_the_paper_runs(rtsmap, prepared, tmp_path, table, number):
    code, out, err = rtsmap("train", "experiment", table, tmp_path / "dataset", "--test", "fold-0", *prepared)
    assert code == 0, err
    assert out == (tmp_path / "out" / f"{table}.md").read_text()
    assert "Ours: 1 images with 2 slumps, none seen in training." in out
    rows = rows_of(tmp_path / "out" / f"{table}.csv")
    assert len(rows) == number
    assert all(0 <= float(row["ap50"]) <= 100 < 100 * float(row["paper_ap50"]) for row in rows)


def test_cells_are_pooled_over_folds_and_never_repeated(rtsmap, prepared, tmp_path):
    words = ("train", "experiment", "table4", tmp_path / "dataset", "--row", "channel", *prepared)
    code, out, err = rtsmap(*words)
    assert code == 0, err
    assert "Ours: 2 images with 4 slumps" in out
    assert "1 of 2: rgb-ndvi-nir_channels_mvitv2_cascade without fold-0" in err
    weights = list((tmp_path / "out").glob("*/fold-*/weights.safetensors"))
    assert len(weights) == 2
    before = [path.stat().st_mtime_ns for path in weights]
    assert rtsmap(*words)[0] == 0
    assert [path.stat().st_mtime_ns for path in weights] == before


def test_networks_of_one_modality_are_trained_once_for_all_that_need_them():
    table = cells("table4", NetworkConfig())
    todo = [job.recipe.name for job in jobs(table, ["fold-0"])]
    assert len(todo) == len(set(todo)) == 7 + 3
    assert todo.index("nir_mvitv2_cascade") < todo.index("rgb-ndvi-nir_cross_frozen_mvitv2_cascade")


def test_weights_to_start_from_are_for_the_backbone_that_they_fit():
    settings = TINY_TRAINING.updated(start_from="published.pth")
    resnet = TINY_TRAINING.network.model_copy(update={"backbone": "resnet50"})
    assert Recipe(settings.network, ("rgb",)).settings(settings).start_from == "published.pth"
    assert Recipe(resnet, ("rgb",)).settings(settings).start_from is None


def test_a_dry_run_lists_the_trainings(rtsmap, prepared, tmp_path):
    code, out, _ = rtsmap("train", "experiment", "table1", tmp_path / "dataset", "--dry-run", *prepared)
    assert code == 0
    assert len(out.splitlines()) == 9 * 2
    assert not (tmp_path / "out").exists()


def test_rows_without_bands_are_left_out(rtsmap, prepared, tmp_path):
    folder = write_dataset(tmp_path / "colour", per_site=1, bands=("blue", "green", "red")).folder
    words = ("train", "experiment", "table1", folder, "--test", "taimyr", "--dry-run", *prepared)
    code, out, _ = rtsmap(*words)
    assert code == 0
    assert [line.split("_")[0] for line in out.splitlines()] == ["rgb"] * 3
    code, _, err = rtsmap("train", "experiment", "table4", *words[3:])
    assert code == 2
    assert "its images have no bands for table4, only for rgb" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--row", "best of all"), "best of all: is no row of table4; it has: channel expansion; convolution"),
        (("--test", "elsewhere"), "has no site or fold elsewhere; it has fold-0, fold-1, taimyr, yamal"),
        (("--test", "fold-0", "--test", "taimyr"), "fold-0, taimyr share images"),
    ],
)
def test_bad_input_is_one_clear_line(rtsmap, prepared, tmp_path, words, message):
    code, _, err = rtsmap("train", "experiment", "table4", tmp_path / "dataset", *words, *prepared)
    assert code == 2
    assert message in err


def test_a_fold_without_slumps_cannot_be_scored(rtsmap, prepared, tmp_path):
    write_dataset(tmp_path / "empty", per_site=1, empty=1)
    code, _, err = rtsmap("train", "experiment", "table4", tmp_path / "empty", "--test", "yamal", *prepared)
    assert code == 2
    assert "yamal has no slump to score" in err


def test_without_folds_the_user_is_told_what_to_do(rtsmap, prepared, tmp_path):
    (tmp_path / "dataset" / SPLIT).unlink()
    code, _, err = rtsmap("train", "experiment", "table4", tmp_path / "dataset", *prepared)
    assert code == 2
    assert "has no folds; make some with rtsmap dataset split, or name sites with --test" in err
