import pytest

from rtsmap.errors import InputError, ModelError
from rtsmap.models import CARD, DEFAULT_MODEL, find_model, list_models, verify
from rtsmap.settings.card import InputConfig, ModelCard
from rtsmap.settings.training import TrainConfig
from tests.networks import MEAN, STD, write_model


def test_the_models_that_come_with_rtsmap_are_whole():
    found = {card.name: folder for folder, card in list_models()}
    assert DEFAULT_MODEL in found
    for folder in found.values():
        card = ModelCard.from_toml(folder / "model.toml")
        verify(folder, card)
        assert card.name == folder.name
        assert (folder / card.weights).stat().st_size < 20e6
        text = (folder / "card.md").read_text()
        assert all(word in text for word in ("Copernicus", "AP50", "Limits"))
        assert not {"peel", "bykovsky"} & set(card.sites_trained_on)  # what its card tests it on


def test_models_of_one_s_own_come_first(tmp_path, monkeypatch):
    mine = write_model(tmp_path / DEFAULT_MODEL)
    monkeypatch.setenv("RTSMAP_MODELS", str(tmp_path))
    assert find_model(DEFAULT_MODEL)[0] == mine


def test_a_card_survives_being_written(tmp_path):
    folder = write_model(tmp_path / "model")
    card = ModelCard.from_toml(folder / "model.toml")
    card.to_toml(tmp_path / "again.toml")
    assert ModelCard.from_toml(tmp_path / "again.toml") == card


def test_an_unknown_model_lists_those_there_are():
    with pytest.raises(ModelError, match=f"nothing: no such model; give one of .*{DEFAULT_MODEL}"):
        find_model("nothing")


def test_missing_weights_are_named(tmp_path):
    folder = write_model(tmp_path / "model")
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match=r"weights\.safetensors: is missing"):
        verify(*find_model(str(folder)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"chip_size": 100}, "multiple of 32"),
        ({"overlap": 64, "chip_size": 64}, "overlap must be smaller"),
        ({"mean": {"red": 0.1}}, "mean and std are needed for"),
    ],
)
def test_inputs_that_make_no_sense_are_refused(changed, message):
    sound = {
        "gsd_m": 3.0,
        "gsd_range_m": (2.0, 4.0),
        "chip_size": 256,
        "overlap": 64,
        "mean": MEAN,
        "std": STD,
    }
    InputConfig(**sound)
    with pytest.raises(ValueError, match=message):
        InputConfig(**{**sound, **changed})


def test_a_card_with_the_earlier_name_of_std_is_read_and_written_anew(tmp_path):
    path = write_model(tmp_path / "model") / CARD
    card, text = ModelCard.from_toml(path), path.read_text()
    path.write_text(text.replace("[input.std]", "[input.deviation]"))
    assert ModelCard.from_toml(path) == card
    ModelCard.from_toml(path).to_toml(path)
    assert path.read_text() == text
    path.write_text(text + "\n[input.deviation]\nred = 1.0\n")  # both names
    with pytest.raises(InputError, match=r"model.toml: input\.deviation: is not a setting"):
        ModelCard.from_toml(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("iterations = 10\nlearning_rat = 1", "learning_rat: is not a setting"),
        ("iterations = -1", "iterations: Input should be greater than 0"),
        ("iterations =", "is not valid TOML"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, text, message):
    (tmp_path / "train.toml").write_text(text)
    with pytest.raises(InputError, match=f"train.toml: {message}"):
        TrainConfig.from_toml(tmp_path / "train.toml")


def test_models_are_listed_with_what_to_type_next(rtsmap):
    code, out, err = rtsmap("models", "list")
    assert code == 0
    assert out.startswith(DEFAULT_MODEL)
    assert "rtsmap predict" in err


def test_a_model_is_shown_with_its_card(rtsmap):
    code, out, _ = rtsmap("models", "show", DEFAULT_MODEL)
    assert code == 0
    assert "score_threshold" in out
    assert "Copernicus" in out
