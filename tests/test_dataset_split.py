import csv
from collections import Counter

import pytest

from rtsmap.dataset import Label, read_dataset
from rtsmap.dataset.splitting import equal_folds, split_folds
from tests.datasets import SLUMPS, labelled_image, write_dataset, write_images


def folds_of(folder):
    with (folder / "split.csv").open(newline="") as file:
        return {row["image"]: row["fold"] for row in csv.DictReader(file)}


def test_as_many_folds_as_sites_leave_one_site_out(tmp_path, rtsmap):
    folder = write_dataset(tmp_path / "set", ["banks", "lena", "yamal"]).folder
    code, out, _ = rtsmap("dataset", "split", folder, "--folds", 3)
    assert code == 0
    assert out.split("\n")[0].split() == ["banks", "lena", "yamal", "total"]
    assert out.split("\n")[-2].split("  ")[-1] == "6 / 12"
    dataset = read_dataset(folder)
    assert set(dataset.folds.values()) == {"fold-0", "fold-1", "fold-2"}
    for fold in set(dataset.folds.values()):
        assert len({image.site for image in dataset.subset([fold]).images}) == 1
        assert len(dataset.without([fold]).images) == 4


def fractions(*folds):
    return [word for fold in folds for word in ("--fraction", fold)]


def test_fractions_are_kept_within_each_site(tmp_path, rtsmap):
    folder = write_dataset(tmp_path / "set", per_site=10, empty=3).folder
    words = ["dataset", "split", folder, *fractions("train=0.6", "val=0.2", "test=0.2"), "--by", "scene"]
    code, _, err = rtsmap(*words)
    assert code == 0, err
    folds = folds_of(folder)
    for site in ("taimyr", "yamal"):
        here = Counter(fold for name, fold in folds.items() if name.startswith(site))
        assert here == {"train": 6, "val": 2, "test": 2}
    assert (folder / "split.csv").read_text().startswith("image,site,fold\ntaimyr-0,taimyr,")


def test_images_of_one_scene_stay_together(tmp_path):
    images = [labelled_image(f"here-{n}", x=500_000 + 5_000 * n, scene=f"scene-{n // 2}") for n in range(6)]
    dataset = write_images(tmp_path / "scenes", images)
    folds = split_folds(dataset, equal_folds(3), by="scene")
    assert [folds[f"here-{n}"] for n in (0, 2, 4)] == [folds[f"here-{n}"] for n in (1, 3, 5)]
    assert len(set(folds.values())) == 3


def test_blocks_are_chains_of_near_images(tmp_path):
    # images of 640 m: three in a row 800 m apart, and one at 5 km
    images = [labelled_image(f"here-{n}", x=500_000 + x) for n, x in enumerate((0, 1440, 2880, 8520))]
    dataset = write_images(tmp_path / "set", images)
    folds = split_folds(dataset, equal_folds(2), by="block", gap_m=1000)
    assert folds["here-0"] == folds["here-1"] == folds["here-2"] != folds["here-3"]
    assert len(set(split_folds(dataset, equal_folds(4), by="block", gap_m=700).values())) == 4


def test_blocks_without_a_place_are_scenes(tmp_path):
    images = [labelled_image(f"here-{n}", crs=None, transform=None, scene=f"s{n // 2}") for n in range(4)]
    folds = split_folds(write_images(tmp_path / "set", images), equal_folds(2), by="block")
    assert folds["here-0"] == folds["here-1"] != folds["here-2"] == folds["here-3"]


