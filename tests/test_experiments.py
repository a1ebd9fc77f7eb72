"""The paper's tables, on a data set of two small images."""

import csv
from dataclasses import replace

import pytest

from rtsmap.dataset.images import SPLIT, read_dataset
from rtsmap.network.cost import meta_network, training_memory
from rtsmap.settings.card import ModelCard
from rtsmap.settings.network import PRESETS, NetworkConfig
from rtsmap.training import paper
from rtsmap.training.experiments import jobs, validation_fold
from rtsmap.training.paper import FUSIONS, Recipe, cells
from tests.datasets import labelled_image, write_dataset, write_images
from tests.networks import TINY, TINY_TRAINING

TABLES = ("table1", "table2", "table3", "table4", "table5")

#: A row of each table, of as few trainings as show how its cells are made.
A_ROW = ("cascade", "1 modality", "channel", "residual convolution", "rgb alone")


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A data set with a fold for each of its two images, and settings of a network that learns for one step."""
    folder = write_dataset(tmp_path / "dataset", per_site=1).folder
    (folder / SPLIT).write_text("image,site,fold\ntaimyr-0,taimyr,fold-0\nyamal-0,yamal,fold-1\n")
    TINY_TRAINING.updated(iterations=1).to_toml(tmp_path / "train.toml")
    monkeypatch.setattr(paper, "PRESETS", {"resnet50": TINY.model_copy(update={"backbone": "resnet50"})})
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
    found = rows_of(tmp_path / "out" / f"{table}.csv")
    assert found
    for cell in found:
        assert row in cell["row"].lower()
        assert 0 <= float(cell["ap50"]) <= 100 < 100 * float(cell["paper_ap50"])


@pytest.mark.slow
@pytest.mark.parametrize(("table", "number"), list(zip(TABLES, (9, 5, 11, 7, 6), strict=True)))
def test_every_table_of_the_paper_runs(rtsmap, prepared, tmp_path, table, number):
    code, out, err = rtsmap("train", "experiment", table, tmp_path / "dataset", "--test", "fold-0", *prepared)
    assert code == 0, err
    assert out == (tmp_path / "out" / f"{table}.md").read_text()
    assert "Ours: 1 images with 2 slumps, none seen in training." in out
    rows = rows_of(tmp_path / "out" / f"{table}.csv")
    assert len(rows) == number
    assert all(0 <= float(row["ap50"]) <= 100 < 100 * float(row["paper_ap50"]) for row in rows)


def test_cells_are_pooled_over_folds_and_never_repeated(rtsmap, prepared, tmp_path):
    words = ("train", "experiment", "table3", tmp_path / "dataset", "--row", "channel", *prepared)
    code, out, err = rtsmap(*words)
    assert code == 0, err
    assert "Ours: 2 images with 4 slumps" in out
    assert "1 of 4: rgb-ndvi_channels_mvitv2_cascade without fold-0" in err
    weights = list((tmp_path / "out").glob("*/fold-*/weights.safetensors"))
    assert len(weights) == 4
    before = [path.stat().st_mtime_ns for path in weights]
    assert rtsmap(*words)[0] == 0
    assert [path.stat().st_mtime_ns for path in weights] == before


def test_networks_of_one_modality_are_trained_once_for_all_that_need_them():
    tables = [cell for name in ("table3", "table4") for cell in cells(name, NetworkConfig())]
    todo = [job.recipe.name for job in jobs(tables, ["fold-0"])]
    assert len(todo) == len(set(todo)) == 3 + 2 * len(FUSIONS)
    assert todo.index("nir_mvitv2_cascade") < todo.index("rgb-ndvi-nir_cross_frozen_mvitv2_cascade")


@pytest.mark.parametrize(
    ("table", "figures"),
    [
        ("table3", [39.73, 42.74, 43.87, 44.51, 45.45, 44.53, 45.79, 44.71, 46.72, 46.67, 48.99]),
        ("table4", [39.73, 46.21, 47.62, 47.00, 47.69, 46.67, 48.99]),
    ],
)
def test_fusions_stand_beside_rgb_alone_with_two_and_with_three_modalities(table, figures):
    found = cells(table, NetworkConfig())
    assert [cell.paper for cell in found] == figures
    assert [cell.column for cell in found] == ["RGB", *["RGB+NDVI", "RGB+NDVI+NIR"] * (len(figures) // 2)]


def test_the_row_of_resnet50_has_the_heads_of_its_preset():
    settings = TINY_TRAINING.network.model_copy(update={"classes": 3})
    (row, *_) = (cell for cell in cells("table1", settings) if "ResNet50" in cell.row)
    assert row.model.network == PRESETS["resnet50"].model_copy(update={"classes": 3, "fusion": "residual_cross"})


def test_memory_is_counted_as_in_the_paper_but_for_a_constant():
    found = cells("table2", PRESETS["mvitv2-b"])
    assert [cell.paper_mb for cell in found] == [1649, 2527, 1454, 3361, 1754]
    for cell in (found[0], found[-1]):
        counted = training_memory(
            meta_network(cell.model.network, cell.model.modalities, frozen=cell.model.freeze), 256
        )
        ours = (counted.total - counted.moments) / 1e6
        assert ours + 155 == pytest.approx(cell.paper_mb, rel=0.032)


@pytest.mark.parametrize(
    ("tested", "held"),
    [
        ("fold-0", "fold-1"),
        ("fold-1", "fold-2"),
        ("fold-2", "fold-0"),  # the next in order, in a circle
        ("banks", "lena"),  # sites where a site is tested
    ],
)
def test_the_weights_are_chosen_on_a_fold_that_is_neither_learned_nor_tested(tmp_path, tested, held):
    folder = write_dataset(tmp_path / "set", ("banks", "lena", "yamal"), per_site=1).folder
    (folder / SPLIT).write_text("image,site,fold\nbanks-0,,fold-0\nlena-0,,fold-1\nyamal-0,,fold-2\n")
    assert validation_fold(read_dataset(folder), tested) == held


def test_of_two_folds_none_is_left_to_choose_on(tmp_path):
    assert validation_fold(write_dataset(tmp_path / "set", ("lena", "yamal"), per_site=1), "lena") is None


def test_folds_without_slumps_choose_nothing(tmp_path):
    images = [labelled_image(f"{site}-0", x=300_000 + 100_000 * n) for n, site in enumerate(("a", "b", "c", "d"))]
    images[1] = replace(images[1], slumps=())
    assert validation_fold(write_images(tmp_path / "set", images), "a") == "c"


def test_the_best_weights_on_a_further_fold_are_published(rtsmap, tmp_path):
    folder = write_dataset(tmp_path / "set", ("lena", "taimyr", "yamal"), per_site=1).folder
    TINY_TRAINING.updated(iterations=2).to_toml(tmp_path / "train.toml")
    words = ("train", "experiment", "table4", folder, "--test", "taimyr", "--row", "RGB alone")
    words = (*words, "--config", tmp_path / "train.toml")
    for chosen, sites, validated in (("best", ("lena",), ("yamal",)), ("last", ("lena", "yamal"), ())):
        code, _, err = rtsmap(*words, "-o", tmp_path / chosen, "--weights", chosen)
        assert code == 0, err
        card = ModelCard.from_toml(tmp_path / chosen / "rgb_mvitv2_cascade" / "taimyr" / "model.toml")
        assert (card.sites_trained_on, card.training.validated_on) == (sites, validated)


def test_weights_to_start_from_are_for_the_backbone_that_they_fit():
    settings = TINY_TRAINING.updated(start_from="published.pth")
    resnet = TINY_TRAINING.network.model_copy(update={"backbone": "resnet50"})
    assert Recipe(settings.network, ("rgb",)).settings(settings).start_from == "published.pth"
    assert Recipe(resnet, ("rgb",)).settings(settings).start_from is None
    assert Recipe(resnet, ("rgb",)).settings(settings, starts={"resnet50": "R-50.pkl"}).start_from == "R-50.pkl"


@pytest.mark.parametrize(
    ("cold", "start", "decoder"), [(False, "coco.pkl", "one"), (True, "coco.pkl", "coco.pkl"), (True, None, None)]
)
def test_second_stages_begin_with_the_decoder_of_the_query_or_of_the_checkpoint(cold, start, decoder):
    fused = Recipe(TINY_TRAINING.network, ("rgb", "nir"), frozen=True)
    settings = fused.settings(TINY_TRAINING.updated(start_from=start), ["one", "two"], cold=cold)
    assert (settings.decoder_from, settings.start_from, settings.backbones) == (decoder, None, ("one", "two"))


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
    code, _, err = rtsmap("train", "experiment", "table4", *words[3:], "--row", "residual")
    assert code == 2
    assert "its images have no bands for table4, only for rgb" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--row", "best of all"),
            "best of all: is not a row of table4; the rows are: RGB alone; residual convolution",
        ),
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