def test_slumps_are_balanced_and_the_seed_repeats_it(tmp_path):
    counts = (9, 7, 6, 5, 4, 3, 2, 0, 0)
    images = [
        labelled_image(f"here-{n}", x=400_000 + 5_000 * n, slumps=(Label(SLUMPS[0]),) * count)
        for n, count in enumerate(counts)
    ]
    dataset = write_images(tmp_path / "set", images)
    folds = split_folds(dataset, equal_folds(3), by="scene", seed=1)
    slumps, number = Counter(), Counter(folds.values())
    for image in dataset.images:
        slumps[folds[image.name]] += len(image.slumps)
    assert max(slumps.values()) - min(slumps.values()) <= 2
    assert set(number.values()) == {3}
    assert split_folds(dataset, equal_folds(3), by="scene", seed=1) == folds


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--folds", 3], "has only 2 sites for 3 folds; ask for fewer folds, or divide it otherwise with --by"),
        (fractions("train=0.7", "test=0.2"), "must be above 0 and sum to 1"),
        (fractions("train=1.2", "test=-0.2"), "1.2 is not in the range 0<=x<=1"),
        (fractions("train"), "does not look like train=0.7"),
        (fractions("train=0.5", "train=0.5"), "--fraction gives one fold twice"),
        ([], "needs one of --folds, --fraction and --split"),
        (["--folds", 2, "--fraction", "train=1"], "needs one of --folds, --fraction and --split"),
    ],
)
def test_impossible_splits_are_refused(tmp_path, rtsmap, words, message):
    folder = write_dataset(tmp_path / "set").folder
    code, _, err = rtsmap("dataset", "split", folder, *words)
    assert code == 2
    assert message in err
    assert not (folder / "split.csv").exists()


def test_a_split_is_replaced_only_when_asked(tmp_path, rtsmap):
    folder = write_dataset(tmp_path / "set").folder
    assert rtsmap("dataset", "split", folder, "--folds", 2)[0] == 0
    code, _, err = rtsmap("dataset", "split", folder, "--folds", 2, "--by", "scene")
    assert code == 2
    assert "split.csv: exists already; choose another name or add --overwrite" in err
    assert rtsmap("dataset", "split", folder, "--folds", 2, "--by", "scene", "--overwrite")[0] == 0


def test_single_images_of_each_site_are_divided_as_in_the_paper(tmp_path, rtsmap):
    images = [
        labelled_image(f"{site}-{n}", x=300_000 + place * 100_000 + 640 * n, scene=site)
        for place, site in enumerate(("banks", "lena"))
        for n in range(6)
    ]
    folder = write_images(tmp_path / "set", images).folder  # of one scene each, side by side
    words = ("dataset", "split", folder, *fractions("train=0.67", "test=0.33"), "--by", "image-within-site")
    code, _, err = rtsmap(*words)
    assert code == 0, err
    for site in ("banks", "lena"):
        here = Counter(fold for name, fold in folds_of(folder).items() if name.startswith(site))
        assert here == {"train": 4, "test": 2}


def test_a_published_split_is_taken_as_it_is(tmp_path, rtsmap):
    folder = write_dataset(tmp_path / "set", ("lena",), per_site=3).folder
    (tmp_path / "published.csv").write_text(
        "image,fold\nchips/lena-0.tif,train\nlena-1,train\nlena-2.tif,test\nx,test\n"
    )
    code, out, err = rtsmap("dataset", "split", folder, "--split", tmp_path / "published.csv")
    assert code == 0, err
    assert folds_of(folder) == {"lena-0": "train", "lena-1": "train", "lena-2": "test"}
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["test", "train", "total"]


@pytest.mark.parametrize(
    ("table", "words", "message"),
    [
        ("image,fold\nlena-0,train\n", (), "has no fold for lena-1 (1 images in all); add them"),
        ("image,fold\nlena-0,train\nlena-1,\n", (), "has no fold for lena-1"),
        ("image,fold\na/lena-0,train\nb/lena-0,test\n", (), "gives lena-0 two folds; keep one"),
        ("name,fold\nlena-0,train\n", (), "needs the columns image and fold"),
        ("image,fold\nlena-0,train\n", ("--folds", 2), "needs one of --folds, --fraction and --split"),
    ],
)
def test_a_published_split_that_does_not_fit_is_one_clear_line(tmp_path, rtsmap, table, words, message):
    folder = write_dataset(tmp_path / "set", ("lena",)).folder
    (tmp_path / "published.csv").write_text(table)
    code, _, err = rtsmap("dataset", "split", folder, "--split", tmp_path / "published.csv", *words)
    assert code == 2
    assert message in err
    assert not (folder / "split.csv").exists()
